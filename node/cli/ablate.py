"""`mammo-node ablate`: several recipes over the same folds, side by side."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

import typer

from models.types.words import counted
from node.cli.terminal.cases import (
    Data,
    Device,
    Resamples,
    Seed,
    SplitFile,
    named,
    one_held_out_set,
    open_cases,
    summary_of_cases,
    warn,
)
from node.cli.terminal.failure import CommandFailed
from node.cli.terminal.options import DEFAULT_CONFIG, ConfigFile
from node.cli.terminal.progress import progress_bar
from node.cli.terminal.tables import print_table
from node.cli.terminal.writing import writing_to

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from models.bundles.bundle import Bundle
    from models.datasets.case import Cases
    from models.datasets.split import Split
    from models.evaluation.tables import About, Draws
    from models.protocols import Segmenter
    from models.training.ablation import Contender


def ablate(
    recipes: Annotated[
        list[str], typer.Argument(help="Recipes: TOML files, or names of those that ship (a wrong one lists them).")
    ],
    data: Data,
    out: Annotated[
        Path,
        typer.Option("--out", help="Folder for bundles and the report. An interrupted run continues.", file_okay=False),
    ],
    folds: Annotated[
        int | None,
        typer.Option("--folds", min=3, help="Folds of patients; without it --split or the first recipe's split."),
    ] = None,
    split: SplitFile = None,
    start: Annotated[
        list[str], typer.Option("--start", help="RECIPE=FILE, weights that a recipe starts from; may be repeated.")
    ] = [],  # noqa: B006 (typer's way; nobody adds to it)
    base: Annotated[
        str | None,
        typer.Option(
            "--base",
            help="A bundle that supplies the other parts: the detector for a segmenter if no detector's recipe is "
            "given, detector and segmenter for a classifier.",
        ),
    ] = None,
    outlines: Annotated[
        str | None,
        typer.Option(
            "--outlines",
            help="A bundle whose segmenter draws the outlines that classifiers see where the data have only boxes; "
            "each is drawn once and kept in the output folder.",
        ),
    ] = None,
    device: Device = "auto",
    resamples: Resamples = 2000,
    seed: Seed = 1,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Train and measure several recipes over the same patients: the papers' tables, with the papers' figures for
    comparison."""
    from models.bundles.bundle import find_bundle, read_bundle
    from models.datasets.split import read_split
    from models.device import choose_device
    from models.evaluation.report import PAGE, write_report
    from models.evaluation.tables import Draws
    from models.training.ablation import any_recipe, contend, make_folds
    from models.training.ablation_report import ablation_report, examples_of

    one_held_out_set(split, folds)
    where, read = choose_device(device), [any_recipe(recipe) for recipe in recipes]
    starts = _starts(start, [recipe.name for recipe in read])
    others = read_bundle(find_bundle(base)) if base is not None else None
    cases = open_cases(data, config)
    typer.echo(summary_of_cases(cases))
    splits = make_folds(read, cases, folds, None if split is None else read_split(split, cases.cases))
    drawer = read_bundle(find_bundle(outlines)) if outlines is not None else None
    outlined = None if drawer is None else _outlined(cases, drawer, out, where)
    with writing_to(out), progress_bar("ablation") as progress:
        contenders = contend(read, cases, splits, out, starts, where, progress, others, outlined)
        examples = examples_of(contenders, cases, where)
    draws = Draws(seed, resamples)
    about = _about([recipe.name for recipe in read], data, cases, splits, contenders, others, drawer, draws)
    report = ablation_report(about, contenders, draws, examples)
    warn(about.warnings)
    with writing_to(out):
        write_report(report, out)
    for section in report.sections:
        for table in section.tables:
            print_table(table)
    typer.echo(f"Written: {out / PAGE}")


def _outlined(cases: Cases, bundle: Bundle, out: Path, device: torch.device) -> Cases:
    """The cases, with outlines that the bundle's segmenter draws where only boxes are known."""
    from functools import cache

    from models.catalog import load_part
    from models.datasets.drawn_outlines import Outlines, with_drawn_outlines
    from models.evaluation.loading import digest

    @cache
    def load() -> Segmenter:
        return cast("Segmenter", load_part(bundle, bundle.segmenter, device, False))

    outlines = Outlines(load, digest(bundle, ("segmenter",)), out / "outlines", bundle.assumed_spacing_mm)
    return with_drawn_outlines(cases, outlines)


def _about(
    names: Sequence[str],
    data: Sequence[str],
    cases: Cases,
    splits: Sequence[Split],
    contenders: Sequence[Contender],
    others: Bundle | None,
    outlines: Bundle | None,
    draws: Draws,
) -> About:
    """The head of the report. `names`: of the recipes; `others`: the bundle that supplies the other parts; `outlines`:
    the one whose segmenter draws outlines in boxes."""
    from models.evaluation.held_out import made_of_own_outlines, not_asked_for, seen_in_training
    from models.evaluation.tables import About

    unread = [case for contender in contenders for fold in contender.folds for case in fold.left_out]
    measured = {name for split in splits for name in split.test}
    on_both_sides = {name for split in splits for name in split.left_out} - measured
    tested = [case for case in cases.cases if case.name in measured]
    warnings = made_of_own_outlines(tested)
    for folder in {bundle.folder for bundle in (others, outlines) if bundle is not None}:
        warnings = [*seen_in_training(folder, cases.cases, tested, tested=False, is_base=True), *warnings]
    return About(
        title="Recipes side by side",
        models=", ".join(names),
        data=tuple(named(spec) for spec in data),
        side=f"the images held out of {counted(len(splits), 'split')}: {splits[0].scheme}, seed {splits[0].seed}",
        lines=(
            *(
                []
                if outlines is None
                else [("Outlines in boxes", f"by {outlines.segmenter.architecture}, {outlines.id}")]
            ),
            ("Bootstrap", f"{draws.resamples} draws of patients, seed {draws.seed}"),
        ),
        left_out=tuple(dict.fromkeys((case.name, case.reason) for case in (*cases.left_out, *unread))),
        warnings=tuple(warnings),
        elsewhere=not_asked_for(len(cases.cases), len(measured), len(on_both_sides), "on a test side"),
    )


def _starts(given: list[str], names: list[str]) -> dict[str, Path]:
    starts = dict(option.partition("=")[::2] for option in given)
    for name, file in starts.items():
        if name not in names or not file:
            raise CommandFailed(f"--start {name}: give RECIPE=FILE, RECIPE being one of {', '.join(names)}.")
        if not Path(file).is_file():
            raise CommandFailed(f"--start: {file} is no file.")
    return {name: Path(file) for name, file in starts.items()}
