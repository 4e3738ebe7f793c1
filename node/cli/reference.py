"""`mammo-node reference`: makes a reference set of the archive, by which the exams' scores are ranked."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.types.words import RESEARCH_USE_ONLY
from node.cli.terminal.failure import CommandFailed
from node.cli.terminal.options import DEFAULT_CONFIG, ConfigFile, open_queue
from node.cli.terminal.progress import progress_bar
from node.cli.terminal.writing import make_folder, writing_to

if TYPE_CHECKING:
    from models.reference.tenths import Reference
    from node.operations.reference import CountedExams


def reference(
    name: Annotated[str, typer.Option(help="The set's name in reports: at most 12 letters and digits.")],
    out: Annotated[Path, typer.Option("--out", help="The file to write, for the setting reader.reference.")],
    screening: Annotated[
        bool, typer.Option("--screening", help="State that the exams are a screening population's.")
    ] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Make a reference set of the node's archive: reports can then say in which tenth of it an exam's score is.

    It has the first complete exam of each patient that the node's models read, at least 100. The file has no data of a
    patient. Changes nothing else, and may be run while the node runs. Research use only, not for diagnosis.
    """
    from config.settings import load
    from models.reference.reference_file import write_reference
    from models.types.reference import LEAST_EXAMS, ReferenceSet
    from node.bundles import open_bundle
    from node.operations.reference import count_exams, reference_of
    from node.store.database import read_only

    settings = load(config)
    bundle = open_bundle(settings)
    try:
        ReferenceSet(name, LEAST_EXAMS, screening)
    except ValueError as error:
        raise CommandFailed(f"--name: {error}.") from error
    if out.exists():
        raise CommandFailed(f"--out {out}: the file exists, and reports may name its set. Give another file and name.")
    make_folder(out.parent)
    with read_only(open_queue(settings)) as session, progress_bar("counting") as progress:
        counted = count_exams(session, settings.data_dir, bundle.id, progress)
    made = reference_of(counted, name, bundle, is_screening=screening)
    with writing_to(out.parent):
        write_reference(out, made)
    _print(made, counted)
    typer.echo(f"Written: {out}. To use it, set reader.reference, and start the node again.")


def _print(made: Reference, counted: CountedExams) -> None:
    typer.echo(RESEARCH_USE_ONLY)
    typer.echo(f"{made.of}: scores of {made.bundle}, the first complete exam of each patient")
    for why, count in counted.left_out.items():
        typer.echo(f"left out: {count}: {why}")
    exams = Counter(made.tenth_of(score) for score in counted.scores)
    limits = (min(counted.scores), *made.boundaries, max(counted.scores))
    typer.echo("tenth  exams  scores")
    for tenth in range(1, 11):
        above = "from" if tenth == 1 else "above"
        typer.echo(f"{tenth:5}  {exams[tenth]:5}  {above} {limits[tenth - 1]:.4f} to {limits[tenth]:.4f}")
