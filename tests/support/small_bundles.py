"""The shipped bundle with a detector set to propose more or less: for tests of the node, not of the models."""

from __future__ import annotations

import tomllib
from pathlib import Path

import tomli_w

from models.bundles.bundle import find_bundle


def shipped_bundle_with(folder: Path, **detector: object) -> Path:
    """A bundle in a new `folder`: the shipped weights, linked, and other settings of its one detector."""
    shipped = find_bundle("research-default")
    card = tomllib.loads((shipped / "bundle.toml").read_text())
    assert not detector.keys() - card["detector"]["settings"].keys()
    card["detector"]["settings"] |= detector
    card.pop("calcifications", None)
    folder.mkdir()
    for role in ("detector", "segmenter", "classifier"):
        weights = card[role]["weights"]
        (folder / weights).symlink_to(shipped / weights)
    (folder / "bundle.toml").write_text(tomli_w.dumps(card))
    return folder


def calibrate_flat(bundle: Path) -> None:
    """Gives a bundle a calibration that implies 4A for every image, breast and exam."""
    card = tomllib.loads((bundle / "bundle.toml").read_text())
    flat: dict[str, object] = {
        "method": "isotonic",
        "parameters": {"scores": [0.0, 1.0], "probabilities": [0.05, 0.05]},
    }
    flat |= {"cases": 10_000, "patients": 10_000}
    card["calibration"] = {level: flat | {"prevalence": 0.006} for level in ("image", "breast", "exam")}
    for level in ("image", "breast"):
        card["calibration"][level]["prevalence"] = 0.003  # the prior of a breast where 6 of 1,000 exams have a cancer
    (bundle / "bundle.toml").write_text(tomli_w.dumps(card))
