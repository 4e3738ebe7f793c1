"""The one split that all parts of a bundle share: who trains, who chooses the epoch, who is measured."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from models.datasets.cdd_cesm import Dataset, Record
from models.training.recipe import SplitRecipe
from models.training.split import Case, Split, split_by_patient


@dataclass(frozen=True)
class Sides:
    """Images by side."""

    train: tuple[Record, ...]
    validation: tuple[Record, ...]
    test: tuple[Record, ...]


def hold_out(dataset: Dataset, recipe: SplitRecipe, out: Path) -> Sides:
    """Splits the data set by patient, writes `out/split.json`, and hands out the images by side.

    Raises:
        SplitError: it cannot be split.
    """
    cases = [Case(record.name, record.patients, _stratum(record)) for record in dataset.records]
    split = split_by_patient(cases, recipe.test, recipe.validation, recipe.seed)
    split.write(out / "split.json")
    return sides(dataset.records, split)


def sides(records: Sequence[Record], split: Split) -> Sides:
    """The images of each side of a split."""
    by_name = {record.name: record for record in records}
    return Sides(*(tuple(by_name[name] for name in names) for names in (split.train, split.validation, split.test)))


def patient_of(record: Record) -> str:
    """Whose image it is, for draws by patient; one known by a range alone counts as a patient of its own."""
    low, high = record.patients
    return str(low) if low == high else record.name


def _stratum(record: Record) -> str:
    return f"{record.pathology} {'native' if record.native else '512'}"
