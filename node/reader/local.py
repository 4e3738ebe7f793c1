"""Reads images in this process: decodes a batch, and has the models read it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from dicom_io.errors import NotReadable
from models.pipeline import Pipeline
from models.protocols import NotFinite, OutOfMemory
from models.types.mammogram import Mammogram
from models.types.reading import ImageReading
from node.archive.digests import ArchivedFile
from node.reader.decoding import Decoder
from node.reader.executor import Hindered, OnReading, Outcome, Outcomes, Read, Unreadable
from node.store.faults import RAISED_AS, describe_fault, is_passing

LONG_S = 10.0
"""An image that took longer to decode has its batch's leases renewed."""
TOO_LARGE = "unreadable: the device's memory does not hold it, even alone"


@dataclass(frozen=True, eq=False)
class _Decoded:
    """An image with its place in the batch, and how long the models waited for it."""

    place: int
    image: Mammogram
    seconds: float


@dataclass(frozen=True)
class LocalExecutor:
    """Decodes and reads here. What is no fault of an image or of the machine is raised, and ends this process.

    Attributes:
        decoder: decodes a batch's images; if it can do so beside, while the models read the batch before.
        on_read: called with each image that was read, before its reading is stored.
    """

    pipeline: Pipeline
    decoder: Decoder
    on_read: Callable[[Path, Mammogram, ImageReading], None] = lambda *_: None

    @property
    def ahead(self) -> bool:
        """See the protocol."""
        return self.decoder.beside

    def begin(self, files: Sequence[ArchivedFile]) -> Outcomes:
        """See the protocol."""
        return partial(self._outcomes, files, [self.decoder.begin(file) for file in files])

    def _outcomes(
        self, files: Sequence[ArchivedFile], begun: Sequence[Callable[[], Mammogram]], on_reading: OnReading
    ) -> Iterator[tuple[int, Outcome]]:
        decoded = []
        for place, image in enumerate(begun):
            began = self.pipeline.clock()
            found = self._decoded(place, image)
            if self.pipeline.clock() - began > LONG_S:  # others that hang their decoders may follow
                on_reading(range(len(files)))
            if isinstance(found, _Decoded):
                decoded.append(found)
            else:
                yield place, found
        if decoded:
            for each, outcome in self._read(decoded, on_reading):
                if isinstance(outcome, Read):
                    self.on_read(files[each.place].path, each.image, outcome.reading)
                yield each.place, outcome

    def _decoded(self, place: int, image: Callable[[], Mammogram]) -> _Decoded | Outcome:
        began = self.pipeline.clock()
        try:
            return _Decoded(place, image(), self.pipeline.clock() - began)
        except NotReadable as reason:
            return Unreadable(str(reason))
        except RAISED_AS as fault:
            if not is_passing(fault):
                raise
            return Hindered(describe_fault(fault))

    def _read(self, decoded: Sequence[_Decoded], on_reading: OnReading) -> Iterator[tuple[_Decoded, Outcome]]:
        """Reads images together, and each alone if that fails."""
        on_reading([each.place for each in decoded])
        readings: Sequence[ImageReading] = ()
        alone: Outcome = Unreadable(TOO_LARGE)
        try:
            readings = self.pipeline.read([each.image for each in decoded])
        except OutOfMemory:
            pass
        except NotFinite as fault:
            alone = Unreadable(f"unreadable: {fault}")
        except RAISED_AS as fault:
            if not is_passing(fault):
                raise
            alone = Hindered(describe_fault(fault))
        # Outside the except block: its traceback would keep the memory of the failed batch.
        if readings:
            for each, reading in zip(decoded, readings, strict=True):
                yield each, Read(replace(reading, seconds={"decode": each.seconds, **reading.seconds}))
        elif len(decoded) == 1:
            yield decoded[0], alone
        else:
            for each in decoded:
                yield from self._read([each], on_reading)
