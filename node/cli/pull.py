"""`mammo-node pull`: retrieves a study from a source and sends it to the running node."""

from __future__ import annotations

import re
import tempfile
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.terminal.failure import CommandFailed
from node.cli.terminal.options import DEFAULT_CONFIG, ConfigFile, open_queue
from node.cli.terminal.progress import progress_bar

if TYPE_CHECKING:
    from config.peers import AnySource
    from config.settings import Settings
    from node.intake.pulling import Pulled


def pull(
    source_name: Annotated[str, typer.Option("--from", help="The source's name in the settings.", metavar="NAME")],
    study: Annotated[str | None, typer.Option(help="Its Study Instance UID.", metavar="UID")] = None,
    accession: Annotated[str | None, typer.Option(help="Its accession number.", metavar="NUMBER")] = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Retrieve a study from a source (C-GET, C-MOVE or DICOMweb) and send it to the running node, which reads it.

    Instances that the node does not accept, and its own results, are left out and listed. The exit status is 1 if a
    part of the study did not arrive.
    """
    from sqlalchemy import select

    from config.settings import load
    from dicom_io.network.scu import send_files
    from node import peers
    from node.audit.actors import command_line
    from node.audit.events import enter_asked, enter_fetched
    from node.intake import pulling
    from node.operations.check import listener
    from node.store.database import read_only
    from node.store.tables import Study

    keyword, value = _asked(study, accession)
    settings = load(config)
    receiver = settings.receiver
    named = _source_named(source_name, settings)
    source, asked_of = peers.source(named, receiver), peers.audited_source(named, receiver)
    node = listener(settings)
    if not node.ok:
        raise CommandFailed(f"The node does not run: start it with `mammo-node serve` ({node.says}).")
    sessions = open_queue(settings)
    with sessions.begin() as session:
        query = peers.audited_query(named, keyword, value)
        enter_asked(session, command_line(), asked_of, query, time.time())
    hand_over = partial(send_files, peers.own_listener(receiver, timeout_s=30))
    with tempfile.TemporaryDirectory(prefix="mammo-node-") as folder, progress_bar("Pulling") as progress:
        try:
            found = pulling.the_study(source, keyword, value)
            with read_only(sessions) as session:
                own = pulling.own_results(session, found)
            pulled = pulling.pull(source, found, own, Path(folder), hand_over, progress)
        except pulling.CannotPull as error:
            raise CommandFailed(f"{source_name}: {error}") from error
    with sessions.begin() as session:
        fetched = session.scalars(select(Study).where(Study.study_instance_uid == found)).one_or_none()
        if fetched is not None:
            enter_fetched(session, fetched, command_line(), asked_of, time.time())
    _print(pulled)
    raise typer.Exit(0 if pulled.taken >= pulled.wanted else 1)


def _asked(study: str | None, accession: str | None) -> tuple[str, str]:
    """What to search for: an attribute and its value."""
    from pydicom.uid import RE_VALID_UID

    if (study is None) == (accession is None):
        raise typer.BadParameter("give either --study or --accession")
    if study is not None:
        if len(study) > 64 or not re.fullmatch(RE_VALID_UID, study):
            raise typer.BadParameter(f"{study!r} is not a UID", param_hint="--study")
        return "StudyInstanceUID", study
    number = (accession or "").strip()
    if not number or len(number) > 16 or set(number) & set("*?\\"):
        # Wildcards, and an empty value, match any study (PS3.4 section C.2.2.2.4).
        raise typer.BadParameter("it has 1 to 16 characters, none of them *, ? or \\", param_hint="--accession")
    return "AccessionNumber", number


def _source_named(name: str, settings: Settings) -> AnySource:
    for source in settings.sources:
        if source.name == name:
            return source
    known = ", ".join(source.name for source in settings.sources)
    raise CommandFailed(
        f"There is no source {name!r}: there are {known}."
        if known
        else f"There is no source {name!r}: the settings have no [[sources]]."
    )


def _print(pulled: Pulled) -> None:
    from node.intake.pulling import kinds

    typer.echo(f"{pulled.taken} of {pulled.wanted} instances arrived at the node")
    if pulled.left_out:
        typer.echo(f"left out, because the node does not accept them: {kinds(pulled.left_out)}")
    for fault in pulled.faults:
        typer.echo(f"not arrived: {fault}")
