"""`mammo-node audit`: the audit trail (docs/audit.md)."""

from __future__ import annotations

import time
from collections import deque
from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from xml.etree import ElementTree

import typer

from models.types.words import counted
from node.cli.terminal.failure import CommandFailed
from node.cli.terminal.options import DEFAULT_CONFIG, ConfigFile, open_queue

if TYPE_CHECKING:
    from config.settings import Settings
    from node.audit.trail import Line, Trail
    from node.store.database import Sessions

audit_commands = typer.Typer(help="The audit trail: who did what. Its use is an event of it.", no_args_is_help=True)


@audit_commands.command("verify")
def verify_trail(
    first: Annotated[
        int, typer.Option("--from", min=1, help="The first line, where files of earlier ones were moved away.")
    ] = 1,
    syslog: Annotated[
        list[Path] | None,
        typer.Option(help="A file of the syslog receiver to compare with; may be repeated."),
    ] = None,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Verify that no line of the audit trail was changed or removed, and name the first that was.

    Exit status 2 if one was. Somebody who may write both the files and the database could write all of them anew: only
    the syslog receiver's copy shows that.
    """
    from config.settings import load
    from node.archive.layout import AUDIT_SENT
    from node.audit.copies import compare
    from node.audit.recorder import lines_being_written, stored_head
    from node.audit.sender import last_sent
    from node.audit.trail import EMPTY, verify
    from node.store.database import read_only

    settings = load(config)
    sessions, trail = _used_trail(settings)
    with trail.alone(), read_only(sessions) as session:
        known, until = stored_head(session), (trail.head() or EMPTY).lines
        being_written = lines_being_written(session, settings.installation.institution_name)
    found = verify(trail, known, being_written, until, first)
    if found.fault:
        raise CommandFailed(f"{trail.folder}: {found.fault}. Lines {first} to {found.head.lines} are as written.")
    lines = counted(found.head.lines - first + 1, "line")
    typer.echo(f"{trail.folder}: {lines} as written. Line {found.head.lines} has the SHA-256 {found.head.digest}")
    if not syslog:
        typer.echo("Not compared with a syslog receiver's copy: --syslog FILE")
        return
    sent = min(last_sent(settings.data_dir / AUDIT_SENT), found.head.lines)
    if fault := compare(trail, syslog, sent):
        raise CommandFailed(f"{', '.join(map(str, syslog))}: {fault}.")
    typer.echo(f"The receiver's copy has all lines up to {sent}, and no other message of this machine.")


@audit_commands.command("show")
def show_trail(
    last: Annotated[int, typer.Option(min=1, help="How many lines.")] = 20,
    xml: Annotated[bool, typer.Option("--xml", help="Print the messages as they are, with patients' IDs.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
) -> None:
    """Print the last lines of the audit trail: when, what, and by whom."""
    from config.settings import load

    _, trail = _used_trail(load(config))
    for line in deque((line for _, line in trail.lines() if line is not None), last):
        typer.echo(f"{line.number}  {line.message}" if xml else _in_short(line))


def _used_trail(settings: Settings) -> tuple[Sessions, Trail]:
    """The queue and the trail, after its use was entered."""
    from node.archive.layout import AUDIT
    from node.audit.actors import command_line
    from node.audit.security_events import enter_log_used
    from node.audit.trail import Trail

    sessions, trail = open_queue(settings), Trail(settings.data_dir / AUDIT)
    with sessions.begin() as session:
        enter_log_used(session, trail.folder, command_line(), time.time())
    return sessions, trail


def _in_short(line: Line) -> str:
    try:
        message = ElementTree.fromstring(line.xml)
    except ElementTree.ParseError:
        return f"{line.number}  not an audit message: `mammo-node audit verify` says whether the line was changed"
    event = message.find("EventIdentification")
    kinds = [code.get("originalText", "") for code in message.iterfind("EventIdentification/*[@csd-code]")]
    people = [_named(who) for who in message.iterfind("ActiveParticipant")]
    about = [name.text or "" for name in message.iterfind("*/ParticipantObjectName")]
    failed = event is not None and event.get("EventOutcomeIndicator") != "0"
    when = "" if event is None else event.get("EventDateTime")
    what = ": ".join(kinds) + (" (failed)" if failed else "")
    return "  ".join([str(line.number), str(when), what, ", ".join(people), ", ".join(filter(None, about))]).rstrip()


def _named(who: ElementTree.Element) -> str:
    also = who.get("UserName") or who.get("AlternativeUserID")
    return f"{who.get('UserID')} ({also})" if also else str(who.get("UserID"))
