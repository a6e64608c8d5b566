"""The settings of the key services: a wrong one stops the start by name and is not repeated."""

import pytest
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from fugata_site.settings import key_services

UUID = "12345678-1234-1234-1234-123456789012"
ARN = f"arn:aws:kms:eu-central-1:123456789012:key/{UUID}"
VAULT = {
    "KMS_PROVIDER": "vault",
    "VAULT_ADDR": "https://vault.example:8200",
    "VAULT_TOKEN": "hunter2hunter2",
    "VAULT_TRANSIT_KEY": "fugata",
}
AWS = {"KMS_PROVIDER": "aws", "AWS_KMS_KEY_ID": ARN}
NAMES = (
    "VAULT_ADDR",
    "VAULT_TOKEN",
    "VAULT_TOKEN_FILE",
    "VAULT_TRANSIT_KEY",
    "VAULT_TRANSIT_MOUNT",
    "VAULT_NAMESPACE",
    "VAULT_CACERT",
    "VAULT_CLIENT_CERT",
    "VAULT_CLIENT_KEY",
    "VAULT_AUTH",
    "VAULT_AUTH_MOUNT",
    "VAULT_ROLE_ID",
    "VAULT_SECRET_ID",
    "VAULT_SECRET_ID_FILE",
    "VAULT_ROLE",
    "VAULT_JWT_FILE",
    "VAULT2_ADDR",
    "VAULT2_TOKEN",
    "VAULT2_TRANSIT_KEY",
    "AWS_KMS_KEY_ID",
    "AWS_KMS_ENDPOINT",
    "AWS_REGION",
    "AWS_DEFAULT_REGION",
    "KMS_PROVIDER",
    "KMS_TIMEOUT",
)


@pytest.fixture(autouse=True)
def nothing_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NAMES:
        monkeypatch.delenv(name, raising=False)


def configure(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str]
) -> tuple[key_services.Backend, dict[str, key_services.Backend]]:
    for name, value in settings.items():
        monkeypatch.setenv(name, value)
    return key_services.key_providers({"keys": "", "file": "keyring"}, 8)


def test_local_alone_by_default(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, all_of_them = configure(monkeypatch, {})
    assert chosen["BACKEND"] == key_services.LOCAL
    assert list(all_of_them) == ["local"]


def test_a_machine_where_vault_is_used_for_something_else(monkeypatch: pytest.MonkeyPatch) -> None:
    """Vault's own settings alone choose nothing, and are not looked at."""
    _, all_of_them = configure(monkeypatch, {"VAULT_ADDR": "nonsense", "AWS_REGION": "x"})
    assert list(all_of_them) == ["local"]


def test_vault(monkeypatch: pytest.MonkeyPatch) -> None:
    more = {"VAULT_TRANSIT_MOUNT": "/a/transit/", "VAULT_NAMESPACE": "team", "KMS_TIMEOUT": "2"}
    chosen, all_of_them = configure(monkeypatch, VAULT | more | {"VAULT_TRANSIT_KEY": "new, old"})
    assert chosen == all_of_them["vault"]
    assert chosen["OPTIONS"] == {
        "address": "https://vault.example:8200",
        "keys": ["new", "old"],
        "token": "hunter2hunter2",
        "token_file": "",
        "mount": "a/transit",
        "namespace": "team",
        "ca": "",
        "timeout": 2,
        "connections": 8,
    }


@pytest.mark.parametrize(
    ("given", "login"),
    [
        (
            {"VAULT_AUTH": "approle", "VAULT_ROLE_ID": "role", "VAULT_SECRET_ID": "s3cret"},
            {"method": "approle", "role": "role", "secret": "s3cret", "secret_file": ""},
        ),
        (
            {"VAULT_AUTH": "approle", "VAULT_ROLE_ID": "role", "VAULT_SECRET_ID_FILE": "/s"},
            {"method": "approle", "role": "role", "secret": "", "secret_file": "/s"},
        ),
        (
            {"VAULT_AUTH": "kubernetes", "VAULT_ROLE": "fugata"},
            {"method": "kubernetes", "role": "fugata", "secret_file": ""},
        ),
        (
            {"VAULT_AUTH": "jwt", "VAULT_ROLE": "fugata", "VAULT_JWT_FILE": "/jwt"},
            {"method": "jwt", "role": "fugata", "secret_file": "/jwt"},
        ),
    ],
)
def test_how_to_log_in(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, str], login: dict[str, str]
) -> None:
    more = given | {"VAULT_TOKEN": "", "VAULT_AUTH_MOUNT": "/k8s/prod/"}
    chosen, _ = configure(monkeypatch, VAULT | more)
    assert chosen["OPTIONS"]["login"] == login | {"mount": "k8s/prod"}
    assert "token" not in chosen["OPTIONS"]


def test_a_token_file_is_read_when_it_is_needed(monkeypatch: pytest.MonkeyPatch) -> None:
    """An agent may not have written it yet."""
    given = {"VAULT_TOKEN": "", "VAULT_TOKEN_FILE": "/not/there/yet"}
    chosen, _ = configure(monkeypatch, VAULT | given)
    assert (chosen["OPTIONS"]["token"], chosen["OPTIONS"]["token_file"]) == ("", "/not/there/yet")


def test_a_client_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    given = {"VAULT_CLIENT_CERT": "/cert", "VAULT_CLIENT_KEY": "/key"}
    chosen, _ = configure(monkeypatch, VAULT | given)
    assert (chosen["OPTIONS"]["certificate"], chosen["OPTIONS"]["key"]) == ("/cert", "/key")


