"""The URLs of the share pages."""

from django.urls import path

from secrets_app.pages import views

app_name = "pages"
urlpatterns = [
    path("", views.new, name="new"),
    path("s/<str:share_id>", views.share, name="share"),
    path("s/<str:share_id>/delete", views.delete, name="delete"),
]
