"""Train a classifier: ``python -m ml.train_classifier --architecture resnet50 --data DIR``.

Needs ``requirements-train.txt``. A head trains first on a frozen pretrained backbone, then all of
it; training stops when the validation part no longer gains. ``--out`` then holds the network, its
predictions for the validation and test parts, the figures with intervals, and the curves.
"""

import argparse
import dataclasses
import hashlib
import json
import logging
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ml.classification import (
    ARCHITECTURES,
    EXIT_WEIGHTS_UNAVAILABLE,
    HEADS,
    LOSSES,
    NO_WEIGHTS,
    Settings,
    WeightsUnavailableError,
    phases,
    pick,
)
from ml.classification_report import Answer, by_region, figures, write_answers
from ml.data.fracatlas import Sample, read_samples
from ml.data.splits import read_split

logger = logging.getLogger("ml.train_classifier")
_HERE = Path(__file__).parent
_DRY_RUN_PICTURES, _DRY_RUN_STEPS = 24, 2


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m ml.train_classifier", description=__doc__)
    parser.add_argument("--architecture", choices=ARCHITECTURES, required=True)
    parser.add_argument("--head", choices=HEADS, default="binary")
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument("--out", type=Path, default=None, help="var/train/ARCHITECTURE-HEAD")
    parser.add_argument(
        "--weights", default=NO_WEIGHTS, help="none, imagenet, or a backbone's .weights.h5 file"
    )
    parser.add_argument(
        "--weights-folder",
        type=Path,
        default=Path("../shared/weights"),
        help="where ARCHITECTURE_imagenet*.weights.h5 is looked for before it is fetched",
    )
    parser.add_argument("--config", type=Path, default=_HERE / "configs" / "classifier.toml")
    parser.add_argument(
        "--split", type=Path, default=_HERE / "data" / "splits" / "fracatlas_v1.csv"
    )
    parser.add_argument("--cache", type=Path, default=Path("var/train/cache"))
    parser.add_argument("--epochs", type=int, default=None)
    parser.add_argument("--frozen-epochs", type=int, default=None)
    parser.add_argument("--batch-size", type=int, default=None)
    parser.add_argument("--image-size", type=int, default=None)
    parser.add_argument("--loss", choices=LOSSES, default=None)
    parser.add_argument("--patience", type=int, default=None)
    parser.add_argument("--steps-per-epoch", type=int, default=0, help="0: all pictures")
    parser.add_argument(
        "--limit", type=int, default=0, help="evaluate so many of each part, 0: all"
    )
    parser.add_argument(
        "--checkpoint-steps", type=int, default=100, help="within an epoch, 0: never"
    )
    parser.add_argument("--precision", choices=("auto", "float32", "mixed_float16"), default="auto")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="continue the run in --out exactly")
    parser.add_argument("--dry-run", action="store_true", help="a few steps, to see that it works")
    return parser


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and train."""
    parser = _parser()
    arguments = parser.parse_args(argv)
    _refuse_negative(parser, arguments)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    if arguments.dry_run:
        arguments.epochs, arguments.frozen_epochs = 2, 1
        arguments.steps_per_epoch, arguments.limit = _DRY_RUN_STEPS, _DRY_RUN_PICTURES
    names = ("image_size", "epochs", "frozen_epochs", "batch_size", "loss", "patience")
    try:
        settings = Settings.read(arguments.config, {n: getattr(arguments, n) for n in names})
    except (OSError, TypeError, ValueError, tomllib.TOMLDecodeError) as error:
        parser.error(f"settings: {error}")
    arguments.out = arguments.out or Path(f"var/train/{arguments.architecture}-{arguments.head}")
    try:
        parts = _read_parts(arguments)
    except (OSError, ValueError) as error:
        parser.error(f"data: {error}")
    if (arguments.out / "state.npz").exists() and not arguments.resume:
        parser.error(f"{arguments.out} holds a run already: --resume continues it")
    if arguments.resume and not (arguments.out / "state.npz").exists():
        parser.error(f"there is no run in {arguments.out} to resume")
    try:
        _run(arguments, settings, parts)
    except WeightsUnavailableError as error:
        logger.error("%s", error)  # noqa: TRY400 - a message for a person, not a fault
        sys.exit(EXIT_WEIGHTS_UNAVAILABLE)
    except ValueError as error:
        if not arguments.resume or "holds a run with other" not in str(error):
            raise
        parser.error(str(error))


def _refuse_negative(parser: argparse.ArgumentParser, arguments: argparse.Namespace) -> None:
    for name in ("steps_per_epoch", "limit", "checkpoint_steps", "seed"):
        if getattr(arguments, name) < 0:
            parser.error(f"--{name.replace('_', '-')} must not be negative")


def _read_parts(arguments: argparse.Namespace) -> dict[str, list[Sample]]:
    """Return the samples of each part, and all of them as ``all``.

    Raises:
        ValueError: a part has not both labels, so that it can teach or measure nothing.
    """
    samples = read_samples(arguments.data)
    side = read_split(arguments.split)
    parts = {"all": samples}
    for part in ("train", "validation", "test"):
        inside = [s for s in samples if side.get(s.image_id) == part and not s.label_conflict]
        if len({s.fractured for s in inside}) < 2:
            raise ValueError(f"the {part} part of {arguments.split} has not both labels")
        parts[part] = inside
        if part != "train":
            parts[part] = pick(inside, arguments.limit, seed=0)
    return parts


def _run(arguments: argparse.Namespace, settings: Settings, parts: dict[str, list[Sample]]) -> None:
    # TensorFlow takes seconds to load: wrong arguments are answered before.
    import keras

    from ml.architectures.classifiers import build_classifier
    from ml.data.cache import PictureCache
    from ml.data.classification import Views
    from ml.training_classifier import BEST_NAME, Trainer, weighting_of

    _prepare_tensorflow(arguments)
    model = build_classifier(
        arguments.architecture,
        head=arguments.head,
        image_size=settings.image_size,
        weights=arguments.weights,
        weights_folder=arguments.weights_folder,
        dropout=settings.dropout,
        batch_norm_momentum=settings.batch_norm_momentum,
    )
    folder: Path = arguments.out
    folder.mkdir(parents=True, exist_ok=True)
    views = Views(
        parts["train"],
        PictureCache(arguments.cache, parts["all"]),
        image_size=settings.image_size,
        batch_size=settings.batch_size,
        seed=arguments.seed,
    )
    steps = min(views.steps, arguments.steps_per_epoch or views.steps)
    description = _description(arguments, settings, parts, steps)
    trainer = Trainer(
        model,
        arguments.head,
        settings,
        phases(settings, pretrained=arguments.weights != NO_WEIGHTS),
        folder,
        fingerprint=hashlib.sha256(json.dumps(description).encode()).hexdigest(),
    )
    if arguments.resume:
        trainer.restore()
    weighting = weighting_of(parts["train"], settings)
    trainer.train(
        views,
        parts["validation"],
        weighting,
        steps=steps,
        checkpoint_steps=arguments.checkpoint_steps,
    )
    model.load_weights(folder / BEST_NAME)
    model.save(folder / "model.keras")
    answers = [
        Answer.of(sample, part, probability)
        for part in ("validation", "test")
        for sample, probability in zip(
            parts[part],
            trainer.predict(parts[part]),
            strict=True,
        )
    ]
    write_answers(answers, folder / "predictions.csv")
    test = [answer for answer in answers if answer.part == "test"]
    result = {
        **description,
        "keras": keras.__version__,
        "parameters": model.count_params(),
        "epochs_run": trainer.epoch,
        "seconds": round(trainer.seconds, 1),
        "dry_run": arguments.dry_run,
        "test": {name: figure.as_json() for name, figure in figures(test).items()},
        "test_by_region": by_region(test),
    }
    (folder / "result.json").write_text(json.dumps(result, indent=2) + "\n", encoding="utf-8")
    logger.info("test AUROC %s", json.dumps(result["test"]["auroc"]))


def _prepare_tensorflow(arguments: argparse.Namespace) -> None:
    import cv2
    import keras
    import tensorflow as tf

    cv2.setNumThreads(1)
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    accelerators = tf.config.list_physical_devices("GPU")
    for device in accelerators:
        tf.config.experimental.set_memory_growth(device, True)  # noqa: FBT003 - TensorFlow's own
    precision = arguments.precision
    if precision == "auto":
        precision = "mixed_float16" if accelerators else "float32"
    keras.config.set_dtype_policy(precision)
    keras.utils.set_random_seed(arguments.seed)
    logger.info("accelerators: %s, precision: %s", len(accelerators), precision)


def _description(
    arguments: argparse.Namespace,
    settings: Settings,
    parts: dict[str, list[Sample]],
    steps: int,
) -> dict[str, Any]:
    """Return what identifies a run; a state of another one cannot be resumed."""
    return {
        "architecture": arguments.architecture,
        "head": arguments.head,
        "weights": Path(arguments.weights).name,
        "split": hashlib.sha256(arguments.split.read_bytes()).hexdigest()[:12],
        "pictures": {part: len(inside) for part, inside in parts.items() if part != "all"},
        "seed": arguments.seed,
        "precision": arguments.precision,
        "steps_per_epoch": steps,
        "settings": dataclasses.asdict(settings),
    }


if __name__ == "__main__":
    main()
