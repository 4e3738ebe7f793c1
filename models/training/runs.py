"""A complete training: split, fit, calibration, and evaluation of a part, which is put into a bundle."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from models.birads.calibration import Calibration, Level, Method
from models.birads.caveat import wrong_levels
from models.bundles.bundle import CARD, Bundle, read_bundle, verify
from models.bundles.writing import NewPart, other_parts, put_part
from models.catalog import load_pipeline
from models.datasets.case import Case, Cases
from models.datasets.split import Split, folds, official, paper, sides, split_by_patient
from models.durable import write_durably
from models.errors import UserError
from models.training.calibration.cross_fitting import out_of_fold, scored_by
from models.training.calibration.fitting import calibrate, calibrate_composed
from models.training.detector.largest_lesion import largest_lesion
from models.training.held_out_figures import is_interval, measure
from models.training.kept import Kept
from models.training.parts import Fitted, fit_part
from models.training.recipe import CalibrationRecipe, Progress, Recipe, SplitRecipe
from models.types.words import counted

LICENCE = "AGPL-3.0-or-later"
"""Of weights that are trained here: the project's, which is that of the libraries used in training."""

CALIBRATION_GONE = (
    "The calibration and the classifier's figures belonged to the replaced part and were removed: scores give no "
    "probability until the classifier is trained again in this bundle."
)
NOT_CALIBRATED = (
    "Scores of the level {level} are not calibrated: on held-out patients the probabilities were {how}, so the bundle "
    "has none at this level."
)


@dataclass(frozen=True)
class Trained:
    """The result of a training.

    Attributes:
        figures: on the held-out patients; see `measure`.
        notes: sentences for the user: what was not calibrated, what could not be measured.
    """

    bundle: Bundle
    figures: Mapping[str, Any]
    notes: tuple[str, ...] = field(default=())


def train(
    recipe: Recipe,
    cases: Cases,
    out: Path,
    start: Path | None,
    device: torch.device,
    progress: Progress,
    *,
    split: Split | None = None,
    restart: bool = False,
    base: Bundle | None = None,
    measured: bool = True,
    kept_in: Path | None = None,
) -> Trained:
    """Trains a part and puts it into the bundle in `out`; continues a training that was killed.

    In addition to the bundle, `out/training/KIND` holds split.json, left-out.json, figures.json, the checkpoint, the
    history, TensorBoard's files and kept/. Figures are measured on the test patients with the weights as stored.

    Args:
        recipe: all settings of the training.
        cases: the images.
        out: the bundle's folder; created if missing.
        start: start weights; None for random ones.
        device: where to train.
        progress: called after each step.
        split: None: the recipe's split.
        restart: delete the results of earlier calls.
        base: the source of a new bundle's other parts; see `put_part`.
        measured: whether the part is evaluated on the test patients, and the figures are stored in the bundle.
        kept_in: holds what is made of each image, for several trainings; None: `out/training/KIND/kept`.

    Raises:
        SplitError: the images cannot be split as the recipe requires.
        DatasetError: an image cannot be read, or there is no training data.
        StartError: the start weights do not fit.
        CheckpointError: `out` holds a checkpoint of another training.
        TrainingError: the loss is not finite.
        BundleError: `out` holds a bundle that cannot be read.
    """
    split = split or make_split(recipe.split, cases.cases)
    folder = out / "training" / recipe.kind
    if restart:
        shutil.rmtree(folder, ignore_errors=True)
    depends_on = _digest(recipe, split, start, cases.outlined_by)
    if (finished := _finished(folder, out, recipe.kind, depends_on, measured)) is not None:
        return finished
    folder.mkdir(parents=True, exist_ok=True)
    split.write(folder / "split.json")
    _write(folder / "left-out.json", [asdict(left_out) for left_out in cases.left_out])

    train_cases, validation, test = sides(cases.cases, split)
    # The weights do not depend on the calibration: with another one they are not trained again.
    weights_depend_on = _digest(replace(recipe, calibration=CalibrationRecipe()), split, start, cases.outlined_by)
    kept = Kept(kept_in or folder / "kept", _made_by(recipe, start, cases.outlined_by))
    fitted = fit_part(recipe, train_cases, validation, start, folder, device, progress, weights_depend_on, kept)
    others = other_parts(out, base)
    calibration, notes = _calibration(
        recipe, cases, fitted, validation, test, start, folder, device, progress, weights_depend_on, others, kept
    )
    part = _new_part(recipe, fitted, train_cases, start, calibration)
    bundle, figures = put_part(out, part, base), None
    if others.calibration and recipe.kind != "classifier" and not bundle.calibration:
        notes.append(CALIBRATION_GONE)
    if measured:
        bundle, figures, unmeasured = _measured(recipe, bundle, part, test, out, folder, device, progress)
        notes += unmeasured
    _write(folder / "figures.json", {"depends_on": depends_on, "figures": figures, "notes": notes})
    return Trained(bundle, figures or {}, tuple(notes))


