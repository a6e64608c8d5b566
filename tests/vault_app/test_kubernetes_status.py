"""What is said of a refusal by the Kubernetes API server: why, and no name and no value."""

import json
from typing import Any

import pytest

from vault_app.stores.kubernetes_status import MAX_SHOWN, refusal, status_of

NAME = "fugata-0123456789abcdef0123456789abcdef"


def said(status: int = 422, **fields: Any) -> str:
    return refusal("POST", status, json.dumps({"kind": "Status"} | fields).encode())


def test_a_reason_and_its_causes() -> None:
    causes = [
        {"reason": "FieldValueInvalid", "message": "must be true", "field": "immutable"},
        {"message": "denied"},
    ]
    text = said(reason="Invalid", message=f'"{NAME}" is invalid', details={"causes": causes})
    assert text == "answered 422 to a POST: Invalid (immutable: must be true; denied)"


def test_without_causes_the_message_says_why() -> None:
    """Webhooks, and quotas, have nothing else."""
    message = f'secrets "{NAME}-3.1" is forbidden: exceeded quota: small,\n used: count=5'
    assert said(403, reason="Forbidden", message=message) == (
        'answered 403 to a POST: Forbidden (secrets "…" is forbidden: exceeded quota: small,'
        " used: count=5)"
    )


ROLE = "does the Role of deploy/kubernetes apply there?"


def test_a_right_that_is_missing() -> None:
    message = (
        'secrets is forbidden: User "fugata" cannot create resource "secrets" in the namespace'
    )
    text = said(403, reason="Forbidden", message=message)
    assert text.endswith(f"): does KUBERNETES_NAMESPACE name the right namespace, and {ROLE}")
    assert ROLE in said(403)


@pytest.mark.parametrize(
    "message",
    [
        f'secrets "{NAME}" is forbidden: exceeded quota: small, used: count=5',
        f'secrets "{NAME}" is forbidden: unable to create: namespace v is being terminated',
        "ValidatingAdmissionPolicy 'x' with binding 'x' denied request: no",
        'admission webhook "x.example" denied the request: no',
    ],
)
def test_what_is_no_matter_of_rights(message: str) -> None:
    causes = [{"reason": "NamespaceTerminating", "message": message, "field": "metadata"}]
    for fields in ({"message": message}, {"details": {"causes": causes}}):
        assert ROLE not in said(403, reason="Forbidden", **fields)


SECRETS = [
    NAME,
    f"{NAME}-11.10",
    NAME.removeprefix("fugata-"),
    "QUJD0UJD" * 9 + "==",
    "eyJhbGciOi-_" * 5 + "7",
]


@pytest.mark.parametrize("secret", SECRETS)
def test_no_name_and_no_value(secret: str) -> None:
    causes = [{"field": f"data[{secret}]", "message": f"Invalid value: {secret!r}"}]
    for text in (said(message=secret), said(details={"causes": causes})):
        assert secret not in text
        assert secret[:12] not in text


def test_a_name_that_people_gave_is_shown() -> None:
    policy = "require-labels-and-annotations-on-all-secrets"
    assert policy in said(message=f"ValidatingAdmissionPolicy '{policy}' denied request")


@pytest.mark.parametrize("reason", ["no: fugata-01234567\nERROR forged", "x" * 41, "a b"])
def test_a_reason_is_one_word_or_none(reason: str) -> None:
    assert said(reason=reason) == "answered 422 to a POST"


def test_what_is_shown_has_an_end_and_one_line() -> None:
    text = said(message="words and\x1b[31m\u2028more\n" * 1000)
    assert len(text) < MAX_SHOWN + 100
    assert text.isprintable()
    assert "more words" in text


def test_a_value_that_reaches_over_the_end_is_not_shown_in_part() -> None:
    assert "eyJ" not in said(message="-" * (MAX_SHOWN - 20) + "eyJ" + "x0" * 20)


@pytest.mark.parametrize(
    "body", [b"", b"<html>", b"null", b"[]", b"\xff", b'{"reason": 5}', b'{"reason": "\xff"}']
)
def test_what_is_no_status_is_a_number_alone(body: bytes) -> None:
    assert status_of(body).reason == ""
    assert refusal("GET", 502, body) == "answered 502 to a GET"
