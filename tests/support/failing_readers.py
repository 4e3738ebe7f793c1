"""A reader process whose models fail. Each started process imports this file and little else."""

from __future__ import annotations

import errno
import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from simple_models import OneMass, pipeline_of

from models.types.mammogram import Mammogram
from models.types.reading import Detection
from node.archive.digests import ArchivedFile
from node.reader.decoding import DecoderHere, DecoderPool, decode
from node.reader.images import ImageReader, ReadingLimits
from node.reader.local import LocalExecutor
from node.store.database import open_database, sessions_of

WORKER = "node/reader"
MOST_PIXELS = 100_000_000


class DiesOfWide(OneMass):
    """Ends its process, as a broken driver or the kernel's OOM killer would, for images wider than high."""

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        if any(image.shape[1] > image.shape[0] for image in images):
            os._exit(139)
        return super().detect(images)


class HangsOnWide(OneMass):
    """Never returns for such images."""

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        if any(image.shape[1] > image.shape[0] for image in images):
            threading.Event().wait()
        return super().detect(images)


@dataclass(frozen=True)
class OnFullDisk(OneMass):
    """Fails as a full disk does, until there is space."""

    room: Path = Path()

    def detect(self, images: Sequence[Mammogram]) -> list[tuple[Detection, ...]]:
        if not self.room.exists():
            raise OSError(errno.ENOSPC, "No space left on device")
        return super().detect(images)


def dies_of_wide(file: ArchivedFile, max_image_pixels: int) -> Mammogram:
    """A decoder that ends its process for images wider than high."""
    image = decode(file, max_image_pixels)
    if image.shape[1] > image.shape[0]:
        os._exit(139)
    return image


def read(data_dir: Path, models: OneMass, lease_s: float, beside: bool = False) -> None:
    """The reader's process; with `beside` it decodes in processes of their own, as on a GPU."""
    reader = ImageReader(
        sessions_of(open_database(f"sqlite:///{data_dir / 'queue.sqlite'}")),
        data_dir,
        LocalExecutor(
            pipeline_of(models),
            DecoderPool(2, MOST_PIXELS, attempts=3, timeout_s=60) if beside else DecoderHere(MOST_PIXELS),
        ),
        WORKER,
        ReadingLimits(batch=2, attempts=3, lease_s=lease_s),
        time.time,
    )
    reader.run(threading.Event())
