"""A back-up taken from one running service is restored on a machine that has none."""

import shutil
from pathlib import Path

from tests.conftest import MakeService
from tests.support.clients.sharing import create, open_share


def test_a_new_machine_goes_on_where_the_old_one_ended(
    make_service: MakeService, tmp_path: Path
) -> None:
    old, new = make_service(), make_service(start=False)
    share, archive = create(old.port, "carried over"), tmp_path / "fugata.tar"
    old.manage("backup", str(archive))
    assert old.stop() == 0
    new.home.mkdir(mode=0o755)
    for name in ("keyring", "secret_key", "audit_key"):
        shutil.copy(old.home / name, new.home)
    new.manage("restore", str(archive), "--keep-one-time")
    assert (new.home / "fugata.sqlite3").stat().st_mode & 0o777 == 0o600
    new.start()
    assert open_share(new.port, share).json()["content"] == "carried over"
    assert "verified" in new.manage("audit", "verify").stdout
