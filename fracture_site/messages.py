"""The catalogues of translated text in ``locale/``: brought up to date, checked, compiled.

``python -m fracture_site.messages`` is for developers: it needs gettext's tools and polib. Running
the site needs neither, because the compiled catalogues are part of the repository.
"""

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import polib

ROOT = Path(__file__).resolve().parents[1]
LOCALE = ROOT / "locale"
SOURCES = ("accounts", "diagnosis", "fracture_site", "templates")
COMMAND = "make messages"
PLACEHOLDER = re.compile(r"%\(\w+\)[sd]|%[sd%]|\{\w+\}")
KEY_HINT = re.compile(r"\((?:\w|[-+])\)$")  # "Accept (a)" names a key that no language moves


def languages() -> list[str]:
    """Return the codes of the languages that have a catalogue."""
    return sorted(path.name for path in LOCALE.iterdir() if path.is_dir())


def catalogue(language: str, locale: Path = LOCALE) -> polib.POFile:
    """Return the catalogue of a language."""
    return polib.pofile(str(locale / language / "LC_MESSAGES" / "django.po"), wrapwidth=100)


def extract(folder: Path) -> Path:
    """Return a copy of ``locale/`` in ``folder`` that knows every text of the present sources.

    Raises:
        subprocess.CalledProcessError: gettext is missing, or a source cannot be read.
    """
    for name in SOURCES:
        skipped = shutil.ignore_patterns("migrations", "fonts", "__pycache__")
        shutil.copytree(ROOT / name, folder / name, ignore=skipped)
    shutil.copytree(LOCALE, folder / "locale")
    wanted = [f"--locale={language}" for language in languages()]
    subprocess.run(  # noqa: S603 - our own words
        [sys.executable, "-P", "-m", "django", "makemessages", *wanted, "--no-wrap",
         "--no-obsolete", "--add-location=file", "--verbosity=0"],
        cwd=folder, env={"PATH": "/usr/local/bin:/usr/bin:/bin"}, check=True,
    )  # fmt: skip
    return folder / "locale"


def faults(entries: polib.POFile) -> Iterator[str]:
    """Yield what is wrong with the translations of a catalogue, one sentence each."""
    last = max((key for entry in entries for key in entry.msgstr_plural), default=0)
    for entry in entries:
        forms = entry.msgstr_plural or {last: entry.msgstr}
        if entry.fuzzy or not all(forms.values()):
            yield f"not translated: {entry.msgid!r}"
            continue
        wanted = set(PLACEHOLDER.findall(entry.msgid_plural or entry.msgid))
        for number, text in forms.items():
            found = set(PLACEHOLDER.findall(text))
            # One, two or none may be a word instead of the number; the general form says it.
            if found - wanted or (number == last and found != wanted):
                yield f"placeholders {sorted(found)} instead of {sorted(wanted)}: {text!r}"
            if KEY_HINT.findall(text) != KEY_HINT.findall(entry.msgid):
                yield f"another key: {text!r}"
            if [text[:1] == "\n", text[-1:] == "\n"] != [entry.msgid[:1] == "\n", entry.msgid[-1:] == "\n"]:  # fmt: skip  # noqa: E501
                yield f"another beginning or end of line: {text!r}"


def stale(language: str, extracted: Path) -> list[str]:
    """Return the texts of the sources that the committed catalogue does not know."""
    known = {(entry.msgctxt, entry.msgid, entry.msgid_plural) for entry in catalogue(language)}
    return [
        entry.msgid
        for entry in catalogue(language, extracted)
        if (entry.msgctxt, entry.msgid, entry.msgid_plural) not in known
    ]


def save(language: str, extracted: Path) -> None:
    """Store a catalogue and its compiled form; the same texts give the same bytes."""
    entries = catalogue(language, extracted)
    entries.header = "Fracture Site. Licensed under the Apache License 2.0, like the project."
    entries.metadata = {
        "Project-Id-Version": "Fracture Site",
        "Language": language,
        "MIME-Version": "1.0",
        "Content-Type": "text/plain; charset=UTF-8",
        "Content-Transfer-Encoding": "8bit",
        "Plural-Forms": entries.metadata["Plural-Forms"],
    }
    entries.metadata_is_fuzzy = []
    for entry in entries.fuzzy_entries():  # gettext's guess from a similar text is no translation
        entry.flags.remove("fuzzy")
        entry.msgstr = ""
        entry.msgstr_plural = dict.fromkeys(entry.msgstr_plural, "")
        entry.previous_msgid = entry.previous_msgid_plural = entry.previous_msgctxt = None
    target = LOCALE / language / "LC_MESSAGES"
    entries.save(str(target / "django.po"))
    entries.save_as_mofile(str(target / "django.mo"))


def main() -> int:
    """Bring every catalogue up to date; the status is 1 while something is not translated."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.parse_args()
    wrong = 0
    with tempfile.TemporaryDirectory(prefix="messages-") as folder:
        extracted = extract(Path(folder))
        for language in languages():
            save(language, extracted)
            for fault in faults(catalogue(language)):
                wrong += 1
                sys.stdout.write(f"{language}: {fault}\n")
    if wrong:
        sys.stdout.write(f"Edit locale/*/LC_MESSAGES/django.po, then run {COMMAND} again.\n")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
