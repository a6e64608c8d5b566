"""One reading of REDIS_URL, for all that use it; certificates are checked by each of them."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import kombu
import pytest
import redis
from django.core.cache.backends.redis import RedisCache
from django.core.exceptions import ImproperlyConfigured
from pytest_django.fixtures import Settings

from fugata_core.buckets.redis import RedisBuckets
from fugata_core.redis_client import refusal
from fugata_site.checks import check_redis
from fugata_site.settings.redis_address import RedisAddress, redis_address
from operations_app.diagnostics import checks
from tests.support.servers.parts import RedisServer, free_port
from tests.support.servers.tls import TlsFront, authority

PASSWORD = "a/b#c?d@e%25 ü;,:&="
QUOTED = "a%2Fb%23c%3Fd%40e%2525%20%C3%BC%3B%2C%3A%26%3D"


def read(text: str) -> RedisAddress:
    found = redis_address(text)
    assert found
    return found


@pytest.mark.parametrize(
    ("text", "url", "broker"),
    [
        ("redis://redis/3", "redis://redis/3", "redis://redis/3"),
        ("redis://redis", "redis://redis/0", "redis://redis/0"),
        ("redis:///1", "redis://localhost/1", "redis://localhost/1"),
        ("redis://redis:7000/?db=3", "redis://redis:7000/3", "redis://redis:7000/3"),
        ("redis://redis/3?db=3", "redis://redis/3", "redis://redis/3"),
        ("redis://[::1]:7000/0", "redis://[::1]:7000/0", "redis://[::1]:7000/0"),
        ("redis://:@redis/0", "redis://redis/0", "redis://redis/0"),
        ("redis://ada@redis/0", "redis://ada:@redis/0", "redis://ada:@redis/0"),
        (f"redis://ada:{QUOTED}@r", f"redis://ada:{QUOTED}@r/0", f"redis://ada:{QUOTED}@r/0"),
        ("redis://:p@ss@redis/0", "redis://:p%40ss@redis/0", "redis://:p%40ss@redis/0"),
        ("rediss://redis?ssl_cert_reqs=required", "rediss://redis/0", "rediss://redis/0"),
        ("rediss://redis?ssl_cert_reqs=CERT_REQUIRED", "rediss://redis/0", "rediss://redis/0"),
        ("unix:///run/r.sock", "unix:///run/r.sock?db=0", "redis+socket:///run/r.sock?virtual_host=0"),
        (
            f"unix://ada:{QUOTED}@/run/a%20b?db=2",
            f"unix://ada:{QUOTED}@/run/a%20b?db=2",
            f"redis+socket://ada:{QUOTED}@/run/a%20b?virtual_host=2",
        ),
    ],
)  # fmt: skip
def test_what_is_read(text: str, url: str, broker: str) -> None:
    found = read(text)
    assert (found.url, found.broker_url) == (url, broker)
    assert read(found.url) == found
    assert PASSWORD not in repr(found)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hunter2", "must be a URL"),
        ("http://:hunter2@redis/0", "must be a URL"),
        ("sentinel://:hunter2@redis/0", "must be a URL"),
        ("redis://:pw@redis:hunter2/0", "must be a URL"),
        ("redis://:hunter2#x@redis/0", "must be a URL"),
        ("redis://:12#hunter2@redis/0", "must be a URL"),
        ("redis://:12?hunter=2@redis/0", "must be a URL"),
        ("redis://:12/hunter2@redis/0", "whole number"),
        ("redis://:hunter2%FF@redis/0", "must be a URL"),
        ("redis://hunter2,redis/0", "must be a URL"),
        ("redis://redis:0/0", "must be a URL"),
        ("redis://redis/hunter2", "whole number"),
        ("redis://redis/-1", "whole number"),
        ("redis://redis/1?db=2", "different databases"),
        ("redis://redis?db=2&db=2", "twice"),
        ("redis://redis?socket_timeout=5", "?socket_timeout is not understood; allowed is db."),
        ("redis://redis?hunter2", "what is after the ? is not understood; allowed is db."),
        ("redis://redis?ssl_ca_certs=/x", "?ssl_ca_certs is understood only with rediss://"),
        ("redis://redis?ssl_cert_reqs=none", "?ssl_cert_reqs is understood only with rediss://"),
        ("unix:///r.sock?ssl_cert_reqs=none", "?ssl_cert_reqs is understood only with rediss://"),
        ("rediss://redis?ssl_check_hostname=false", "allowed are db, ssl_ca_certs, ssl_cert_reqs."),
        ("rediss://redis?ssl_cert_reqs=none", "?ssl_cert_reqs must be required"),
        ("rediss://redis?ssl_cert_reqs=CERT_NONE", "?ssl_cert_reqs must be required"),
        ("rediss://redis?ssl_ca_certs=/nowhere/hunter2", "?ssl_ca_certs must be the path"),
        ("rediss://redis?ssl_ca_certs=/dev/null", "?ssl_ca_certs must be the path"),
        ("unix://run/r.sock", "must be a URL"),
        ("unix://", "must be a URL"),
        ("unix://:hunter2@/", "must be a URL"),
    ],
)
def test_what_a_part_could_not_use_is_refused(text: str, said: str) -> None:
    with pytest.raises(ImproperlyConfigured) as refused:
        redis_address(text)
    assert str(refused.value).startswith("REDIS_URL: ")
    assert said in str(refused.value)
    assert "hunter" not in str(refused.value)
    assert refused.value.__cause__ is None
    assert refused.value.__suppress_context__


# --- What each part makes of it ---


def _bucket(found: RedisAddress) -> None:
    if RedisBuckets(found.url, 60_000_000, 2).take("a").remaining != 1:
        raise redis.ConnectionError("it was not counted")


def _cache(found: RedisAddress) -> None:
    cache = RedisCache(found.url, {})
    cache.set("a", 1)
    assert cache.get("a") == 1


def _broker(found: RedisAddress) -> None:
    once = {"max_retries": 1, "interval_start": 0, "interval_step": 0}
    with kombu.Connection(
        found.broker_url, ssl=found.broker_tls or False, transport_options=once
    ) as broker:
        queue = broker.SimpleQueue("queue")
        queue.put("a")
        assert queue.get(timeout=5).payload == "a"


def _console(found: RedisAddress) -> None:
    assert "It answers" in checks.redis().summary


PARTS = [_bucket, _cache, _broker, _console]
EachPart = pytest.mark.parametrize("use", PARTS, ids=lambda use: use.__name__.strip("_"))
Use = Callable[[RedisAddress], None]


@dataclass
class Tls:
    """A Redis behind TLS, the file of its authority, and that of another."""

    port: int
    own: Path
    other: Path


@pytest.fixture
def tls(redis_server: RedisServer, tmp_path: Path) -> Iterator[Tls]:
    certificate, key = authority(tmp_path / "own")
    front = TlsFront(redis_server.port, certificate, key)
    yield Tls(front.port, certificate, authority(tmp_path / "other")[0])
    front.close()


def _told(settings: Settings, text: str) -> RedisAddress:
    found = read(text)
    settings.REDIS_URL, settings.REDIS_TIMEOUT = found.url, 5.0
    return found


@EachPart
def test_over_a_socket(own_redis: RedisServer, settings: Settings, use: Use) -> None:
    with redis.Redis(port=own_redis.port) as client:
        client.config_set("requirepass", PASSWORD)
    use(_told(settings, f"unix://:{QUOTED}@{own_redis.socket}?db=2"))


@EachPart
def test_a_database_after_the_question_mark(
    own_redis: RedisServer, settings: Settings, use: Use
) -> None:
    with redis.Redis(port=own_redis.port) as client:
        client.acl_setuser("ada", enabled=True, passwords=[f"+{PASSWORD}"], keys=["*"],
                           commands=["+@all"])  # fmt: skip
    use(_told(settings, f"redis://ada:{QUOTED}@127.0.0.1:{own_redis.port}?db=2"))


@EachPart
def test_over_tls(tls: Tls, settings: Settings, use: Use) -> None:
    use(_told(settings, f"rediss://127.0.0.1:{tls.port}/400?ssl_ca_certs={tls.own}"))


@pytest.mark.parametrize("how", ["another authority", "the system's alone", "another host"])
@EachPart
def test_a_certificate_that_is_not_right(tls: Tls, settings: Settings, use: Use, how: str) -> None:
    host = "localhost" if how == "another host" else "127.0.0.1"
    file = {"another authority": tls.other, "another host": tls.own}.get(how)
    found = _told(
        settings, f"rediss://{host}:{tls.port}/401{f'?ssl_ca_certs={file}' if file else ''}"
    )
    with pytest.raises((redis.ConnectionError, kombu.exceptions.OperationalError)):
        use(found)
    (error,) = check_redis(None)
    assert error.id == "fugata.E004"
    assert "certificate" in error.msg


# --- What Redis itself refuses ---


def _refused(settings: Settings, url: str) -> str:
    settings.REDIS_URL = read(url).url
    (error,) = check_redis(None)
    assert error.id == "fugata.E004"
    assert error.msg.startswith("REDIS_URL: ")
    assert "hunter2" not in f"{error.msg}{error.hint}"
    return str(error.msg)


def test_a_sign_in_that_redis_refuses(own_redis: RedisServer, settings: Settings) -> None:
    with redis.Redis(port=own_redis.port) as client:
        client.config_set("requirepass", PASSWORD)
    at = f"127.0.0.1:{own_redis.port}"
    for sign_in in ("", ":hunter2@", "ada:hunter2@", "hunter2@"):
        assert "refuses the user or the password" in _refused(settings, f"redis://{sign_in}{at}/0")
    settings.REDIS_URL = read(f"redis://:{QUOTED}@{at}/0").url
    assert check_redis(None) == []


def test_a_database_that_redis_does_not_have(own_redis: RedisServer, settings: Settings) -> None:
    said = _refused(settings, f"redis://127.0.0.1:{own_redis.port}/500")
    assert "no database of that number" in said


def test_a_user_of_other_keys(own_redis: RedisServer, settings: Settings) -> None:
    with redis.Redis(port=own_redis.port) as client:
        client.acl_setuser("ada", enabled=True, nopass=True, keys=["other:*"], commands=["+@all"])
    url = f"redis://ada:x@127.0.0.1:{own_redis.port}/0"
    assert "REDIS_PREFIX" in _refused(settings, url)
    settings.REDIS_PREFIX = "other"
    assert check_redis(None) == []


def _may(server: RedisServer, *rules: str) -> str:
    """Give ada these rules; return the URL with her."""
    with redis.Redis(port=server.port) as client:
        client.execute_command("ACL", "SETUSER", "ada", "reset", "on", "nopass", *rules)
    return f"redis://ada:hunter2@127.0.0.1:{server.port}/0"


def test_a_user_without_a_command(own_redis: RedisServer, settings: Settings) -> None:
    """Whatever part needs it: a message is written, waited for, and kept until it is done."""
    needed = "ping time eval evalsha script set get exists incrby sadd smembers hset hget hdel zadd"
    needed += " zrange zrem lpush rpush llen rpop brpop watch unwatch multi exec del"
    for command in needed.split():
        url = _may(own_redis, "~fugata:*", "+@all", f"-{command}")
        said = _refused(settings, url)
        assert f"may not use {command.upper()}; docs/settings.md" in said
    said = _refused(settings, _may(own_redis, "~fugata:*", "+@all", "-select")[:-1] + "1")
    assert "may not use SELECT" in said


@pytest.mark.parametrize(
    ("without", "first"),
    [("@write", "SET"), ("@blocking", "BRPOP"), ("@scripting", "EVAL"), ("@transaction", "WATCH")],
)
def test_a_user_without_a_kind_of_commands(
    own_redis: RedisServer, settings: Settings, without: str, first: str
) -> None:
    url = _may(own_redis, "~fugata:*", "+@all", f"-{without}")
    assert f"may not use {first};" in _refused(settings, url)


def test_what_is_asked_leaves_nothing(own_redis: RedisServer, settings: Settings) -> None:
    settings.REDIS_URL = own_redis.url()
    assert check_redis(None) == []
    with redis.Redis(port=own_redis.port) as client:
        assert client.keys() == []


def test_a_replica(own_redis: RedisServer, settings: Settings) -> None:
    with redis.Redis(port=own_redis.port) as client:
        client.replicaof("127.0.0.1", str(own_redis.port))
    said = _refused(settings, own_redis.url())
    assert "read-only replica; it must be one that can be written to" in said


def test_a_redis_that_lacks_a_command(settings: Settings) -> None:
    """Some who run it for others rename what they do not want used."""
    server = RedisServer("--rename-command", "BRPOP", "")
    try:
        assert "does not know BRPOP, which Fugata needs" in _refused(settings, server.url())
    finally:
        server.close()


def test_a_memory_that_is_full_passes(own_redis: RedisServer, settings: Settings) -> None:
    """It may be free again in a minute. What is wrong for good is found nevertheless."""
    with redis.Redis(port=own_redis.port) as client:
        client.config_set("maxmemory", "1")
    settings.REDIS_URL = own_redis.url()
    assert check_redis(None) == []
    said = _refused(settings, _may(own_redis, "~fugata:*", "+@all", "-@blocking"))
    assert "may not use BRPOP" in said


def test_tls_to_a_redis_without_it(own_redis: RedisServer, settings: Settings) -> None:
    """It takes the start of TLS for a command that is not whole, and waits for the rest."""
    said = _refused(settings, f"rediss://:hunter2@127.0.0.1:{own_redis.port}/0")
    assert "is rediss://, but what answers there does not speak TLS" in said
    own_redis.freeze()
    assert check_redis(None) == []


def test_a_redis_that_is_down_is_no_error(settings: Settings) -> None:
    for scheme in ("redis", "rediss"):
        for host in (f"127.0.0.1:{free_port()}", "redis.invalid"):
            settings.REDIS_URL = f"{scheme}://{host}/0"
            assert check_redis(None) == []


def test_a_redis_that_hangs_is_not_waited_for(own_redis: RedisServer, settings: Settings) -> None:
    settings.REDIS_URL = own_redis.url()
    own_redis.freeze()
    assert refusal(0.1) is None


def test_none_is_no_error(settings: Settings) -> None:
    settings.REDIS_URL = ""
    assert check_redis(None) == []
