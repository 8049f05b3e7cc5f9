"""One JSON object a line, with an allow-list of fields, so that no patient data can slip in."""

import json
import logging
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from types import MappingProxyType, TracebackType

ALLOWED_EXTRA = frozenset(
    {"request_id", "analysis_id", "image_id", "study_id", "report_id", "delivery_id", "clinic_id",
     "user_id", "job", "attempt", "code", "duration_ms", "status_code", "count", "task_name"}
)  # fmt: skip


_NOTHING: Mapping[str, object] = MappingProxyType({})
_context: ContextVar[Mapping[str, object]] = ContextVar("log_context", default=_NOTHING)


@contextmanager
def log_context(**ids: object) -> Iterator[None]:
    """Put ids of the allow-list into every line that is logged inside the block, by whomever."""
    token = _context.set({**_context.get(), **ids})
    try:
        yield
    finally:
        _context.reset(token)


# These put the text of exceptions into their arguments.
UNTRUSTED = frozenset({"celery.app.trace"})


class JsonFormatter(logging.Formatter):
    """Formats the event, the allow-listed ids and the exception's type and places.

    Exception *messages* are dropped: database errors quote row values, and those
    may be a patient's name.
    """

    def format(self, record: logging.LogRecord) -> str:
        """Return one line of JSON."""
        entry: dict[str, object] = {
            "at": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "event": str(record.msg) if record.name in UNTRUSTED else record.getMessage(),
        }
        fields = {**_context.get(), **record.__dict__}
        entry.update({k: str(v) for k, v in fields.items() if k in ALLOWED_EXTRA and v is not None})
        if record.exc_info and record.exc_info[0]:
            entry["exception"] = record.exc_info[0].__name__
            entry["trace"] = _places(record.exc_info[2])
        return json.dumps(entry, ensure_ascii=False)


def _places(trace: TracebackType | None) -> list[str]:
    """Return file:line of each frame, without local values or messages."""
    places = []
    while trace is not None:
        code = trace.tb_frame.f_code
        places.append(f"{code.co_filename}:{trace.tb_lineno} {code.co_name}")
        trace = trace.tb_next
    return places[-15:]
