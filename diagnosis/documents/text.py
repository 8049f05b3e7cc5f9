"""Makes any string printable: no control characters, nothing the bundled fonts cannot draw."""

import functools
import unicodedata
from bisect import bisect_right
from pathlib import Path

FONT_FOLDER = Path(__file__).parent / "fonts"
REPLACEMENT = "\N{REPLACEMENT CHARACTER}"

_LONGEST_WORD = 48  # characters; a longer run gets break opportunities or it leaves the page
_PIECE = 8
_NEW_LINES = {"\r", "\v", "\f", "\x85", "\N{LINE SEPARATOR}", "\N{PARAGRAPH SEPARATOR}"}
_JOINERS = {"\N{ZERO WIDTH NON-JOINER}", "\N{ZERO WIDTH JOINER}"}  # Indic and Persian spelling
_DIRECTION_MARKS = {"\N{LEFT-TO-RIGHT MARK}", "\N{RIGHT-TO-LEFT MARK}"}
_KEPT_FORMATS = _JOINERS | _DIRECTION_MARKS
_STRONG_RTL = {"R", "AL"}


@functools.cache
def font_coverage() -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Return first and last code points of the ranges that the bundled fonts can draw."""
    firsts: list[int] = []
    lasts: list[int] = []
    for line in (FONT_FOLDER / "coverage.txt").read_text(encoding="ascii").split():
        first, last = line.split("-")
        firsts.append(int(first, 16))
        lasts.append(int(last, 16))
    return tuple(firsts), tuple(lasts)


def is_printable(character: str) -> bool:
    """Tell whether one of the bundled fonts has a glyph for the character."""
    firsts, lasts = font_coverage()
    position = bisect_right(firsts, ord(character)) - 1
    return position >= 0 and ord(character) <= lasts[position]


def _clean_character(character: str) -> str:
    if character in "\n " or character in _KEPT_FORMATS:
        return character
    category = unicodedata.category(character)
    if category == "Cf":
        # Overrides and embeddings can show a sentence in another order than it is stored
        # (bidi spoofing), and U+FEFF is forbidden in PDF/A: drop all but the joiners and marks.
        return ""
    if category == "Zs" or character == "\t":
        return " "
    if 0xFE00 <= ord(character) <= 0xFE0F:  # variation selectors: the fonts have one form only
        return ""
    if category in {"Cc", "Cs", "Co", "Cn"} or not is_printable(character):
        return REPLACEMENT
    return character


def _break_long_words(line: str) -> str:
    words = line.split(" ")
    for index, word in enumerate(words):
        if len(word) > _LONGEST_WORD:
            pieces = [word[at : at + _PIECE] for at in range(0, len(word), _PIECE)]
            words[index] = "\N{ZERO WIDTH SPACE}".join(pieces)
    return " ".join(words)


def _clean(value: str) -> str:
    text = value.replace("\r\n", "\n")
    for new_line in _NEW_LINES:
        text = text.replace(new_line, "\n")
    # Composition first: "e" + accent is one glyph in the fonts. A lone surrogate survives it.
    text = unicodedata.normalize("NFC", text)
    return "".join(map(_clean_character, text))


def clean_text(value: str) -> str:
    r"""Return the text as it can be printed, with ``\n`` as the only line end.

    >>> clean_text("a\x00b\r\nc\u202ed")
    'a�b\ncd'
    """
    return "\n".join(_break_long_words(line) for line in _clean(value).split("\n"))


def clean_code(value: str) -> str:
    """Return a digest or an address on one line, without break marks: people copy it."""
    return " ".join(_clean(value).split())


def clean_line(value: str) -> str:
    """Return the text on one line: for names, numbers and captions."""
    return " ".join(clean_text(value).split())


def direction(text: str) -> str:
    """Return ``rtl`` or ``ltr`` after the first character that has a direction."""
    for character in text:
        kind = unicodedata.bidirectional(character)
        if kind in _STRONG_RTL:
            return "rtl"
        if kind == "L":
            return "ltr"
    return "ltr"


def paragraphs(value: str) -> list[dict[str, object]]:
    """Split cleaned text at empty lines into ``{"dir", "lines"}``; no text gives no paragraph."""
    result: list[dict[str, object]] = []
    lines: list[str] = []
    for line in [*clean_text(value).split("\n"), ""]:
        if line.strip():
            lines.append(line.rstrip())
        elif lines:
            result.append({"dir": direction("".join(lines)), "lines": lines})
            lines = []
    return result
