"""Who gets JSON and who gets a page that asks first."""

import pytest
from django.test import Client

from fugata_core import tokens
from tests.secrets_app.api.support import assert_json, assert_page, assert_unopened
from tests.secrets_app.support import kinds

pytestmark = pytest.mark.django_db

CHROME = (
    "text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,image/webp,image/apng,"
    "*/*;q=0.8,application/signed-exchange;v=b3;q=0.7"
)
FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
SAFARI = "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 Version/17.0 Safari"

PAGES = [
    CHROME,
    FIREFOX,
    "text/html",
    "text/html, */*",
    "text/html;q=0.9, application/json;q=0.8",
    "application/json;q=0.5, text/html",
    "text/html;charset=utf-8",
    "application/xhtml+xml, text/html;q=0.9, */*;q=0.1",
    "text/html;level=1, text/html;q=0.7, */*;q=0.5",
]
JSON = [
    None,
    "",
    "*/*",
    "application/json",
    "application/json, text/plain, */*",
    "application/json, text/javascript, */*; q=0.01",
    "application/*",
    "application/json, text/html;q=0.5",
    "text/html;q=0.5, application/json",
    "text/html;q=0.5, */*",
    "text/html;q=0",
    "text/html;q=0, */*",
    "text/plain",
    "image/png",
    "*",
    "html",
    ";;;,,,",
    "q=abc",
    "\xff",
    "a" * 4000,
]
ROBOTS = [
    "Slackbot-LinkExpanding 1.0 (+https://api.slack.com/robots)",
    "Slack-ImgProxy (+https://api.slack.com/robots)",
    "Twitterbot/1.0",
    "facebookexternalhit/1.1 (+http://www.facebook.com/externalhit_uatext.php)",
    "facebookexternalhit/1.1;line-poker/1.0",
    "facebookexternalhit/1.1; kakaotalk-scrap/1.0; +https://devtalk.kakao.com/",
    "Mozilla/5.0 (Macintosh) AppleWebKit/601.2.4 Safari/601.2.4 facebookexternalhit/1.1 Facebot",
    "WhatsApp/2.23.20.0",
    "TelegramBot (like TwitterBot)",
    "Mozilla/5.0 (compatible; Discordbot/2.0; +https://discordapp.com)",
    "LinkedInBot/1.0 (compatible; Mozilla/5.0; Apache-HttpClient +http://www.linkedin.com)",
    "Mozilla/5.0 (Windows NT 6.1; WOW64) SkypeUriPreview Preview/0.5",
    "Mozilla/5.0 (compatible; MicrosoftPreview/2.0; +https://aka.ms/MicrosoftPreview)",
    "Mattermost-Bot/1.1",
    "Mozilla/5.0 (compatible; ZulipURLPreview/8.0; +https://zulip.com)",
    "Rocket.Chat/6.0",
    "Synapse (bot; +https://github.com/matrix-org/synapse)",
    "Mozilla/5.0 (compatible; Googlebot/2.1; +http://www.google.com/bot.html)",
    "Mozilla/5.0 (compatible; Google-PageRenderer Google)",
    "Mozilla/5.0 (compatible; bingbot/2.0; +http://www.bing.com/bingbot.htm)",
    "Mozilla/5.0 (Applebot/0.1; +http://www.apple.com/go/applebot)",
    "Snap URL Preview Service; bot; snapchat; https://developers.snap.com/robots",
    "Mozilla/5.0 (compatible; redditbot/1.0; +http://www.reddit.com/feedback)",
    "Pinterest/0.2 (+https://www.pinterest.com/bot.html)",
    "Iframely/1.3.1 (+https://iframely.com/docs/about) Atlassian",
    "Mozilla/5.0 (compatible; Embedly/0.2; +http://support.embed.ly/)",
    "Mastodon/4.2.0 (http.rb/5.1.1; +https://mastodon.social/)",
    "Mozilla/5.0 (compatible; Bluesky Cardyb/1.1; +mailto:support@bsky.app)",
    "Viber/20.0",
    "Nextcloud Server Crawler",
]
PROGRAMS = [
    None,
    "",
    "curl/8.5.0",
    "Wget/1.21",
    "python-requests/2.32.0",
    "python-httpx/0.27",
    "Go-http-client/2.0",
    "node-fetch/1.0",
    "node",
    "axios/1.7.2",
    "okhttp/4.12.0",
    "Java/17.0.9",
    "PostmanRuntime/7.39.0",
    "insomnia/9.0",
    "Ruby",
    "Terraform/1.7",
    SAFARI,
]


