"""A training from recipe and cases to a bundle's part, with its split, its calibration and its figures."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np
import torch
from pydantic import BaseModel
from torch import nn

from models.bundle import CARD, Bundle, read_bundle, verify
from models.bundle_writing import NewPart, put_part, stored
from models.calibration import Calibration, Level
from models.catalog import adapter_of
from models.datasets.case import Case, Cases, DatasetError
from models.datasets.split import Split, folds, official, paper, sides, split_by_patient
from models.durable import write_durably
from models.training.calibrating import Scored, calibrate
from models.training.fit import fit
from models.training.recipe import Progress, Recipe, RecipeError, SplitRecipe, read_recipe
from models.training.task import Choosing, Task

KINDS: Mapping[str, str] = MappingProxyType(
    {
        "detector": "models.training.detector",
        "segmenter": "models.training.segmenter",
        "classifier": "models.training.classifier",
    }
)
"""What can be trained, and the module that knows how."""

LICENCE = "AGPL-3.0-or-later"
"""Of weights that are trained here: the project's, which is that of the libraries they are trained with."""


class Kind(Protocol):
    """What each module of `KINDS` offers. The classifier's has `scores` besides, for its calibration."""

    Model: type[BaseModel]
    TaskSettings: type[BaseModel]

    def prepare(
        self,
        recipe: Recipe,
        train: Sequence[Case],
        validation: Sequence[Case],
        start: Path | None,
        device: torch.device,
    ) -> Task:
        """What is trained, on what, judged by what."""

    def part(self, network: nn.Module, recipe: Recipe) -> tuple[str, dict[str, Any]]:
        """The architecture's name and settings, as bundle.toml has them."""


class Scoring(Protocol):
    """What the classifier's module offers besides."""

    def scores(self, adapter: Any, cases: Sequence[Case]) -> Iterable[Scored]:
        """What the adapter says of lesions and images whose truth is known."""


@dataclass(frozen=True)
class Trained:
    """What came of it.

    Attributes:
        figures: on the held-out patients.
        notes: what a person should know: what was not calibrated, what could not be measured.
    """

    bundle: Bundle
    figures: Mapping[str, Any]
    notes: tuple[str, ...] = field(default=())


def recipe_of(kind: str, source: str | Path) -> Recipe:
    """The recipe for a kind of training, by its file or its shipped name.

    Raises:
        RecipeError: see `read_recipe`; or there is no such kind.
    """
    if kind not in KINDS:
        raise RecipeError(f"{kind!r} cannot be trained. Known: {', '.join(KINDS)}.")
    module = _module(kind)
    return read_recipe(source, kind, module.Model, module.TaskSettings)


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
) -> Trained:
    """Trains a part and puts it into the bundle in `out`; goes on where an earlier call was killed.

    Beside the bundle, `out/training/KIND` holds split.json, left-out.json, figures.json, the checkpoint, the history
    and TensorBoard's files. Figures are measured on the test patients by the weights as they are stored.

    Args:
        recipe: every number of it.
        cases: the images.
        out: the bundle's folder; made where missing.
        start: weights to start from; None for random ones.
        device: where to train.
        progress: told after each step.
        split: who is held out; None: as the recipe says.
        restart: forget what an earlier call has reached.
        base: where a new bundle's other parts come from; see `put_part`.

    Raises:
        SplitError: the images cannot be split as the recipe says.
        DatasetError: an image cannot be read, or there is nothing to learn from.
        StartError: the start weights do not fit.
        CheckpointError: `out` holds a checkpoint of another training.
        TrainingError: the loss is not a number.
        BundleError: `out` holds a bundle that cannot be read.
    """
    module = _module(recipe.kind)
    split = split or make_split(recipe.split, cases.cases)
    folder = out / "training" / recipe.kind
    if restart:
        shutil.rmtree(folder, ignore_errors=True)
    depends_on = _digest(recipe, split, start)
    if (known := _known(folder, out, recipe.kind, depends_on)) is not None:
        return known
    folder.mkdir(parents=True, exist_ok=True)
    split.write(folder / "split.json")
    _write(folder / "left-out.json", [asdict(one) for one in cases.left_out])

    train_cases, validation, test = sides(cases.cases, split)
    torch.manual_seed(recipe.fit.seed)
    task = module.prepare(recipe, train_cases, validation, start, device)
    network = fit(task, recipe.fit, folder, device, progress, depends_on)
    architecture, settings = module.part(network, recipe)
    if isinstance(task, Choosing):
        settings = {**settings, **task.chosen(network)}

    weights = stored(network.state_dict(), half=True)
    calibration, notes = _calibration(recipe, architecture, settings, weights, validation, device)
    figures, unmeasured = _figures(recipe, weights, network, test, start, device)
    bundle = put_part(
        out,
        NewPart(
            role=recipe.kind,
            weights=weights,
            architecture=architecture,
            settings=settings,
            licence=LICENCE,
            training_data=_told(recipe, train_cases, start),
            figures=figures,
            calibration=calibration,
        ),
        base,
    )
    trained = Trained(bundle, figures, (*notes, *unmeasured))
    _write(folder / "figures.json", {"depends_on": depends_on, "figures": figures, "notes": trained.notes})
    return trained


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
    """As many trainings as folds of patients, each tested on its own fold: `out/fold-1`, `out/fold-2`, ….

    Writes `out/folds.json` with each fold's figures, their mean and their standard deviation. Folds that are done are
    not done again. Raises what `train` raises.
    """
    splits = folds(cases.cases, count, recipe.split.seed)
    done: list[Trained] = []
    for number, split in enumerate(splits, start=1):

        def told(steps: int, total: int, text: str, number: int = number) -> None:
            progress((number - 1) * total + steps, count * total, f"fold {number} of {count}, {text}")

        place = out / f"fold-{number}"
        done.append(train(recipe, cases, place, start, device, told, split=split, restart=restart, base=base))
    _write(out / "folds.json", {"folds": [one.figures for one in done], "summary": fold_summary(done)})
    return done


