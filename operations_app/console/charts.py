"""Bar charts, drawn on the server: numbers become boxes that a template writes as SVG."""

from collections.abc import Sequence
from dataclasses import dataclass

#: The box that bars are drawn in; the page stretches it.
WIDTH, HEIGHT = 240.0, 64.0
#: The part of a bar's slot that stays empty.
GAP = 0.25
#: Minimum height of a bar that is not zero, however small it is beside the largest.
MIN_HEIGHT = 1.5


@dataclass(frozen=True, slots=True)
class Bar:
    """A bar: its box, and what it says."""

    x: str
    y: str
    width: str
    height: str
    label: str
    value: int


@dataclass(frozen=True, slots=True)
class Chart:
    """A bar chart. `name` is the CSS class that colours it; `peak` its largest value."""

    name: str
    title: str
    bars: list[Bar]
    total: int
    peak: int

    @property
    def first(self) -> str:
        """What the left end of the axis says."""
        return self.bars[0].label if self.bars else ""

    @property
    def last(self) -> str:
        """What the right end of the axis says."""
        return self.bars[-1].label if self.bars else ""

    @property
    def summary(self) -> str:
        """The chart in one sentence, for users who can't see it."""
        if not self.total:
            return f"{self.title}: none from {self.first} to {self.last}."
        highest = next(bar.label for bar in self.bars if bar.value == self.peak)
        return (
            f"{self.title}: {self.total} from {self.first} to {self.last},"
            f" at most {self.peak} ({highest})."
        )


def bar_chart(name: str, title: str, labels: Sequence[str], values: Sequence[int]) -> Chart:
    """Return a chart with a bar for each value, the largest as high as the chart."""
    peak = max(values, default=0)
    room = WIDTH / max(len(values), 1)
    bars = [
        _bar(number, room, value, peak, label)
        for number, (label, value) in enumerate(zip(labels, values, strict=True))
    ]
    return Chart(name, title, bars, sum(values), peak)


def _bar(number: int, room: float, value: int, peak: int, label: str) -> Bar:
    height = max(HEIGHT * value / peak, MIN_HEIGHT) if value else 0.0
    return Bar(
        x=f"{(number + GAP / 2) * room:.2f}",
        y=f"{HEIGHT - height:.2f}",
        width=f"{room * (1 - GAP):.2f}",
        height=f"{height:.2f}",
        label=label,
        value=value,
    )
