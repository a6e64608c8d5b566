"""The console of a running service over HTTP, as an operator's browser uses it."""

import httpx

from tests.support.clients.operators import PASSWORD
from tests.support.servers.service import Service


def operator(service: Service, name: str = "olga") -> None:
    """Make an operator who may do everything."""
    code = "from django.contrib.auth.models import User as U\n"
    code += f"U.objects.create_superuser({name!r}, password={PASSWORD!r})"
    service.manage("shell", "--no-imports", "-c", code)


class Console:
    """One browser; `address` is whom a trusted proxy says it is."""

    def __init__(self, service: Service, address: str = "192.0.2.1") -> None:
        headers = {"X-Forwarded-For": address}
        self.http = httpx.Client(base_url=service.url, headers=headers, timeout=60)

    def get(self, path: str) -> httpx.Response:
        """Return a page below /admin/."""
        return self.http.get(f"/admin/{path}")

    def sign_in(self, name: str = "olga", password: str = PASSWORD) -> httpx.Response:
        """Send the form: 302 for a right password, 200 for a wrong one."""
        if "csrf" not in self.http.cookies:
            self.get("login/")
        token = self.http.cookies["csrf"]
        fields = {"username": name, "password": password, "csrfmiddlewaretoken": token}
        return self.http.post("/admin/login/", data=fields)
