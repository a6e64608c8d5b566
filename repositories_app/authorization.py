"""Authorization: who may see a repository, and who may write (docs/api.md: "Repositories")."""

from dataclasses import dataclass

from audit_app.actors import Actor
from audit_app.lookups import count_lookup
from audit_app.models import AuditEvent
from audit_app.trail import record
from fugata_core.callers import Caller
from fugata_core.errors import Forbidden
from repositories_app.errors import RepositoryNotFound
from repositories_app.metrics import SECRETS
from repositories_app.models import Membership
from repositories_app.names import is_repository_name
from repositories_app.persistence import access_table

_MAY_WRITE = (Membership.Role.WRITER, Membership.Role.OWNER)


@dataclass(frozen=True, slots=True)
class AuthorizedRepository:
    """A repository that the caller may use."""

    id: int
    name: str


def authorize_reading(caller: Caller, name: str, actor: Actor) -> AuthorizedRepository:
    """Return the repository for reading. Raises RepositoryNotFound; a refusal is recorded."""
    return _find_visible(caller, name, actor)[0]


def authorize_writing(caller: Caller, name: str, actor: Actor) -> AuthorizedRepository:
    """Return the repository for writing. Raises RepositoryNotFound, Forbidden."""
    repository, role = _find_visible(caller, name, actor)
    if caller.read_only or role not in _MAY_WRITE:
        _record_refusal(name, actor)
        raise Forbidden()
    return repository


def _find_visible(caller: Caller, name: str, actor: Actor) -> tuple[AuthorizedRepository, str]:
    """Return the repository and the caller's role in it. Raises RepositoryNotFound.

    One query whether it is missing or hidden: not even the timing tells which.
    """
    if not is_repository_name(name):
        count_lookup(actor, "")  # no repository has it, so no event keeps it
        raise RepositoryNotFound()
    narrowed_token_id = caller.token_id if caller.narrowed else None
    found = access_table().find_membership(name, caller.user_id, narrowed_token_id)
    if found is None:
        _record_refusal(name, actor)
        raise RepositoryNotFound()
    return AuthorizedRepository(found[0], name), found[1]


def _record_refusal(name: str, actor: Actor) -> None:
    SECRETS.labels("refused").inc()
    record(AuditEvent.Kind.REFUSED, actor, repository=name)
