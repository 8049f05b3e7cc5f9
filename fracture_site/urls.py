"""All routes of the site."""

from allauth.account.decorators import secure_admin_login
from allauth.account.views import logout
from django.contrib import admin
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView

from accounts import oidc
from accounts.web.smart import configuration
from diagnosis.api.fhir.views import CapabilityView
from fracture_site import pwa
from fracture_site.health import healthz, readyz
from fracture_site.metrics import metrics

# The admin has no door of its own: its sign-in, sign-out and password pages are everybody's.
admin.site.login = secure_admin_login(admin.site.login)  # type: ignore[method-assign]

admin.site.site_header = admin.site.site_title = "Fracture Site administration"
admin.site.index_title = "Site operations"

urlpatterns: list[URLPattern | URLResolver] = [
    path("healthz", healthz, name="healthz"),
    path("readyz", readyz, name="readyz"),
    path("metrics", metrics, name="metrics"),
    path("manifest.webmanifest", pwa.manifest, name="manifest"),
    path("service-worker.js", pwa.service_worker, name="service-worker"),
    path("offline/", pwa.offline, name="offline"),
    # Before allauth's, which check less.
    path("accounts/oidc/<str:provider_id>/login/", oidc.login, name="oidc-login"),
    path("accounts/oidc/<str:provider_id>/login/callback/", oidc.callback, name="oidc-callback"),
    path("accounts/", include("allauth.urls")),
    path("admin/logout/", logout),
    path("admin/password_change/", RedirectView.as_view(pattern_name="account_change_password")),
    path("admin/", admin.site.urls),
    path("api/v1/", include("diagnosis.api.urls")),
    path("fhir/R4/.well-known/smart-configuration", configuration, name="smart-configuration"),
    path("fhir/R4/", include("diagnosis.api.fhir.urls")),
    path("fhir/metadata", CapabilityView.as_view(), name="fhir-metadata"),
    path("api/dicomweb/", include("diagnosis.api.dicomweb.urls")),
    path("", include("accounts.web.urls")),
    path("", include("diagnosis.web.urls")),
]

handler400 = "fracture_site.error_pages.bad_request"
handler403 = "fracture_site.error_pages.permission_denied"
handler404 = "fracture_site.error_pages.not_found"
handler500 = "fracture_site.error_pages.server_error"
handler429 = "fracture_site.error_pages.too_many_requests"  # allauth looks for it here
