"""Loads a bundle's models for an evaluation: the detector also returns proposals of low confidence, the segmenter the
masks of all passes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import replace

import torch

from models.bundles.bundle import CARD, ROLES, Bundle, BundleError, verify
from models.catalog import load_part
from models.detectors.both import BothDetectors
from models.evaluation.observe import Parts
from models.protocols import Detector
from models.types.reading import FindingKind

_LEAST_CONFIDENCE, _MOST = 0.005, 100
"""Curves use proposals of at least this confidence, and at most this many per image."""
_CONFIDENCE, _SHOWN, _PASSES = 0.2, 50, 1
"""The adapters' defaults for settings that a bundle does not have."""
_DETECTORS = ("detector", "calcifications")
_LOOKED_AT = 3
"""The number of passes in paper A's Figure 4."""


def load_for_measuring(
    bundle: Bundle, device: torch.device, mixed_precision: bool, roles: Collection[str] = ROLES
) -> Parts:
    """The parts of these roles on `device`.

    Raises:
        BundleError: weights are missing or damaged, or do not fit.
    """
    problems = verify(bundle)
    if problems:
        raise BundleError("\n".join(problems))
    drawn = bundle.segmenter.settings
    own_pass = int(drawn.get("passes", _PASSES))
    segmenter = replace(bundle.segmenter, settings={**drawn, "passes": max(own_pass, _LOOKED_AT)})
    detector, confidence = _detector(bundle, device, mixed_precision, roles)
    return Parts(
        detector=detector,
        segmenter=load_part(bundle, segmenter, device, mixed_precision) if "segmenter" in roles else None,
        classifier=load_part(bundle, bundle.classifier, device, mixed_precision) if "classifier" in roles else None,
        own_pass=own_pass,
        confidence=confidence,
        most=int(bundle.detector.settings.get("most", _SHOWN)),
        assumed_spacing_mm=bundle.assumed_spacing_mm,
        kinds_apart=bundle.calcifications is not None,
    )


def _detector(
    bundle: Bundle, device: torch.device, mixed_precision: bool, roles: Collection[str]
) -> tuple[Detector | None, Mapping[FindingKind, float]]:
    """The detectors of these roles, as one, and the confidence from which on the node shows a finding of each kind."""
    asked = {role: part for role, part in bundle.parts.items() if role in roles and role in _DETECTORS}
    shown = {role: float(part.settings.get("confidence", _CONFIDENCE)) for role, part in bundle.parts.items()}
    unsure = {
        role: replace(part, settings={**part.settings, "confidence": _LEAST_CONFIDENCE, "most": _MOST})
        for role, part in asked.items()
    }
    of_calcifications = shown.get("calcifications", shown["detector"])
    confidence = {kind: shown["detector"] if kind.is_mass else of_calcifications for kind in FindingKind}
    loaded = [load_part(bundle, part, device, mixed_precision) for part in unsure.values()]
    match loaded:
        case []:
            return None, confidence
        case [alone]:
            return alone, confidence
        case _:
            return BothDetectors(*loaded), confidence


def digest(bundle: Bundle, roles: Collection[str] = ROLES) -> str:
    """Changes with whatever the observations depend on: the card, the roles, and the parts, some of which may be of
    another bundle than the card's."""
    parts = [(part.architecture, part.sha256, dict(part.settings)) for part in bundle.parts.values()]
    said = json.dumps([sorted(roles), parts], sort_keys=True)
    return hashlib.sha256((bundle.folder / CARD).read_bytes() + said.encode()).hexdigest()
