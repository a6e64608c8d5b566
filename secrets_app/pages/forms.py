"""The form that creates a share."""

import re
from typing import Any

from django import forms
from django.conf import settings

from secrets_app.actions.create import Draft
from secrets_app.labels import MAX_LABEL

#: The most characters of a field that a form with an error shows again.
_ECHOED = {"content": 2**20, "label": 4 * MAX_LABEL, "duration": 16}
_UNITS = {"s": "second", "m": "minute", "h": "hour", "d": "day"}


def in_words(duration: str) -> str:
    """Return `24h` as `24 hours`."""
    match = re.fullmatch(r"(\d+)([smhd])", duration)
    assert match is not None  # settings.TTL_PRESETS holds no other
    number, unit = int(match[1]), _UNITS[match[2]]
    return f"{number} {unit}" if number == 1 else f"{number} {unit}s"


def _choices() -> list[tuple[str, str]]:
    return [(preset, in_words(preset)) for preset in settings.TTL_PRESETS]


def _default_duration() -> str:
    presets = list(settings.TTL_PRESETS)
    return "24h" if "24h" in presets else presets[0]


class NewShareForm(forms.Form):
    """Checks the form's shape only; `create_share` decides what may be shared."""

    content = forms.CharField(
        strip=False,
        widget=forms.Textarea,
        error_messages={"required": "Write or paste the secret that you want to share."},
    )
    duration = forms.ChoiceField(
        choices=_choices,
        initial=_default_duration,
        error_messages={"invalid_choice": "Choose one of the durations on offer."},
    )
    one_time = forms.BooleanField(required=False, initial=True)
    label = forms.CharField(
        required=False,
        max_length=MAX_LABEL,
        error_messages={"max_length": f"The label may have at most {MAX_LABEL} characters."},
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if settings.FORCE_ONE_TIME:  # Django then ignores what is sent and takes the initial value
            self.fields["one_time"].disabled = True

    def drop_long_values(self) -> None:
        """Drop values that would make the page many times the size of its request."""
        self.data = {
            name: value
            for name, value in self.data.items()
            if len(value) <= _ECHOED.get(name, len(value))
        }

    def draft(self) -> Draft:
        """Return the valid form's draft."""
        data = self.cleaned_data
        return Draft(data["content"], data["duration"], data["one_time"], data["label"] or None)

    def close(self) -> None:
        """Forget what was sent: a form refers to itself, and lives until a garbage collection."""
        self.data = self.cleaned_data = {}
