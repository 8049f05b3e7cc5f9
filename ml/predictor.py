"""The loaded model: decode, quality, prepare, forward, calibrate, boxes, explain; each stage timed.

Deterministic: the same bytes and the same files give the same answer with any thread count of one.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import numpy.typing as npt

from ml.appearance import describe
from ml.calibration import sigmoid
from ml.contracts import ModelArtifactError, ModelInfo, Prediction, UnreadableImageError, Verdict
from ml.decoding import DecodedImage, decode_image
from ml.detection import Candidate, find_candidates, map_evidence, softmax
from ml.explain import heatmap_of_image
from ml.findings import Finding, findings_of, image_severity, verdict_of
from ml.gate import PHOTO_WARNING, Gate, Opinion, load_gate
from ml.manifest import Manifest, read_manifest
from ml.novelty import NoveltyModel, load_novelty
from ml.outline import outline
from ml.preprocessing import Geometry, GrayImage, prepare
from ml.quality import SHORTEST_SIDE, Measurements, assess, measure
from ml.runtimes.base import Runtime
from ml.runtimes.onnx import OnnxRuntime
from ml.stopwatch import Stopwatch

WEIGHTS_FOLDER = Path(__file__).parent / "weights"
_NEEDED_OUTPUTS = frozenset(
    {"image", "region", "body_region", "flags", "map", "boxes", "attributes", "features"}
)
_STRANGER = "not_a_radiograph"
_FLAG_LIMIT = 0.5
_FLAGS = ("hardware", "cast")


@dataclass(frozen=True, slots=True)
class Examination:
    """What the network says about one prepared picture, before thresholds.

    Attributes:
        probability: calibrated, of at least one fracture.
        evidence: the logit behind it: the image head's, plus the weighted one of the map.
        regions, body_regions: probabilities in the manifest's order.
        flags: probabilities of metal and of a cast.
        findings: every candidate place with its calibrated probability, strongest first.
        fracture_map: ``(h, w)`` over the input square, probability that a place is a fracture.
        features: pooled features, ``(d,)``.
        novelty: distance from the training pictures, 0 when the model has no such file.
        geometry: the way back to image pixels.
        padding_found: the grey fill of a cut-off JPEG was left out.
    """

    probability: float
    evidence: float
    regions: npt.NDArray[np.float64]
    body_regions: npt.NDArray[np.float64]
    flags: npt.NDArray[np.float64]
    findings: tuple[Finding, ...]
    fracture_map: npt.NDArray[np.float32]
    features: npt.NDArray[np.float32]
    novelty: float
    geometry: Geometry
    padding_found: bool


class FracturePredictor:
    """Implements ``ml.contracts.Predictor`` on any runtime. Not to be shared by threads."""

    def __init__(
        self,
        manifest: Manifest,
        runtime: Runtime,
        novelty: NoveltyModel | None = None,
        gate: Gate | None = None,
    ) -> None:
        missing = _NEEDED_OUTPUTS - runtime.output_names
        if missing:
            raise ModelArtifactError(f"the model lacks the outputs {sorted(missing)}")
        self._manifest = manifest
        self._runtime = runtime
        self._novelty = novelty
        self._gate = gate

    @property
    def info(self) -> ModelInfo:
        """Identity stored with every result."""
        return self._manifest.info

    @property
    def manifest(self) -> Manifest:
        """Everything the model folder says."""
        return self._manifest

    def predict(self, encoded: bytes, *, frame: int = 0, photographed: bool = False) -> Prediction:
        """Analyse one encoded image (PNG, JPEG, TIFF or DICOM Part 10).

        Raises:
            UnreadableImageError: ``encoded`` cannot be decoded to pixels.
            IndexError: the image has no such frame.
        """
        watch = Stopwatch()
        with watch.stage("decode"):
            decoded = decode_image(encoded)
            if not 0 <= frame < decoded.frame_count:
                raise IndexError(f"frame {frame} of {decoded.frame_count}")
            pixels = decoded.frames[frame]
        return self.judge(decoded, pixels, watch, photographed=photographed)[0]

    def judge(
        self,
        decoded: DecodedImage,
        pixels: GrayImage,
        watch: Stopwatch,
        *,
        photographed: bool = False,
    ) -> tuple[Prediction, Examination | None]:
        """Answer for pixels that are decoded already.

        ``photographed``: it is known to be a photo of a film, whatever it looks like.

        Returns:
            The answer, and what it was made from; ``None`` when the gate refused the picture.
        """
        known = (PHOTO_WARNING,) if photographed else ()
        if decoded.modality not in self.info.modalities:
            return self._refusal(decoded, pixels, ("no_model_for_modality",), watch, known), None
        has_color = decoded.was_color and decoded.format != "dicom"
        with watch.stage("quality"):
            # Without a learned gate, a photo of a film cannot be told from any other photo.
            found = measure(pixels) if min(pixels.shape) >= SHORTEST_SIDE else None
            reasons = assess(pixels, has_color=has_color and self._gate is None, found=found)
        # What the pixels alone show to be no radiograph may still be a slice: then it is said.
        can_tell = self._gate is not None and self._gate.reasoning is not None
        is_stranger = can_tell and _STRANGER in reasons
        if reasons and not is_stranger:
            return self._refusal(decoded, pixels, reasons, watch, known), None
        examination = self.examine(pixels, watch)
        with watch.stage("quality"):
            opinion = self._opinion(
                pixels,
                examination,
                has_color=has_color,
                is_stranger=is_stranger,
                photographed=photographed,
                found=found,
            )
        if opinion.reason:
            others = (reason for reason in reasons if reason != _STRANGER)
            return self._refusal(decoded, pixels, (opinion.reason, *others), watch, known), None
        with watch.stage("postprocess"):
            notes = (PHOTO_WARNING,) if opinion.is_photo else known
            return self._answer(decoded, examination, watch, notes), examination

    def _opinion(
        self,
        pixels: GrayImage,
        examination: Examination,
        *,
        has_color: bool,
        is_stranger: bool,
        photographed: bool,
        found: Measurements | None,
    ) -> Opinion:
        """Return what the learned gate and the distance from the training pictures say."""
        is_stranger = is_stranger or examination.novelty > self._manifest.novelty_limit
        if self._gate is None:
            return Opinion(_STRANGER if is_stranger else "", is_photo=False)
        appearance = describe(pixels, has_color=has_color, found=found)
        return self._gate.judge(
            examination.features,
            appearance,
            partial(outline, pixels),
            has_color=has_color,
            is_stranger=is_stranger,
            photographed=photographed,
        )

    def examine(self, pixels: GrayImage, watch: Stopwatch | None = None) -> Examination:
        """Run the network on one decoded frame, without gate and thresholds."""
        watch = watch or Stopwatch()
        size = self._manifest.input_size
        with watch.stage("preprocess"):
            prepared = prepare(pixels, input_size=size)
        with watch.stage("forward"):
            outputs = self._forward(prepared.pixels)
        with watch.stage("postprocess"):
            map_logits = outputs["map"][..., 0]
            candidates = find_candidates(
                map_logits, outputs["boxes"], outputs["attributes"], input_size=size
            )
            weight = self._manifest.map_weight
            evidence = float(outputs["image"]) + weight * map_evidence(map_logits)
            # Calibrated like the places, so that the heat of a box agrees with its probability.
            heat = self._manifest.box_calibration.probabilities(map_logits)
            features = outputs["features"]
            return Examination(
                probability=self._manifest.image_calibration.probability(evidence),
                evidence=evidence,
                regions=softmax(outputs["region"]),
                body_regions=softmax(outputs["body_region"]),
                flags=sigmoid(outputs["flags"]),
                findings=tuple(self._finding(c, prepared.geometry) for c in candidates),
                fracture_map=np.asarray(heat, np.float32),
                features=features,
                novelty=self._novelty.distance(features) if self._novelty else 0.0,
                geometry=prepared.geometry,
                padding_found=prepared.padding_found,
            )

    def _forward(self, pixels: npt.NDArray[np.float32]) -> dict[str, npt.NDArray[np.float32]]:
        """Return the outputs of one picture, averaged with its mirror image where asked."""
        straight = {name: value[0] for name, value in self._runtime.run(pixels[None]).items()}
        if not self._manifest.flip_average:
            return straight
        mirrored_input = np.ascontiguousarray(pixels[None, :, ::-1])
        mirrored = {name: value[0] for name, value in self._runtime.run(mirrored_input).items()}
        for name in ("map", "boxes", "attributes"):
            mirrored[name] = mirrored[name][:, ::-1]
        mirrored["boxes"] = mirrored["boxes"][..., [2, 1, 0, 3]]  # left and right change places
        return {
            name: np.asarray((straight[name] + mirrored[name]) / 2, np.float32) for name in straight
        }

    def _finding(self, candidate: Candidate, geometry: Geometry) -> Finding:
        return Finding(
            box=geometry.box_to_image(candidate.box),
            probability=self._manifest.box_calibration.probability(candidate.logit),
            candidate=candidate,
        )

    def _answer(
        self,
        decoded: DecodedImage,
        examination: Examination,
        watch: Stopwatch,
        notes: tuple[str, ...] = (),
    ) -> Prediction:
        manifest = self._manifest
        verdict = verdict_of(examination.probability, manifest.info.thresholds)
        region = int(np.argmax(examination.regions))
        codes = [*decoded.warnings, *notes]
        if examination.padding_found:
            codes.append("truncated_file")
        codes += [
            name
            for name, value in zip(_FLAGS, examination.flags, strict=True)
            if value >= _FLAG_LIMIT
        ]
        shown = findings_of(examination.findings, verdict, manifest.box_thresholds)
        return Prediction(
            model=manifest.info,
            verdict=verdict,
            probability=examination.probability,
            region=manifest.regions[region],
            region_probability=float(examination.regions[region]),
            severity=image_severity(examination.findings, verdict),
            findings=shown,
            heatmap=heatmap_of_image(examination.fracture_map, examination.geometry),
            image_width=examination.geometry.image_width,
            image_height=examination.geometry.image_height,
            warnings=tuple(dict.fromkeys(codes)),
            timings_ms=watch.timings_ms(),
        )

    def _refusal(
        self,
        decoded: DecodedImage,
        pixels: GrayImage,
        reasons: tuple[str, ...],
        watch: Stopwatch,
        notes: tuple[str, ...] = (),
    ) -> Prediction:
        return Prediction(
            model=self.info,
            verdict=Verdict.CANNOT_ASSESS,
            probability=None,
            region="",
            region_probability=None,
            severity="",
            findings=(),
            heatmap=None,
            image_width=int(pixels.shape[1]),
            image_height=int(pixels.shape[0]),
            reasons=reasons,
            warnings=tuple(dict.fromkeys([*decoded.warnings, *notes])),
            timings_ms=watch.timings_ms(),
        )


def load_predictor(location: Path | str = WEIGHTS_FOLDER, *, threads: int = 1) -> FracturePredictor:
    """Load the model of a folder (or manifest file), check its hashes, and run it once to warm up.

    Raises:
        ModelArtifactError: missing, altered, or not what the manifest says.
    """
    manifest = read_manifest(Path(location))
    runtime = OnnxRuntime(manifest.weights, sha256=manifest.info.sha256, threads=threads)
    novelty = None
    if manifest.novelty_file is not None:
        novelty = load_novelty(manifest.novelty_file, sha256=manifest.novelty_sha256)
    gate = None
    if manifest.gate_file is not None:
        gate = load_gate(manifest.gate_file, sha256=manifest.gate_sha256)
    predictor = FracturePredictor(manifest, runtime, novelty, gate)
    size = manifest.input_size
    runtime.run(np.full((1, size, size), -1.0, np.float32))
    return predictor


__all__ = [
    "WEIGHTS_FOLDER",
    "Examination",
    "FracturePredictor",
    "UnreadableImageError",
    "load_predictor",
]
