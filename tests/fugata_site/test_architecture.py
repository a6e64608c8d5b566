"""What holds for the code as a whole: one way of imports, docstrings, no missing migration."""

import ast
import gc
import importlib
import inspect
from collections.abc import Iterator
from pathlib import Path

import pytest
from django.contrib import admin
from django.contrib.auth.admin import UserAdmin
from django.contrib.auth.models import Group, User
from django.core.management import call_command

from fugata_core.admin.lists import ListAdmin

ROOT = Path(__file__).resolve().parents[2]
#: From the outside in: a package imports itself and those of later lines, none beside it.
LAYERS = [
    ["fugata_site"],
    ["fugata_server"],
    ["operations_app"],
    ["secrets_app", "repositories_app"],
    ["audit_app", "vault_app"],
    ["fugata_openapi"],
    ["fugata_core"],
]
LAYER_OF = {package: number for number, layer in enumerate(LAYERS) for package in layer}
WEB = ("django.http", "django.shortcuts", "django.urls", "django.views", "rest_framework")


def modules(*packages: str) -> Iterator[Path]:
    for package in packages:
        yield from sorted((ROOT / package).rglob("*.py"))


ALL = list(modules(*LAYER_OF))
OWN = [path for path in ALL if "migrations" not in path.parts]


def dotted(path: Path) -> str:
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def named(path: Path) -> str:
    return str(path.relative_to(ROOT))


def parsed(source: str) -> ast.Module:
    """Parse, and collect no garbage meanwhile.

    A finalizer's traceback may parse source too; Python 3.11 then takes one depth for the other's.
    """
    gc.disable()
    try:
        return ast.parse(source)
    finally:
        gc.enable()


def imported(path: Path, source: str) -> Iterator[str]:
    """Yield the modules that `source` at `path` imports, relative ones resolved."""
    for node in ast.walk(parsed(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            package = ".".join(path.relative_to(ROOT).parent.parts[: 1 - node.level or None])
            base = f"{package}.{node.module or ''}".rstrip(".") if node.level else node.module or ""
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def wrong_imports(path: Path, source: str) -> list[str]:
    own, *_ = path.relative_to(ROOT).parts
    found = [(name, name.partition(".")[0]) for name in imported(path, source)]
    wrong = [
        name
        for name, package in found
        if package in LAYER_OF and package != own and LAYER_OF[package] <= LAYER_OF[own]
    ]
    if own == "vault_app" and path.name != "admin.py":
        wrong += [name for name, _ in found if name.startswith(WEB)]
    return wrong


@pytest.mark.parametrize("path", ALL, ids=named)
def test_imports_run_one_way(path: Path) -> None:
    assert wrong_imports(path, path.read_text()) == []


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("secrets_app/x.py", "import fugata_site.settings"),
        ("secrets_app/x.py", "from fugata_site import errors"),
        ("secrets_app/x.py", "def f():\n    from fugata_site.errors import answer"),
        ("secrets_app/x.py", "import repositories_app"),
        ("secrets_app/x.py", "from operations_app import statistics"),
        ("repositories_app/x.py", "from secrets_app.errors import ShareNotFound"),
        ("audit_app/x.py", "from vault_app.errors import VaultError"),
        ("fugata_core/x.py", "from audit_app.actors import Actor"),
        ("operations_app/x.py", "from fugata_server.beat import BeatThread"),
        ("vault_app/x.py", "from secrets_app.models import Share"),
        ("vault_app/x.py", "from secrets_app import models"),
        ("vault_app/keys/x.py", "import secrets_app"),
        ("vault_app/x.py", "from django.http import HttpRequest"),
        ("vault_app/x.py", "import rest_framework"),
        ("repositories_app/x.py", "import fugata_site"),
    ],
)
def test_a_wrong_import_is_seen(module: str, source: str) -> None:
    assert wrong_imports(ROOT / module, source)


@pytest.mark.parametrize(
    ("module", "source"),
    [
        ("fugata_site/x.py", "from vault_app import envelope"),
        ("secrets_app/x.py", "from vault_app.errors import VaultError"),
        ("vault_app/keys/x.py", "from vault_app.keys.base import KeyProvider"),
        ("vault_app/x.py", "from . import errors"),
    ],
)
def test_a_right_import_is_let_be(module: str, source: str) -> None:
    assert not wrong_imports(ROOT / module, source)


@pytest.mark.parametrize("path", OWN, ids=named)
def test_modules_and_functions_have_docstrings(path: Path) -> None:
    tree = parsed(path.read_text())
    assert not tree.body or ast.get_docstring(tree)
    functions = [node for node in tree.body if isinstance(node, ast.FunctionDef)]
    undocumented = [
        node.name
        for node in functions
        if not node.name.startswith("_") and not ast.get_docstring(node)
    ]
    assert undocumented == []


