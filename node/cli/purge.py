"""`mammo-node purge`: deletes now what [retention] says, or only says what that would be."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import Annotated

import typer

from models.types.words import counted
from node.cli.terminal.failure import CommandFailed
from node.cli.terminal.options import DEFAULT_CONFIG, AsJson, ConfigFile, open_queue


def purge(
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Delete nothing; say what would go, and when.")] = False,
    yes: Annotated[bool, typer.Option("--yes", help="The clock is right, although nothing came for long.")] = False,
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Delete what the settings of retention say, as the running node does by itself; or say what that would be."""
    from config.settings import load
    from node.archive.space import space_of
    from node.audit.actors import command_line
    from node.retention.clock_doubt import quiet_for_days
    from node.retention.plan import plan
    from node.retention.purge import MB, Purge
    from node.store.database import read_only

    settings = load(config)
    if not settings.retention.is_on:
        raise CommandFailed(f"Nothing is ever deleted: {config} sets nothing in [retention] (docs/retention.md).")
    sessions = open_queue(settings)
    space = space_of(settings, None if dry_run else sessions)
    space.measure()
    if dry_run:
        with read_only(sessions) as session:
            planned = plan(session, settings, time.time(), space.free)
        if as_json:
            typer.echo(json.dumps([asdict(one) for one in planned], indent=2))
            return
        for one in planned:
            typer.echo(f"{one.setting}: {one.says}")
        return
    with read_only(sessions) as session:
        quiet_days = quiet_for_days(session, time.time())
    if quiet_days is not None and not yes:
        raise CommandFailed(
            f"Nothing came for {quiet_days:.0f} days, or the clock is wrong: then everything is old, and "
            "would be deleted. If the clock is right (`date`), run it again with --yes."
        )
    purging = Purge(sessions, settings, time.time, space.free, command_line(), space.gave_back)
    runs = [purging.by_age(), purging.for_space()]
    space.share()  # the running node has room again
    studies: dict[str, int] = {}
    for run in runs:
        for setting, count in run.studies.items():
            studies[setting] = studies.get(setting, 0) + count
    files, size = sum(run.size.files for run in runs), sum(run.size.size for run in runs)
    if as_json:
        typer.echo(json.dumps({"studies": studies, "files": files, "bytes": size}, indent=2))
        return
    for setting, count in studies.items():
        typer.echo(f"{setting}: {counted(count, 'study', 'studies')}")
    typer.echo(f"{counted(files, 'file')} deleted ({size / MB:.1f} MB)")
