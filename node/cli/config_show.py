"""`mammo-node config show`: the settings as the node understands them."""

from __future__ import annotations

import json
from collections.abc import Mapping

import typer

from node.cli.terminal.options import DEFAULT_CONFIG, AsJson, ConfigFile


def config_show(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show the effective settings: of the file, of the environment, and the defaults. Passwords are hidden."""
    from sqlalchemy import make_url

    from config.settings import load

    settings = load(config)
    values = settings.model_dump(mode="json")
    if settings.database_url is not None:
        values["database_url"] = make_url(settings.database_url).render_as_string(hide_password=True)
    typer.echo(json.dumps(values, indent=2) if as_json else toml_of(values))


def toml_of(values: Mapping[str, object]) -> str:
    """Settings as TOML: plain keys first, then tables and arrays of tables; keys that are not set are comments."""
    plain = [_line(key, value) for key, value in values.items() if not _is_section(value)]
    sections = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            sections.append(f"\n[{key}]\n" + toml_of(value))
        elif _is_section(value) and isinstance(value, list):
            sections += [f"\n[[{key}]]\n" + toml_of(entry) for entry in value]
    return "\n".join(plain + sections)


def _is_section(value: object) -> bool:
    """Whether it is a table or an array of tables; an array of plain values is not, nor an empty one."""
    return isinstance(value, Mapping) or (
        isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value)
    )


def _line(key: str, value: object) -> str:
    # Strings, numbers and booleans in JSON are valid TOML.
    return f"# {key} is not set" if value is None else f"{key} = {json.dumps(value, ensure_ascii=False)}"
