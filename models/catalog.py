"""The list of architectures; loads a bundle's models into a pipeline.

To add an architecture: a file in the folder of its kind (models/detectors, segmenters, classifiers) with
`load(weights, runner, **settings)`, and a function and a line below.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from inspect import signature
from types import MappingProxyType
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load as tensors_in

from models.birads.calibration import SCREENING_PREVALENCE, prior_of
from models.bundles.bundle import CARD, Bundle, BundleError, Part, read_weights
from models.extensions import extensions, load_extension
from models.pipeline import Pipeline
from models.protocols import Detector
from models.runner import Runner
from models.segmenters.network import PromptedNet
from models.segmenters.prompts import Settings
from models.without_compiler import import_libraries

_CONFIDENCE = 0.5
"""Of a detector whose adapter has no such setting."""


@dataclass(frozen=True)
class Architecture:
    """The functions of an adapter's file.

    Attributes:
        load: makes the adapter (a Detector, Segmenter or Classifier) from weights, a `Runner` and settings.
        untrained: makes a segmenter's network with arbitrary weights, and its `Settings`: see models/segmenters.
        from_official: renames the tensors of the published checkpoint to the names used here.
    """

    load: Callable[..., Any]
    untrained: Callable[..., tuple[PromptedNet, Settings]] | None = None
    from_official: Callable[[Mapping[str, torch.Tensor]], dict[str, torch.Tensor]] = dict


def _yolov8() -> Architecture:
    from models.detectors import yolov8

    return Architecture(yolov8.load)


def _grains() -> Architecture:
    from models.detectors import grains

    return Architecture(grains.load)


def _lite_medsam() -> Architecture:
    from models.segmenters import lite_medsam

    return Architecture(lite_medsam.load, lite_medsam.untrained, lite_medsam.from_official)


def _sam(variant: str) -> Architecture:
    from models.segmenters import sam

    return Architecture(partial(sam.load, variant=variant), partial(sam.untrained, variant), sam.from_official)


def _hq_sam(variant: str) -> Architecture:
    from models.segmenters import hq_sam

    return Architecture(partial(hq_sam.load, variant=variant), partial(hq_sam.untrained, variant), hq_sam.from_official)


def _mlsam(variant: str) -> Architecture:
    from models.segmenters import mlsam

    return Architecture(partial(mlsam.load, variant=variant), partial(mlsam.untrained, variant))


def _efficient_net() -> Architecture:
    from models.classifiers import efficient_net

    return Architecture(efficient_net.load)


def _medsam_mlp() -> Architecture:
    from models.classifiers import medsam_mlp

    return Architecture(medsam_mlp.load)


def _yolov8_onnx() -> Architecture:
    from models.detectors import yolov8_onnx

    return Architecture(yolov8_onnx.load)


def _crops_onnx() -> Architecture:
    from models.segmenters import crops_onnx

    return Architecture(crops_onnx.load)


def _image_onnx() -> Architecture:
    from models.classifiers import image_onnx

    return Architecture(image_onnx.load)


ARCHITECTURES: Mapping[str, Callable[[], Architecture]] = MappingProxyType(
    {
        "yolov8": _yolov8,
        "grains": _grains,
        "lite-medsam": _lite_medsam,
        "medsam-vit-b": partial(_sam, "medsam-vit-b"),
        "sam-vit-b": partial(_sam, "vit-b"),
        "sam-vit-l": partial(_sam, "vit-l"),
        "sam-vit-h": partial(_sam, "vit-h"),
        "sam-hq-tiny": partial(_hq_sam, "tiny"),
        "sam-hq-vit-b": partial(_hq_sam, "vit-b"),
        "sam-hq-vit-l": partial(_hq_sam, "vit-l"),
        "sam-hq-vit-h": partial(_hq_sam, "vit-h"),
        "mlsam-tiny": partial(_mlsam, "tiny"),
        "mlsam-vit-b": partial(_mlsam, "vit-b"),
        "mlsam-vit-l": partial(_mlsam, "vit-l"),
        "mlsam-vit-h": partial(_mlsam, "vit-h"),
        "efficientnet": _efficient_net,
        "medsam-mlp": _medsam_mlp,
        "yolov8-onnx": _yolov8_onnx,
        "crops-onnx": _crops_onnx,
        "image-onnx": _image_onnx,
    }
)
"""By the name in bundle.toml. Each function imports its library only when it is called. Those of other packages
(models/extensions.py) cannot replace one of these."""


def load_pipeline(
    bundle: Bundle,
    device: torch.device,
    mixed_precision: bool,
    clock: Callable[[], float] = time.perf_counter,
    prevalence: float = SCREENING_PREVALENCE,
    together: bool | None = None,
) -> Pipeline:
    """The bundle's models on `device`, ready to read. Each weights file is read once, checked, and loaded.

    Args:
        device: see models.device.choose_device.
        mixed_precision: half precision in the parts that gain from it; only on CUDA.
        clock: returns seconds from any origin, to measure the time of each stage.
        prevalence: the share of exams with a cancer at the node's site, 0..1 exclusive; used by calibrated bundles.
        together: see models.runner.Runner; None: on a GPU alone.

    Raises:
        BundleError: weights are missing or damaged, an architecture is unknown, or the weights do not fit it.
    """
    import_libraries()
    return Pipeline(
        detector=load_detector(bundle, device, mixed_precision, together),
        segmenter=load_part(bundle, bundle.segmenter, device, mixed_precision, together),
        classifier=load_part(bundle, bundle.classifier, device, mixed_precision, together),
        bundle=bundle.id,
        assumed_spacing_mm=bundle.assumed_spacing_mm,
        clock=clock,
        largest_lesion=bundle.detector.largest_lesion,
        kinds_apart=bundle.calcifications is not None,
        calibration={
            level: calibration.at_prevalence(prior_of(level, prevalence))
            for level, calibration in bundle.calibration.items()
        },
        prevalence=prevalence,
        caveat=bundle.caveat,
    )


def load_detector(
    bundle: Bundle, device: torch.device, mixed_precision: bool, together: bool | None = None
) -> Detector:
    """The bundle's detector, together with that of calcifications where it has one; see `load_part`."""
    breast: Detector = load_part(bundle, bundle.detector, device, mixed_precision, together)
    if bundle.calcifications is None:
        return breast
    from models.detectors.both import BothDetectors

    grains = load_part(bundle, bundle.calcifications, device, mixed_precision, together)
    return BothDetectors(breast, grains, (shown_from(bundle.detector), shown_from(bundle.calcifications)))


