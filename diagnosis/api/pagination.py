"""Cursor pagination: stable while rows arrive, equally fast on every page."""

from datetime import datetime, timedelta
from typing import Any

from rest_framework.exceptions import NotFound, ParseError
from rest_framework.pagination import Cursor, CursorPagination
from rest_framework.request import Request

_NEXT = "https://clinic.example/api/v1/studies/?cursor=cD0yMDI2LTExLTIw"


class CreatedCursorPagination(CursorPagination):
    """Newest first; ``?page_size=`` up to 200."""

    ordering: tuple[str, ...] = ("-created_at", "id")
    page_size_query_param = "page_size"
    max_page_size = 200
    cursor_query_description = "Opaque; taken from `next` or `previous`."
    page_size_query_description = "Rows a page, 1 to 200; 50 by default."

    def get_paginated_response_schema(self, schema: dict[str, Any]) -> dict[str, Any]:
        """Describe a page; all three members are always there."""
        described: dict[str, Any] = super().get_paginated_response_schema(schema)
        described["required"] = ["next", "previous", "results"]
        for name, example in (("next", _NEXT), ("previous", None)):
            described["properties"][name] = {
                "type": ["string", "null"],
                "format": "uri",
                "example": example,
                "description": f"Address of the {name} page, null when there is none.",
            }
        return described

    def decode_cursor(self, request: Request) -> Cursor | None:
        """Return the cursor; one that this server did not write is ``invalid_cursor``."""
        try:
            cursor = super().decode_cursor(request)
            if cursor is not None and cursor.position is not None:
                self.check_position(str(cursor.position))
        except (NotFound, ValueError) as error:
            raise ParseError("This cursor is not valid.", code="invalid_cursor") from error
        return cursor

    def check_position(self, position: str) -> None:
        """Raise ``ValueError`` for a position that no row has given."""
        if datetime.fromisoformat(position).utcoffset() != timedelta():
            raise ValueError("not in UTC")


class NumberedCursorPagination(CreatedCursorPagination):
    """The same for rows that are numbered in the order they were written."""

    ordering = ("-id",)

    def check_position(self, position: str) -> None:
        """Raise ``ValueError`` for anything but a row number."""
        int(position)
