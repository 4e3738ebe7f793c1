"""What a detector reaches on held-out patients, read through the adapter that the node uses."""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import nn

from models.detectors.yolo_cbam import YoloCbam, build
from models.training.held_out import patient_of
from models.training.measures import Figure, ImageResult, match, sensitivity, threshold, with_interval
from models.training.recipe import DetectorRecipe
from models.training.samples import Sample
from models.types import FindingKind

_MEASURED_FROM = 0.005
"""Figures look at all proposals of at least this confidence."""
_NMS_IOU = 0.5
_EVALUATION_BATCH = 4


def measure_weights(
    weights: Path, validation: Sequence[Sample], test: Sequence[Sample], recipe: DetectorRecipe, device: torch.device
) -> dict[str, Any]:
    """The figures of weights as they are stored.

    Returns:
        "confidence": what the validation images would choose, the lowest with one false positive an image;
        "test": see `measure`.
    """
    network = build(recipe.scale)
    network.load_state_dict(load_file(weights))
    reader = reader_of(network.to(device), recipe, device)
    return {
        "confidence": threshold(results_of(reader, validation), 1.0),
        "test": measure(results_of(reader, test), test, recipe.split.seed),
    }


def measure(results: Sequence[ImageResult], samples: Sequence[Sample], seed: int) -> dict[str, Any]:
    """Sensitivity at 1/2, 1 and 2 false positives an image, with 95 % intervals; by kind and by part of the set.

    The false positives of a part are those in its own images.
    """

    def at(chosen: Sequence[int], point: float) -> float:
        return sensitivity([results[index] for index in chosen], point)

    def part(chosen: Sequence[int]) -> dict[str, Any]:
        patients = [results[index].patient for index in chosen]
        lesions = sum(results[index].lesions for index in chosen)
        points = (0.5, 1.0, 2.0) if lesions else ()
        return {
            "images": len(chosen),
            "patients": len(set(patients)),
            "lesions": lesions,
            "sensitivity": {str(point): asdict(_interval(patients, chosen, point, at, seed)) for point in points},
        }

    everything = range(len(results))
    return {
        "all": part(everything),
        "native": part([index for index in everything if samples[index].record.native]),
        "calcification_images": part(
            [index for index in everything if samples[index].record.kind is not FindingKind.MASS]
        ),
        "mass_images": part(
            [index for index in everything if samples[index].record.kind is not FindingKind.CALCIFICATION]
        ),
    }


def _interval(
    patients: Sequence[str],
    chosen: Sequence[int],
    point: float,
    at: Callable[[Sequence[int], float], float],
    seed: int,
) -> Figure:
    return with_interval(patients, lambda indices: at([chosen[index] for index in indices], point), seed)


def reader_of(network: nn.Module, recipe: DetectorRecipe, device: torch.device) -> YoloCbam:
    """The network as the node would run it, but for the threshold."""
    return YoloCbam(
        copy.deepcopy(network),
        device,
        recipe.mixed_precision,
        input_px=recipe.input_px,
        confidence=_MEASURED_FROM,
        iou=_NMS_IOU,
        most=50,
    )


def results_of(detector: YoloCbam, samples: Sequence[Sample]) -> list[ImageResult]:
    """What the detector does on each sample."""
    results = []
    for first in range(0, len(samples), _EVALUATION_BATCH):
        batch = samples[first : first + _EVALUATION_BATCH]
        found = detector.detect([sample.mammogram for sample in batch])
        for sample, detections in zip(batch, found, strict=True):
            lesions = [mask.box for mask in sample.lesions]
            proposals = match([(one.box, one.confidence) for one in detections], lesions)
            results.append(ImageResult(patient_of(sample.record), len(lesions), proposals))
    return results
