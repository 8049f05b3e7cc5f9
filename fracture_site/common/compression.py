"""Pages travel compressed; files, the API's answers and streams as they are."""

from typing import Final

from django.http import HttpRequest, HttpResponse
from django.http.response import HttpResponseBase
from django.middleware.gzip import GZipMiddleware

_COMPRESSED: Final = "text/html"


class PageCompressionMiddleware(GZipMiddleware):
    """Compress HTML alone.

    Images are compressed already, their length is what a progress bar needs, and the API's strong
    ETags must stay strong. Against guessing secrets from lengths (BREACH) Django adds up to
    ``max_random_bytes`` random bytes to each answer and masks the CSRF token anew each time.
    """

    def process_response(
        self, request: HttpRequest, response: HttpResponseBase
    ) -> HttpResponseBase:
        """Return the answer, compressed when it is a page and the browser takes it."""
        kind = response.get("Content-Type", "").partition(";")[0]
        if response.streaming or kind != _COMPRESSED or not isinstance(response, HttpResponse):
            return response
        return super().process_response(request, response)
