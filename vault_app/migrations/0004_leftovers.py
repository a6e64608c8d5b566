"""Values that outlived their rows. Older code records none: its are found by listing."""

from django.db import migrations, models
from django.db.models.functions import Now


class Migration(migrations.Migration):
    dependencies = [("vault_app", "0003_lost_values")]
    operations = [
        migrations.CreateModel(
            name="Leftover",
            fields=[
                ("name", models.CharField(max_length=64, primary_key=True, serialize=False)),
                ("app", models.CharField(max_length=20)),
                ("since", models.DateTimeField(db_default=Now())),
            ],
            options={"default_permissions": ()},
        ),
    ]
