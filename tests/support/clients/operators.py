"""People who work in the admin, and their browsers as Django's test client plays them."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode

from django.contrib.auth.models import Group, User
from django.http.response import HttpResponseBase
from django.test import Client

PASSWORD = "correct horse battery"
_LINK = re.compile(r'href="([^"]+)"')


def person(name: str, *groups: str, superuser: bool = False) -> User:
    """Return a new member of the staff, in those groups."""
    user = User.objects.create_user(name, password=PASSWORD, is_staff=True, is_superuser=superuser)
    user.groups.set(Group.objects.filter(name__in=groups))
    return user


class Admin:
    """The admin as one member of the staff sees it; without one, as anybody does."""

    def __init__(self, user: User | None = None) -> None:
        self.client = Client()
        if user:
            self.client.force_login(user)

    def get(self, path: str, **query: str) -> HttpResponseBase:
        """Return a page; `path` below /admin/."""
        return self.client.get(f"/admin/{path}", query)

    def post(self, path: str, **fields: Any) -> HttpResponseBase:
        """Send a form."""
        return self.client.post(f"/admin/{path}", fields)

    def act(self, model: str, action: str, *numbers: object, **fields: Any) -> HttpResponseBase:
        """Choose objects of a list (`app/model`) and an action; `confirmed="yes"` does it."""
        chosen = {"action": action, "_selected_action": [str(one) for one in numbers]}
        return self.post(f"{model}/", **chosen, **fields)


def text(response: HttpResponseBase) -> str:
    """Return a page as text."""
    data: bytes = response.getvalue() if hasattr(response, "getvalue") else b""
    return data.decode()


def links(page: str, at: str) -> Iterator[str]:
    """Yield where a page at address `at` leads to, within the admin."""
    for href in _LINK.findall(page):
        address = href.replace("&amp;", "&").partition("#")[0]
        if address.startswith("?"):
            address = at.partition("?")[0] + address
        if address.startswith("/admin/"):
            yield address


def with_query(path: str, **query: str) -> str:
    """Return an address with its query."""
    return f"{path}?{urlencode(query)}"
