"""Groups for those who work in the admin. An auditor reads; an operator also acts. Neither can see
a value, and neither can change users or groups: that is for superusers.

Django makes permissions after all migrations ran, so the ones that are given here are made here.
What an operator changes about the groups later on stays changed.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps

VIEWS = {
    "secrets_app": {"share": {"view_share": "Can view share"}},
    "audit_app": {"auditevent": {"view_auditevent": "Can view audit event"}},
    "vault_app": {"keyencryptionkey": {"view_keyencryptionkey": "Can view key encryption key"}},
    "repositories_app": {
        "repository": {"view_repository": "Can view repository"},
        "membership": {"view_membership": "Can view member"},
        "repositorysecret": {"view_repositorysecret": "Can view repository secret"},
        "accesstoken": {"view_accesstoken": "Can view access token"},
    },
    "auth": {
        "user": {"view_user": "Can view user"},
        "group": {"view_group": "Can view group"},
    },
}
ACTS = {
    "secrets_app": {
        "share": {"revoke_share": "Can revoke share", "purge_share": "Can purge shares"},
    },
    "repositories_app": {
        "repository": {
            "add_repository": "Can add repository",
            "change_repository": "Can change repository",
            "delete_repository": "Can delete repository",
        },
        "membership": {
            "add_membership": "Can add member",
            "change_membership": "Can change member",
            "delete_membership": "Can delete member",
        },
        "repositorysecret": {"remove_repositorysecret": "Can remove repository secret"},
        "accesstoken": {
            "add_accesstoken": "Can add access token",
            "revoke_accesstoken": "Can revoke access token",
        },
    },
}


def make_groups(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    Group = apps.get_model("auth", "Group")
    for name, parts in {"auditor": [VIEWS], "operator": [VIEWS, ACTS]}.items():
        group, _ = Group.objects.get_or_create(name=name)
        for part in parts:
            group.permissions.add(*_permissions(apps, part))


def _permissions(apps: StateApps, wanted: dict) -> list:
    ContentType = apps.get_model("contenttypes", "ContentType")
    Permission = apps.get_model("auth", "Permission")
    found = []
    for app, models in wanted.items():
        for model, names in models.items():
            kind, _ = ContentType.objects.get_or_create(app_label=app, model=model)
            for codename, name in names.items():
                permission, _ = Permission.objects.get_or_create(
                    content_type=kind, codename=codename, defaults={"name": name}
                )
                found.append(permission)
    return found


class Migration(migrations.Migration):
    dependencies = [
        ("operations_app", "0001_initial"),
        ("repositories_app", "0001_initial"),
        ("secrets_app", "0001_initial"),
        ("audit_app", "0001_initial"),
        ("vault_app", "0001_initial"),
        ("auth", "0012_alter_user_first_name_max_length"),
        ("contenttypes", "0002_remove_content_type_name"),
    ]
    operations = [migrations.RunPython(make_groups, migrations.RunPython.noop)]
