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
