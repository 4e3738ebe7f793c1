"""`mammo-node train`: a recipe and a data set in, a part of a bundle out."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from node.cli.failure import CommandFailed

if TYPE_CHECKING:
    from models.training.recipe import Progress

train = typer.Typer(
    help="Train a part of a bundle on CDD-CESM and measure it on held-out patients.", no_args_is_help=True
)

RecipeFile = Annotated[Path, typer.Option("--recipe", help="Every number of the training (TOML).", dir_okay=False)]
Data = Annotated[Path, typer.Option("--data", help="The data set's folder, with annotations.csv in it.")]
Out = Annotated[Path, typer.Option("--out", help="Where weights, split.json and figures go; made where missing.")]
Start = Annotated[Path | None, typer.Option("--start", help="Weights to start from.", dir_okay=False)]
Device = Annotated[str, typer.Option("--device", help="cpu, cuda or cuda:N.")]


@train.command("detector")
def train_detector(recipe: RecipeFile, data: Data, out: Out, start: Start = None, device: Device = "cpu") -> None:
    """Train the detector; writes detector.safetensors, split.json and detector-figures.json."""
    from models.training import detector
    from models.training.recipe import DetectorRecipe

    _run(recipe, DetectorRecipe, detector.train_detector, data, out, start, device)


@train.command("classifier")
def train_classifier(recipe: RecipeFile, data: Data, out: Out, start: Start = None, device: Device = "cpu") -> None:
    """Train the classifier; writes classifier.safetensors, split.json and classifier-figures.json."""
    from models.training import classifier
    from models.training.recipe import ClassifierRecipe

    _run(recipe, ClassifierRecipe, classifier.train_classifier, data, out, start, device)


def _run(
    recipe: Path,
    kind: type[Any],
    training: Callable[..., dict[str, Any]],
    data: Path,
    out: Path,
    start: Path | None,
    device: str,
) -> None:
    import torch

    from models.datasets.cdd_cesm import DatasetError
    from models.training.recipe import RecipeError, read_recipe
    from models.training.split import SplitError
    from models.training.start import StartError

    try:
        numbers = read_recipe(recipe, kind)
        out.mkdir(parents=True, exist_ok=True)
        with _progress() as progress:
            figures = training(numbers, data, out, start, torch.device(device), progress)
    except (RecipeError, DatasetError, SplitError, StartError) as error:
        raise CommandFailed(str(error)) from error
    typer.echo(_summary(figures["test"]))
    typer.echo(f"Written to {out}")


@contextmanager
def _progress() -> Iterator[Progress]:
    """A bar on the terminal with the time that is left."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    columns = (
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[how]}"),
    )
    with Progress(*columns) as bar:
        task = bar.add_task("training", total=None, how="reading the images")
        yield lambda done, total, how: bar.update(task, completed=done, total=total, how=how)


def _summary(figures: dict[str, Any]) -> str:
    """The figures of the held-out patients, a line each."""
    lines = ["On held-out patients:"]
    for part, numbers in figures.items():
        counts = ", ".join(f"{value} {name}" for name, value in numbers.items() if isinstance(value, int))
        lines.append(f"  {part} ({counts})")
        measured = numbers.get("sensitivity", {})
        lines.extend(f"    sensitivity at {at} false positives an image: {_told(one)}" for at, one in measured.items())
        if numbers.get("auc"):
            lines.append(f"    area under the ROC curve, malignant against the rest: {_told(numbers['auc'])}")
    return "\n".join(lines)


def _told(figure: dict[str, float]) -> str:
    return f"{figure['value']:.2f} (95 % CI {figure['low']:.2f} to {figure['high']:.2f})"
