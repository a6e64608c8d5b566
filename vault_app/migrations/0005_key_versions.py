"""Versions of keys: whether to re-wrap what older ones wrapped, and since when one is the newest.

Older code knows nothing of either.
"""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("vault_app", "0004_leftovers")]
    operations = [
        migrations.AddField(
            model_name="keyencryptionkey",
            name="rewrap_versions",
            field=models.BooleanField(default=False, db_default=False),
        ),
        migrations.AddField(
            model_name="keyencryptionkey",
            name="check_value_at",
            field=models.DateTimeField(null=True),
        ),
    ]
