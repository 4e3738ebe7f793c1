"""Loads a bundle's models for an evaluation: the detector also returns proposals of low confidence, the segmenter the
masks of all passes."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import replace

import torch

from models.bundles.bundle import CARD, ROLES, Bundle, BundleError, Part, verify
from models.catalog import load_part, shown_from
from models.detectors.both import BothDetectors
from models.evaluation.observe import Parts
from models.protocols import Detector

_LEAST_CONFIDENCE, _MOST = 0.005, 100
"""Curves use proposals of at least this confidence, and at most this many per image."""
_SHOWN, _PASSES = 50, 1
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
        most=sum(int(part.settings.get("most", _SHOWN)) for part in _asked(bundle, roles).values()) or _SHOWN,
        assumed_spacing_mm=bundle.assumed_spacing_mm,
        kinds_apart=bundle.calcifications is not None,
    )


def _asked(bundle: Bundle, roles: Collection[str]) -> dict[str, Part]:
    """The detectors of these roles."""
    return {role: part for role, part in bundle.parts.items() if role in roles and role in _DETECTORS}


def _detector(
    bundle: Bundle, device: torch.device, mixed_precision: bool, roles: Collection[str]
) -> tuple[Detector | None, float]:
    """The detectors of these roles, as one, and the confidence from which on the node shows a finding."""
    asked = _asked(bundle, roles).values()
    unsure = {"confidence": _LEAST_CONFIDENCE, "most": _MOST}
    loaded = [
        load_part(bundle, replace(part, settings={**part.settings, **unsure}), device, mixed_precision)
        for part in asked
    ]
    thresholds = [shown_from(part) for part in asked]
    match loaded, thresholds:
        case [], _:
            return None, shown_from(bundle.detector)
        case [breast, grains], [of_breast, of_grains]:
            return BothDetectors(breast, grains, (of_breast, of_grains)), of_breast
        case _:
            return loaded[0], thresholds[0]


def digest(bundle: Bundle, roles: Collection[str] = ROLES) -> str:
    """Changes with whatever the observations depend on: the card, the roles, and the parts, some of which may be of
    another bundle than the card's."""
    parts = [(part.architecture, part.sha256, dict(part.settings)) for part in bundle.parts.values()]
    said = json.dumps([sorted(roles), parts], sort_keys=True)
    return hashlib.sha256((bundle.folder / CARD).read_bytes() + said.encode()).hexdigest()
