"""The evaluation as a page and a PDF for people, with plots and the worst mistakes.

The pictures of mistakes are radiographs: the folder stays on the machine that made it.
"""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import typst

from ml.decoding import decode_image
from ml.evaluation_tables import worst_alarms, worst_misses
from ml.judged import Record
from ml.overlay import FOUND, TRUE, Mark, draw

WORST: Final = 12
_TEMPLATE: Final = Path(__file__).with_name("evaluation_report.typ")
_STYLE: Final = (
    "body{font:15px/1.5 system-ui,sans-serif;max-width:70rem;margin:2rem auto;padding:0 1rem}"
    "table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .7rem;text-align:left;"
    "border-bottom:1px solid #8884}.plots,.worst{display:flex;flex-wrap:wrap;gap:1rem}"
    "figure{margin:0;max-width:22rem}img{max-width:100%}figcaption{font-size:.85rem}"
    "@media(prefers-color-scheme:dark){body{background:#16181b;color:#e6e6e6}"
    ".plots img{background:#fff}}"
)


@dataclass(frozen=True, slots=True)
class Section:
    """A heading, words, a table (the first row is its head) and pictures with captions."""

    title: str
    text: str = ""
    rows: Sequence[Sequence[str]] = ()
    pictures: Sequence[tuple[str, str]] = ()
    kind: str = "plots"


def write_report(
    values: Mapping[str, Any],
    records: Sequence[Record],
    plots: Sequence[tuple[str, str]],
    folder: Path,
) -> None:
    """Write ``report.html`` and ``report.pdf`` beside the plots.

    Args:
        values: what ``ml.evaluate`` writes as JSON.
        records: what the model said, for the worst mistakes.
        plots: file names and titles, in the folder already.
        folder: where the report goes.
    """
    misses = _pictures(worst_misses(records, WORST), "miss", folder)
    alarms = _pictures(worst_alarms(records, WORST), "alarm", folder)
    sections = [
        Section("Figures", "Value and 95 % interval.", _figures(values)),
        *_groups(values["groups"]),
        Section("Plots", pictures=plots),
        Section(
            "Fractures with the lowest probability",
            "Green: true. Yellow: what the model would mark, whatever its verdict.",
            pictures=misses,
            kind="worst",
        ),
        Section("Highest probability without a fracture", pictures=alarms, kind="worst"),
    ]
    sections = [s for s in sections if s.rows or s.pictures]
    model = values["model"]
    title = f"{model['name']} {model['version']}: evaluation"
    notes = [str(note) for note in values["notes"]]
    (folder / "report.html").write_text(_page(title, notes, sections), encoding="utf-8")
    data = {
        "title": title,
        "notes": notes,
        "sections": [
            {
                "title": s.title,
                "text": s.text,
                "rows": [list(row) for row in s.rows],
                "pictures": [list(picture) for picture in s.pictures],
            }
            for s in sections
        ],
    }
    compiler = typst.Compiler(
        _TEMPLATE.read_bytes(), root=str(folder), sys_inputs={"data": json.dumps(data)}
    )
    result = compiler.compile(format="pdf")
    if not isinstance(result, bytes):
        raise TypeError("the PDF has several files")
    (folder / "report.pdf").write_bytes(result)


def _figures(values: Mapping[str, Any]) -> list[list[str]]:
    rows = [["figure", "value", "95 % interval", "pictures"]]
    for name, figure in values.items():
        if isinstance(figure, dict) and "ci95" in figure:
            rows.append(
                [_words(name), _number(figure["value"]), _interval(figure), str(figure["n"])]
            )
    return rows


def _groups(groups: Mapping[str, Any]) -> list[Section]:
    shown = ("auroc", "sensitivity_suspicion", "specificity_definite", "ap30")
    sections = []
    for name, members in groups.items():
        rows = [[_words(name), "pictures", *(_words(figure) for figure in shown)]]
        for member, figures in members.items():
            row = [_words(member), str(figures["cannot_assess_rate"]["n"])]
            row += [_short(figures.get(figure)) for figure in shown]
            rows.append(row)
        sections.append(Section(f"By {_words(name)}", rows=rows))
    return sections


def _short(figure: Mapping[str, Any] | None) -> str:
    if figure is None or figure["value"] is None:
        return ""
    interval = _interval(figure)
    return f"{_number(figure['value'])} ({interval})" if interval else _number(figure["value"])


def _interval(figure: Mapping[str, Any]) -> str:
    low, high = figure["ci95"]
    return "" if low is None else f"{low:.3f} to {high:.3f}"


def _number(value: float | None) -> str:
    return "not defined" if value is None else f"{value:.3f}"


def _words(name: str) -> str:
    return name.replace("_", " ")


def _pictures(records: Sequence[Record], name: str, folder: Path) -> list[tuple[str, str]]:
    """Draw each picture with its true and found boxes; return file names and captions."""
    written = []
    for index, record in enumerate(records, start=1):
        pixels = decode_image(record.sample.path.read_bytes()).frames[0]
        marks = [Mark(f.box, color=TRUE) for f in record.sample.fractures]
        marks += [
            Mark(box, f"{probability:.0%}", dashed=True, color=FOUND)
            for box, probability in record.places[:3]
        ]
        caption = f"{record.sample.image_id}: probability {record.probability:.3f}"
        file = f"{name}-{index:02d}.png"
        draw(pixels, marks, [caption]).save(folder / file)
        written.append((file, caption))
    return written


def _page(title: str, notes: Sequence[str], sections: Sequence[Section]) -> str:
    body = [f"<h1>{html.escape(title)}</h1>"]
    body += [f"<p>{html.escape(note)}</p>" for note in notes]
    for section in sections:
        body.append(f"<h2>{html.escape(section.title)}</h2>")
        if section.text:
            body.append(f"<p>{html.escape(section.text)}</p>")
        if section.rows:
            body.append(_table(section.rows))
        if section.pictures:
            body.append(f'<div class="{section.kind}">')
            body += [
                f'<figure><img src="{html.escape(file)}" alt="{html.escape(caption)}">'
                f"<figcaption>{html.escape(caption)}</figcaption></figure>"
                for file, caption in section.pictures
            ]
            body.append("</div>")
    head = f'<meta charset="utf-8"><title>{html.escape(title)}</title><style>{_STYLE}</style>'
    text = "\n".join(body)
    return f'<!doctype html>\n<html lang="en"><head>{head}</head><body>\n{text}\n</body></html>\n'


def _table(rows: Sequence[Sequence[str]]) -> str:
    lines = ["<table>"]
    for index, row in enumerate(rows):
        tag = "td" if index else "th"
        lines.append("<tr>" + "".join(f"<{tag}>{html.escape(c)}</{tag}>" for c in row) + "</tr>")
    return "\n".join([*lines, "</table>"])
