"""The node's own segmentations of past reports, with which corrections are compared."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from dicom_io.attributes import text
from dicom_io.corrections import describe_correction
from dicom_io.errors import NotReadable
from dicom_io.results.profiles import ResultKind
from dicom_io.segmentations import images_of_frames, read_header
from node.store.states import JobKind
from node.store.tables import Annotation, Instance, Job, Result


@dataclass(frozen=True)
class _Written:
    """The SEGs of one revision.

    Attributes:
        paths: by the SOP Instance UID of the image; relative to the data folder.
        series: their Series Instance UIDs.
        readers: the names of the bundles that made them, as their segments say.
        lost: whether a SEG file is missing or damaged, so that its image is unknown.
    """

    paths: dict[str, str]
    series: frozenset[str]
    readers: frozenset[str]
    lost: bool


class Proposals:
    """Finds the node's own SEGs by study, revision and image. Each header is read once."""

    def __init__(self, session: Session, data_dir: Path) -> None:
        self._session = session
        self._data_dir = data_dir
        self._results: dict[int, list[Result]] = {}
        self._written: dict[tuple[int, int], _Written] = {}

    def revision(self, image: Instance, annotation: Annotation) -> int | None:
        """The revision of the report that an annotation corrects: that of the SEG it names as predecessor, else the
        newest that was written before the annotation arrived; None if no report includes the image."""
        first = self._first_revision(image)
        if image.reading is None or first is None:
            return None
        reports = [result for result in self._of_study(image.study_id) if result.revision >= first]
        named = [result.revision for result in reports if result.sop_instance_uid in annotation.predecessors]
        seen = [result.revision for result in reports if result.written_at <= annotation.instance.received_at]
        return max(named or seen, default=None)

    def path(self, image: Instance, revision: int) -> str | None:
        """The path of the node's SEG of an image, relative to the data folder; None if it has none.

        Raises:
            NotReadable: the image has findings and no SEG, and a SEG file of the report is missing or damaged.
        """
        written = self._written_in(image.study_id, revision)
        path = written.paths.get(image.sop_instance_uid)
        if path is None and written.lost and (image.reading or {}).get("findings"):
            raise NotReadable("the node's own segmentation of it is missing in the data folder, or damaged")
        return path

    def are_edited_by(self, annotation: Annotation) -> bool:
        """Whether an annotation names a result of the node as its predecessor, or has the Series Instance UID of a
        SEG of the node, as viewers write it when they edit one."""
        study_id = annotation.instance.study_id
        if {result.sop_instance_uid for result in self._of_study(study_id)} & set(annotation.predecessors):
            return True
        series = annotation.instance.series_instance_uid
        return any(series in written.series for written in self._all_written(study_id))

    def readers(self, study_id: int) -> frozenset[str]:
        """The names of the bundles whose SEGs of a study are here: the algorithm names in their segments."""
        return frozenset(name for written in self._all_written(study_id) for name in written.readers)

    def _all_written(self, study_id: int) -> Iterator[_Written]:
        for revision in {result.revision for result in self._of_study(study_id)}:
            yield self._written_in(study_id, revision)

    def _written_in(self, study_id: int, revision: int) -> _Written:
        key = (study_id, revision)
        if key not in self._written:
            paths: dict[str, str] = {}
            series, readers, lost = set[str](), set[str](), False
            for result in self._of_study(study_id):
                if result.kind is ResultKind.SEG and result.revision <= revision <= result.last_revision:
                    try:
                        header = read_header(self._data_dir / result.path)
                    except (NotReadable, OSError):
                        lost = True
                        continue
                    images = [uid for uid in images_of_frames(header) if uid]
                    lost = lost or not images  # our SEGs always have frames: this file is truncated
                    series.add(text(header, "SeriesInstanceUID"))
                    readers.update(describe_correction(header).automatic_by)
                    paths.update(dict.fromkeys(images, result.path))
            self._written[key] = _Written(paths, frozenset(series), frozenset(readers), lost)
        return self._written[key]

    def _first_revision(self, image: Instance) -> int | None:
        """The revision of the first report for which the image was to be read; None if there is no job to read it."""
        query = select(func.min(Job.revision)).where(Job.instance_id == image.id, Job.kind == JobKind.READ_IMAGE)
        return self._session.scalar(query)

    def _of_study(self, study_id: int) -> list[Result]:
        if study_id not in self._results:
            self._results[study_id] = list(
                self._session.scalars(select(Result).where(Result.study_id == study_id).order_by(Result.id))
            )
        return self._results[study_id]