def test_a_key_without_its_certificate(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match=r"^VAULT_CLIENT_CERT: .*VAULT_CLIENT_KEY"):
        configure(monkeypatch, VAULT | {"VAULT_CLIENT_KEY": "/key"})


def test_a_second_vault(monkeypatch: pytest.MonkeyPatch) -> None:
    second = {
        "VAULT2_ADDR": "http://other.example",
        "VAULT2_TOKEN": "hvs.Other",
        "VAULT2_TRANSIT_KEY": "fugata",
    }
    chosen, all_of_them = configure(monkeypatch, VAULT | second)
    assert chosen == all_of_them["vault"]
    assert list(all_of_them) == ["local", "vault", "vault2"]
    options = all_of_them["vault2"]["OPTIONS"]
    assert (options["name"], options["setting"]) == ("vault2", "VAULT2_")
    assert key_services.in_the_clear(all_of_them) == ["VAULT2_ADDR"]
    monkeypatch.setenv("KMS_PROVIDER", "vault2")
    chosen, _ = configure(monkeypatch, {})
    assert chosen["OPTIONS"]["address"] == "http://other.example"


def test_aws(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen, all_of_them = configure(monkeypatch, AWS | {"AWS_DEFAULT_REGION": "eu-west-1"})
    assert chosen == all_of_them["aws"]
    assert chosen["OPTIONS"]["keys"] == [ARN]
    assert chosen["OPTIONS"]["region"] == "eu-west-1"


def test_several_beside_each_other(monkeypatch: pytest.MonkeyPatch) -> None:
    """While keys move: one wraps, all of them open."""
    chosen, all_of_them = configure(monkeypatch, VAULT | AWS | {"KMS_PROVIDER": "local"})
    assert chosen["BACKEND"] == key_services.LOCAL
    assert list(all_of_them) == ["local", "vault", "aws"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VAULT_ADDR", ""),
        ("VAULT_ADDR", "vault.example:8200"),
        ("VAULT_ADDR", "ftp://vault.example"),
        ("VAULT_ADDR", "https://user:hunter2hunter2@vault.example"),
        ("VAULT_ADDR", "https://vault.example:hunter2hunter2"),
        ("VAULT_TOKEN", ""),
        ("VAULT_TOKEN", "hunter2hunter2 and more"),
        ("VAULT_AUTH", "ldap"),
        ("VAULT_TRANSIT_KEY", ""),
        ("VAULT_TRANSIT_KEY", "../sys/mounts"),
        ("VAULT_TRANSIT_KEY", "a/b"),
        ("VAULT_TRANSIT_KEY", "k" * 151),
        ("VAULT_TRANSIT_MOUNT", "a/../sys"),
        ("VAULT_TRANSIT_MOUNT", "a b"),
        ("KMS_TIMEOUT", "0"),
        ("KMS_TIMEOUT", "soon"),
    ],
)
def test_a_wrong_setting_of_vault(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^{name}: ") as raised:
        configure(monkeypatch, VAULT | {name: value})
    assert "hunter2" not in str(raised.value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("AWS_KMS_KEY_ID", ""),
        ("AWS_KMS_KEY_ID", "alias/fugata"),
        ("AWS_KMS_KEY_ID", "arn:aws:kms:eu-central-1:123456789012:alias/fugata"),
        ("AWS_KMS_KEY_ID", f"{UUID},alias/old"),
        ("AWS_KMS_ENDPOINT", "kms.example"),
    ],
)
def test_a_wrong_setting_of_aws(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^{name}: "):
        configure(monkeypatch, AWS | {name: value})


@pytest.mark.parametrize(
    ("method", "setting"),
    [
        ("approle", "VAULT_SECRET_ID"),
        ("kubernetes", "VAULT_ROLE"),
        ("jwt", "VAULT_ROLE"),
    ],
)
def test_a_login_that_lacks_something(
    monkeypatch: pytest.MonkeyPatch, method: str, setting: str
) -> None:
    with pytest.raises(ImproperlyConfigured, match=f"^{setting}: must be set"):
        configure(monkeypatch, VAULT | {"VAULT_AUTH": method})


def test_a_provider_beside_the_chosen_one_is_checked_too(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ImproperlyConfigured, match="VAULT_ADDR"):
        configure(monkeypatch, VAULT | {"KMS_PROVIDER": "local", "VAULT_ADDR": "nonsense"})


@pytest.mark.parametrize(
    ("settings", "warned"),
    [
        (VAULT, []),
        (VAULT | {"VAULT_ADDR": "http://vault.example:8200"}, ["VAULT_ADDR"]),
        (VAULT | {"VAULT_ADDR": "http://127.0.0.1:8100"}, []),
        (AWS | {"AWS_KMS_ENDPOINT": "http://kms.example"}, ["AWS_KMS_ENDPOINT"]),
        ({}, []),
    ],
)
def test_plain_http_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, settings: dict[str, str], warned: list[str]
) -> None:
    _, all_of_them = configure(monkeypatch, settings)
    assert key_services.in_the_clear(all_of_them) == warned


def test_the_checks_report_what_can_not_be_loaded(settings: Settings) -> None:
    vault = {"keys": ["one"], "address": "https://v", "token": "hunter2", "ca": "/nonexistent"}
    settings.KEY_PROVIDERS = {"vault": {"BACKEND": key_services.VAULT, "OPTIONS": vault}}
    settings.KEY_SERVICES_IN_THE_CLEAR = ["VAULT_ADDR"]
    found = {check.id: check.msg for check in run_checks()}
    assert found["fugata.E003"].startswith("VAULT_CACERT: ")
    assert "VAULT_ADDR" in found["fugata.W002"]
    assert "hunter2" not in str(found)
