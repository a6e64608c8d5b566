"""What is cut from what is recorded and shown."""

import pytest

from fugata_core.access_tokens import new_access_token, token_prefix
from fugata_core.errors import BadRequest
from fugata_core.terminal import WithoutSecrets
from fugata_core.tokens import cut_secrets, has_secret
from secrets_app import ids

TOKEN = new_access_token()


def test_a_token_is_cut_to_what_lists_show() -> None:
    assert cut_secrets(TOKEN) == f"{token_prefix(TOKEN)}…"
    assert cut_secrets(f"x{TOKEN}/y") == f"x{token_prefix(TOKEN)}…/y"


@pytest.mark.parametrize("make", [ids.new_share_id, ids.new_deletion_token])
def test_of_ids_nothing_is_left(make: object) -> None:
    secret = make()  # type: ignore[operator]
    assert cut_secrets(f"a {secret}, {secret}") == f"a {secret[:4]}…, {secret[:4]}…"


@pytest.mark.parametrize(
    "secret", ["fug_Paj7zuxr8SEHQPZS1FYOtp", "fug_Paj7zuxr8SEHQPZ", "fug_paj7zuxr8seh"]
)
def test_a_part_is_cut_too(secret: str) -> None:
    """With more than is here, the rest could be tried against the stored digest."""
    assert has_secret(secret)
    assert cut_secrets(secret) == "fug_…"


@pytest.mark.parametrize(
    "name",
    [
        "",
        "tok_service",
        "tok_authentication",
        "fug_Paj7zuxr8SE",
        "my-fgt_repo",
        "fug_",
        "TOK_" + "A" * 40,
        "é",
    ],
)
def test_names_stay(name: str) -> None:
    assert not has_secret(name)
    assert cut_secrets(name) == name


def test_errors_and_the_terminal_go_through_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert TOKEN not in BadRequest(f"There is no user {TOKEN!r}.").sentence
    import sys

    stream = WithoutSecrets(sys.stderr)
    print(f"no such user: {TOKEN}", file=stream)
    stream.writelines([f"{TOKEN}\n"])
    assert not stream.isatty()
    assert (
        capsys.readouterr().err == f"no such user: {token_prefix(TOKEN)}…\n{token_prefix(TOKEN)}…\n"
    )
