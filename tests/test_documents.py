"""The documents: what they point to is there, what code cites is there, and nothing is left out."""

import re
from pathlib import Path

import pytest

from tests.fugata_site.test_architecture import LAYER_OF, OWN
from tests.support.servers.service import ROOT

DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("*/**/README.md"), *ROOT.glob("docs/*.md")])
PAGES = [
    path
    for path in DOCUMENTS
    if not any(part.startswith(".") for part in path.relative_to(ROOT).parts)
]
#: How settings are read: `read("NAME", …)`, `whole_number("NAME", …)` and so on.
_SETTING = re.compile(
    r"\b(?:read|whole_number|names|hosts|kubernetes_name|one_of|durations|optional_duration|networks|_keys"
    r"|_url)\(\"([A-Z_]+)\""
)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text())
    local = [link for link in links if not link.startswith(("http:", "https:"))]
    assert [link for link in local if not (page.parent / link).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_links_lead_to_headings(page: Path) -> None:
    links = re.findall(r"\]\(([^)#\s:]*)#([^)\s]+)\)", page.read_text())
    targets = [(page.parent / path if path else page, anchor) for path, anchor in links]
    assert [anchor for target, anchor in targets if anchor not in anchors(target)] == []


def anchors(page: Path) -> set[str]:
    """Return the anchors of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", OWN, ids=named)
def test_code_cites_what_a_cloner_has(path: Path) -> None:
    cited = re.findall(r"[\w/]+\.md\b", path.read_text())
    assert [page for page in cited if not (ROOT / page).is_file()] == []


def test_a_newcomer_reads_a_short_page() -> None:
    assert len((ROOT / "README.md").read_text().splitlines()) < 150


def test_every_package_is_on_the_map() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text()
    assert [package for package in LAYER_OF if f"`{package}/`" not in text] == []


def test_every_setting_is_listed() -> None:
    code = "".join(path.read_text() for path in (ROOT / "fugata_site" / "settings").glob("*.py"))
    pages = "".join((ROOT / "docs" / f"{name}.md").read_text() for name in ("settings", "keys"))
    settings = set(_SETTING.findall(code))
    assert len(settings) > 50
    assert {name for name in settings if not re.search(rf"\b{name}\b", pages)} == set()


def test_every_setting_of_vault_is_listed() -> None:
    """The second Vault has the same, and their names are put together."""
    code = (ROOT / "fugata_site" / "settings" / "key_services.py").read_text()
    page = (ROOT / "docs" / "settings.md").read_text()
    settings = {f"VAULT_{name}" for name in re.findall(r"\{prefix\}([A-Z_]+)", code)}
    assert len(settings) > 10
    assert {name for name in settings if f"`{name}`" not in page} == set()
    assert "`VAULT2_…`" in page


def test_every_code_of_a_check_is_listed() -> None:
    code = "".join(path.read_text() for path in OWN)
    codes = set(re.findall(r"\bfugata\.[EW]\d{3}\b", code))
    page = (ROOT / "docs" / "install.md").read_text()
    assert len(codes) > 8
    assert {each for each in codes if f"`{each}`" not in page} == set()
