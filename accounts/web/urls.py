"""Pages of members, invitations, tokens, the audit log and the clinic."""

from django.urls import URLPattern

app_name = "accounts"
urlpatterns: list[URLPattern] = []
