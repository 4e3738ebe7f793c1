"""Small sets of phantoms for tests."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from models.datasets.phantom_truth import StudyTruth
from models.phantom.exam import Prevalence
from node.demo.phantoms import PhantomSet, write_set

SMALL = PhantomSet(seed=6, spacing_mm=0.5, prevalence=Prevalence(lesions=0.7))
"""Its first ten studies: 6 breasts with benign, 6 with malignant lesions, 8 without; 8 clusters and 7 masses."""


@dataclass(frozen=True)
class WrittenPhantoms:
    """A set on disk; pass `spec` to --data. Do not write into the folder."""

    folder: Path
    truths: tuple[StudyTruth, ...]

    @property
    def spec(self) -> str:
        return f"phantom:{self.folder}"


def write_phantoms(folder: Path, studies: int, phantoms: PhantomSet = SMALL) -> WrittenPhantoms:
    """Takes about 0.4 s per study at 0.5 mm."""
    paths = list(write_set(phantoms, studies, folder))
    return WrittenPhantoms(folder, tuple(StudyTruth.model_validate_json(path.read_bytes()) for path in paths))
