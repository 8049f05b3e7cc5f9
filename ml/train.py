"""Train the detector: ``python -m ml.train --data DIR --weights imagenet --minutes 100``.

With ``--architecture`` and the name of a classifier, ``ml.train_classifier`` does all the rest.

Needs ``requirements-train.txt``. Stops by the clock, by steps or by epochs; the learning rate
follows the progress, so that every budget ends with a finished cosine. Each round leaves a
resumable state, the last averaged weights and the best ones by AUROC on the validation part.
"""

import argparse
import logging
import sys
import tomllib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import keras
import tensorflow as tf

from ml import train_classifier
from ml.classification import (
    ARCHITECTURES,
    EXIT_WEIGHTS_UNAVAILABLE,
    NO_WEIGHTS,
    WeightsUnavailableError,
)
from ml.training_detector import Run, backbone_file, set_precision

logger = logging.getLogger("ml.train")
_DEFAULT_SPLIT = Path(__file__).parent / "data" / "splits" / "fracatlas_v1.csv"
_DEFAULT_CONFIG = Path(__file__).parent / "configs" / "detector.toml"


def overridden(config: dict[str, Any], settings: Sequence[str]) -> dict[str, Any]:
    """Return the configuration with lines such as ``loss.map = 0`` laid over it.

    Raises:
        ValueError: not TOML, or a section that the configuration does not have.
    """
    merged = {section: dict(values) for section, values in config.items()}
    for section, values in tomllib.loads("\n".join(settings)).items():
        if section not in merged or not isinstance(values, dict):
            raise ValueError(f"--set: no section {section!r} in the configuration")
        merged[section].update(values)
    return merged


def main(argv: Sequence[str] | None = None) -> None:
    """Read the command line and train."""
    choice = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    choice.add_argument("--architecture", choices=("detector", *ARCHITECTURES), default="detector")
    chosen, rest = choice.parse_known_args(argv)
    if chosen.architecture != "detector":
        train_classifier.main(["--architecture", chosen.architecture, *rest])
        return
    parser = argparse.ArgumentParser(description=__doc__, parents=[choice])
    parser.add_argument("--data", type=Path, required=True, help="folder with manifest.csv")
    parser.add_argument(
        "--weights", default=NO_WEIGHTS, help="none, imagenet, or the backbone's .weights.h5 file"
    )
    parser.add_argument(
        "--weights-folder",
        type=Path,
        default=Path("../shared/weights"),
        help="where mobilenetv2_imagenet*.weights.h5 is looked for before it is fetched",
    )
    parser.add_argument(
        "--start-from", type=Path, default=None, help="weights of a detector to go on from"
    )
    parser.add_argument("--config", type=Path, default=_DEFAULT_CONFIG)
    parser.add_argument(
        "--set", action="append", default=[], metavar="SECTION.KEY=VALUE", help="change the config"
    )
    parser.add_argument("--split", type=Path, default=_DEFAULT_SPLIT)
    parser.add_argument("--cache", type=Path, default=Path("var/train/cache"))
    parser.add_argument("--out", type=Path, default=Path("var/train/run"))
    parser.add_argument("--minutes", type=float, default=90.0, help="wall-clock budget")
    parser.add_argument("--steps", type=int, default=0, help="stop after so many steps, if sooner")
    parser.add_argument("--epochs", type=float, help="budget in passes over the training part")
    parser.add_argument("--batch-size", type=int, help="data.batch_size of the config")
    parser.add_argument("--image-size", type=int, help="model.input_size of the config")
    parser.add_argument("--round-steps", type=int, default=150, help="steps between checkpoints")
    parser.add_argument(
        "--validate-every", type=int, default=1, help="rounds between validations, 0: never"
    )
    parser.add_argument(
        "--patience", type=int, default=0, help="stop after so many rounds without a better AUROC"
    )
    parser.add_argument(
        "--precision",
        choices=("auto", "float32", "mixed_bfloat16"),
        default="auto",
        help="auto: mixed_bfloat16 on a GPU, float32 otherwise",
    )
    parser.add_argument("--log-every", type=int, default=25)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--resume", action="store_true", help="continue the run in --out")
    parser.add_argument(
        "--answers",
        action="store_true",
        help="at the end ask about the validation and test parts: predictions.csv, result.json",
    )
    parser.add_argument("--dry-run", action="store_true", help="three steps, to see that it works")
    arguments = parser.parse_args(argv)
    if arguments.dry_run:
        arguments.steps, arguments.round_steps, arguments.log_every = 3, 3, 1
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    cv2.setNumThreads(1)  # batches come from a thread of their own
    tf.config.threading.set_intra_op_parallelism_threads(arguments.threads)
    keras.utils.set_random_seed(arguments.seed)
    config = tomllib.loads(arguments.config.read_text(encoding="utf-8"))
    try:
        config = overridden(config, [*_short_options(arguments), *arguments.set])
        set_precision(arguments.precision)
        arguments.weights = backbone_file(
            arguments.weights, arguments.weights_folder, arguments.cache
        )
    except WeightsUnavailableError as error:
        logger.error("%s", error)  # noqa: TRY400 - the message says all
        sys.exit(EXIT_WEIGHTS_UNAVAILABLE)
    except ValueError as error:
        parser.error(str(error))
    run = Run(arguments, config)
    run.train()
    if arguments.answers:
        run.answer()


def _short_options(arguments: argparse.Namespace) -> list[str]:
    options = {"data.batch_size": arguments.batch_size, "model.input_size": arguments.image_size}
    return [f"{key} = {value}" for key, value in options.items() if value is not None]


if __name__ == "__main__":
    main()
