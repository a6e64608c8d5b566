"""The console's URLs. Importing them loads the admin: its site, and what apps register."""

from django.contrib import admin

admin.autodiscover()
urlpatterns = admin.site.get_urls()
