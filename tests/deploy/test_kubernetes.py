"""The pods of deploy/kubernetes, started as their specs say, on real servers."""

import json
import secrets
import signal
from urllib.parse import urlsplit

import psycopg
import pytest
import redis

from tests.deploy.conftest import MakeCluster
from tests.support.servers.kubernetes import VALUES, KubernetesServer
from tests.support.servers.kustomize import one, overlay, pods
from tests.support.servers.parts import wait_until
from tests.support.servers.pods import Cluster, Part, client, last_json

HOUR = {"content": "from a pod", "duration": "1h", "one_time": True}


def migrated(cluster: Cluster) -> Cluster:
    done = cluster.part("migrate").run()
    assert done.returncode == 0, done.stderr
    return cluster


def served(cluster: Cluster) -> Part:
    waited = cluster.part("web", "wait-for-migrations").run()
    assert waited.returncode == 0, waited.stderr
    web = cluster.part("web").start()
    web.wait_until_well()
    return web


def test_shares_and_repository_secrets(
    make_cluster: MakeCluster, kubernetes: KubernetesServer
) -> None:
    cluster = migrated(make_cluster())
    web = served(cluster)
    for container in pods(cluster.objects)["web"]["containers"]:
        for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
            assert web.answers(container[probe]["httpGet"]["path"])
    before = set(kubernetes.names(VALUES))
    with client(web) as http:
        share = http.post("/secrets", json=HOUR).json()
        assert len(set(kubernetes.names(VALUES)) - before) == 1  # the value is a Secret there
        assert http.get(f"/secrets/{share['id']}").json()["content"] == "from a pod"
        assert http.get(f"/secrets/{share['id']}").status_code == 404
        keeps_a_repository_secret(web)


def keeps_a_repository_secret(web: Part) -> None:
    made = web.run(
        "python", "manage.py", "create_repository", "repo", "--owner", "alice", "--token", "--json"
    )
    assert made.returncode == 0, made.stderr
    headers = {"Authorization": f"Bearer {last_json(made.stdout)['token']}"}
    with client(web, **headers) as keeper:
        body = {"secret_key": "KEY", "secret_value": "kept"}
        assert keeper.post("/repositories/repo/secrets", json=body).status_code == 201
        assert keeper.get("/repositories/repo/secrets/KEY").json()["secret_value"] == "kept"


def test_pages_have_their_static_files(make_cluster: MakeCluster) -> None:
    """Under names that change with their content, which may be kept for good."""
    web = served(migrated(make_cluster()))
    with client(web, Accept="text/html") as http:
        page = http.get("/").text
        (style,) = [word for word in page.split('"') if word.endswith(".css")]
        answer = http.get(style)
        assert answer.status_code == 200
        assert style != "/static/fugata.css"
        assert "immutable" in answer.headers["cache-control"]


@pytest.mark.parametrize("name", ["small", "large"])
def test_check_deploy_is_clean_in_the_pods(make_cluster: MakeCluster, name: str) -> None:
    for pod in ("web", "worker", "beat", "migrate"):
        part = make_cluster(name).part(pod)
        checked = part.run("python", "manage.py", "check", "--deploy", "--fail-level=WARNING")
        assert checked.returncode == 0, checked.stderr
        assert "no issues" in checked.stdout


def test_nothing_is_written_outside_of_what_may_be(make_cluster: MakeCluster) -> None:
    part = make_cluster().part("web")
    tried = part.run(
        "sh", "-c", "id -u; for p in /x /opt/fugata/x /usr/x /run/x $HOME/x; do ! touch $p; done"
    )
    assert tried.returncode == 0, tried.stdout + tried.stderr
    assert tried.stdout.strip() == "10001"
    assert tried.stderr.count("Read-only file system") == 5, tried.stderr
    assert part.run("sh", "-c", "touch /tmp/x /var/lib/fugata/x").returncode == 0


def test_no_secret_is_made_or_shown(make_cluster: MakeCluster) -> None:
    """The secrets come from files: none is in the environment, and none is generated."""
    cluster = migrated(make_cluster())
    part = cluster.part("web")
    listed = part.run("sh", "-c", "env; ls /var/lib/fugata").stdout
    for file in cluster.secrets.iterdir():
        assert file.read_text() not in listed
    assert "secret_key" not in listed
    assert "keyring" not in listed


