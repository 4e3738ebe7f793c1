"""The models' results on each image, from which all tables are made. They are written to a file image by image, so that
an interrupted evaluation can continue."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

from pydantic import TypeAdapter, ValidationError

from models.datasets.case import Pathology
from models.errors import UserError
from models.measures.average_precision import MatchedBoxes, matched_boxes
from models.measures.detection import ImageResult, match
from models.measures.overlap import Overlap
from models.types.mammogram import Laterality
from models.types.reading import FindingKind, told_apart
from models.types.region import Box

THRESHOLDS = (0.1, 0.2, 0.3, 0.4, 0.5)
"""The detector's confidences of paper B's Table 2."""
PAPERS_IOU = 0.5
"""The IoU by which a lesion is found in paper B's Table 1 (our choice: the paper does not state it)."""


class EvaluationError(UserError):
    """There is nothing to evaluate, or the evaluation cannot continue; the message names the cause and the cure."""


@dataclass(frozen=True)
class Proposal:
    """One box of the detector.

    Attributes:
        kind: the detector's; `Observation.shown` tells masses with calcifications apart.
        lesion: the index of the lesion it finds (see measures.detection.HIT_IOU); None if it finds none.
        shown: whether the node would show it: its confidence is high enough, and no smaller shown one lies inside it.
        malignancy: the classifier's score of what is shown, 0..1; None if it is not shown, or without a classifier.
    """

    box: Box
    kind: FindingKind
    confidence: float
    lesion: int | None
    shown: bool = False
    malignancy: float | None = None


@dataclass(frozen=True)
class SeenLesion:
    """One true lesion.

    Attributes:
        outlined: whether its outline was drawn, and not only a box.
        diameter_mm: its longest diameter.
        found: whether a proposal that the node would show finds it.
        by_true_box: for each pass, the segmenter's outline against the true one, with the true box as prompt, which the
            segmenter enlarges like a detector's. Empty if it is not outlined, or without a segmenter.
        by_found_box: the same with the most confident proposal that finds it, among those that the node would show.
        own_pass: the pass (counted from 1) whose outline the node uses.
        score: the classifier's for the true outline, 0..1; None without a classifier.
        all_border: whether it consists only of border in the sense of the boundary IoU.
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
        """Dice with the true box, in the node's pass; None if there is no outline."""
        return self.by_true_box[self.own_pass - 1].dice if self.by_true_box else None

    @property
    def found_dice(self) -> float | None:
        """Dice with the found box, in the node's pass; None if it was not found or there is no outline."""
        return self.by_found_box[self.own_pass - 1].dice if self.by_found_box else None


@dataclass(frozen=True)
class Observation:
    """One image: its labels, and the models' results.

    Attributes:
        name, patient, exam, laterality, view, pathology, birads, density, marked_up, label_is_fair: see `Case`.
        spacing_assumed: whether the header states no spacing: then diameters use the bundle's assumed one.
        confidence: proposals of at least this confidence would be shown by the node.
        proposals: all of the detector's, shown or not, most confident first; None without a detector.
        by_threshold: for each of THRESHOLDS, the union of the outlines of proposals of at least this confidence against
            the union of the true ones; empty if the image is not marked up, an outline is missing, or there is no
            detector or no segmenter.
        score: the image's malignancy, 0..1; None without a classifier, or if it is withheld.
        score_withheld: whether the classifier was run without a detector, and its image score depends on findings.
        truth: a digest of the image and its labels (see `Truth`).
        hospital: see `Case`.
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
    hospital: str = ""

    @property
    def malignant(self) -> bool:
        return self.pathology is Pathology.MALIGNANT

    @property
    def boxes(self) -> tuple[tuple[Box, float], ...]:
        return tuple((proposal.box, proposal.confidence) for proposal in self.proposals or ())

    @cached_property
    def shown(self) -> tuple[Proposal, ...]:
        """What the node would show, most confident first, where masses with calcifications are told apart."""
        shown = [proposal for proposal in self.proposals or () if proposal.shown]
        kinds = told_apart([proposal.box for proposal in shown], [proposal.kind for proposal in shown])
        return tuple(replace(proposal, kind=kind) for proposal, kind in zip(shown, kinds, strict=True))

    @cached_property
    def matched(self) -> ImageResult:
        """The detector's result for the FROC, matched by an IoU of HIT_IOU."""
        return ImageResult(
            self.patient,
            len(self.lesions),
            tuple((proposal.confidence, proposal.lesion) for proposal in self.proposals or ()),
        )

    @cached_property
    def matched_by_half(self) -> ImageResult:
        """The detector's result, matched by an IoU of PAPERS_IOU."""
        pairs = match(self.boxes, [lesion.box for lesion in self.lesions], PAPERS_IOU)
        return ImageResult(self.patient, len(self.lesions), pairs)

    @cached_property
    def matched_for_precision(self) -> MatchedBoxes:
        """The detector's result, matched by COCO's rules."""
        return matched_boxes(self.boxes, [lesion.box for lesion in self.lesions])


class ObservationFile:
    """A file of observations: a header line that identifies the models, then one JSON object per line. If two lines are
    about the same image, the later one counts.

    Raises:
        EvaluationError: the file is of other models, or not such a file.
    """

    def __init__(self, path: Path, models: str) -> None:
        self._path = path
        self._header = json.dumps({"observations": 4, "models": models})
        self._rows = TypeAdapter(Observation)
        self.seen = {observation.name: observation for observation in self._read()}

    def add(self, observation: Observation) -> None:
        """Appends the observation to the file."""
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
                f"{self._path}: holds results of other models or of another version of this program, or is damaged. "
                "Give another --out, or delete the file."
            )
        whole, _, torn = rest.rpartition(b"\n")
        if torn:  # the evaluation was killed during a write: this image is observed again
            self._path.write_bytes(header + b"\n" + (whole + b"\n" if whole else b""))
        for number, line in enumerate(whole.splitlines(), start=2):
            try:
                yield self._rows.validate_json(line)
            except ValidationError as error:
                raise EvaluationError(f"{self._path}: line {number} is damaged. Delete the file.") from error
