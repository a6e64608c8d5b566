"""Make repositories and say who may use them."""

from django.contrib.auth.models import User
from django.db import transaction

from repositories_app.models import Membership, Repository
from repositories_app.names import REPOSITORY_RULE, is_repository_name
from secrets_app.errors import BadRequest

_MAX_USERNAME = 150


def user_named(username: str) -> User:
    """Return the user of that name, made without a password when new. Raises BadRequest."""
    if not 0 < len(username) <= _MAX_USERNAME or "\0" in username:
        raise BadRequest(f"A user's name has 1 to {_MAX_USERNAME} characters.")
    user, made = User.objects.get_or_create(username=username)
    if made:
        user.set_unusable_password()
        user.save(update_fields=["password"])
    return user


def create_repository(name: str, owner: str) -> Repository:
    """Make a repository with its first owner. Raises BadRequest."""
    if not is_repository_name(name):
        raise BadRequest(f"A repository's id is {REPOSITORY_RULE}.")
    with transaction.atomic():
        repository, made = Repository.objects.get_or_create(name=name)
        if not made:
            raise BadRequest(f"There is a repository {name} already.")
        Membership.objects.create(
            repository=repository, user=user_named(owner), role=Membership.Role.OWNER
        )
    return repository


def set_member(name: str, username: str, role: str) -> Membership:
    """Give a user (made when new) a role in a repository. Raises BadRequest."""
    with transaction.atomic():
        membership, _ = Membership.objects.update_or_create(
            repository=repository_named(name), user=user_named(username), defaults={"role": role}
        )
    return membership


def remove_member(name: str, username: str) -> None:
    """Take a user's role in a repository away. Raises BadRequest where there is none."""
    members = Membership.objects.filter(repository=repository_named(name), user__username=username)
    if not members.delete()[0]:
        raise BadRequest(f"{username} is no member of {name}.")


def repository_named(name: str) -> Repository:
    """Return the repository of that id. Raises BadRequest."""
    repository = Repository.objects.filter(name=name).first() if is_repository_name(name) else None
    if repository is None:
        raise BadRequest(f"There is no repository {name!r}.")
    return repository
