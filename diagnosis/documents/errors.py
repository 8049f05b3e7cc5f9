"""Why a report cannot be printed; the caller blocks the signature and shows the code."""

from fracture_site.common.errors import DomainError


class DocumentError(DomainError):
    """A document that cannot be made.

    Codes: ``document_image_unreadable``, ``document_image_too_large``, ``document_invalid``,
    ``document_render_failed``.
    """

    http_status = 422