def test_new_code_waits_for_the_migrations(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    early = cluster.part("web").run("python", "manage.py", "prepare", "--check-only")
    assert early.returncode != 0
    assert "not migrated" in early.stderr
    waiting = cluster.part("web", "wait-for-migrations").start()
    migrated(cluster)
    assert waiting.process is not None
    assert waiting.process.wait(timeout=60) == 0, waiting.log.read_text()


def _database(cluster: Cluster) -> psycopg.Connection:
    name = urlsplit((cluster.secrets / "DATABASE_URL").read_text()).path[1:]
    return psycopg.connect(f"postgresql://postgres@/{name}?host={cluster.socket}")


def _waiting(cluster: Cluster) -> bool:
    """Return whether somebody waits for the lock on shares."""
    with _database(cluster) as connection:
        found = connection.execute(
            "SELECT count(*) FROM pg_stat_activity"
            " WHERE datname = current_database() AND wait_event_type = 'Lock'"
        ).fetchone()
    return bool(found and found[0])


def _send(part: Part, times: int) -> None:
    script = "from secrets_app.tasks import purge_expired as p"
    sent = part.run(
        "python", "manage.py", "shell", "--no-imports", "-c",
        f"{script}\nfor _ in range({times}): p.delay()",
    )  # fmt: skip
    assert sent.returncode == 0, sent.stderr


def test_a_worker_finishes_what_it_has(make_cluster: MakeCluster) -> None:
    """SIGTERM in the middle of a purge: the purge ends, the task after it stays in the queue."""
    cluster = migrated(make_cluster())
    web = served(cluster)
    with client(web) as http:
        assert http.post("/secrets", json=HOUR).status_code == 201
    with _database(cluster) as database:
        database.execute("UPDATE secrets_app_share SET expires_at = now() - interval '1 minute'")
    worker = cluster.part("worker").start()
    with _database(cluster) as lock:
        lock.execute("LOCK TABLE secrets_app_share IN ACCESS EXCLUSIVE MODE")
        _send(web, 2)
        wait_until(lambda: _waiting(cluster), "a purge that waits", seconds=60)
        assert worker.process is not None
        worker.process.terminate()
        wait_until(lambda: "shutdown" in worker.log.read_text(), "the worker's notice")
        assert _waiting(cluster)
        assert worker.process.poll() is None
        lock.commit()
    assert worker.process.wait(timeout=60) == 0, worker.log.read_text()
    with _database(cluster) as database:
        assert database.execute("SELECT count(*) FROM secrets_app_share").fetchone() == (0,)
    with redis.Redis.from_url((cluster.secrets / "REDIS_URL").read_text()) as broker:
        assert broker.llen("fugata:tasks") == 1


def test_the_worker_alone_seals_and_verifies(
    make_cluster: MakeCluster, kubernetes: KubernetesServer
) -> None:
    """Its pod keeps the head in the ConfigMap that the manifests made."""
    cluster = migrated(make_cluster())
    web, worker = cluster.part("web"), cluster.part("worker")
    made = web.run("python", "manage.py", "create_repository", "repo", "--owner", "alice")
    assert made.returncode == 0, made.stderr
    refused = web.run("python", "manage.py", "audit", "seal")
    assert refused.returncode == 1
    assert "The worker alone may" in refused.stderr
    sealed = worker.run("python", "manage.py", "audit", "seal")
    assert sealed.returncode == 0, sealed.stderr
    path = "/api/v1/namespaces/fugata/configmaps/audit-head"
    kept = kubernetes.admin.get(path).json()
    assert kept["data"]["head"].split()[-1] == sealed.stdout.strip()
    verified = worker.run("python", "manage.py", "audit", "verify")
    assert "that the ConfigMap audit-head keeps" in verified.stdout
    del kept["data"], kept["metadata"]["resourceVersion"]
    assert kubernetes.admin.put(path, json=kept).status_code == 200  # others' trails begin anew


def test_worker_and_beat_give_signs_of_life(make_cluster: MakeCluster) -> None:
    cluster = migrated(make_cluster())
    for name in ("worker", "beat"):
        (container,) = pods(cluster.objects)[name]["containers"]
        probe = container["livenessProbe"]["exec"]["command"]
        part = cluster.part(name).start()
        wait_until(lambda: part.execute(*probe) == 0, f"{name}'s sign of life", seconds=60)  # noqa: B023
        kept = "beat-schedule*" if name == "beat" else "worker-heartbeat"
        aged = f"find /var/lib/fugata -name '{kept}' -exec touch -d '1 hour ago' {{}} +"
        assert part.process is not None
        part.process.send_signal(signal.SIGSTOP)
        assert part.execute("sh", "-c", aged) == 0
        assert part.execute(*probe) != 0
        part.process.send_signal(signal.SIGCONT)
        assert part.stop() == 0, part.log.read_text()


def test_an_unsafe_worker_does_not_start(make_cluster: MakeCluster) -> None:
    cluster = migrated(make_cluster())
    for name in ("web", "worker", "beat"):
        part = cluster.part(name, more={"DEBUG": "true"}).start()
        assert part.process is not None
        assert part.process.wait(timeout=60) != 0
        assert "fugata.E012" in part.log.read_text()


def test_requests_in_flight_finish(make_cluster: MakeCluster) -> None:
    """SIGTERM, which follows the preStop hook, in the middle of a body."""
    web = served(migrated(make_cluster()))
    body = json.dumps(HOUR | {"content": secrets.token_hex(8)}).encode()

    def slow() -> object:
        yield body[:10]
        assert web.answers("/livez")  # the first piece is on its way
        assert web.process is not None
        web.process.terminate()
        yield body[10:]

    with client(web) as http:
        headers = {"Content-Type": "application/json"}
        answer = http.post("/secrets", content=slow(), headers=headers)  # type: ignore[arg-type]
    assert answer.status_code == 201
    assert web.stop() == 0


def test_the_times_of_a_graceful_stop_fit(make_cluster: MakeCluster) -> None:
    for name in ("small", "large"):
        web = pods(overlay(name))["web"]
        (container,) = web["containers"]
        command, seconds = container["lifecycle"]["preStop"]["exec"]["command"]
        graceful = int(one(overlay(name), "ConfigMap", "fugata")["data"]["GRACEFUL_TIMEOUT"])
        assert command == "sleep"
        assert web["terminationGracePeriodSeconds"] > int(seconds) + graceful