def load_part(
    bundle: Bundle, part: Part, device: torch.device, mixed_precision: bool, together: bool | None = None
) -> Any:
    """One part's adapter: a Detector, Segmenter or Classifier. Its digest is checked.

    Raises:
        BundleError: its weights are missing or damaged or do not fit the settings, or its architecture is unknown.
    """
    known = {*ARCHITECTURES, *extensions()}
    if part.architecture not in known:
        raise BundleError(
            f"{bundle.folder / CARD}: architecture {part.architecture!r} is unknown. "
            f"Known: {', '.join(sorted(known))}. If it is of another package, install that package here."
        )
    try:
        return adapter_of(part.architecture, _opened(part), part.settings, device, mixed_precision, together)
    except (RuntimeError, TypeError, ValueError, SafetensorError) as error:
        raise BundleError(
            f"{part.weights}: does not load as {part.architecture!r} with the settings in {CARD}: {error}"
        ) from error


def _opened(part: Part) -> Mapping[str, torch.Tensor] | bytes:
    """The tensors of a safetensors file; an ONNX file has a network of its own, and its adapter loads it."""
    content = read_weights(part)
    return content if part.weights.suffix == ".onnx" else tensors_in(content)


def shown_from(detector: Part) -> float:
    """The confidence from which on a detector shows what it finds: of its settings, else its adapter's default."""
    if "confidence" in detector.settings:
        return float(detector.settings["confidence"])
    known = signature(_architecture(detector.architecture).load).parameters.get("confidence")
    return _CONFIDENCE if known is None or known.default is known.empty else float(known.default)


def adapter_of(
    architecture: str,
    weights: Mapping[str, torch.Tensor] | bytes,
    settings: Mapping[str, Any],
    device: torch.device,
    mixed_precision: bool,
    together: bool | None = None,
) -> Any:
    """An adapter from weights that need not be in a bundle; of an architecture `…-onnx`, from the content of its file.

    Raises:
        KeyError: the architecture is unknown.
        ExtensionError: it is of another package, which cannot be imported.
        RuntimeError, TypeError, ValueError: weights and settings do not fit it.
    """
    return _architecture(architecture).load(
        weights, Runner.on(device, mixed_precision, together).recording(), **settings
    )


def _architecture(name: str) -> Architecture:
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]()
    load = load_extension(extensions()[name])
    return Architecture(
        lambda weights, runner, **settings: load(weights, runner.device, runner.mixed_precision, **settings)
    )


def untrained(architecture: str, settings: Mapping[str, Any]) -> tuple[PromptedNet, Settings]:
    """A segmenter's network with arbitrary weights and its `Settings`: see models/segmenters.

    Raises:
        KeyError: the architecture is unknown.
        TypeError, ValueError: it is not a segmenter, or a setting is unknown or wrong.
    """
    make = _architecture(architecture).untrained
    if make is None:
        raise ValueError(f"{architecture} is not a segmenter")
    return make(**settings)
