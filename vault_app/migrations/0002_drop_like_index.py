"""On PostgreSQL a text primary key brings a second index, for LIKE. Names are never searched so,
and every create would pay for keeping it.
"""

from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def drop_like_index(apps: StateApps, editor: BaseDatabaseSchemaEditor) -> None:
    if editor.connection.vendor != "postgresql":
        return
    with editor.connection.cursor() as cursor:
        cursor.execute(
            "SELECT indexname FROM pg_indexes WHERE schemaname = current_schema()"
            " AND tablename = 'vault_app_storedvalue' AND indexname LIKE %s",
            ["vault_app_storedvalue_name_%_like"],
        )
        for (name,) in cursor.fetchall():
            cursor.execute(f"DROP INDEX {editor.quote_name(name)}")


class Migration(migrations.Migration):
    dependencies = [("vault_app", "0001_initial")]
    operations = [migrations.RunPython(drop_like_index, migrations.RunPython.noop)]
