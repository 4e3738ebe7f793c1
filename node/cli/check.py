"""`mammo-node check`: checks everything that the node needs."""

from __future__ import annotations

import json
import time
from dataclasses import asdict
from typing import TYPE_CHECKING

import typer

from node.cli.terminal.options import DEFAULT_CONFIG, AsJson, ConfigFile

if TYPE_CHECKING:
    from node.operations.machine import CheckResult


def check(
    config: ConfigFile = DEFAULT_CONFIG,
    as_json: AsJson = False,
) -> None:
    """Check configuration, who may send and where results go, database, disk, model weights, a named CUDA device, every
    destination and every source. Measures how many CPU threads the reader would use.

    One line each. The exit status is 0 if all checks passed, 1 if one failed, 2 if the configuration cannot be used.
    Changes nothing, and may be run while the node runs.
    """
    from config.settings import load
    from node.operations.check import check_everything
    from node.operations.machine import CheckResult

    settings = load(config)
    configuration = CheckResult("configuration", True, str(config))
    answers = [configuration, *check_everything(settings, time.time())]
    if as_json:
        typer.echo(json.dumps([asdict(answer) for answer in answers], indent=2))
    else:
        for answer in answers:
            typer.echo(f"{_mark(answer)}  {answer.about}: {answer.says}")
    raise typer.Exit(0 if all(answer.ok for answer in answers) else 1)


def _mark(answer: CheckResult) -> str:
    if not answer.ok:
        return typer.style("FAILED", fg="red")
    return typer.style("warns ", fg="yellow") if answer.warns else typer.style("ok    ", fg="green")
