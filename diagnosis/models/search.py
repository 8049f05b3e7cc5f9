"""Search as you type: the same words out of stored text and out of what a person types.

Works on any PostgreSQL, without ``unaccent`` and ``pg_trgm``: case, accents and
punctuation are removed here, in Python, on both sides. PostgreSQL's own text
parser is never used, so no character of a query has a meaning of its own.
"""

import unicodedata
from collections.abc import Iterable

from django.contrib.postgres.fields import ArrayField
from django.contrib.postgres.search import SearchVectorField
from django.db.models import Func, Model, TextField, UUIDField, Value

_MAX_QUERY_LENGTH = 200
_MAX_WORD_LENGTH = 100
# Letters that Unicode does not decompose into a base letter and an accent.
_BASE_LETTERS = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "\u0131": "i"})


def search_words(*texts: str) -> list[str]:
    """Return the distinct words of ``texts``, folded; a hyphenated word also as one.

    ``"Müller-Lüd, 1980-05-01"`` gives ``1980``, ``05``, ``01``, ``19800501``,
    ``muller``, ``lud`` and ``mullerlud``.
    """
    words: set[str] = set()
    for text in texts:
        for parts in _split(text):
            words.update(parts)
            words.add(_clip("".join(parts)))
    return sorted(words)


def search_vector(words: Iterable[str]) -> Func:
    """Return the expression that stores ``words`` in a search column."""
    value = Value(sorted(set(words)), output_field=ArrayField(TextField()))
    return Func(value, function="array_to_tsvector", output_field=SearchVectorField())


def search_matches(model: type[Model], text: str) -> "MatchingIds":
    """Return the ids of the current clinic's rows that ``text`` describes.

    Every word must be the beginning of a stored one. ``1980-05`` finds the
    birth date as well as a record number ``1980/05``. Without any word nothing
    matches.
    """
    conditions = []
    for parts in _split(text[:_MAX_QUERY_LENGTH]):
        whole = _prefix(_clip("".join(parts)))
        split = " & ".join(_prefix(part) for part in parts)
        conditions.append(whole if len(parts) == 1 else f"({whole} | ({split}))")
    return MatchingIds(Value(" & ".join(conditions)), function=f"{model._meta.db_table}_matches")


class MatchingIds(Func):
    """The call of the table's search function, for ``pk__in``; see the migration that makes it."""

    template = "(SELECT %(function)s(%(expressions)s::tsquery))"
    output_field = UUIDField()


def _prefix(word: str) -> str:
    return f"'{word}':*"  # words hold letters, digits and marks only: nothing to escape


def _clip(word: str) -> str:
    return word[:_MAX_WORD_LENGTH]


def _split(text: str) -> list[list[str]]:
    """Return for each word between blanks its parts between punctuation."""
    folded = unicodedata.normalize("NFKD", text).casefold().translate(_BASE_LETTERS)
    folded = unicodedata.normalize("NFKD", folded)
    kept = "".join(
        "" if unicodedata.category(char) == "Mn" else char if _is_word(char) else _gap(char)
        for char in folded
    )
    split = ([_clip(part) for part in word.split("\0") if part] for word in kept.split(" "))
    return [parts for parts in split if parts]


def _is_word(char: str) -> bool:
    return unicodedata.category(char)[0] in "LN" or unicodedata.category(char) == "Mc"


def _gap(char: str) -> str:
    return " " if char.isspace() else "\0"
