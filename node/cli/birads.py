"""`mammo-node birads`: the radiologists' BI-RADS categories, and their comparison with the models."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from models.types.birads import AssessmentSource
from models.types.words import counted
from node.cli.birads_stats import stats_of_assessments
from node.cli.terminal.moments import local_time
from node.cli.terminal.options import DEFAULT_CONFIG, AsJson, ConfigFile, open_queue

if TYPE_CHECKING:
    from node.assessments.view import AssessmentView

birads_commands = typer.Typer(
    help="The radiologists' BI-RADS categories: import, list, withdraw, statistics.", no_args_is_help=True
)
birads_commands.command("stats")(stats_of_assessments)
_BREASTS = {"L": "left", "R": "right", None: "exam"}


@birads_commands.command("import")
def import_assessments(
    file: Annotated[Path, typer.Argument(help="A CSV table with column names in the first line.", dir_okay=False)],
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Import the categories of a CSV table. Known rows add nothing; bad rows are listed, the others are imported.

    The node treats the categories as those of radiologists: the user who imports them is responsible for that.
    Exit status 1 if a row was bad.
    """
    import time

    from config.settings import load
    from dicom_io.audit.codes import SOURCE
    from node.assessments.entered import enter
    from node.assessments.from_csv import read_table
    from node.audit.actors import command_line
    from node.audit.events import enter_assessed

    settings = load(config)
    table = read_table(file)
    with open_queue(settings).begin() as session:
        entered = enter(session, table.assessments, AssessmentSource.CSV, time.time())
        enter_assessed(session, entered, command_line().participant(SOURCE), time.time())
        waiting = sum(row.study_id is None for row in entered)
    known = len(table.assessments) - len(entered)
    if as_json:
        bad = {str(row.line): row.why for row in table.bad_rows}
        typer.echo(json.dumps({"entered": len(entered), "waiting": waiting, "known": known, "bad": bad}, indent=2))
    else:
        for row in table.bad_rows:
            typer.echo(f"not imported: line {row.line}: {row.why}")
        typer.echo(
            f"{counted(len(entered), 'assessment')} entered, {waiting} of them waiting for their study; "
            f"{known} known before; {counted(len(table.bad_rows), 'line')} not imported"
        )
    raise typer.Exit(1 if table.bad_rows else 0)


@birads_commands.command("withdraw")
def withdraw_assessments(
    study: Annotated[str, typer.Argument(help="The study's id, as `status` shows it, or its Study Instance UID.")],
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Withdraw all categories of a study: they count no longer, and its report is written again without them.

    Categories that are received later count again.
    """
    import time

    from config.settings import load
    from node.assessments.withdrawn import BY_HAND, Subject, withdraw
    from node.audit.actors import command_line
    from node.operations.acts import Act, Deed, note
    from node.operations.studies import find_study
    from node.store.tables import Study

    settings, now = load(config), time.time()
    with open_queue(settings).begin() as session:
        number = find_study(session, study)
        named = Subject(session.get_one(Study, number).study_instance_uid)
        rows = withdraw(session, [named], BY_HAND, now)
        if rows:
            note(session, Act(Deed.CATEGORIES_WITHDRAWN, command_line(), study=number), now)
    typer.echo(f"study {number}: {counted(len(rows), 'assessment')} withdrawn")


@birads_commands.command("list")
def list_assessments(
    config: ConfigFile = DEFAULT_CONFIG,
    unmatched: Annotated[
        bool, typer.Option("--unmatched", help="Only those without a matching study, and why.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show each category with its study, breast and source, and what was refused.

    For the administrator at the machine: it shows Study Instance UIDs and accession numbers, which lead to the patient.
    """
    from config.settings import load
    from node.assessments.view import view_assessments
    from node.store.database import read_only

    settings = load(config)
    with read_only(open_queue(settings)) as session:
        view = view_assessments(session, settings.data_dir)
    shown = [assessment for assessment in view.assessments if assessment.study is None or not unmatched]
    if as_json:
        typer.echo(json.dumps(asdict(view) | {"assessments": [asdict(assessment) for assessment in shown]}, indent=2))
        return
    waiting = sum(assessment.study is None for assessment in view.assessments)
    typer.echo(f"{counted(len(view.assessments), 'assessment')}, {waiting} unmatched")
    for assessment in shown:
        typer.echo(_line(assessment))
    for report in view.refused_reports:
        typer.echo(f"study {report.study}  not used: instance {report.instance}: {report.why}")
    for path in view.refused_messages:
        typer.echo(f"HL7 message refused, the log says why: {path}")


def _line(assessment: AssessmentView) -> str:
    what = (
        f"{_BREASTS[assessment.laterality]} {assessment.category} by {assessment.source}, "
        f"received {local_time(assessment.received_at)}"
    )
    if assessment.withdrawn:
        what += " (withdrawn or corrected)"
    elif assessment.study is not None and not assessment.counts:
        what += " (a later assessment counts)"
    if assessment.study is not None:
        return f"study {assessment.study}  {what}"
    named = assessment.study_instance_uid or f"accession number {assessment.accession_number}"
    return f"unmatched  {what}, for {named}: {assessment.why}"
