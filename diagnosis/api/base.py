"""What every endpoint shares: the caller, JSON only, bounded bodies, repeatable POSTs."""

import json
from collections.abc import Iterable
from typing import Any, TypeVar
from uuid import UUID

from django.conf import settings
from django.db.models import Model
from rest_framework import viewsets
from rest_framework.exceptions import NotAuthenticated, ParseError
from rest_framework.negotiation import DefaultContentNegotiation
from rest_framework.parsers import JSONParser
from rest_framework.renderers import BaseRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.models import Membership, User
from diagnosis.api.errors import BodyTooLarge, LengthRequired
from diagnosis.api.idempotency import (
    REPLAYED,
    answer_replay,
    answer_store,
    idempotency_key,
    request_digest,
)
from diagnosis.services.idempotency import idempotency_begin, idempotency_store
from diagnosis.services.reading import list_open

M = TypeVar("M", bound=Model)


class AlwaysJson(DefaultContentNegotiation):
    """Answer JSON whatever ``Accept`` says; files choose their own type."""

    def select_renderer(
        self, _request: Request, renderers: Any, _format_suffix: str | None = None
    ) -> tuple[BaseRenderer, str]:
        """Return the first renderer."""
        return renderers[0], renderers[0].media_type


class BoundedJSONParser(JSONParser):
    """JSON whose nesting Python's parser can follow, of characters that exist."""

    def parse(self, *args: Any, **kwargs: Any) -> Any:
        """Return the parsed body."""
        try:
            data = super().parse(*args, **kwargs)
            json.dumps(data, ensure_ascii=False).encode()  # "\ud800" is no character
        except RecursionError as error:
            raise ParseError("JSON parse error - nested too deeply") from error
        except UnicodeEncodeError as error:
            raise ParseError("JSON parse error - half of a surrogate pair") from error
        return data


class ClinicViewSet(viewsets.GenericViewSet[M]):
    """An endpoint that acts for a member of the current clinic.

    A foreign clinic's object answers 404, not 403: its existence is private too.
    """

    content_negotiation_class = AlwaysJson
    lookup_value_converter = "uuid"
    metadata_class = None
    parser_classes = [BoundedJSONParser]
    max_body_bytes = settings.DATA_UPLOAD_MAX_MEMORY_SIZE
    _idempotency: dict[str, Any] | None = None

    @property
    def actor(self) -> User:
        """The caller; the default permission class guarantees it."""
        if not isinstance(self.request.user, User):
            raise NotAuthenticated
        return self.request.user

    @property
    def membership(self) -> Membership:
        """The caller's place in the current clinic."""
        membership: Membership = self.request._request.membership  # type: ignore[attr-defined]
        return membership

    def note_list(self, noun: str, patients: Iterable[UUID]) -> None:
        """Record of whom a list tells."""
        clinic_id = self.membership.clinic_id
        list_open(actor=self.actor, clinic_id=clinic_id, noun=noun, patients=patients)

    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Refuse what is too large unread; answer a repeated POST from what was kept."""
        self._check_length(request)
        super().initial(request, *args, **kwargs)
        key = idempotency_key(request) if request.method == "POST" else ""
        if not key:
            return
        request_identity: dict[str, Any] = {
            "actor": self.actor,
            "clinic_id": self.membership.clinic_id,
            "key": key,
            "request_sha256": request_digest(request),
        }
        record = idempotency_begin(**request_identity)
        if record is None:
            self._idempotency = request_identity
        else:  # the handler of this one request: the kept answer
            self.post = lambda *_args, **_kwargs: answer_replay(record)

    def _check_length(self, request: Request) -> None:
        length = str(request.META.get("CONTENT_LENGTH") or "")
        if not length and "Transfer-Encoding" in request.headers:
            raise LengthRequired
        length = length or "0"
        if len(length) > 18 or not length.isdecimal() or int(length) > self.max_body_bytes:
            raise BodyTooLarge

    def finalize_response(
        self, request: Request, response: Response, *args: Any, **kwargs: Any
    ) -> Response:
        """Keep a successful answer; a refusal had no effect, so the key stays free."""
        response = super().finalize_response(request, response, *args, **kwargs)
        if self._idempotency and 200 <= response.status_code < 300 and REPLAYED not in response:
            idempotency_store(
                **self._idempotency,
                status_code=response.status_code,
                body=answer_store(response),
            )
        return response
