"""Behind a proxy with TLS: secure cookies, links and forms of the public address; and CORS."""

import re
from collections.abc import Iterator

import httpx
import pytest

from tests.support.servers.service import Service

PUBLIC = "https://secrets.example.com"
APP = "https://app.example.com"
#: What the proxy says of a request that came by HTTPS.
PROXIED = {"Host": "secrets.example.com", "X-Forwarded-Proto": "https"}
FORM = {"content": "s", "duration": "1h"}


@pytest.fixture(scope="module")
def proxied(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A service that trusts the tests as its proxy."""
    settings = {"PUBLIC_URL": PUBLIC, "TRUSTED_PROXIES": "127.0.0.1", "ALLOWED_ORIGINS": APP}
    service = Service(tmp_path_factory.mktemp("proxied") / "home", **settings).start()
    yield service
    service.stop()


def _filled_in(page: httpx.Response) -> tuple[dict[str, str], dict[str, str]]:
    """Return the form's fields and the headers with its cookie."""
    token = re.search(r'name="csrfmiddlewaretoken" value="(\w+)"', page.text)
    assert token
    cookie = page.headers["set-cookie"].partition(";")[0]
    return FORM | {"csrfmiddlewaretoken": token[1]}, PROXIED | {"Cookie": cookie}


def test_cookie_and_transport_are_secure(proxied: Service) -> None:
    page = httpx.get(proxied.url, headers=PROXIED)
    cookie = page.headers["set-cookie"]
    assert cookie.startswith("__Host-csrf=")
    assert {"Secure", "HttpOnly", "Path=/", "SameSite=Lax"} <= set(cookie.split("; "))
    assert page.headers["strict-transport-security"].startswith("max-age=31536000")


@pytest.mark.parametrize("origin", [PUBLIC, "null"])
@pytest.mark.parametrize("says_https", [True, False])
def test_a_form_makes_a_link_of_the_public_address(
    proxied: Service, origin: str, says_https: bool
) -> None:
    """Also where the proxy does not say that the request came by HTTPS."""
    form, headers = _filled_in(httpx.get(proxied.url, headers=PROXIED))
    if not says_https:
        del headers["X-Forwarded-Proto"]
    headers |= {"Origin": origin, "Sec-Fetch-Site": "same-origin"}
    made = httpx.post(proxied.url, data=form, headers=headers)
    assert made.status_code == 200
    assert f'value="{PUBLIC}/s/fug_' in made.text


def test_another_site_s_form_is_refused(proxied: Service) -> None:
    form, headers = _filled_in(httpx.get(proxied.url, headers=PROXIED))
    assert httpx.post(proxied.url, data=form, headers=headers | {"Origin": APP}).status_code == 403


def test_another_name_is_refused(proxied: Service) -> None:
    answer = httpx.get(f"{proxied.url}/secrets/x", headers={"Host": "localhost"})
    assert answer.status_code == 400
    assert "ALLOWED_HOSTS" in answer.json()["error"]


@pytest.mark.parametrize(("origin", "allowed"), [(APP, True), ("https://evil.example", False)])
def test_cors_is_for_allowed_origins_alone(proxied: Service, origin: str, allowed: bool) -> None:
    asked = PROXIED | {"Origin": origin, "Access-Control-Request-Method": "POST"}
    preflight = httpx.options(f"{proxied.url}/secrets", headers=asked)
    answer = httpx.get(f"{proxied.url}/secrets/x", headers=PROXIED | {"Origin": origin})
    expected = origin if allowed else None
    assert preflight.headers.get("access-control-allow-origin") == expected
    assert answer.headers.get("access-control-allow-origin") == expected
    assert "access-control-allow-credentials" not in answer.headers


def test_pages_are_for_no_other_origin(proxied: Service) -> None:
    page = httpx.get(proxied.url, headers=PROXIED | {"Origin": APP})
    assert "access-control-allow-origin" not in page.headers
