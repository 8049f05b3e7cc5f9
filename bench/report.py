# ruff: noqa: INP001 - a script
"""Write docs/benchmarks.md and its plots from the figures in var/bench: ``make bench-report``."""

import json
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from matplotlib.figure import Figure

from bench.run import PARTS, RESULTS, ROOT

DOCS = ROOT / "docs"
TITLES = {
    "predict": "One radiograph",
    "throughput": "The whole way through the site",
    "ingest": "Taking pictures in",
    "dicom": "From a modality",
    "resources": "Memory and start",
    "documents": "Documents",
}
HEAD = """# Benchmarks

`make bench` runs everything but the last part in about a quarter of an hour on two cores
(`QUICK=1`: a subset), `make bench-size` fills a site with a million studies and asks for its pages,
`make bench-report` writes this page from what they left in `var/bench`. Medians; where there is a
peer, both took turns in the same run. *Ratio* is how many times better ours is: above 1 we are
ahead.
"""


def lines(name: str) -> list[dict[str, Any]]:
    """Return a part's figures; none when it was not run."""
    path = RESULTS / f"{name}.jsonl"
    return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def table(columns: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """Return a table of Markdown."""
    head = list(columns)
    body = [head, ["---", *["---:"] * (len(head) - 1)], *rows]
    return "\n".join("| " + " | ".join(_cell(value) for value in row) + " |" for row in body) + "\n"


def _cell(value: Any) -> str:
    if value is None:
        return ""
    return f"{value:g}" if isinstance(value, float) else str(value)


def part(name: str) -> str:
    """Return a part's section."""
    figures = lines(name)
    if not figures:
        return ""
    rows = [
        (
            each["name"], each["ours"], each["peer"], each["unit"], each["ratio"],
            each.get("aim", ""), each["n"],
        )
        for each in figures
    ]  # fmt: skip
    peers = dict.fromkeys(each["peer_is"] for each in figures if each.get("peer_is"))
    text = f"\n## {TITLES[name]}\n\n"
    text += table(("figure", "ours", "peer", "unit", "ratio", "aim", "n"), rows)
    return text + (f"\nPeers: {'; '.join(peers)}.\n" if peers else "")


def size() -> str:
    """Return the section of pages at size."""
    small = {each["request"]: each for each in lines("size-small") if "request" in each}
    large = lines("size-large")
    asked = [each for each in large if "request" in each]
    if not small or not asked:
        return ""
    crowds = {
        (each["clinic"], each["crowd"]): each
        for each in large
        if "crowd" in each and "clinic" in each
    }
    rows = []
    for each in asked:
        name, clinic = each["request"], each["clinic"]
        crowd, then = crowds.get((clinic, name), {}), small[name]
        rows.append(
            (
                f"{name} ({clinic} clinic)", then["p50_ms"], each["p50_ms"],
                round(each["p50_ms"] / then["p50_ms"], 2), each["queries"],
                crowd.get("p50_ms"), crowd.get("p95_ms"), crowd.get("p99_ms"),
                ", ".join(each["whole_tables"]) or "none",
            )
        )  # fmt: skip
    columns = (
        "page", "alone, 1,000 studies, ms", f"alone, {asked[0]['studies']:,} studies, ms", "ratio",
        "queries", "50 people: p50", "p95", "p99", "tables read as a whole",
    )  # fmt: skip
    whole = [each for each in [*lines("size-small"), *large] if each.get("crowd") == "all pages"]
    crowd_text = "; ".join(
        f"{each['studies']:,} studies: p50 {each['p50_ms']}, p95 {each['p95_ms']}, "
        f"p99 {each['p99_ms']} ms over {each['n']} pages" for each in whole
    )  # fmt: skip
    _plot_size(asked, small)
    return (
        "\n## Pages and API at size\n\nOne clinic holds a tenth of all studies, 199 the rest "
        "(`bench/population.py`). *Alone*: asked again and again in one process. *50 people*: over "
        f"HTTP against two web processes, five seconds between two pages of each. {crowd_text}.\n\n"
        f"![Time of each page, few and many studies](benchmarks-size.png)\n\n{table(columns, rows)}"
    )


def _plot_size(asked: list[dict[str, Any]], small: dict[str, dict[str, Any]]) -> None:
    names = list(small)
    sheet = Figure(figsize=(9, 0.3 * len(names) + 1.2), layout="constrained")
    axes = sheet.add_subplot()
    marks = {"big": ("o", "#b3261e"), "average": ("s", "#0b57d0")}
    axes.scatter(
        [small[n]["p50_ms"] for n in names], names, marker="|", color="#444", label="1,000"
    )
    for clinic, (mark, color) in marks.items():
        found = {each["request"]: each["p50_ms"] for each in asked if each["clinic"] == clinic}
        axes.scatter(
            [found.get(n) for n in names], names, marker=mark, color=color, alpha=0.7,
            label=f"{asked[0]['studies']:,}, {clinic} clinic",
        )  # fmt: skip
    axes.axvline(100, color="#888", linewidth=0.8, linestyle="--")
    axes.set_xscale("log")
    axes.set_xlabel("milliseconds, median")
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    axes.legend(title="studies", fontsize=8)
    sheet.savefig(DOCS / "benchmarks-size.png", dpi=110)


def plot_ratios() -> str:
    """Draw how far ahead or behind we are; return the picture's Markdown."""
    figures = [each for one in PARTS for each in lines(one.name) if each["ratio"]]
    if not figures:
        return ""
    sheet = Figure(figsize=(9, 0.34 * len(figures) + 1.2), layout="constrained")
    axes = sheet.add_subplot()
    names = [each["name"] for each in figures]
    ratios = [each["ratio"] for each in figures]
    axes.barh(names, [r - 1 for r in ratios], left=1,
              color=["#1a7f37" if r >= 1 else "#b3261e" for r in ratios])  # fmt: skip
    axes.set_xscale("log")
    axes.axvline(1, color="#444", linewidth=1)
    axes.set_xlabel("how many times better than the peer")
    axes.invert_yaxis()
    axes.grid(axis="x", alpha=0.3)
    sheet.savefig(DOCS / "benchmarks-ratios.png", dpi=110)
    return "\n![Ours beside the peers](benchmarks-ratios.png)\n"


def main() -> None:
    """Write the page."""
    figures = [each for one in PARTS for each in lines(one.name)]
    if not figures:
        sys.exit("var/bench holds no figures: run `make bench` first")
    text = HEAD + f"\nMachine: {figures[0]['machine']}.\n" + plot_ratios()
    text += "".join(part(one.name) for one in PARTS) + size()
    text += "\n" + (ROOT / "bench" / "notes.md").read_text()
    (DOCS / "benchmarks.md").write_text(text)


if __name__ == "__main__":
    main()
