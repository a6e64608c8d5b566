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


@pytest.mark.parametrize("length", [26, 20])
def test_most_of_one_is_cut_too(length: int) -> None:
    secret = ids.new_share_id()[:length]
    assert has_secret(secret)
    assert cut_secrets(secret) == "fug_…"


@pytest.mark.parametrize("name", ["", "tok_service", "my-fgt_repo", "fug_", "TOK_" + "A" * 40, "é"])
def test_names_stay(name: str) -> None:
    assert not has_secret(name)
    assert cut_secrets(name) == name


def test_errors_and_the_terminal_go_through_it(capsys: pytest.CaptureFixture[str]) -> None:
    assert TOKEN not in BadRequest(f"There is no user {TOKEN!r}.").sentence
    import sys

    stream = WithoutSecrets(sys.stderr)
    print(f"no such user: {TOKEN}", file=stream)
    assert not stream.isatty()
    assert capsys.readouterr().err == f"no such user: {token_prefix(TOKEN)}…\n"
