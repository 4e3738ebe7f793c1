"""`mammo-node evaluate`: measures a bundle on data sets, and writes a report."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.types.words import counted
from node.cli.terminal.cases import Data, Device, Resamples, Seed, named, open_cases, summary_of_cases, warn
from node.cli.terminal.options import DEFAULT_CONFIG, ConfigFile
from node.cli.terminal.progress import progress_bar
from node.cli.terminal.writing import writing_to

if TYPE_CHECKING:
    from models.datasets.case import Case, Cases


class SideOfSplit(StrEnum):
    """Which images of a split are measured."""

    TRAIN = "train"
    VALIDATION = "validation"
    TEST = "test"


def evaluate(
    data: Data,
    out: Annotated[Path, typer.Option("--out", help="Folder for the report; created if missing.", file_okay=False)],
    bundle: Annotated[str, typer.Option("--bundle", help="A shipped bundle's name, or a folder.")] = "research-default",
    split: Annotated[
        Path | None, typer.Option("--split", help="split.json of a training; without it all images.", dir_okay=False)
    ] = None,
    side: Annotated[SideOfSplit, typer.Option("--side", help="Which images of the split.")] = SideOfSplit.TEST,
    device: Device = "auto",
    resamples: Resamples = 2000,
    seed: Seed = 1,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Measure a bundle on data sets: report.html, report.json, and pages of pictures, with both papers' tables and the
    usual ones."""
    from models.bundles.bundle import find_bundle, read_bundle
    from models.device import choose_device
    from models.evaluation.evaluation import make_report, observe_bundle
    from models.evaluation.examples import draw_examples
    from models.evaluation.held_out import made_of_own_outlines, seen_in_training
    from models.evaluation.pictures import write_pictures
    from models.evaluation.report import PAGE, write_report
    from models.evaluation.tables import About, Draws

    found = read_bundle(find_bundle(bundle))
    cases = open_cases(data, config)
    typer.echo(summary_of_cases(cases))
    chosen, validation, elsewhere = _chosen(cases, split, side)
    tested = split is not None and side is SideOfSplit.TEST
    warnings = (*seen_in_training(found.folder, cases.cases, chosen, tested), *made_of_own_outlines(chosen))
    warn(warnings)
    with writing_to(out), progress_bar("measuring") as progress:
        place = choose_device(device)
        mixed = place.type == "cuda"
        observed = observe_bundle(found, chosen, validation, out, place, mixed, progress)
        examples = draw_examples(found, chosen, observed.test, "examples", place, mixed)
    about = About(
        title=f"{found.id}: evaluation",
        models=str(found.id),
        data=tuple(named(spec) for spec in data),
        side=f"{counted(len(observed.test), 'image')}: "
        + (f"the {side} side of {split.name}" if split else "all of them"),
        lines=(
            ("Trained on", " ".join(found.training_data.split())),
            ("Bootstrap", f"{resamples} draws of patients, seed {seed}"),
            *((("Notes on the data", "; ".join(cases.mended)),) if cases.mended else ()),
        ),
        left_out=tuple((case.name, case.reason) for case in cases.left_out),
        warnings=warnings,
        elsewhere=elsewhere,
    )
    report = make_report(about, observed, found, Draws(seed, resamples), examples)
    with writing_to(out):
        write_report(report, out)
        pictures = write_pictures(observed.test, chosen, out, seed)
    typer.echo(f"Written: {', '.join(str(page) for page in (out / PAGE, *pictures))}")


def _chosen(
    cases: Cases, split: Path | None, side: SideOfSplit
) -> tuple[list[Case], list[Case] | None, tuple[str, ...]]:
    """The images to measure, those of the validation side where a test side is measured, and sentences on
    the images that are not measured."""
    from models.datasets.split import read_split, sides
    from models.evaluation.held_out import not_asked_for

    if split is None:
        return list(cases.cases), None, ()
    known = read_split(split, cases.cases)
    by_side = dict(zip(SideOfSplit, sides(cases.cases, known), strict=True))
    chosen = by_side[side]
    validation = by_side[SideOfSplit.VALIDATION] if side is SideOfSplit.TEST else None
    where = f"on the {side} side of {split.name}"
    return chosen, validation, not_asked_for(len(cases.cases), len(chosen), len(known.left_out), where)
