"""A retirement on PostgreSQL does not wait for ever (SQLite waits as every writer does)."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path

import pytest
from django.db import connection, transaction
from django.db.models.functions import Now
from pytest_django.fixtures import Settings

from fugata_core.row_locks import LOCK_TIMEOUT
from tests.secrets_app.support import share
from tests.vault_app.support import use_keyring_file
from vault_app import rotation
from vault_app.keys.keyring import KeyringFile
from vault_app.models import KeyEncryptionKey
from vault_app.rotation import KeyInUse

pytestmark = pytest.mark.django_db(transaction=True)


def _retire(key_id: str) -> None:
    try:
        rotation.retire(key_id)
    finally:
        connection.close()


def test_a_row_whose_writing_lasts(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    use_keyring_file(settings, tmp_path / "keyring", monkeypatch)
    rotation.make_primary()
    KeyEncryptionKey.objects.update(created_at=Now() - timedelta(seconds=rotation.GRACE + 1))
    monkeypatch.setattr(rotation, "LOCK_WAIT", "50ms")
    with transaction.atomic():
        share("s3cret")
        with ThreadPoolExecutor(1) as pool, pytest.raises(KeyInUse, match="being written"):
            pool.submit(_retire, "old").result(timeout=30)
    assert "old" in set(KeyringFile(tmp_path / "keyring").keys())
    assert KeyEncryptionKey.objects.filter(id="old").exists()
    _retire("old")


def test_writers_do_not_give_up_behind_it() -> None:
    wait = int(rotation.LOCK_WAIT.removesuffix("ms"))
    assert wait < 1000 * int(LOCK_TIMEOUT.removesuffix("s"))
