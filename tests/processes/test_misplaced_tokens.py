"""An id or a token where something else belongs: nothing keeps it, and nothing shows it."""

import json
import sys
from typing import Any

from tests.conftest import MakeService
from tests.processes.test_traces import assert_no_trace, everything
from tests.support.clients.sharing import create
from tests.support.clients.wire import exchange, request
from tests.support.servers.service import Service

COMMANDS = [
    "create_access_token {}",
    "create_access_token me --repository {}",
    "create_access_token me --expires {}",
    "create_repository {} --owner me",
    "create_repository other --owner {}",
    "set_member my-repo {} --role reader",
    "set_member {} me --role reader",
    "set_member my-repo me --role {}",
    "revoke_access_token {}",
    "list_access_tokens --user {}",
    "audit verify --head {}",
    "audit {}",
    "retire_key {}",
    "{}",
    "fsck --{}",
    "restore /no/such/{}",
    "backup /no/such/{}",
]


def _ask(service: Service, token: str, misplaced: str) -> None:
    """Send everything with a secret in the wrong place, and see that the answers lack it."""
    bearer: Any = {"authorization": f"Bearer {token}"}
    as_json: Any = {"content_type": "application/json"} | bearer
    body = json.dumps({"secret_key": misplaced, "secret_value": "v"}).encode()
    for data in (
        request("GET", f"/repositories/{misplaced}/secrets", **bearer),
        request("GET", f"/repositories/x{misplaced}/secrets", **bearer),
        request("HEAD", f"/repositories/{misplaced}/secrets/KEY", **bearer),
        request("GET", f"/repositories/{misplaced.replace('_', '%5F')}/secrets", **bearer),
        request("POST", f"/repositories/{misplaced}/secrets", b"{}", **as_json),
        request("POST", "/repositories/my-repo/secrets", body, **as_json),
        request("GET", f"/repositories/my-repo/secrets/{misplaced}", **bearer),
        request("HEAD", f"/repositories/my-repo/secrets/{misplaced}", **bearer),
        request("DELETE", f"/repositories/my-repo/secrets/{misplaced}", **bearer),
        request("GET", f"/elsewhere?token={misplaced.replace('_', '%5f')}"),
        request("GET", "/repositories/my-repo/secrets", x_request_id=misplaced[:60], **bearer),
        request("GET", "/secrets/fug_" + "A" * 22, idempotency_key=misplaced),
        request("GET", "/repositories/my-repo/secrets", authorization=f"Bearer x{misplaced}"),
    ):
        answer = exchange(service.port, data)
        assert misplaced[10:] not in f"{answer.headers}{answer.body!r}"


#: Runs each command as manage.py does, in one process.
_RUN = """
import json, sys
import manage
for line in json.loads(sys.argv[1]):
    sys.argv = ["manage.py", *line.split()]
    try:
        manage.main()
    except SystemExit as end:
        print(line.split()[0], "ended with", end.code, file=sys.stderr)
    else:
        print(line.split()[0], "ended well")
"""


def test_nothing_keeps_or_shows_it(make_service: MakeService, any_database: str) -> None:
    service = make_service(any_database, redis=True, ACCESS_LOG="1")
    made = service.manage("create_repository", "my-repo", "--owner", "me", "--token")
    token, share = made.stdout.strip(), create(service.port)
    secrets = (token, share.id, share.token)
    for misplaced in secrets:
        _ask(service, token, misplaced)
    lines = [line.format(secret) for line in COMMANDS for secret in secrets]
    said = service.run(sys.executable, "-c", _RUN, json.dumps(lines))
    service.manage("audit", "seal")
    exported = service.manage("audit", "export").stdout
    assert "refused" in exported
    places = [("export", exported.encode()), ("commands", f"{said.stdout}{said.stderr}".encode())]
    needles = [secret[10:].encode() for secret in secrets]
    assert_no_trace([*everything(service), *places], needles)


def test_what_commands_say_of_it(make_service: MakeService) -> None:
    """Each fails, and says so."""
    service = make_service(start=False)
    service.manage("prepare")
    said = service.run(
        sys.executable, "-c", _RUN, json.dumps([COMMANDS[0].format("fgt_" + "a" * 36)])
    )
    assert "There is no user 'fgt_aaaaaa…'." in f"{said.stdout}{said.stderr}"
