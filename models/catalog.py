"""Which architectures there are, and the way from a bundle to a pipeline that runs.

To add one: a file beside its kind (models/detectors, segmenters, classifiers) with
`load(weights, device, mixed_precision, **settings)`, and a line below.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file

from models.birads.calibration import SCREENING_PREVALENCE, prior_of
from models.bundles.bundle import CARD, Bundle, BundleError, Part, verify
from models.pipeline import Pipeline

ARCHITECTURES: Mapping[str, str] = {
    "yolov8": "models.detectors.yolov8",
    "lite-medsam": "models.segmenters.lite_medsam",
    "medsam-vit-b": "models.segmenters.sam:medsam-vit-b",
    "sam-vit-b": "models.segmenters.sam:vit-b",
    "sam-vit-l": "models.segmenters.sam:vit-l",
    "sam-vit-h": "models.segmenters.sam:vit-h",
    "sam-hq-tiny": "models.segmenters.hq_sam:tiny",
    "sam-hq-vit-b": "models.segmenters.hq_sam:vit-b",
    "sam-hq-vit-l": "models.segmenters.hq_sam:vit-l",
    "sam-hq-vit-h": "models.segmenters.hq_sam:vit-h",
    "mlsam-tiny": "models.segmenters.mlsam:tiny",
    "mlsam-vit-b": "models.segmenters.mlsam:vit-b",
    "mlsam-vit-l": "models.segmenters.mlsam:vit-l",
    "mlsam-vit-h": "models.segmenters.mlsam:vit-h",
    "efficientnet": "models.classifiers.efficient_net",
    "medsam-mlp": "models.classifiers.medsam_mlp",
}
"""Name in bundle.toml → module, or module:variant, which its `load` is told. Imported only when a bundle asks for it:
each brings a library of its own."""


def load_pipeline(
    bundle: Bundle,
    device: torch.device,
    mixed_precision: bool,
    clock: Callable[[], float] = time.perf_counter,
    prevalence: float = SCREENING_PREVALENCE,
) -> Pipeline:
    """The bundle's models on `device`, ready to read. Weights are checked against their digests before any is opened.

    Args:
        device: see models.device.choose_device.
        mixed_precision: half precision where it is worth it; on CUDA alone.
        clock: seconds from any origin, for the time that each stage takes.
        prevalence: the share of exams with a cancer where the node reads, 0..1 exclusive, for calibrated bundles.

    Raises:
        BundleError: weights are missing or damaged, an architecture is unknown, or the two do not fit.
    """
    problems = verify(bundle)
    if problems:
        raise BundleError("\n".join(problems))
    return Pipeline(
        detector=load_part(bundle, bundle.detector, device, mixed_precision),
        segmenter=load_part(bundle, bundle.segmenter, device, mixed_precision),
        classifier=load_part(bundle, bundle.classifier, device, mixed_precision),
        bundle=bundle.id,
        assumed_spacing_mm=bundle.assumed_spacing_mm,
        clock=clock,
        largest_lesion=bundle.detector.largest_lesion,
        calibration={
            level: one.at_prevalence(prior_of(level, prevalence)) for level, one in bundle.calibration.items()
        },
        prevalence=prevalence,
        caveat=bundle.caveat,
    )


def load_part(bundle: Bundle, part: Part, device: torch.device, mixed_precision: bool) -> Any:
    """One part's adapter: a Detector, Segmenter or Classifier. Its digest is not checked here.

    Raises:
        BundleError: its architecture is unknown, or weights and settings do not fit it.
    """
    if part.architecture not in ARCHITECTURES:
        raise BundleError(
            f"{bundle.folder / CARD}: architecture {part.architecture!r} is unknown. "
            f"Known: {', '.join(sorted(ARCHITECTURES))}."
        )
    try:
        return adapter_of(part.architecture, load_file(part.weights), part.settings, device, mixed_precision)
    except (RuntimeError, TypeError, ValueError, SafetensorError) as error:
        raise BundleError(
            f"{part.weights}: does not load as {part.architecture!r} with the settings in {CARD}: {error}"
        ) from error


def adapter_of(
    architecture: str,
    weights: Mapping[str, torch.Tensor],
    settings: Mapping[str, Any],
    device: torch.device,
    mixed_precision: bool,
) -> Any:
    """An adapter out of weights that may not stand in a bundle yet.

    Raises:
        KeyError: the architecture is unknown.
        RuntimeError, TypeError, ValueError: weights and settings do not fit it.
    """
    module, variant = module_of(architecture)
    return module.load(weights, device, mixed_precision, **variant, **settings)


def untrained(architecture: str, settings: Mapping[str, Any]) -> Any:
    """A segmenter's network with arbitrary weights and its `Settings`: see models/segmenters.

    Raises:
        KeyError: the architecture is unknown.
        TypeError, ValueError: a setting is unknown or wrong.
    """
    module, variant = module_of(architecture)
    return module.untrained(**variant, **settings)


def module_of(architecture: str) -> tuple[Any, dict[str, str]]:
    name, _, variant = ARCHITECTURES[architecture].partition(":")
    return import_module(name), {"variant": variant} if variant else {}
