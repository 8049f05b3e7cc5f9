"""Every route of the URLconf, its methods, and its address with real ids in it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.urls import URLPattern, URLResolver, get_resolver

CHANGES = ("post", "put", "patch", "delete")
# What is no id: the page of a list, the part of a picture, the word of an action.
WORDS = {
    "erasures": "cancel",
    "number": "1", "frames": "1", "tag": "7FE00010", "key": "volume", "verb": "recall",
    "app_label": "accounts", "url": "accounts/nothing/", "content_type_id": "1",
    "provider_id": "hospital", "findings": "accept", "discrepancies": "rate",
    "recalls": "contact", "second": "agree", "images": "rendition", "model": "0" * 64,
    "uidb36": "1", "keys": "1", "smartapp": "00000000-0000-4000-8000-000000000000",
}  # fmt: skip
PARAMETER = re.compile(r"<(?:\w+:)?(\w+)>|\(\?P<(\w+)>(?:[^()]|\([^()]*\))*\)")


@dataclass(frozen=True)
class Route:
    """One address of the site."""

    name: str
    pattern: str
    methods: tuple[str, ...]  # of an API view; pages answer 405 to what they do not offer

    @property
    def takes_id(self) -> bool:
        """Whether the address holds something that belongs to somebody."""
        return any(not word for word in _words(self.pattern))

    def address(self, ids: Mapping[str, str]) -> str:
        """Return the address about these rows.

        Raises:
            KeyError: nobody has said what belongs there.
        """
        path = self.pattern
        while found := PARAMETER.search(path):
            before = path[: found.start()].rstrip("/")
            name = found[1] or found[2]
            value = WORDS.get(name) or _value(before, name, ids)
            path = path[: found.start()] + value + path[found.end() :]
        return re.sub(r"\\[AZ]|[\^?]|\$$|\$(?=$)|\\(?=[./])", "", path)


def _words(pattern: str) -> Iterator[bool]:
    for found in PARAMETER.finditer(pattern):
        name = found[1] or found[2]
        before = pattern[: found.start()].rstrip("/").rpartition("/")[2]
        yield name in WORDS or name == "what" or before in {"keys", "model", "smartapp"}


def _value(before: str, name: str, ids: Mapping[str, str]) -> str:
    words = [word.strip("^$") for word in before.split("/") if word]
    if name == "what":
        return WORDS[words[-1] if words[-1] in WORDS else words[-2]]
    last = words[-1]
    if last in WORDS and last not in ids:
        return WORDS[last]
    if last.isdigit():  # the admin's address for an object of any kind
        return ids["patients"]
    if len(words) > 1 and f"{words[-2]}/{last}" in ids:
        return ids[f"{words[-2]}/{last}"]
    if name == "image":
        return ids["images"]
    if name == "annotation":
        return ids["annotations"]
    return ids[last]


def walk(patterns: Any = None, prefix: str = "/", spaces: str = "") -> Iterator[Route]:
    """Yield what the URLconf has, once for each address."""
    for entry in get_resolver().url_patterns if patterns is None else patterns:
        path = prefix + str(entry.pattern)
        if isinstance(entry, URLResolver):
            space = f"{entry.namespace}:" if entry.namespace else ""
            yield from walk(entry.url_patterns, path, spaces + space)
        elif isinstance(entry, URLPattern):
            actions = getattr(entry.callback, "actions", None)
            yield Route(spaces + (entry.name or path), path, tuple(actions or ("get", *CHANGES)))


ROUTES = tuple(dict.fromkeys(walk()))
