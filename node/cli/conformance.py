"""`mammo-node conformance`: the DICOM conformance statement of this node and its settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer


def conformance(
    config: Annotated[
        Path | None, typer.Option("--config", "-c", help="The node's settings (TOML). Left out: the defaults.")
    ] = None,
) -> None:
    """Write the DICOM conformance statement (PS3.2), in Markdown, from the effective settings."""
    from config.settings import Settings, load
    from node.operations.conformance import conformance_statement

    settings = Settings(data_dir=Path("data")) if config is None else load(config)
    typer.echo(conformance_statement(settings, "the default settings" if config is None else "its settings"), nl=False)
