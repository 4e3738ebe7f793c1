"""A bundle's models as they are measured: the detector tells unsure proposals too, the segmenter every pass."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection
from dataclasses import replace

import torch

from models.bundles.bundle import CARD, ROLES, Bundle, BundleError, verify
from models.catalog import load_part
from models.evaluation.observe import Parts

_LEAST_CONFIDENCE, _MOST = 0.005, 100
"""Curves look at all proposals of at least this confidence, and at this many of an image."""
_CONFIDENCE, _SHOWN, _PASSES = 0.2, 50, 1
"""What the adapters take where a bundle does not say."""
_LOOKED_AT = 3
"""Passes of paper A's Figure 4."""


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
    told, drawn = bundle.detector.settings, bundle.segmenter.settings
    own_pass = int(drawn.get("passes", _PASSES))
    detector = replace(bundle.detector, settings={**told, "confidence": _LEAST_CONFIDENCE, "most": _MOST})
    segmenter = replace(bundle.segmenter, settings={**drawn, "passes": max(own_pass, _LOOKED_AT)})
    parts = {"detector": detector, "segmenter": segmenter, "classifier": bundle.classifier}
    loaded = {
        role: load_part(bundle, part, device, mixed_precision) if role in roles else None
        for role, part in parts.items()
    }
    return Parts(
        detector=loaded["detector"],
        segmenter=loaded["segmenter"],
        classifier=loaded["classifier"],
        own_pass=own_pass,
        confidence=float(told.get("confidence", _CONFIDENCE)),
        most=int(told.get("most", _SHOWN)),
        assumed_spacing_mm=bundle.assumed_spacing_mm,
    )


def digest(bundle: Bundle, roles: Collection[str] = ROLES) -> str:
    """Changes with whatever the observations depend on: the card, the roles, and the parts, some of which may be of
    another bundle than the card's."""
    parts = [(part.architecture, part.sha256, dict(part.settings)) for part in bundle.parts]
    said = json.dumps([sorted(roles), parts], sort_keys=True)
    return hashlib.sha256((bundle.folder / CARD).read_bytes() + said.encode()).hexdigest()
