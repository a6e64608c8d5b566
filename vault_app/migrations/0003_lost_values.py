"""Marks on values that are gone. Older code knows nothing of them, and needs not."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("vault_app", "0002_drop_like_index")]
    operations = [
        migrations.CreateModel(
            name="LostValue",
            fields=[
                ("name", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("marked_at", models.DateTimeField(db_default=Now())),
            ],
            options={"default_permissions": ()},
        ),
    ]
