"""`mammo-node birads stats`: the models against the radiologists, and both against the pathology."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.types.words import RESEARCH_USE_ONLY, counted
from node.cli.terminal.failure import CommandFailed
from node.cli.terminal.options import DEFAULT_CONFIG, AsJson, ConfigFile, open_queue
from node.cli.terminal.progress import progress_bar
from node.cli.terminal.tables import print_table
from node.cli.terminal.writing import writing_to

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from models.evaluation.tables import Table
    from node.agreement.stats import AnalysisUnit, ArchiveStats

_NOTHING = (
    "Nothing to compare: no reported study has a radiologist's category. The node receives them by SR, HL7, or "
    "`mammo-node birads import`."
)
_BREASTS = {"L": "left", "R": "right", None: "exam"}


class OfWhat(StrEnum):
    """What is compared."""

    BREAST = "breast"
    EXAM = "exam"


def stats_of_assessments(
    config: ConfigFile = DEFAULT_CONFIG,
    pathology: Annotated[
        Path | None,
        typer.Option("--pathology", help="CSV: study, laterality, benign or malignant.", dir_okay=False),
    ] = None,
    level: Annotated[OfWhat, typer.Option("--level", help="Compare breasts, or exams.")] = OfWhat.BREAST,
    out: Annotated[
        Path | None, typer.Option("--out", help="Write JSON, CSV and plots here, with UIDs.", file_okay=False)
    ] = None,
    as_json: AsJson = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print the discordant list as CSV.")] = False,
) -> None:
    """Compare the models' probabilities with the radiologists' categories, and both with the pathology.

    The table identifies studies by their number only. JSON, CSV and the files of --out contain Study Instance UIDs,
    which lead to the patient. Exit status 1 if a row of the pathology was bad.
    """
    from config.settings import load
    from models.birads.calibration import Level
    from models.evaluation.agreement_plots import plots
    from models.evaluation.agreement_tables import agreement_table, area_table, confusion_table, decision_table
    from models.evaluation.tables import Draws
    from node.agreement.pathology import outcomes, read_pathology
    from node.agreement.stats import gather
    from node.agreement.stats_files import as_json as json_of
    from node.agreement.stats_files import discordant_csv, values_of, write
    from node.store.database import read_only

    if as_json and as_csv:
        raise CommandFailed("--json and --csv both print: give one of them, or --out, which writes both.")
    settings = load(config)
    rows, bad_rows = read_pathology(pathology) if pathology else ((), ())
    with read_only(open_queue(settings)) as session, progress_bar("comparing") as progress:
        known, elsewhere, ambiguous = outcomes(session, rows)
        stats = gather(session, settings.data_dir, Level(level), known, progress, settings.birads.recall_threshold)
    bad_rows = (*bad_rows, *ambiguous)
    draws, some = Draws(), stats.compared
    tables = [confusion_table(some), agreement_table(some, stats.level, draws)]
    if pathology:
        tables += [decision_table(some, stats.level, draws), area_table(some, stats.level, draws)]
    left_out = dict(stats.left_out) | (
        {"rows of pathology about studies that are not here": elsewhere} if elsewhere else {}
    )
    values = values_of(stats, tables, left_out, bad_rows, draws)
    if as_json:
        typer.echo(json_of(values), nl=False)
    elif as_csv:
        typer.echo(discordant_csv(stats), nl=False)
    else:
        _print(stats, tables, left_out)
    for row in bad_rows:
        typer.echo(f"not used: {pathology}, line {row.line}: {row.why}", err=True)
    if out is not None:
        with writing_to(out):
            files = write(out, stats, tables, values, plots(some, stats.level))
        typer.echo(f"Written: {', '.join(file.name for file in files)} in {out}", err=True)
    raise typer.Exit(1 if bad_rows else 0)


def _print(stats: ArchiveStats, tables: Sequence[Table], left_out: Mapping[str, int]) -> None:
    typer.echo(RESEARCH_USE_ONLY)
    studies = len({unit.study for unit in stats.units})
    units = f"{counted(len(stats.units), stats.level)} of {counted(studies, 'study', 'studies')}"
    typer.echo(f"{units} with a category or a pathology")
    for name, count in stats.bundles.items():
        typer.echo(f"   {count} read by {name}")
    if len(stats.bundles) > 1:
        typer.echo(
            "   Scores and probabilities of different bundles or prevalences do not compare: the figures mix them."
        )
    for why, count in left_out.items():
        typer.echo(f"left out: {why}: {count}")
    if not stats.units:
        typer.echo(_NOTHING)
        return
    for table in tables:
        print_table(table)
        for sentence in (*table.notes, *table.intervals, *(f"Not measured: {why}" for why in table.reasons)):
            typer.echo(f"   {sentence}")
    typer.echo(f"\n{counted(len(stats.discordant), f'discordant {stats.level}')}")
    for unit in stats.discordant:
        typer.echo(_line(unit))


def _line(unit: AnalysisUnit) -> str:
    from dicom_io.results.labels import percent
    from node.agreement.stats_files import pathology_of

    compared = unit.compared
    threshold = compared.recall_threshold
    probability = percent(compared.likelihood.probability, threshold) if compared.likelihood else "none"
    known = f", {outcome}" if (outcome := pathology_of(unit)) else ""
    line = f"{compared.agreement}, probability {probability}, assigned {compared.assigned}{known}"
    return f"study {unit.study}  {_BREASTS[unit.laterality]}: {line}"
