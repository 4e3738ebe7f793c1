"""Where the node listens, read without any library: for the health check of a container, which runs every minute."""

from __future__ import annotations

import json
import os
import tomllib
from pathlib import Path
from typing import Any

DEFAULTS = {"ae_title": "MAMMO_NODE", "host": "127.0.0.1", "port": 11112}
"""As config/settings.py has them: importing it costs ten times as much as the rest of the check."""
_VARIABLE = "MAMMO_NODE__RECEIVER"
_EVERYWHERE = ("0.0.0.0", "::")


def listener_address(path: Path) -> tuple[str, str, int]:
    """AE title, host and port at which this machine reaches the node's listener.

    The settings are not validated: `serve` does that.

    Raises:
        OSError, ValueError: the file cannot be read, or is no TOML.
        KeyError, TypeError: the section is none.
    """
    section: dict[str, Any] = dict(DEFAULTS)
    section |= tomllib.loads(path.read_text(encoding="utf-8")).get("receiver", {})
    variables = {name.upper(): value for name, value in os.environ.items()}
    section |= json.loads(variables.get(_VARIABLE, "{}"))
    section |= {key: value for key in DEFAULTS if (value := variables.get(f"{_VARIABLE}__{key.upper()}")) is not None}
    host = "127.0.0.1" if section["host"] in _EVERYWHERE else str(section["host"])
    return str(section["ae_title"]).strip(), host, int(section["port"])
