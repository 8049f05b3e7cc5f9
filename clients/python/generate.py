"""Write models.py from the site's API description (docs/openapi.yaml).

Needs ``pip install -e .[generate]``. Choices become plain strings on purpose: a site that is newer
than this package may know more of them, and fields that it does not know are left out.

It stays one file however long it gets: nobody edits it, its classes refer to each other, and the
generator's ``--module-split-mode single`` makes a file of each class, over a hundred of them.
"""

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml

HERE = Path(__file__).parent
SOURCE = HERE.parents[1] / "docs" / "openapi.yaml"
TARGET = HERE / "src" / "fracture_site_client" / "models.py"
# The site checks what it is sent; here they would only refuse what a newer one tells.
LEFT_OUT = {
    "enum",
    "pattern",
    "minLength",
    "maxLength",
    "minItems",
    "maxItems",
    "minimum",
    "maximum",
}
HEADER = '"""The answers of the site, as generated from its API description by generate.py."""'


def plain(node: Any, choices: set[str]) -> Any:
    """Return the description with every choice of strings as a string."""
    if isinstance(node, list):
        return [plain(each, choices) for each in node]
    if not isinstance(node, dict):
        return node
    for word in ("oneOf", "anyOf", "allOf"):
        options = node.get(word, [])
        named = [each for each in options if each.get("$ref", "").rsplit("/", 1)[-1] in choices]
        if named and len(named) == len(options):
            nullable = any(each["$ref"].endswith("/NullEnum") for each in named)
            rest = {key: value for key, value in node.items() if key != word}
            return rest | {"type": ["string", "null"] if nullable else "string"}
    if node.get("$ref", "").rsplit("/", 1)[-1] in choices:
        return {"type": "string"}
    kept = {}
    for key, value in node.items():
        if key == "properties":  # names of fields, which may be words of the description, too
            kept[key] = {name: plain(each, choices) for name, each in value.items()}
        elif key not in LEFT_OUT and not (key == "format" and value in {"email", "uri"}):
            kept[key] = plain(value, choices)
    return kept


def main() -> None:
    """Generate and format."""
    description = yaml.safe_load(SOURCE.read_text(encoding="utf-8"))
    schemas = description["components"]["schemas"]
    choices = {name for name, schema in schemas.items() if "enum" in schema}
    description = plain(description, choices)
    for name in choices:
        del description["components"]["schemas"][name]
    with tempfile.TemporaryDirectory() as folder:
        smoothed = Path(folder) / "openapi.yaml"
        smoothed.write_text(yaml.safe_dump(description), encoding="utf-8")
        command = [sys.executable, "-m", "datamodel_code_generator", "--input", str(smoothed)]
        command += ["--input-file-type", "openapi", "--output", str(TARGET)]
        command += ["--output-model-type", "pydantic_v2.BaseModel", "--disable-timestamp"]
        command += ["--target-python-version", "3.10", "--use-standard-collections"]
        command += ["--use-union-operator", "--collapse-root-models", "--use-schema-description"]
        command += ["--custom-file-header", HEADER, "--use-double-quotes"]
        subprocess.run(command, check=True)
    subprocess.run([sys.executable, "-m", "ruff", "format", str(TARGET)], check=True)


if __name__ == "__main__":
    main()