def _measured(
    recipe: Recipe,
    bundle: Bundle,
    part: NewPart,
    test: Sequence[Case],
    out: Path,
    folder: Path,
    device: torch.device,
    progress: Progress,
) -> tuple[Bundle, dict[str, Any], list[str]]:
    """The bundle with the part's figures on the test patients, without the levels of its calibration that were wrong on
    them; the figures, and sentences for the user."""
    figures, notes = measure(recipe, bundle, test, folder / "observed", device, progress)
    calibration, withheld = only_right(part.calibration, figures)
    return put_part(out, replace(part, figures=figures, calibration=calibration)), figures, [*notes, *withheld]


def _new_part(
    recipe: Recipe,
    fitted: Fitted,
    train_cases: Sequence[Case],
    start: Path | None,
    calibration: Mapping[Level, Calibration],
) -> NewPart:
    """The trained part for the bundle, without figures."""
    return NewPart(
        role=recipe.kind,
        weights=fitted.weights,
        architecture=fitted.architecture,
        settings=fitted.settings,
        licence=LICENCE,
        training_data=_training_data(recipe, train_cases, start),
        largest_lesion=largest_lesion(train_cases) if recipe.kind == "detector" else None,
        calibration=calibration,
    )


def only_right(
    calibration: Mapping[Level, Calibration], figures: Mapping[str, Any]
) -> tuple[dict[Level, Calibration], list[str]]:
    """The levels whose probabilities were not wrong on the held-out patients (`wrong_levels`), and a sentence for each
    other one."""
    wrong = wrong_levels(calibration, figures)
    held = {level: found for level, found in calibration.items() if level not in wrong}
    return held, [NOT_CALIBRATED.format(level=level, how=how) for level, how in wrong.items()]


def _calibration(
    recipe: Recipe,
    cases: Cases,
    fitted: Fitted,
    validation: Sequence[Case],
    test: Sequence[Case],
    start: Path | None,
    folder: Path,
    device: torch.device,
    progress: Progress,
    weights_depend_on: str,
    others: Bundle,
    kept: Kept,
) -> tuple[dict[Level, Calibration], list[str]]:
    """A classifier's calibration as its recipe requires, with sentences for the user; empty for other parts.

    Args:
        others: the bundle whose detector and segmenter are used to score.
    """
    settings = recipe.calibration
    if recipe.kind != "classifier" or settings.method == "none":
        return {}, []
    pipeline = load_pipeline(others, device, recipe.fit.mixed_precision)
    if settings.folds:
        test_patients = {patient for case in test for patient in case.patients}
        not_test = [case for case in cases.cases if test_patients.isdisjoint(case.patients)]
        place = folder / "calibration" / f"{settings.folds}-folds"
        scored = out_of_fold(recipe, not_test, pipeline, start, place, device, progress, weights_depend_on, kept)
    else:
        scored = scored_by(fitted, recipe, pipeline, validation, device)
    if not settings.composed:
        return calibrate(scored, settings)
    calibration, notes = calibrate([case for case in scored if case.level not in (Level.BREAST, Level.EXAM)], settings)
    if Level.IMAGE in calibration:
        calibration |= calibrate_composed(scored, Method(settings.method), settings.normals)
    return calibration, notes


