"""Pictures for the tests of ``ml``: real ones where they are present, synthetic ones otherwise."""

from pathlib import Path

REAL_FOLDER = Path(__file__).parents[2].parent / "shared" / "data" / "fracatlas"


def real_radiographs(count: int) -> list[Path]:
    """Return evenly spread real radiographs, none where the data set is absent."""
    files = sorted((REAL_FOLDER / "images").glob("*.jpg"))
    return files[:: max(1, len(files) // count)][:count]
