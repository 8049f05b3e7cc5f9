"""The answers to OWASP ASVS 5.0, levels 1 and 2: none is missing, and every test named exists."""

import ast
import csv
from collections import Counter
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# The last number of level 1 or 2 in each section of version 5.0.0; level 3 comes after them.
SECTIONS = {
    "1.1": 2, "1.2": 9, "1.3": 11, "1.4": 3, "1.5": 2, "2.1": 3, "2.2": 3, "2.3": 4, "2.4": 1,
    "3.2": 2, "3.3": 4, "3.4": 6, "3.5": 5, "3.7": 2, "4.1": 3, "4.2": 1, "4.3": 2, "4.4": 4,
    "5.1": 1, "5.2": 3, "5.3": 2, "5.4": 3, "6.1": 3, "6.2": 12, "6.3": 4, "6.4": 4, "6.5": 5,
    "6.6": 3, "6.8": 4, "7.1": 3, "7.2": 4, "7.3": 2, "7.4": 5, "7.5": 2, "7.6": 2, "8.1": 2,
    "8.2": 3, "8.3": 1, "8.4": 1, "9.1": 3, "9.2": 4, "10.1": 2, "10.2": 2, "10.3": 4,
    "10.4": 11, "10.5": 5, "10.6": 2, "10.7": 3, "11.1": 2, "11.2": 3, "11.3": 3, "11.4": 4,
    "11.5": 1, "11.6": 1, "12.1": 3, "12.2": 2, "12.3": 4, "13.1": 1, "13.2": 5, "13.3": 2,
    "13.4": 5, "14.1": 2, "14.2": 4, "14.3": 3, "15.1": 3, "15.2": 3, "15.3": 7, "16.1": 1,
    "16.2": 5, "16.3": 4, "16.4": 3, "16.5": 3, "17.1": 1, "17.2": 4, "17.3": 2,
}  # fmt: skip
ANSWERS = {"test", "document", "operator", "n/a", "no"}


def rows() -> list[dict[str, str]]:
    with (ROOT / "docs/asvs.csv").open(newline="") as file:
        return list(csv.DictReader(file))


def exists(node: str) -> bool:
    """Return whether pytest would find it; read, not run."""
    path, *names = node.split("::")
    if not (ROOT / path).is_file():
        return False
    body: list[ast.stmt] = ast.parse((ROOT / path).read_text()).body
    for name in names:
        found = [n for n in body if getattr(n, "name", None) == name]
        if not found:
            return False
        body = getattr(found[0], "body", [])
    return bool(names)


def test_every_requirement_of_both_levels_is_answered_once():
    wanted = [f"{s}.{n}" for s, count in SECTIONS.items() for n in range(1, count + 1)]
    assert len(wanted) == 253
    assert [row["id"] for row in rows()] == wanted
    assert {row["answer"] for row in rows()} == ANSWERS
    assert {row["level"] for row in rows()} == {"1", "2"}
    assert not [row["id"] for row in rows() if not row["evidence"] or not row["requirement"]]


def test_every_named_test_and_file_exists():
    given = rows()
    missing = [
        row["id"] for row in given if row["answer"] == "test" and not exists(row["evidence"])
    ]
    assert missing == []
    paths = {
        part.partition(":")[0]
        for row in given
        if row["answer"] in {"document", "operator"}
        for part in row["evidence"].split("; ")
        if part.startswith(("docs/", "deploy/", "accounts/", "diagnosis/", "fracture_site/"))
    }
    assert [path for path in sorted(paths) if not (ROOT / path).exists()] == []


def test_most_answers_are_tests():
    counted = Counter(row["answer"] for row in rows())
    assert counted["test"] >= 140, counted