def train_folds(
    recipe: Recipe,
    cases: Cases,
    count: int,
    out: Path,
    start: Path | None,
    device: torch.device,
    progress: Progress,
    *,
    restart: bool = False,
    base: Bundle | None = None,
) -> list[Trained]:
    """Cross-validation: one training per fold of patients, each tested on its own fold: `out/fold-1`, `out/fold-2`, ….

    Writes `out/folds.json` with each fold's figures, their mean and their standard deviation. Finished folds are not
    repeated. Raises what `train` raises.
    """
    splits = folds(cases.cases, count, recipe.split.seed)
    done: list[Trained] = []
    for number, split in enumerate(splits, start=1):

        def fold_progress(steps: int, total: int, text: str, number: int = number) -> None:
            progress((number - 1) * total + steps, count * total, f"fold {number} of {count}, {text}")

        place = out / f"fold-{number}"
        with naming(f"fold {number} of {count}"):
            done.append(
                train(recipe, cases, place, start, device, fold_progress, split=split, restart=restart, base=base)
            )
    _write(out / "folds.json", {"folds": [trained.figures for trained in done], "summary": fold_summary(done)})
    return done


@contextmanager
def naming(what: str) -> Iterator[None]:
    """Prefixes the message of a UserError with `what` (the recipe and fold)."""
    try:
        yield
    except UserError as error:
        raise type(error)(f"{what}: {error}") from error


def fold_summary(done: Sequence[Trained]) -> dict[str, dict[str, float]]:
    """Mean and sample standard deviation over the folds, of every figure that all folds have."""
    shared = set.intersection(
        *({name for name, figure in fold.figures.items() if is_interval(figure)} for fold in done)
    )
    values = {name: np.array([fold.figures[name][0] for fold in done]) for name in done[0].figures if name in shared}
    return {name: {"mean": float(row.mean()), "sd": float(row.std(ddof=1))} for name, row in values.items()}


def make_split(recipe: SplitRecipe, cases: Sequence[Case]) -> Split:
    """The recipe's split.

    Raises:
        SplitError: the images cannot be split like this.
    """
    match recipe.scheme:
        case "patient":
            return split_by_patient(cases, recipe.test, recipe.validation, recipe.seed)
        case "official":
            return official(cases, recipe.validation, recipe.seed)
        case "paper":
            return paper(cases, recipe.seed)


def _digest(recipe: Recipe, split: Split, start: Path | None, outlined_by: str) -> str:
    """Digest of everything that the weights depend on: recipe, split, start weights, and who drew outlines in boxes."""
    drawn = [outlined_by] if outlined_by else []
    content = json.dumps([recipe.digest, asdict(split), _sha256_of(start), *drawn], sort_keys=True)
    return hashlib.sha256(content.encode()).hexdigest()


def _made_by(recipe: Recipe, start: Path | None, outlined_by: str) -> str:
    """Digest of everything but the image that frames and embeddings depend on: not of the split."""
    tables = replace(recipe, split=SplitRecipe(), calibration=CalibrationRecipe())
    return hashlib.sha256(f"{tables.digest}/{_sha256_of(start)}/{outlined_by}".encode()).hexdigest()


def _sha256_of(start: Path | None) -> str:
    """Of a file of start weights; "" without one."""
    return hashlib.sha256(start.read_bytes()).hexdigest() if start is not None and start.is_file() else ""


def _finished(folder: Path, out: Path, kind: str, depends_on: str, measured: bool) -> Trained | None:
    """The result of an earlier, finished call, if the bundle still holds it."""
    path = folder / "figures.json"
    if not path.is_file() or not (out / CARD).is_file():
        return None
    stored = json.loads(path.read_text(encoding="utf-8"))
    bundle, figures = read_bundle(out), stored["figures"]
    same = stored["depends_on"] == depends_on and (figures or {}) == bundle.figures.get(kind)
    if not same or (measured and figures is None) or verify(bundle):
        return None
    return Trained(bundle, figures or {}, tuple(stored["notes"]))


def _training_data(recipe: Recipe, cases: Sequence[Case], start: Path | None) -> str:
    """The description of the training data for the bundle."""
    sets = ", ".join(f"{count} of {name}" for name, count in sorted(Counter(case.dataset for case in cases).items()))
    patients = len({case.patient for case in cases})
    from_start = f", from the weights in {start.name}" if start is not None else ""
    images = f"{counted(len(cases), 'image')} of {counted(patients, 'patient')}"
    return f"{images} ({sets}), by the recipe {recipe.name}{from_start}."


def _write(path: Path, content: Any) -> None:
    write_durably(path, (json.dumps(content, indent=1) + "\n").encode())
