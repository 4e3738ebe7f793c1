"""Decodes archived images for the models: in the reader's own process, or several at once in processes beside it."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Protocol

from dicom_io.errors import NotReadable
from dicom_io.headers import chest_wall_side
from dicom_io.pixels.mammogram import read_mammogram
from dicom_io.segmentations import read_header
from models.anatomy.breast import breast_mask_of, mask_side
from models.readings.preview import preview_of
from models.types.mammogram import Mammogram
from models.types.words import counted
from node.archive.digests import CHANGED, ArchivedFile
from node.intake.worker_process import NoAnswer, WorkerProcess
from node.store.faults import describe_fault, is_passing

_BYTES_PER_SAMPLE = 40
"""Codec, stored values, and float32 with temporary copies."""
_FOR_ANY_IMAGE = 1 << 30


class Decoder(Protocol):
    """Decodes images."""

    @property
    def beside(self) -> bool:
        """Whether it decodes while this process does something else."""

    def begin(self, file: ArchivedFile) -> Callable[[], Mammogram]:
        """Begins to decode an image. The function that it returns waits for the image, and raises what `decode`
        raises."""


@dataclass(frozen=True)
class DecoderHere:
    """Decodes in this process, when the image is asked for."""

    max_image_pixels: int
    beside = False

    def begin(self, file: ArchivedFile) -> Callable[[], Mammogram]:
        """See the protocol."""
        return partial(decode, file, self.max_image_pixels)


class DecoderPool:
    """Decodes in processes of its own, which end with this one. A decoder that dies or hangs takes one image with it.

    Args:
        processes: their number; each is started when it is first needed.
        attempts: after so many deaths over one image it is not readable.
        timeout_s: for one attempt at one image.
        decoding: the function that is called there.
    """

    beside = True

    def __init__(
        self,
        processes: int,
        max_image_pixels: int,
        attempts: int,
        timeout_s: float,
        decoding: Callable[[ArchivedFile, int], Mammogram] | None = None,
    ) -> None:
        self._max_image_pixels, self._attempts = max_image_pixels, attempts
        self._decoding = decoding or decode
        self._asked: queue.SimpleQueue[tuple[ArchivedFile, Future[Mammogram]]] = queue.SimpleQueue()
        for number in range(processes):
            worker = WorkerProcess(_FOR_ANY_IMAGE + _BYTES_PER_SAMPLE * max_image_pixels, timeout_s)
            threading.Thread(target=self._serve, args=(worker,), name=f"decoding-{number}", daemon=True).start()

    def begin(self, file: ArchivedFile) -> Callable[[], Mammogram]:
        """See the protocol."""
        image: Future[Mammogram] = Future()
        self._asked.put((file, image))
        return image.result

    def _serve(self, worker: WorkerProcess) -> None:
        while True:
            file, image = self._asked.get()
            try:
                image.set_result(self._decoded(worker, file))
            except Exception as fault:  # noqa: BLE001 - raised again where the image is asked for
                image.set_exception(fault)

    def _decoded(self, worker: WorkerProcess, file: ArchivedFile) -> Mammogram:
        for _ in range(self._attempts):
            with suppress(NoAnswer):  # the process is started again for the next attempt
                return worker.call(self._decoding, file, self._max_image_pixels)
        raise NotReadable(kills_the_reader(self._attempts))


def kills_the_reader(attempts: int) -> str:
    """Why an image is not read that ended the process which read it, so many times."""
    return f"unreadable: kills the reader ({counted(attempts, 'attempt')})"


def decode(file: ArchivedFile, max_image_pixels: int) -> Mammogram:
    """The input of the models for an archived image, with a warning if its laterality looks wrong.

    Raises:
        NotReadable: the file is missing, may not be read, was changed since it was received, or cannot be decoded.
        OSError, MemoryError: a temporary fault of the machine (faults.py).
    """
    with archive_faults():
        if not file.is_intact:
            raise NotReadable(CHANGED)
        image = read_mammogram(file.path, max_image_pixels)
        expected = chest_wall_side(read_header(file.path))
    seen = mask_side(breast_mask_of(image))
    if expected is not None and seen is not None and seen != expected:
        warning = f"The header puts the chest wall on the {expected}, the pixels on the {seen}: check the laterality."
        image = image.stating(warnings=(*image.warnings, warning))
    preview_of(image)  # kept: with a GPU it is made here, in a process beside
    return image


@contextmanager
def archive_faults() -> Iterator[None]:
    """What is wrong with a file of the archive, in words.

    Raises:
        NotReadable: it is missing or may not be read.
        OSError: a temporary fault of the machine (faults.py).
    """
    try:
        yield
    except FileNotFoundError as error:
        raise NotReadable("its file is gone from the archive: send it again") from error
    except PermissionError as error:
        raise NotReadable("its file in the archive may not be read: mend its permissions, then retry") from error
    except OSError as error:
        if is_passing(error):
            raise
        raise NotReadable(
            f"its file in the archive cannot be read, {describe_fault(error)}: mend that, then retry"
        ) from error
