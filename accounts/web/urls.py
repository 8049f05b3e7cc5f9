"""Pages of members, invitations, tokens, the audit log and the clinic."""

from django.urls import URLPattern, path

from accounts.web import clinics, invitations, languages, members, smart, tokens

app_name = "accounts"
urlpatterns: list[URLPattern] = [
    path("clinic/", clinics.clinic_settings, name="clinic-settings"),
    path("clinic/use/", clinics.clinic_use, name="clinic-use"),
    path("clinic/switch/", clinics.clinic_switch, name="clinic-switch"),
    path("clinic/audit/", clinics.audit_log, name="audit-log"),
    path("clinic/members/", members.members, name="members"),
    path("clinic/members/<uuid:pk>/", members.member_edit, name="member-edit"),
    path("clinic/members/<uuid:pk>/activity/", members.member_activity, name="member-activity"),
    path(
        "clinic/invitations/<uuid:pk>/revoke/",
        members.invitation_revoke_view,
        name="invitation-revoke",
    ),
    path("invitation/", invitations.invitation_accept, name="invitation-accept"),
    path("invitation/<str:secret>/", invitations.invitation_open, name="invitation-open"),
    path("language/", languages.language_set, name="language-set"),
    path("oauth/token", smart.token, name="smart-token"),
    path("oauth/revoke", smart.revoke, name="smart-revoke"),
    path("oauth/introspect", smart.introspect, name="smart-introspect"),
    path("tokens/", tokens.tokens, name="tokens"),
    path("tokens/<uuid:pk>/revoke/", tokens.token_revoke_view, name="token-revoke"),
]
