"""Register a model file; it reads no image before it is activated or put into shadow."""

import json
import shutil
import tempfile
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from diagnosis.inference import ModelArtifactError, manifest_files, read_package
from diagnosis.management.model_command import refusals_as_text
from diagnosis.services.model_conversions import model_convert
from diagnosis.services.model_trials import model_try_out
from diagnosis.services.model_versions import model_register
from fracture_site.common.errors import RefusedInputError


class Command(BaseCommand):
    """Checked, tried out in a limited process, stored under its sha256."""

    help = "Register a model: ONNX, or .keras/.h5/SavedModel/.tflite with the optional converter"

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Add the files and what may be named differently."""
        parser.add_argument("file", type=Path, help="the model")
        parser.add_argument("--manifest", type=Path, required=True, help="its manifest.json")
        parser.add_argument("--card", type=Path, required=True, help="its model card, Markdown")
        parser.add_argument("--name", help="register under this name")
        parser.add_argument("--model-version", help="register as this version")

    def handle(self, *_args: Any, **options: Any) -> None:
        """Put a model folder together, check it, try it out, register it."""
        with tempfile.TemporaryDirectory(prefix="model-") as place, refusals_as_text():
            try:
                card = options["card"].read_text(encoding="utf-8")
                folder = self._folder(Path(place), options)
                package = read_package(folder)
                trial = model_try_out(folder=folder)
                row = model_register(package=package, card=card)
            except ModelArtifactError as error:
                raise CommandError(f"model_contract_broken: {error}") from error
            except (UnicodeDecodeError, json.JSONDecodeError) as error:
                raise CommandError("The card or the manifest cannot be read.") from error
            except FileNotFoundError as error:
                raise CommandError(f"There is no file {error.filename}") from error
        self.stdout.write(f"tried out: {trial['milliseconds']} ms a picture")
        self.stdout.write(f"registered: {row} (sha256 {row.sha256[:12]}…), {row.stage}")

    def _folder(self, place: Path, options: dict[str, Any]) -> Path:
        """Return a model folder made of the given files, with ONNX weights."""
        manifest = json.loads(options["manifest"].read_text(encoding="utf-8"))
        if not isinstance(manifest, dict):
            raise RefusedInputError("model_contract_broken", "The manifest is not an object.")
        for key, value in (("name", options["name"]), ("version", options["model_version"])):
            if value:
                manifest[key] = value
        source: Path = options["file"]
        if source.suffix.lower() == ".onnx":
            shutil.copyfile(source, place / "model.onnx")
        else:
            self.stdout.write("converting …")
            manifest |= model_convert(
                source=source,
                target=place / "model.onnx",
                input_size=int(manifest.get("input_size", 0)),
            )
        manifest["file"] = "model.onnx"
        for name in set(manifest_files(manifest).values()) - {"model.onnx"}:
            shutil.copyfile(options["manifest"].parent / name, place / name)
        (place / "manifest.json").write_text(json.dumps(manifest), encoding="utf-8")
        return place
