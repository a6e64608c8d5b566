"""The URLs of the share pages."""

from django.urls import path

from fugata_core.routes import NEW_SHARE, SHARE_PAGES
from secrets_app.pages import views

app_name = "pages"
urlpatterns = [
    path(NEW_SHARE[1:], views.new, name="new"),
    path(f"{SHARE_PAGES[1:]}<str:share_id>", views.share, name="share"),
    path(f"{SHARE_PAGES[1:]}<str:share_id>/delete", views.delete, name="delete"),
]
