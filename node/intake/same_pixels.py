"""Compares the pixels of two files in a worker process: no codec runs in the receiving process."""

from __future__ import annotations

import logging
from pathlib import Path

import numpy as np

from dicom_io.errors import NotReadable
from dicom_io.headers import kind_of
from dicom_io.instance_kinds import InstanceKind
from dicom_io.pixels.decoding import read_dataset, stored_values
from dicom_io.pixels.intact import read_up_to_pixels
from dicom_io.segmentations import has_same_frames
from node.intake.worker_process import NoAnswer, WorkerProcess

log = logging.getLogger(__name__)

_BYTES_PER_SAMPLE = 40
"""Two images with 16 bits, the output of a codec for one (32 bits), and temporary copies."""
_FOR_ANY_IMAGE = 1 << 30


class PixelComparison:
    """Compares the decoded values of two files, one pair after another."""

    def __init__(self, max_pixels: int, timeout_s: float = 120.0) -> None:
        """`max_pixels`: images with more samples are refused by their header; `timeout_s`: after this long a comparison
        counts as failed."""
        self._max_pixels = max_pixels
        self._worker = WorkerProcess(_FOR_ANY_IMAGE + _BYTES_PER_SAMPLE * max_pixels, timeout_s)

    def is_same(self, left: Path, right: Path) -> bool:
        """Whether both files decode to the same values; False if one cannot be decoded.

        Raises:
            MemoryError: they do not fit into memory now.
        """
        try:
            return self._worker.call(_is_same, left, right, self._max_pixels)
        except (NotReadable, NoAnswer) as fault:
            log.warning("two files of one instance count as different: their pixels cannot be compared: %s", fault)
            return False


def _is_same(left: Path, right: Path, max_pixels: int) -> bool:
    if all(kind_of(read_up_to_pixels(path)) is InstanceKind.SEGMENTATION for path in (left, right)):
        return has_same_frames(left, right)
    before = stored_values(read_dataset(left, max_pixels)).values
    after = stored_values(read_dataset(right, max_pixels)).values
    return np.array_equal(before, after)
