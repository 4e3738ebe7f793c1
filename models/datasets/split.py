"""Splits into training, validation and test images: by patient, never by image."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from models.datasets.case import Case, Side
from models.datasets.draws import deal, draw_folds, draw_sides
from models.durable import write_durably
from models.errors import UserError

_SIDES = ("train", "validation", "test")


class SplitError(UserError):
    """The images cannot be split, a split file cannot be used, or a patient is on two sides."""


@dataclass(frozen=True)
class Split:
    """Names of images by side.

    Attributes:
        scheme: how it was made: "patient", "official", "paper" or "fold 2 of 5".
        seed: of its random draw.
        train, validation, test: names of images.
        left_out: images that may belong to a patient of another side.
    """

    scheme: str
    seed: int
    train: tuple[str, ...]
    validation: tuple[str, ...]
    test: tuple[str, ...]
    left_out: tuple[str, ...] = ()

    def write(self, path: Path) -> None:
        """Writes the split as JSON; `read_split` reads it."""
        write_durably(path, (json.dumps(asdict(self), indent=1) + "\n").encode())


def read_split(path: Path, cases: Iterable[Case]) -> Split:
    """A split that `Split.write` wrote, for these images.

    Raises:
        SplitError: the file is missing or not a split, names an image that is not among `cases`, or has a patient on
            two sides.
    """
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise SplitError(f"{path} cannot be read: {error.strerror}. Give the split.json of a training run.") from error
    except ValueError as error:
        raise SplitError(f"{path} is not JSON: {error}. Give the split.json of a training run.") from error
    split = _parsed(path, found)
    known = list(cases)
    names = {case.name for case in known}
    for side in (*_SIDES, "left_out"):
        unknown = [name for name in getattr(split, side) if name not in names]
        if unknown:
            raise SplitError(
                f"{path} names {unknown[0]} ({side}; {len(unknown)} such), which is not in the data. "
                "Give the data sets that the split was made of."
            )
    try:
        check_disjoint(split, known)
    except SplitError as error:
        raise SplitError(f"{path} cannot be used: {error}") from error
    return split


def split_by_patient(cases: Sequence[Case], test: float, validation: float, seed: int) -> Split:
    """Holds out patients, in each data set separately, stratified by pathology (and by kinds of lesions).

    If all patients of a set are known, they are assigned one by one. If some images are known only to belong to one of
    a range of patients, intervals of patients are held out, and images whose range overlaps two sides are left out.

    Args:
        cases: the images.
        test: the share of images to hold out for the test, 0..1.
        validation: the share of images by which the best weights are chosen, 0..1.
        seed: the same seed and cases give the same split.

    Raises:
        SplitError: there are no cases, or too few patients for three sides.
    """
    return _random_split("patient", cases, test, validation, seed)


def paper(cases: Sequence[Case], seed: int) -> Split:
    """A fifth for the test, and a fifth of the rest for validation (Guo, Cai and Dungey), by patient.

    Raises:
        SplitError: as for `split_by_patient`.
    """
    return _random_split("paper", cases, 0.2, 0.16, seed)


def official(cases: Sequence[Case], validation: float, seed: int) -> Split:
    """The publishers' split; without validation images of theirs, the share `validation` of the others is held out.

    A patient on both of the publishers' sides is a test patient: the patient's other images are left out.

    Raises:
        SplitError: the publishers of a set made no split, or there are too few patients.
    """
    _check_some(cases)
    if strays := [case for case in cases if case.official is None or len(case.patients) > 1]:
        raise SplitError(
            f"{strays[0].dataset} has no official split ({strays[0].name}). Split by patient instead (scheme patient)."
        )
    tested = {case.patients[0] for case in cases if case.official is Side.TEST}
    test = [case for case in cases if case.official is Side.TEST]
    rest = [case for case in cases if case.official is not Side.TEST and case.patients[0] not in tested]
    fixed = [case for case in rest if case.official is Side.VALIDATION]
    parts = {case.name: frozenset({0}) for case in rest} if fixed else deal(rest, (1 - validation, validation), seed)
    held = {case.patients[0] for case in fixed}
    sides = {
        case.name: "validation" if parts[case.name] == {1} or case.patients[0] in held else "train" for case in rest
    }
    return _split("official", seed, cases, sides | {case.name: "test" for case in test})


def folds(cases: Sequence[Case], k: int, seed: int) -> list[Split]:
    """`k` splits by patient: each image is a test image once, and a validation image once (in the split before).

    Images of which only a range of patients is known, and whose range overlaps two folds, are test images in none.

    Raises:
        SplitError: fewer than three folds, or fewer patients than folds.
    """
    _check_some(cases)
    if k < 3:
        raise SplitError(f"{k} folds leave nothing to train on. Give at least 3.")
    parts = draw_folds(cases, k, seed)
    splits = []
    for fold in range(k):
        roles = {fold: "test", (fold + 1) % k: "validation"}
        sides = {name: _side(where, roles) for name, where in parts.items()}
        splits.append(_split(f"fold {fold + 1} of {k}", seed, cases, sides))
    return splits


def sides(cases: Iterable[Case], split: Split) -> tuple[list[Case], list[Case], list[Case]]:
    """The images for training, validation and test."""
    by_name = {case.name: case for case in cases}
    train, validation, test = ([by_name[name] for name in getattr(split, side)] for side in _SIDES)
    return train, validation, test


def check_disjoint(split: Split, cases: Iterable[Case]) -> None:
    """Checks that no patient can be on two sides.

    Raises:
        SplitError: a patient may be on two sides; the message names two of the images.
    """
    patients = {case.name: case.patients for case in cases}
    seen: dict[str, tuple[str, str]] = {}
    for side in _SIDES:
        for name in getattr(split, side):
            for patient in patients[name]:
                first, where = seen.setdefault(patient, (name, side))
                if where != side:
                    raise SplitError(
                        f"{first} ({where}) and {name} ({side}) may show the same patient. Split by patient."
                    )


def _random_split(scheme: str, cases: Sequence[Case], test: float, validation: float, seed: int) -> Split:
    _check_some(cases)
    if (patients := len({patient for case in cases for patient in case.patients})) < 3:
        raise SplitError(f"{patients} patients cannot be split three ways. Add images of more patients.")
    parts = draw_sides(cases, test, validation, seed)
    roles = {0: "test", 1: "validation", 2: "train"}
    return _split(scheme, seed, cases, {name: _side(where, roles) for name, where in parts.items()})


def _side(where: frozenset[int], roles: dict[int, str]) -> str:
    """The side of an image that may be in these parts; parts without a role are for training."""
    possible = {roles.get(part, "train") for part in where}
    return possible.pop() if len(possible) == 1 else "left_out"


def _split(scheme: str, seed: int, cases: Sequence[Case], side_of: dict[str, str]) -> Split:
    """The split, after a check that no side is empty and no patient is on two sides."""
    names = {
        side: tuple(case.name for case in cases if side_of.get(case.name, "left_out") == side)
        for side in (*_SIDES, "left_out")
    }
    if not all(names[side] for side in _SIDES):
        raise SplitError("No split leaves images on all three sides. Add images of more patients.")
    split = Split(scheme=scheme, seed=seed, **names)
    check_disjoint(split, cases)
    return split


def _check_some(cases: Sequence[Case]) -> None:
    if not cases:
        raise SplitError("There is nothing to split: the data set has no images.")


def _parsed(path: Path, found: object) -> Split:
    fault = f"{path} is not a split. Give the split.json of a training run."
    if not isinstance(found, dict) or not {field.name for field in fields(Split)} <= set(found):
        raise SplitError(fault)
    names = {side: found[side] for side in (*_SIDES, "left_out")}
    if not all(isinstance(side, list) and all(isinstance(name, str) for name in side) for side in names.values()):
        raise SplitError(fault)
    if not isinstance(found["seed"], int) or not isinstance(found["scheme"], str):
        raise SplitError(fault)
    return Split(found["scheme"], found["seed"], **{side: tuple(of_side) for side, of_side in names.items()})
