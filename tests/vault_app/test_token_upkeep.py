"""The token for Vault: read anew, renewed, had by a login, and missed before it ends."""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pytest_django.fixtures import Settings

from operations_app.diagnostics import checks, monitor
from operations_app.diagnostics.checks import Level
from operations_app.diagnostics.probes import PROBES
from tests.support.servers.parts import wait_until
from tests.support.servers.transit import TransitServer
from tests.support.servers.vault import Vault
from tests.vault_app.support import DATA_KEY, use_new_vault
from vault_app.backends import key_provider
from vault_app.errors import KeyServiceAway, KeyUnavailable
from vault_app.keys import vault_tokens
from vault_app.keys.transport import time_limit
from vault_app.keys.vault import VaultTransit
from vault_app.keys.vault_access import VaultAccess

pytestmark = pytest.mark.processes

THREADS, ROUNDS = 16, 12


def provider_for(vault: Vault, **options: Any) -> VaultTransit:
    return VaultTransit(["one"], address=vault.url, **options)


@pytest.fixture(autouse=True)
def key(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """The key `one`, and no pause between attempts."""
    vault.add_key("one")
    monkeypatch.setattr(vault_tokens, "PAUSE", 0.0)


def at_once(work: Callable[[], object]) -> list[BaseException]:
    """Do the work in many threads at the same time; return what they raised."""
    raised: list[BaseException] = []
    ready = threading.Barrier(THREADS)

    def run() -> None:
        ready.wait()
        try:
            work()
        except BaseException as error:
            raised.append(error)

    threads = [threading.Thread(target=run) for _ in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return raised


# --- A file that an agent keeps ------------------------------------------------------------------


def test_no_call_fails_when_the_file_has_another_token(vault: Vault, tmp_path: Path) -> None:
    file, old = tmp_path / "token", vault.new_token(["one"])
    file.write_text(old)
    provider = provider_for(vault, token_file=str(file))
    provider.wrap(DATA_KEY, b"")
    for _ in range(ROUNDS):
        new = vault.new_token(["one"])
        file.write_text(f"{new}\n")
        vault.revoke(old)
        assert at_once(lambda: provider.wrap(DATA_KEY, b"")) == []
        old = new


def test_a_file_that_is_not_there_yet(vault: Vault, tmp_path: Path) -> None:
    file = tmp_path / "token"
    provider = provider_for(vault, token_file=str(file))
    with pytest.raises(KeyServiceAway, match=r"VAULT_TOKEN_FILE.*No such file"):
        provider.wrap(DATA_KEY, b"")
    file.write_text("")
    with pytest.raises(KeyServiceAway, match=r"VAULT_TOKEN_FILE.*one word"):
        provider.wrap(DATA_KEY, b"")
    file.write_text(vault.new_token(["one"]))
    provider.wrap(DATA_KEY, b"")


def test_a_file_that_is_gone_when_the_token_ends(vault: Vault, tmp_path: Path) -> None:
    file, token = tmp_path / "token", vault.new_token(["one"])
    file.write_text(token)
    provider = provider_for(vault, token_file=str(file))
    provider.wrap(DATA_KEY, b"")
    file.unlink()
    provider.wrap(DATA_KEY, b"")
    vault.revoke(token)
    with pytest.raises(KeyServiceAway, match="VAULT_TOKEN_FILE") as raised:
        provider.wrap(DATA_KEY, b"")
    assert token not in str(raised.value)


# --- Renewal -------------------------------------------------------------------------------------


def test_a_periodic_token_outlives_its_period(vault: Vault) -> None:
    token = vault.new_token(["one"], period=4)
    provider = provider_for(vault, token=token)
    wrapped = provider.wrap(DATA_KEY, b"")
    _keep_until(provider, lambda: vault.renewals(token) >= 3)
    assert provider.unwrap(wrapped, b"") == DATA_KEY
    assert provider.warning() == ""


def test_calls_renew_it_where_nothing_else_does(vault: Vault) -> None:
    """A command that takes longer than the token lasts."""
    token = vault.new_token(["one"], period=8)
    provider = provider_for(vault, token=token)

    def works() -> bool:
        provider.wrap(DATA_KEY, b"")
        return vault.renewals(token) >= 2

    wait_until(works, "renewals")


def test_a_token_is_not_renewed_all_the_time(vault: Vault) -> None:
    token = vault.new_token(["one"], period=3600)
    provider = provider_for(vault, token=token)
    for _ in range(20):
        provider.wrap(DATA_KEY, b"")
        provider.maintain()
    assert vault.renewals(token) == 0
    assert vault.count("lookup-self") == 1


def test_a_token_that_may_not_look_at_itself_works(vault: Vault) -> None:
    provider = provider_for(vault, token=vault.new_token(["one"], default_policy=False))
    for _ in range(3):
        provider.wrap(DATA_KEY, b"")
        provider.maintain()
    assert provider.warning() == ""


def test_one_thread_renews(vault: Vault) -> None:
    token = vault.new_token(["one"], period=4)
    provider = provider_for(vault, token=token)
    provider.wrap(DATA_KEY, b"")
    provider.maintain()
    wait_until(lambda: vault.ends_in(token) <= 1, "more than half of the period")
    at_once(provider.maintain)
    assert vault.renewals(token) == 1


@pytest.mark.parametrize(
    ("terms", "warns"),
    [
        ({"ttl": 1800, "renewable": False}, True),
        ({"ttl": 1800, "type": "batch"}, True),
        ({"ttl": 7200, "renewable": False}, False),
        ({"ttl": 1800}, False),
        ({"period": 1800}, False),
    ],
)
def test_operators_are_warned_an_hour_before(
    vault: Vault, terms: dict[str, Any], warns: bool
) -> None:
    provider = provider_for(vault, token=vault.new_token(["one"], **terms))
    provider.wrap(DATA_KEY, b"")
    provider.maintain()
    said = provider.warning()
    assert bool(said) == warns
    assert not said or ("29 minutes" in said and "VAULT_TOKEN" in said)


def test_operators_are_warned_where_renewing_helps_no_more(vault: Vault) -> None:
    token = vault.new_token(["one"], ttl=6, explicit_max_ttl=9)
    provider = provider_for(vault, token=token)
    provider.wrap(DATA_KEY, b"")
    _keep_until(provider, lambda: bool(provider.warning()))
    assert 1 <= vault.renewals(token) <= 2, "the second gives less time: told then, not at the end"


def test_a_renewal_that_fails_is_told_once_and_tried_again(
    vault: Vault, caplog: pytest.LogCaptureFixture
) -> None:
    token = vault.new_token(["one"], period=4)
    provider = provider_for(vault, token=token)
    provider.wrap(DATA_KEY, b"")
    provider.maintain()
    vault.seal()
    _keep_until(provider, lambda: "was not renewed" in caplog.text)
    assert "0 minutes" in provider.warning()
    vault.unseal()
    _keep_until(provider, lambda: vault.renewals(token) >= 1)
    provider.wrap(DATA_KEY, b"")
    assert caplog.text.count("was not renewed") == 1
    assert token not in caplog.text


def _keep_until(provider: VaultTransit, done: Callable[[], bool]) -> None:
    def keep() -> bool:
        provider.maintain()
        return done()

    wait_until(keep, "upkeep of the token")


# --- Logins --------------------------------------------------------------------------------------


def approle(vault: Vault, **terms: Any) -> dict[str, Any]:
    role, secret = vault.approle(["one"], **terms)
    return {"method": "approle", "role": role, "secret": secret}


def jwt(vault: Vault, **terms: Any) -> dict[str, Any]:
    file = Path(terms.pop("folder")) / "jwt"
    file.write_text(vault.jwt_role("fugata", ["one"], **terms))
    return {"method": "jwt", "role": "fugata", "secret_file": str(file)}


@pytest.fixture(params=["approle", "jwt"])
def login(request: pytest.FixtureRequest, vault: Vault, tmp_path: Path) -> Callable[..., Any]:
    if request.param == "approle":
        return lambda **terms: approle(vault, **terms)
    return lambda **terms: jwt(vault, folder=tmp_path, **terms)


def test_a_login(vault: Vault, login: Callable[..., Any]) -> None:
    provider = provider_for(vault, login=login(token_ttl=600))
    assert provider.unwrap(provider.wrap(DATA_KEY, b""), b"") == DATA_KEY
    assert vault.count("login") == 1


def test_many_threads_log_in_once(vault: Vault, login: Callable[..., Any]) -> None:
    provider = provider_for(vault, login=login(token_ttl=600))
    assert at_once(lambda: provider.wrap(DATA_KEY, b"")) == []
    assert vault.count("login") == 1


def test_who_logged_in_is_renewed_then_logs_in_again(
    vault: Vault, login: Callable[..., Any]
) -> None:
    """Nothing fails, neither where renewing helps nor at the end of all renewing."""
    provider = provider_for(vault, login=login(token_ttl=4, token_max_ttl=6))

    def works() -> bool:
        provider.wrap(DATA_KEY, b"")
        provider.maintain()
        return vault.count("login") >= 3

    wait_until(works, "logins")
    assert vault.count("renew-self") >= 1
    assert provider.warning() == ""


def test_a_revoked_token_is_replaced(vault: Vault, login: Callable[..., Any]) -> None:
    provider = provider_for(vault, login=login(token_ttl=600))
    provider.wrap(DATA_KEY, b"")
    with time_limit(5.0):
        vault.revoke(provider._tokens.current())
    assert at_once(lambda: provider.wrap(DATA_KEY, b"")) == []
    assert vault.count("login") == 2


def test_a_policy_that_refuses_is_no_reason_to_log_in_all_the_time(
    vault: Vault, login: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_tokens, "PAUSE", 60.0)
    vault.add_key("two")
    provider = VaultTransit(["two"], address=vault.url, login=login(token_ttl=600))
    for _ in range(5):
        with pytest.raises(KeyUnavailable, match="may not use the key"):
            provider.wrap(DATA_KEY, b"")
    assert vault.count("login") <= 2


def test_a_login_that_is_refused_names_its_settings(vault: Vault, tmp_path: Path) -> None:
    role, secret = vault.approle(["one"])
    wrong = {"method": "approle", "role": role, "secret": f"{secret}x"}
    with pytest.raises(KeyUnavailable, match="VAULT_SECRET_ID") as raised:
        provider_for(vault, login=wrong).wrap(DATA_KEY, b"")
    assert secret not in str(raised.value)
    with pytest.raises(KeyUnavailable, match="VAULT_ROLE_ID"):
        provider_for(vault, login=wrong | {"role": "nobody"}).wrap(DATA_KEY, b"")
    with pytest.raises(KeyUnavailable, match="VAULT_AUTH_MOUNT"):
        provider_for(vault, login=wrong | {"mount": "elsewhere"}).wrap(DATA_KEY, b"")
    file = tmp_path / "jwt"
    file.write_text(vault.jwt_role("fugata", ["one"]) + "x")
    wrong = {"method": "jwt", "role": "fugata", "secret_file": str(file)}
    with pytest.raises(KeyUnavailable, match="VAULT_ROLE"):
        provider_for(vault, login=wrong).wrap(DATA_KEY, b"")
    with pytest.raises(KeyUnavailable, match="VAULT_JWT_FILE"):
        provider_for(vault, login=wrong | {"secret_file": "/nowhere"}).wrap(DATA_KEY, b"")


def test_a_secret_id_that_works_no_more_does_not_cost_the_token(vault: Vault) -> None:
    fields = approle(vault, token_ttl=4, token_max_ttl=60)
    provider = provider_for(vault, login=fields)
    provider.wrap(DATA_KEY, b"")
    vault.revoke_secret_id(fields["role"], fields["secret"])
    _keep_until(provider, lambda: vault.count("renew-self") >= 2)
    provider.wrap(DATA_KEY, b"")
    assert provider.warning() == ""


def test_a_service_account(tmp_path: Path) -> None:
    """Of Kubernetes: only the stand-in knows that without a cluster."""
    with TransitServer("one") as server:
        file = tmp_path / "jwt"
        file.write_text("service-account")
        server.kubernetes_role("fugata", ["one"], "service-account")
        login = {"method": "kubernetes", "role": "fugata", "secret_file": str(file)}
        provider = provider_for(server, login=login)
        assert provider.unwrap(provider.wrap(DATA_KEY, b""), b"") == DATA_KEY
        file.write_text("another")
        with pytest.raises(KeyUnavailable, match="VAULT_ROLE"):
            provider_for(server, login=login).wrap(DATA_KEY, b"")


def test_a_refused_login_is_not_repeated_until_the_secret_changes(
    vault: Vault, tmp_path: Path
) -> None:
    """Vault locks a role after a few wrong logins."""
    role, secret = vault.approle(["one"])
    file = tmp_path / "secret_id"
    file.write_text("wrong")
    login = {"method": "approle", "role": role, "secret_file": str(file)}
    provider = provider_for(vault, login=login)
    for _ in range(3):
        assert len(at_once(lambda: provider.wrap(DATA_KEY, b""))) == THREADS
    assert vault.count("login") == 1
    file.write_text(secret)
    provider.wrap(DATA_KEY, b"")
    assert vault.count("login") == 2


def test_tokens_that_are_revoked_again_and_again_cost_no_call(
    vault: Vault, login: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vault_tokens, "PAUSE", 60.0)
    provider = provider_for(vault, login=login(token_ttl=600))
    provider.wrap(DATA_KEY, b"")
    for number in range(ROUNDS):
        with time_limit(5.0):
            vault.revoke(provider._tokens.current())
        assert at_once(lambda: provider.wrap(DATA_KEY, b"")) == [], number
    assert vault.count("login") == ROUNDS + 1


def test_a_slow_vault_has_its_token_renewed(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    """In a second nothing comes of it: the health probe takes the time of a call."""
    monkeypatch.setattr(vault_tokens, "PAUSE", 60.0)
    token = vault.new_token(["one"], period=6)
    provider, ask = provider_for(vault, token=token), VaultAccess.ask

    def slowly(*arguments: Any) -> dict[str, Any]:
        time.sleep(1.2)
        return ask(*arguments)

    monkeypatch.setattr(VaultAccess, "ask", slowly)
    provider.wrap(DATA_KEY, b"")
    _keep_until(provider, lambda: vault.renewals(token) >= 2)
    assert provider.warning() == ""


# --- What the service makes of it ----------------------------------------------------------------


@pytest.mark.django_db
def test_the_console_warns(settings: Settings, vault: Vault) -> None:
    use_new_vault(settings, vault, token=vault.new_token(["one"], ttl=1800, renewable=False))
    key_provider().maintain()
    finding = checks.keys()
    assert finding.level == Level.NOTICE
    assert "29 minutes" in finding.summary


@pytest.mark.django_db
def test_the_health_probe_keeps_the_token(
    settings: Settings, vault: Vault, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where nobody asks for anything, and while another part is away."""

    def away() -> None:
        raise OSError

    token = vault.new_token(["one"], period=4)
    use_new_vault(settings, vault, token=token)
    monkeypatch.setitem(PROBES, "Database connection failed", away)
    watching = monitor.Monitor()

    def probed() -> bool:
        watching._probe()
        return vault.renewals(token) >= 2

    wait_until(probed, "renewals")
