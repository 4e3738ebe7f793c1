"""What was seen of each image, so that every table is made of one pass over the data; kept in a file as it comes, so
that an evaluation that was stopped goes on where it was."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from models.datasets.case import Pathology
from models.errors import UserError
from models.measures.detection import ImageResult, match
from models.measures.overlap import Overlap
from models.types.mammogram import Laterality
from models.types.reading import FindingKind
from models.types.region import Box

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""The detector's confidences of paper B's Table 2."""
PAPERS_IOU = 0.5
"""By which lesions are found in its Table 1 (our choice: the paper does not say)."""


class EvaluationError(UserError):
    """There is nothing that could be measured, or nowhere to go on; the message names the cause and the cure."""


@dataclass(frozen=True)
class Proposal:
    """One box of the detector.

    Attributes:
        lesion: the number of the lesion it finds (see measures.HIT_IOU), None for none.
        shown: the node would show it: it is sure enough, and no smaller one that is shown lies in it.
    """

    box: Box
    kind: FindingKind
    confidence: float
    lesion: int | None
    shown: bool = False


@dataclass(frozen=True)
class SeenLesion:
    """One true lesion.

    Attributes:
        outlined: its outline was drawn, and not a box alone.
        diameter_mm: its longest.
        found: a proposal that the node would show finds it.
        by_true_box: the segmenter's outline after each pass against the true one, from the true box, which the
            segmenter enlarges as it does a detector's. Empty where nothing was outlined or no segmenter is there.
        by_found_box: the same from the most confident proposal that finds it, among those that the node would show.
        own_pass: which pass (counted from 1) the node goes by.
        score: the classifier's for the true outline, 0..1; None without a classifier.
        all_border: nowhere deeper than the border of the boundary IoU.
    """

    box: Box
    kind: FindingKind
    pathology: Pathology | None
    birads: str | None
    outlined: bool
    diameter_mm: float
    found: bool
    by_true_box: tuple[Overlap, ...]
    by_found_box: tuple[Overlap, ...]
    own_pass: int
    score: float | None
    all_border: bool = False

    @property
    def true_dice(self) -> float | None:
        """Dice from the true box, as the node draws; None where nothing was outlined."""
        return self.by_true_box[self.own_pass - 1].dice if self.by_true_box else None

    @property
    def found_dice(self) -> float | None:
        """Dice from the box found; None where none was or nothing was outlined."""
        return self.by_found_box[self.own_pass - 1].dice if self.by_found_box else None


@dataclass(frozen=True)
class Observation:
    """One image: what its data set says of it, and what the models did.

    Attributes:
        name, patient, exam, laterality, view, pathology, birads, density, marked_up, label_is_fair: see `Case`.
        spacing_assumed: the header gives no spacing: diameters are by the bundle's assumption.
        confidence: proposals of at least this confidence would be shown by the node.
        proposals: all of the detector's, shown or not, most confident first; None without a detector.
        by_threshold: all outlines of at least each of THRESHOLDS, together, against all true ones; empty where the
            image is not marked up, an outline is missing, or detector or segmenter are not there.
        score: the image's malignancy, 0..1; None without a classifier, or where it is withheld.
        score_withheld: the classifier was measured without a detector, and its image score depends on findings.
        truth: a digest of the image and of what its data set says of it (see `Truth`).
    """

    name: str
    dataset: str
    patient: str
    exam: str | None
    laterality: Laterality | None
    view: str | None
    pathology: Pathology | None
    birads: str | None
    density: str | None
    marked_up: bool
    label_is_fair: bool
    spacing_assumed: bool
    confidence: float
    proposals: tuple[Proposal, ...] | None
    lesions: tuple[SeenLesion, ...]
    by_threshold: tuple[Overlap, ...]
    score: float | None
    score_withheld: bool = False
    truth: str = ""

    @property
    def malignant(self) -> bool:
        return self.pathology is Pathology.MALIGNANT

    @property
    def boxes(self) -> tuple[tuple[Box, float], ...]:
        return tuple((proposal.box, proposal.confidence) for proposal in self.proposals or ())

    @cached_property
    def matched(self) -> ImageResult:
        """What the detector did, for the FROC, by an overlap of HIT_IOU."""
        return ImageResult(
            self.patient,
            len(self.lesions),
            tuple((proposal.confidence, proposal.lesion) for proposal in self.proposals or ()),
        )

    @cached_property
    def matched_by_half(self) -> ImageResult:
        """The same, matched anew by an overlap of PAPERS_IOU."""
        pairs = match(self.boxes, [lesion.box for lesion in self.lesions], PAPERS_IOU)
        return ImageResult(self.patient, len(self.lesions), pairs)


class ObservationFile:
    """A file of observations, one JSON a line under a line that says of which models they are. Of two lines about one
    image the later counts.

    Raises:
        EvaluationError: the file is of other models, or is none of ours.
    """

    def __init__(self, path: Path, models: str) -> None:
        self._path = path
        self._header = json.dumps({"observations": 3, "models": models})
        self._rows = TypeAdapter(Observation)
        self.seen = {observation.name: observation for observation in self._read()}

    def add(self, observation: Observation) -> None:
        """Writes it down before the next is begun."""
        with self._path.open("ab") as file:
            file.write(self._rows.dump_json(observation) + b"\n")
        self.seen[observation.name] = observation

    def _read(self) -> Iterator[Observation]:
        if not self._path.exists():
            self._path.write_text(self._header + "\n", encoding="utf-8")
            return
        header, _, rest = self._path.read_bytes().partition(b"\n")
        if header.decode(errors="replace") != self._header:
            raise EvaluationError(
                f"{self._path}: holds what other models or another version of this program did, or is damaged. Give "
                "another --out, or delete the file."
            )
        whole, _, torn = rest.rpartition(b"\n")
        if torn:  # the evaluation was killed while it wrote: that image is done again
            self._path.write_bytes(header + b"\n" + (whole + b"\n" if whole else b""))
        for number, line in enumerate(whole.splitlines(), start=2):
            try:
                yield self._rows.validate_json(line)
            except ValidationError as error:
                raise EvaluationError(f"{self._path}: line {number} is damaged. Delete the file.") from error
