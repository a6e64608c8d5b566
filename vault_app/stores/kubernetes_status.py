"""Why the Kubernetes API server refused: its Status object, in a sentence for the log.

A Status may quote what was sent. The sentence has no name of an object and no value.
"""

import re

import msgspec

#: Characters of a refusal that are logged, at most.
MAX_SHOWN = 300
_REMEDIES = {
    401: "are the credentials in KUBECONFIG, or the pod's token, valid?",
    403: "does KUBERNETES_NAMESPACE name the right namespace, and does the Role of"
    " deploy/kubernetes apply there?",
    404: "does the namespace that KUBERNETES_NAMESPACE names exist?",
}
#: What a 403 says that no right is missing for: quotas, namespaces that go, policies, webhooks.
_NO_MATTER_OF_RIGHTS = (
    "exceeded quota",
    "being terminated",
    "denied request",
    "denied the request",
)
#: An object of ours, and anything that may be a value or a token: it is long, and has a digit.
_UNSPEAKABLE = re.compile(r"(fugata-)?[0-9a-f]{16,}[-.0-9]*|(?=[^\s\d]*\d)[-A-Za-z0-9+/=_]{33,}")
_REASON = re.compile(r"[A-Za-z]{1,40}")


class _Cause(msgspec.Struct):
    reason: str = ""
    message: str = ""
    field: str = ""


class _Details(msgspec.Struct):
    causes: list[_Cause] | None = None


class Status(msgspec.Struct):
    """A refusal (meta/v1's Status): `reason` is a word such as AlreadyExists."""

    reason: str = ""
    message: str = ""
    details: _Details | None = None

    @property
    def explanation(self) -> str:
        """Return the reason and its causes, or else what the server or a webhook said."""
        causes = self.details.causes if self.details else None
        said = [": ".join(filter(None, (each.field, each.message))) for each in causes or ()]
        text = "; ".join(filter(None, said)) or self.message
        shown = _UNSPEAKABLE.sub("…", " ".join(text.split()))[:MAX_SHOWN]
        shown = "".join(character for character in shown if character.isprintable())
        reason = self.reason if _REASON.fullmatch(self.reason) else ""
        return " ".join(filter(None, (reason, f"({shown})" if shown else "")))


def status_of(body: bytes) -> Status:
    """Return what a refusal says; nothing where a proxy answered, or it is no Status."""
    try:
        return msgspec.json.decode(body, type=Status)
    except (msgspec.DecodeError, UnicodeDecodeError):
        return Status()


def refusal(method: str, status: int, body: bytes) -> str:
    """Return what is logged of a refusal: the status, why, and what may help."""
    explanation = status_of(body).explanation
    is_explained = status == 403 and any(each in explanation for each in _NO_MATTER_OF_RIGHTS)
    parts = (explanation, "" if is_explained else _REMEDIES.get(status))
    return ": ".join([f"answered {status} to a {method}", *filter(None, parts)])
