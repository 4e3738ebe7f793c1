"""For notebooks and scripts: reads studies in folders, without a network, and returns arrays (docs/python.md)."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from uuid import uuid4

from dicom_io.device import Device
from dicom_io.results.profiles import PROFILES
from node.bundles import named_bundle
from node.folder.loading import load_for_reading
from node.folder.reading import FolderLimits, FolderReading, SkippedFile, StudyOutcome, files_in
from node.store.installation import identity_of

__all__ = ["Reader", "Readings", "SkippedFile", "StudyOutcome", "read"]


@dataclass(frozen=True)
class Readings:
    """What came of the files.

    Attributes:
        studies: oldest first. `exam` is the reading: its images with their findings, each of which has a `Mask` (a box
            and a bool array in it).
        skipped: files that belong to no study or were left out, with the reason.
    """

    studies: tuple[StudyOutcome, ...]
    skipped: tuple[SkippedFile, ...]


class Reader:
    """A bundle's models, loaded once, for any number of studies. Research use only, not for diagnosis.

    Args:
        bundle: a shipped bundle's name, or the folder of one.
        device: "auto", "cpu", "cuda" or "cuda:N".
        batch: images read at once.
        config: a node's settings, whose [bundles] says whether the bundle must be signed; None: it need not be.

    Raises:
        BundleError: the bundle is missing or damaged, or not signed as the settings require.
        SettingsError: the settings cannot be used.
        NoSuchDevice: there is no such device.
    """

    def __init__(
        self,
        bundle: str = "research-default",
        device: str = "auto",
        batch: int = 1,
        config: Path | str | None = None,
    ) -> None:
        self._bundle = named_bundle(bundle, None if config is None else Path(config))
        self._pipeline = load_for_reading(self._bundle, device, time.perf_counter)
        self._batch = batch

    def read(
        self,
        files: Path | str | Iterable[Path | str],
        out: Path | str | None = None,
        *,
        secondary_capture: bool = False,
    ) -> Readings:
        """Reads the studies in a folder (with all below it), a file, or several of them.

        Nothing is raised for an image that cannot be read: `unread` of its study says why.

        Args:
            out: a folder for results, overlays and reading.json, one folder per study; None: none are kept.
            secondary_capture: read secondary captures of the breast as mammograms (CBIS-DDSM).

        Raises:
            FileNotFoundError: a folder or file is missing.
            BundleError, OutOfMemory: see `models.pipeline.Pipeline.read`.
        """
        with TemporaryDirectory(prefix="mammo-node-") as scratch:
            kept = Path(scratch) / "out" if out is None else Path(out)
            queue = Path(scratch) / "queue"
            for folder in (kept, queue):
                folder.mkdir(parents=True, exist_ok=True)
            reading = FolderReading(
                self._bundle.id,
                Device(identity_of(kept, uuid4)),
                queue,
                kept,
                FolderLimits(batch=self._batch),
                time.time,
                PROFILES["all"],
            )
            skipped = reading.take(_files(files, kept), reads_secondary_capture=secondary_capture)
            reading.read(self._pipeline, lambda _: None)
            studies = reading.report()
        if out is None:
            studies = [replace(study, folder=None) for study in studies]
        return Readings(tuple(studies), tuple(skipped))


def read(
    files: Path | str | Iterable[Path | str],
    out: Path | str | None = None,
    *,
    bundle: str = "research-default",
    device: str = "auto",
    secondary_capture: bool = False,
) -> Readings:
    """The same in one call, which loads the models each time. See `Reader`."""
    return Reader(bundle, device).read(files, out, secondary_capture=secondary_capture)


def _files(given: Path | str | Iterable[Path | str], out: Path) -> list[Path]:
    places = [Path(place) for place in ([given] if isinstance(given, Path | str) else given)]
    for place in places:
        if not place.exists():
            raise FileNotFoundError(f"{place} does not exist.")
    return [file for place in places for file in files_in(place, out)]
