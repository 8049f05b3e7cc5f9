"""The OpenAPI description and its pages."""

from drf_spectacular.views import SpectacularAPIView, SpectacularSwaggerSplitView


class SchemaView(SpectacularAPIView):
    """The description of this API; open to everybody, it names no data."""

    authentication_classes: list[type] = []
    throttle_classes: list[type] = []


class DocsView(SpectacularSwaggerSplitView):
    """Swagger UI under the strict content security policy: no inline script or style."""

    authentication_classes: list[type] = []
    throttle_classes: list[type] = []
    url_name = "api:schema"
    template_name = "api/docs.html"
