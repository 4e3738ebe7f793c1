"""Models of another package (docs/own_models.md) for actors of a cluster: a mass in each image, in a known time."""

from __future__ import annotations

import hashlib
import os
import signal
import time
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import tomli_w
import torch
from own_models import Brightness, WholeBoxes
from safetensors.torch import save_file
from simple_models import OneMass

from models.bundles.bundle import find_bundle
from models.types.mammogram import Mammogram
from models.types.reading import Detection


@dataclass(frozen=True)
class SlowMass(OneMass):
    """Takes `seconds` for each image. In `marks`, an empty file for each process that reads now, named by its id.

    It ends its process, as the kernel's OOM killer does, for images wider than high; where it `kills` the "machine",
    Ray's process there too.
    """

    seconds: float = 0.0
    marks: str = ""
    kills: str = "actor"

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        mark = Path(self.marks) / str(os.getpid())
        mark.touch()
        if any(image.shape[1] > image.shape[0] for image in images):
            if self.kills == "machine":
                os.kill(os.getppid(), signal.SIGKILL)
            os.kill(os.getpid(), signal.SIGKILL)
        time.sleep(self.seconds * len(images))
        mark.unlink()
        return super().detect(images)


def load_detector(
    weights: Mapping[str, torch.Tensor],
    device: torch.device,
    mixed_precision: bool,
    *,
    seconds: float,
    marks: str,
    kills: str,
) -> SlowMass:
    (Path(marks) / "loaded").open("a").write(f"{os.getpid()}\n")
    return SlowMass(seconds=seconds, marks=marks, kills=kills)


def load_segmenter(weights: Mapping[str, torch.Tensor], device: torch.device, mixed_precision: bool) -> WholeBoxes:
    return WholeBoxes()


def load_classifier(weights: Mapping[str, torch.Tensor], device: torch.device, mixed_precision: bool) -> Brightness:
    return Brightness(device, mixed_precision, 0.5)


def install(folder: Path) -> Path:
    """Makes this module a package that offers its models, for who has the folder on the module path."""
    metadata = folder / "cluster_models-1.dist-info"
    metadata.mkdir(parents=True)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: cluster-models\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(
        "".join(
            f"[mammo_node.{role}s]\nslow-{role} = cluster_models:load_{role}\n"
            for role in ("detector", "segmenter", "classifier")
        )
    )
    return folder


def bundle_of(folder: Path, seconds: float, marks: Path, kills: str = "actor") -> Path:
    """A bundle of these models in a new folder."""
    card = tomllib.loads((find_bundle("research-default") / "bundle.toml").read_text())
    folder.mkdir()
    marks.mkdir()
    for role in ("detector", "segmenter", "classifier"):
        weights = folder / f"{role}.safetensors"
        save_file({"none": torch.zeros(1)}, weights)
        settings = {"seconds": seconds, "marks": str(marks), "kills": kills} if role == "detector" else {}
        card[role] |= {
            "architecture": f"slow-{role}",
            "weights": weights.name,
            "sha256": hashlib.sha256(weights.read_bytes()).hexdigest(),
            "settings": settings,
        }
    for name in ("calcifications", "calibration"):
        card.pop(name, None)
    (folder / "bundle.toml").write_text(tomli_w.dumps(card))
    return folder