def headers(accept: str | None = None, agent: str | None = None) -> dict[str, str]:
    given = {"accept": accept, "user-agent": agent}
    return {name: value for name, value in given.items() if value is not None}


def assert_asks_first(client: Client, share_id: str, given: dict[str, str]) -> None:
    for _ in range(2):
        answer = client.get(f"/secrets/{share_id}", headers=given)
        assert_page(answer)
        assert b"s3cret" not in answer.content
        assert client.head(f"/secrets/{share_id}", headers=given).status_code == 200
    assert kinds(tokens.digest(share_id)) == ["created"]
    assert_unopened(client, share_id)


@pytest.mark.parametrize("accept", PAGES)
def test_a_browser_is_asked_first(client: Client, share_id: str, accept: str) -> None:
    assert_asks_first(client, share_id, headers(accept, SAFARI))
    missing = client.get(f"/secrets/{share_id}", headers=headers(accept))
    assert_page(missing, 404)


@pytest.mark.parametrize("accept", JSON)
def test_a_program_gets_json(client: Client, share_id: str, accept: str | None) -> None:
    answer = client.get(f"/secrets/{share_id}", headers=headers(accept))
    assert answer.status_code == 200
    assert_json(answer)
    assert answer.json()["content"] == "s3cret"


@pytest.mark.parametrize("accept", ["text/html;q=abc", "text/html;q=nan", "html/*;;;q==1,,", "/"])
def test_an_accept_header_that_makes_no_sense(client: Client, share_id: str, accept: str) -> None:
    assert client.get(f"/secrets/{share_id}", headers=headers(accept)).status_code == 200


@pytest.mark.parametrize("agent", ROBOTS)
@pytest.mark.parametrize("accept", [None, "*/*", "application/json", "image/*"])
def test_a_preview_robot_consumes_nothing(
    client: Client, share_id: str, agent: str, accept: str | None
) -> None:
    assert_asks_first(client, share_id, headers(accept, agent))


@pytest.mark.parametrize("agent", PROGRAMS)
@pytest.mark.parametrize("accept", [None, "*/*", "application/json"])
def test_programs_are_no_robots(
    client: Client, share_id: str, agent: str | None, accept: str | None
) -> None:
    answer = client.get(f"/secrets/{share_id}", headers=headers(accept, agent))
    assert answer.json()["content"] == "s3cret"


def test_what_creates_and_deletes_answers_json_to_everybody(client: Client) -> None:
    given = headers(FIREFOX, ROBOTS[0])
    body = {"content": "s", "duration": "1h"}
    made = client.post("/secrets", body, "application/json", headers=given)
    assert made.status_code == 201
    assert_json(made)
    refused = client.delete(f"/secrets/{made.json()['id']}", headers=given)
    assert refused.status_code == 401
    assert_json(refused)


@pytest.mark.parametrize("accept", ["TEXT/HTML", "Text/Html, */*;q=0.1"])
def test_media_types_have_no_case(client: Client, accept: str) -> None:
    """RFC 9110, section 8.3.1."""
    assert client.get("/secrets/fug_x", headers={"accept": accept})["Content-Type"].startswith(
        "text/html"
    )


def test_a_charset_that_nobody_knows_is_no_error(client: Client) -> None:
    answer = client.get("/secrets/fug_x", headers={"accept": "text/html; x*=bogus'a'x"})
    assert answer.status_code == 404


@pytest.mark.parametrize(
    "agent", ["Google-HTTP-Java-Client/1.43", "SignalR", "AzureSynapse", "deploy-bot/1.0"]
)
def test_a_program_that_asks_for_json_gets_it(client: Client, agent: str) -> None:
    headers = {"accept": "application/json", "user-agent": agent}
    assert client.get("/secrets/fug_x", headers=headers).json() == {"error": "Secret not found"}


@pytest.mark.parametrize("agent", ["meta-externalfetcher/1.1", "SemrushBot/7"])
def test_a_robot_without_a_word_gets_the_page(client: Client, agent: str) -> None:
    headers = {"accept": "*/*", "user-agent": agent}
    answer = client.get("/secrets/fug_x", headers=headers)
    assert answer["Content-Type"].startswith("text/html")