def fold_summary(done: Sequence[Trained]) -> dict[str, dict[str, float]]:
    """Mean and standard deviation (of a sample) over the folds of every figure that all of them have."""
    names = [
        name
        for name, value in done[0].figures.items()
        if isinstance(value, float) and all(name in one.figures for one in done)
    ]
    values = {name: np.array([one.figures[name] for one in done]) for name in names}
    return {name: {"mean": float(row.mean()), "sd": float(row.std(ddof=1))} for name, row in values.items()}


def make_split(recipe: SplitRecipe, cases: Sequence[Case]) -> Split:
    """The split that the recipe asks for.

    Raises:
        SplitError: the images cannot be split so.
    """
    match recipe.scheme:
        case "patient":
            return split_by_patient(cases, recipe.test, recipe.validation, recipe.seed)
        case "official":
            return official(cases, recipe.validation, recipe.seed)
        case "paper":
            return paper(cases, recipe.seed)


def _module(kind: str) -> Kind:
    module: Any = import_module(KINDS[kind])
    found: Kind = module
    return found


def _digest(recipe: Recipe, split: Split, start: Path | None) -> str:
    """Changes with whatever the weights depend on."""
    weights = hashlib.sha256(start.read_bytes()).hexdigest() if start is not None and start.is_file() else ""
    said = json.dumps([recipe.digest, asdict(split), weights], sort_keys=True)
    return hashlib.sha256(said.encode()).hexdigest()


def _known(folder: Path, out: Path, kind: str, depends_on: str) -> Trained | None:
    """What an earlier call has brought to its end, where the bundle still holds it."""
    path = folder / "figures.json"
    if not path.is_file() or not (out / CARD).is_file():
        return None
    told = json.loads(path.read_text(encoding="utf-8"))
    bundle = read_bundle(out)
    same = told["depends_on"] == depends_on and told["figures"] == bundle.figures.get(kind)
    return Trained(bundle, told["figures"], tuple(told["notes"])) if same and not verify(bundle) else None


def _calibration(
    recipe: Recipe,
    architecture: str,
    settings: Mapping[str, Any],
    weights: Mapping[str, torch.Tensor],
    validation: Sequence[Case],
    device: torch.device,
) -> tuple[dict[Level, Calibration], list[str]]:
    if recipe.kind != "classifier":
        return {}, []
    scoring: Any = _module(recipe.kind)
    adapter = adapter_of(architecture, weights, settings, device, recipe.fit.mixed_precision)
    return calibrate(list(scoring.scores(adapter, validation)), recipe.calibration)


def _figures(
    recipe: Recipe,
    weights: Mapping[str, torch.Tensor],
    network: nn.Module,
    test: Sequence[Case],
    start: Path | None,
    device: torch.device,
) -> tuple[dict[str, Any], list[str]]:
    """The kind's own figures on the test patients (`mammo-node evaluate` has all others), by the weights as stored."""
    network.load_state_dict({name: one.float() if one.is_floating_point() else one for name, one in weights.items()})
    network.train().eval()
    try:
        judge = _module(recipe.kind).prepare(recipe, test, test, start, device)
    except DatasetError as error:
        return {}, [f"Nothing was measured on the held-out patients: {error}"]
    with torch.no_grad():
        figures = judge.validate(network)
    counts = {"images": len(test), "patients": len({case.patient for case in test})}
    return {**counts, **{name: float(value) for name, value in figures.items() if np.isfinite(value)}}, []


def _told(recipe: Recipe, cases: Sequence[Case], start: Path | None) -> str:
    """What it learned from, for the card."""
    sets = ", ".join(f"{count} of {name}" for name, count in sorted(Counter(case.dataset for case in cases).items()))
    patients = len({case.patient for case in cases})
    began = f", from the weights in {start.name}" if start is not None else ""
    return f"{len(cases)} images of {patients} patients ({sets}), by the recipe {recipe.name}{began}."


def _write(path: Path, content: Any) -> None:
    write_durably(path, (json.dumps(content, indent=1) + "\n").encode())
