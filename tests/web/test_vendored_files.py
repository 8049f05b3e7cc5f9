"""Files from others are the ones that were pinned, and nothing comes from another host."""

import hashlib
import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENDOR = ROOT / "static" / "vendor"
OURS = [*(ROOT / "static" / "js").glob("*.js"), *(ROOT / "static" / "css").glob("*.css")]


def test_every_vendored_file_has_its_recorded_checksum() -> None:
    lines = (VENDOR / "checksums.txt").read_text(encoding="ascii").splitlines()
    recorded = {name: digest for digest, name in (line.split("  ") for line in lines)}
    present = {
        path.relative_to(VENDOR).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in VENDOR.glob("*/**/*")
        if path.is_file()
    }

    assert len(present) >= 6
    assert present == recorded


def test_no_vendored_file_asks_for_a_map_that_is_not_shipped() -> None:
    for path in VENDOR.glob("*/*.*"):
        assert b"sourceMappingURL" not in path.read_bytes(), path


def test_our_scripts_and_styles_load_nothing_from_elsewhere() -> None:
    assert len(OURS) >= 7
    for path in OURS:
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert not re.search(r"(https?:)?//[a-z0-9-]+\.[a-z]", text), path


def test_our_scripts_need_no_eval_and_write_no_markup() -> None:
    for path in OURS:
        text = path.read_text(encoding="utf-8")
        for banned in ("eval(", "new Function", ".innerHTML", ".outerHTML", "document.write",
                       "insertAdjacentHTML", 'setAttribute("style"'):  # fmt: skip
            assert banned not in text, f"{path}: {banned}"
