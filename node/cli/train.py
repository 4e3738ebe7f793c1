"""`mammo-node train`: trains a part of a bundle from a recipe and data sets."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.types.words import RESEARCH_USE_ONLY
from node.cli.terminal.cases import Data, Device, SplitFile, one_held_out_set, open_cases, summary_of_cases
from node.cli.terminal.options import DEFAULT_CONFIG, ConfigFile
from node.cli.terminal.progress import progress_bar

if TYPE_CHECKING:
    from models.training.runs import Trained

train = typer.Typer(
    help="Train a part of a bundle and evaluate it on held-out patients. Resumes a training that was killed.",
    no_args_is_help=True,
)

RecipeSource = Annotated[
    str,
    typer.Option(
        "--recipe",
        help="All numbers of the training: a TOML file, or the name of a shipped recipe (a wrong name lists them).",
    ),
]
Out = Annotated[
    Path, typer.Option("--out", help="Folder of the bundle; made if missing. A killed training resumes here.")
]
Start = Annotated[Path | None, typer.Option("--start", help="Weights to start from.", dir_okay=False)]
Folds = Annotated[
    int | None,
    typer.Option("--folds", help="Number of folds of patients for cross-validation, in OUT/fold-1, …", min=3),
]
Restart = Annotated[bool, typer.Option("--restart", help="Start again: discard the state of an earlier call.")]
Base = Annotated[str, typer.Option("--base", help="Bundle from which a new bundle copies its other parts.")]


def _add_command(kind: str, what: str) -> None:
    """Adds the command of one kind. All kinds have the same options."""

    @train.command(kind, help=what)
    def command(
        recipe: RecipeSource,
        data: Data,
        out: Out,
        start: Start = None,
        device: Device = "auto",
        folds: Folds = None,
        split: SplitFile = None,
        restart: Restart = False,
        base: Base = "research-default",
        config: ConfigFile = DEFAULT_CONFIG,
    ) -> None:
        _run(kind, recipe, data, out, start, device, folds, split, restart, base, config)


_add_command("detector", "Train the detector on images in which all lesions are outlined.")
_add_command(
    "calcifications",
    "Train the detector of microcalcification clusters on breasts without clusters, with simulated clusters.",
)
_add_command("segmenter", "Train the segmenter on outlined lesions.")
_add_command(
    "classifier", "Train the malignancy classifier and calibrate it on patients that are not in its training set."
)


def _run(
    kind: str,
    recipe: str,
    data: list[str],
    out: Path,
    start: Path | None,
    device: str,
    folds: int | None,
    split: Path | None,
    restart: bool,
    base: str,
    config: Path,
) -> None:
    from models.bundles.bundle import find_bundle, read_bundle
    from models.datasets.split import read_split
    from models.device import choose_device
    from models.training.kinds import recipe_of
    from models.training.runs import train, train_folds

    one_held_out_set(split, folds)
    numbers, where, old = recipe_of(kind, recipe), choose_device(device), read_bundle(find_bundle(base))
    cases = open_cases(data, config)
    typer.echo(summary_of_cases(cases))
    held_out = None if split is None else read_split(split, cases.cases)
    with progress_bar(f"Training the {kind}") as progress:
        if folds is None:
            done = [train(numbers, cases, out, start, where, progress, split=held_out, restart=restart, base=old)]
        else:
            done = train_folds(numbers, cases, folds, out, start, where, progress, restart=restart, base=old)
    typer.echo(_summary(done[0]) if folds is None else _summary_of_folds(done))
    typer.echo(f"Written to {out}. {RESEARCH_USE_ONLY}")


def _summary(done: Trained) -> str:
    lines = [f"{done.bundle.id}", "On held-out patients:"]
    lines += [f"  {name}: {figure_text(value)}" for name, value in done.figures.items()]
    levels = [f"{level} ({fitted.cases} cases)" for level, fitted in done.bundle.calibration.items()]
    lines += [f"Calibrated: {', '.join(levels)}"] if levels else []
    return "\n".join([*lines, *done.notes])


def _summary_of_folds(done: list[Trained]) -> str:
    from models.training.runs import fold_summary

    summary = fold_summary(done)
    width = max([len("figure"), *map(len, summary)])
    heads = "".join(f"{f'fold {number}':>9}" for number in range(1, len(done) + 1))
    lines = [f"On each fold's held-out patients:\n  {'figure':{width}}{heads}   mean ± sd"]
    for name, row in summary.items():
        each = "".join(f"{fold.figures[name][0]:>9.3f}" for fold in done)
        lines.append(f"  {name:{width}}{each}   {row['mean']:.3f} ± {row['sd']:.3f}")
    return "\n".join(dict.fromkeys([*lines, *(note for fold in done for note in fold.notes)]))


def figure_text(value: object) -> str:
    """A held-out measure as text: value with the limits of its interval, value without interval, or a count."""
    match value:
        case [float(figure), float(low), float(high)]:
            return f"{figure:.2f} (95 % CI {low:.2f} to {high:.2f})"
        case [float(figure)]:
            return f"{figure:.2f} (no interval: too few patients)"
        case _:
            return str(value)