@pytest.mark.parametrize("path", [path for path in OWN if path.name != "wsgi.py"], ids=named)
def test_classes_and_methods_have_docstrings(path: Path) -> None:
    """Their own, or that of the contract that they fulfil."""
    if path.stem == "gunicorn_conf":
        return  # importing it sets Django up anew; it holds no class
    module = importlib.import_module(dotted(path))
    own = [kind for _, kind in inspect.getmembers(module, inspect.isclass)]
    for kind in own:
        if kind.__module__ == module.__name__ and not kind.__name__.startswith("_"):
            assert inspect.getdoc(kind), kind
            undocumented = [
                name for name in _methods(kind) if not inspect.getdoc(getattr(kind, name))
            ]
            assert undocumented == [], kind


#: Hooks of Django, logging and gunicorn, which those document.
_HOOKS = {"handle", "add_arguments", "ready", "format", "setup"}


def _methods(kind: type) -> list[str]:
    return [
        name
        for name, member in vars(kind).items()
        if not name.startswith("_") and name not in _HOOKS and callable(getattr(kind, name))
        if inspect.isfunction(member) or isinstance(member, classmethod | staticmethod)
    ]


@pytest.mark.parametrize("path", OWN, ids=named)
def test_no_file_is_too_long(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= 400


#: Raised by `internal_error` alone, which logs why: no client ever hears.
_UNSAID = {"InternalError", "EncryptFailed", "DecryptFailed"}


@pytest.mark.parametrize("path", OWN, ids=named)
def test_no_internal_error_without_a_line_in_the_log(path: Path) -> None:
    raises = [node for node in ast.walk(parsed(path.read_text())) if isinstance(node, ast.Raise)]
    raised = [each.exc.func if isinstance(each.exc, ast.Call) else each.exc for each in raises]
    assert not [name.id for name in raised if isinstance(name, ast.Name) and name.id in _UNSAID]


#: What runs code that somebody wrote into the data: modules, and functions of others.
_RUN_DATA = {"pickle", "_pickle", "shelve", "dbm", "marshal", "dill", "cloudpickle", "jsonpickle"}
_RUN_DATA |= {"joblib", "PersistentScheduler", "RedisSerializer", "PickleSerializer"}
_UNSAFE = {"eval", "exec", "load_module", "yaml.load", "yaml.load_all", "yaml.full_load"}
_UNSAFE |= {"yaml.unsafe_load", "yaml.unsafe_load_all", "yaml.full_load_all"}


def running_data(path: Path, source: str) -> list[str]:
    """Return the imports and calls that could run what is read from a file or from Redis."""
    parts = [part for name in imported(path, source) for part in name.split(".")]
    calls = [node.func for node in ast.walk(parsed(source)) if isinstance(node, ast.Call)]
    called = [ast.unparse(call) for call in calls]
    return [part for part in parts if part in _RUN_DATA] + [
        call for call in called if call in _UNSAFE
    ]


@pytest.mark.parametrize("path", ALL, ids=named)
def test_nothing_that_is_read_runs(path: Path) -> None:
    assert running_data(path, path.read_text()) == []


@pytest.mark.parametrize(
    "source",
    [
        "import pickle",
        "from pickle import loads",
        "def f():\n    import shelve as s",
        "from celery.beat import PersistentScheduler",
        "from django.core.cache.backends.redis import RedisSerializer",
        "import yaml\nyaml.load(text)",
        "eval(text)",
    ],
)
def test_what_runs_data_is_seen(source: str) -> None:
    assert running_data(ROOT / "fugata_core/x.py", source)


def without_exact_filters(site: admin.AdminSite) -> list[str]:
    """Return the models whose lists would take any lookup, or whose admin answers for itself."""
    own = ("lookup_allowed", "get_changelist", "get_changelist_instance")
    return [
        model._meta.label
        for model, registered in site._registry.items()
        if not isinstance(registered, ListAdmin)
        or any(getattr(type(registered), name) is not getattr(ListAdmin, name) for name in own)
    ]


def test_every_list_of_the_console_has_exact_filters() -> None:
    admin.autodiscover()
    assert len(admin.site._registry) > 5
    assert without_exact_filters(admin.site) == []


def test_a_list_without_exact_filters_is_seen() -> None:
    class Lenient(ListAdmin):
        lookup_allowed = admin.ModelAdmin.lookup_allowed  # type: ignore[assignment]

    site = admin.AdminSite()
    site.register(User, UserAdmin)
    site.register(Group, Lenient)
    assert without_exact_filters(site) == ["auth.User", "auth.Group"]


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    call_command("makemigrations", check=True, dry_run=True, verbosity=0)
