"""The documentation points to things that exist."""

import re
from pathlib import Path
from urllib.parse import unquote

import pytest

ROOT = Path(__file__).resolve().parents[2]
PAGES = [
    ROOT / "README.md",
    ROOT / "CONTRIBUTING.md",
    *sorted((ROOT / "docs").rglob("*.md")),
]
_CODE = re.compile(r"^```.*?^```|`[^`\n]*`", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\(\s*<?([^)\s>]+)")
_ABSOLUTE = re.compile(r"[a-z][a-z0-9+.-]*:", re.IGNORECASE)


def name(page: Path) -> str:
    return page.relative_to(ROOT).as_posix()


def relative_links(text: str) -> list[str]:
    found = _LINK.findall(_CODE.sub("", text))
    return [link for link in found if not _ABSOLUTE.match(link) and not link.startswith("#")]


def anchors(page: Path) -> set[str]:
    """Return the anchors that a page's headings have on the usual forges."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    return {
        re.sub(r"[^\w\- ]", "", heading.lower()).strip().replace(" ", "-") for heading in headings
    }


def leads_somewhere(page: Path, link: str) -> bool:
    path, _, anchor = unquote(link).partition("#")
    target = (page.parent / path).resolve()
    if not (target.is_relative_to(ROOT) and target.exists()):
        return False
    return not anchor or target.suffix != ".md" or anchor in anchors(target)


@pytest.mark.parametrize("page", PAGES, ids=name)
def test_every_relative_link_leads_to_a_file_in_the_repository(page):
    links = relative_links(page.read_text(encoding="utf-8"))

    assert [link for link in links if not leads_somewhere(page, link)] == []


def test_links_are_recognised_and_code_is_left_alone():
    text = (
        "[a](b.md) ![c](d/e.png) [f](https://g.example) [h](#i) `[j](k.md)`\n```\n[l](m.md)\n```\n"
    )

    assert relative_links(text) == ["b.md", "d/e.png"]


def test_pages_that_the_contributing_guide_names_in_words_exist():
    text = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    named = set(re.findall(r"`(docs/[\w./-]+)`", text))

    assert "docs/architecture.md" in named
    assert [path for path in sorted(named) if not (ROOT / path).exists()] == []
