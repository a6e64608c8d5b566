"""fsck finds rows and values that do not belong together, and mends what can be mended."""

from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from pytest_django.fixtures import Settings

from audit_app.models import AuditEvent
from repositories_app.models import RepositorySecret
from secrets_app.models import Share
from tests.operations_app.backups.test_backup import Fill
from tests.repositories_app.support import row
from tests.secrets_app.support import row_of
from tests.support.in_process.doubles import MemoryStore
from tests.support.in_process.keys import use_keys
from vault_app.models import KeyEncryptionKey, StoredValue

pytestmark = pytest.mark.django_db


def fsck(*arguments: str) -> str:
    out = StringIO()
    call_command("fsck", *arguments, stdout=out)
    return out.getvalue()


def refused(*arguments: str) -> str:
    with pytest.raises(CommandError) as raised:
        fsck(*arguments)
    return str(raised.value)


def test_an_installation_that_is_well(fill: Fill, remote_store: MemoryStore) -> None:
    fill()
    assert "All rows have values" in fsck()


def test_an_installation_with_values_in_the_database(fill: Fill) -> None:
    fill()
    assert "All rows have values" in fsck()


def test_rows_without_values(fill: Fill) -> None:
    everything = fill()
    names = [row("A").value_name, row_of(everything.once).value_name]
    StoredValue.objects.filter(name__in=names).delete()
    assert refused() == "row without value: 2"
    assert Share.objects.count() == 3
    assert "Repaired: row without value, 2" in fsck("--repair")
    assert Share.objects.count() == 2
    assert not RepositorySecret.objects.filter(secret_key="A").exists()
    kinds = AuditEvent.objects.filter(username="fsck").values_list("kind", flat=True)
    assert sorted(kinds) == ["deleted", "removed"]
    assert "All rows have values" in fsck()


def test_values_without_rows(fill: Fill) -> None:
    fill()
    StoredValue.objects.create(name="nobody", sealed=b"x")
    assert refused() == "value without row: 1"
    assert "Repaired: value without row, 1" in fsck("--repair")
    assert not StoredValue.objects.filter(name="nobody").exists()


def test_values_that_do_not_open_stay(fill: Fill) -> None:
    everything = fill()
    secret, share = row("A"), row_of(everything.many)
    StoredValue.objects.filter(name=secret.value_name).update(sealed=b"\1" + bytes(60))
    StoredValue.objects.filter(name=share.value_name).update(sealed=b"\1" + bytes(60))
    assert refused("--repair") == "value does not open: 2"
    assert RepositorySecret.objects.filter(pk=secret.pk).exists()
    assert Share.objects.filter(pk=share.pk).exists()


def test_swapped_values_do_not_open(fill: Fill) -> None:
    fill()
    a, b = row("A"), row("B")
    RepositorySecret.objects.filter(pk=a.pk).update(value_name=b.value_name)
    RepositorySecret.objects.filter(pk=b.pk).update(value_name=a.value_name)
    assert refused() == "value does not open: 2"


def test_a_missing_key(fill: Fill, settings: Settings) -> None:
    fill()
    use_keys(settings, "other:" + "B" * 43 + "=")
    assert refused("--repair") == "key missing: 5"
    assert KeyEncryptionKey.objects.filter(id="test").exists()
    assert Share.objects.count() == 3


def test_a_store_that_fails(fill: Fill, remote_store: MemoryStore) -> None:
    fill()
    remote_store.failing = {"get"}
    assert refused("--repair").startswith("The check broke off")
    assert Share.objects.count() == 3
