"""`mammo-node config show`: the settings as the node understands them."""

from __future__ import annotations

import json
from collections.abc import Mapping

import typer

from node.cli.terminal.options import DEFAULT_CONFIG, AsJson, ConfigFile


def config_show(config: ConfigFile = DEFAULT_CONFIG, as_json: AsJson = False) -> None:
    """Show the effective settings: of the file, of the environment, and the defaults. Passwords are hidden.

    A comment behind each says where it comes from; --json has the values only.
    """
    from config.origins import origins
    from config.settings import load
    from node.operations.effective import effective

    settings = load(config)
    values = effective(settings)
    typer.echo(json.dumps(values, indent=2) if as_json else toml_of(values, origins(settings)))


def toml_of(values: Mapping[str, object], origins: Mapping[str, str], before: str = "") -> str:
    """Settings as TOML: plain keys first, then tables and arrays of tables; keys that are not set are comments.

    Args:
        origins: where each key comes from, by its name with the names of its sections before it.
        before: the names of the sections around `values`, each followed by a dot.
    """
    plain = [
        _line(key, value, origins.get(before + key, "")) for key, value in values.items() if not _is_section(value)
    ]
    sections = []
    for key, value in values.items():
        if isinstance(value, Mapping):
            sections.append(f"\n[{before}{key}]\n" + toml_of(value, origins, f"{before}{key}."))
        elif _is_section(value) and isinstance(value, list):
            sections += [f"\n[[{before}{key}]]\n" + toml_of(entry, {}, f"{before}{key}.") for entry in value]
    return "\n".join(plain + sections)


def _is_section(value: object) -> bool:
    """Whether it is a table or an array of tables; an array of plain values is not, nor an empty one."""
    return isinstance(value, Mapping) or (
        isinstance(value, list) and any(isinstance(entry, Mapping) for entry in value)
    )


def _line(key: str, value: object, origin: str) -> str:
    if value is None:
        return f"# {key} is not set"
    # Strings, numbers and booleans in JSON are valid TOML.
    return f"{key} = {json.dumps(value, ensure_ascii=False)}" + (f"  # {origin}" if origin else "")
