"""Rolling upgrades: the release before this one and this one, side by side on one database.

The release before is the latest tag, or, where there is none yet, the commit before the newest
migration. It runs with today's libraries; its own code and migrations are what is tested. Once,
before anything was released, all migrations were made anew under other labels: the commit that did
so has none before it to compare with, and is compared with itself.
"""

import json
import re
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path

import pytest

from tests.support.clients.keeping import Keeper
from tests.support.clients.sharing import create, delete_request, open_share
from tests.support.clients.wire import exchange
from tests.support.servers.parts import PostgresqlServer, RedisServer
from tests.support.servers.service import ROOT, Service

WEB = ["-m", "gunicorn", "-c", "python:fugata_site.gunicorn_conf", "fugata_site.wsgi:application"]


def git(*arguments: str) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=ROOT, capture_output=True, text=True, check=False
    )
    return done.stdout.strip() if done.returncode == 0 else ""


_LAST_MADE_ANEW = "operations_app/migrations/0001_initial.py"


def release_before() -> str:
    """Return the commit to compare with. A history that is cut off can't answer."""
    assert git("rev-parse", "--is-shallow-repository") == "false", "the test needs git's history"
    if tag := git("describe", "--tags", "--abbrev=0", "HEAD^"):
        return tag
    newest = newest_migration()
    return newest if made_anew(newest) else f"{newest}^"


def newest_migration() -> str:
    """Return the commit that added a migration last."""
    added = ("--diff-filter=A", "--no-renames", "--", "*/migrations/0*.py")
    commit = git("log", "-1", "--no-merges", "--format=%H", *added)
    assert git("rev-parse", f"{commit}^"), "no release and no migration before"
    return commit


def made_anew(commit: str) -> bool:
    """Return whether it is the one that ended making all migrations anew, under final labels.

    What came before it has other tables, so that commit is compared with this code.
    """
    return _LAST_MADE_ANEW not in migrations_at(f"{commit}^")


def migrations_at(commit: str) -> set[str]:
    """Return the paths of a commit's migrations."""
    listed = git("ls-tree", "-r", "--name-only", commit).splitlines()
    return {path for path in listed if re.search(r"/migrations/0\w+\.py$", path)}


class Release(Service):
    """The web processes of a tree of code, as a pod runs them."""

    def __init__(self, tree: Path, home: Path, **settings: str) -> None:
        super().__init__(home, **settings)
        self.tree = tree

    def start(self, wait: bool = True) -> "Release":
        """Start gunicorn alone: the schema is another's business."""
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, *WEB],
                cwd=self.tree,
                env=self.environment,
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self.wait_until_well()
        return self

    def manage(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Run a management command of this release."""
        return subprocess.run(
            [sys.executable, "manage.py", *arguments],
            cwd=self.tree,
            env=self.environment,
            capture_output=True,
            text=True,
            check=check,
        )


@pytest.fixture
def trees(tmp_path: Path) -> tuple[Path, Path]:
    """The code of the release before, and today's."""
    archive = subprocess.run(
        ["git", "archive", release_before()], cwd=ROOT, capture_output=True, check=True
    ).stdout
    with tarfile.open(fileobj=BytesIO(archive)) as packed:
        packed.extractall(tmp_path / "before", filter="data")
    return tmp_path / "before", ROOT


@pytest.fixture
def releases(
    trees: tuple[Path, Path],
    tmp_path: Path,
    postgresql: PostgresqlServer,
    redis_server: RedisServer,
) -> Iterator[tuple[Release, Release]]:
    """Both at once: the old one made the database and served it, and the new one migrated it."""
    settings = {
        "DATABASE_URL": postgresql.new_database(),
        "REDIS_URL": redis_server.url(),
        "FUGATA_KEYS": "test:" + "A" * 43 + "=",
        "SECRET_KEY": "s" * 60,
        "AUDIT_KEY": "a" * 60,
        "WEB_CONCURRENCY": "1",
    }
    old = Release(trees[0], tmp_path / "old", **settings)
    new = Release(trees[1], tmp_path / "new", **settings)
    try:
        old.manage("prepare")
        yield old.start(), new
    finally:
        old.stop()
        new.stop()


def test_there_is_something_to_upgrade_from() -> None:
    """Without a tag it must be older by a migration, but where all of them were made anew."""
    before, today = migrations_at(release_before()), migrations_at("HEAD")
    assert before <= today, "a migration that was released is gone"
    if not git("describe", "--tags", "--abbrev=0", "HEAD^") and not made_anew(newest_migration()):
        assert before < today


def test_both_serve_one_database(releases: tuple[Release, Release]) -> None:
    old, new = releases
    earlier = [create(old.port, f"earlier {number}") for number in range(3)]
    keeper = keeper_of(old)
    assert keeper.set("KEY", "from the old").status == 201
    new.manage("prepare")  # while the old one serves
    new.start()
    for first, second in ((old, new), (new, old)):
        made = create(first.port, "to and fro")
        assert open_share(second.port, made).json()["content"] == "to and fro"
        assert open_share(first.port, made).status == 404  # once, on either release
        taken_back = create(first.port, "taken back")
        assert exchange(second.port, delete_request(taken_back)).status == 200
        assert open_share(first.port, taken_back).status == 404
        assert open_share(first.port, earlier.pop()).status == 200
    repository_is_shared(keeper, Keeper(new.port, keeper.repository, keeper.token))
    assert "Traceback" not in old.logged() + new.logged()


def repository_is_shared(old: Keeper, new: Keeper) -> None:
    assert new.read("KEY").json()["secret_value"] == "from the old"
    assert new.set("KEY", "from the new").status in (200, 201)
    assert old.read("KEY").json()["secret_value"] == "from the new"
    assert old.set("KEY", "from the old again").status in (200, 201)
    assert new.read("KEY").json()["secret_value"] == "from the old again"
    assert old.remove("KEY").status == 204
    assert new.read("KEY").status == 404


def keeper_of(service: Release) -> Keeper:
    made = service.manage("create_repository", "repo", "--owner", "alice", "--token", "--json")
    return Keeper(service.port, "repo", json.loads(made.stdout)["token"])


def test_the_old_one_starts_again_and_purges(releases: tuple[Release, Release]) -> None:
    """A pod of the old release may be restarted, or rolled back to, after the migration."""
    old, new = releases
    new.manage("prepare")
    old.stop()
    old.start()
    new.start()
    made = create(new.port, "kept")
    for release in releases:
        assert release.manage("purge_expired").returncode == 0
    assert open_share(old.port, made).json()["content"] == "kept"
