"""Where each setting comes from: the file, the environment, or the default."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from enum import StrEnum

from pydantic import BaseModel

from config.mistakes import BETWEEN, PREFIX
from config.settings import Settings


class Origin(StrEnum):
    FILE = "file"
    ENVIRONMENT = "environment"
    DEFAULT = "default"


def origins(settings: Settings) -> dict[str, Origin]:
    """The origin of each key ("receiver.port"; a list has one for all of it), by this process's environment."""
    variables = {name.upper(): value for name, value in os.environ.items() if name.upper().startswith(PREFIX)}
    return dict(_origins(settings, variables, ""))


def _origins(section: BaseModel, variables: Mapping[str, str], before: str) -> Iterator[tuple[str, Origin]]:
    for name in type(section).model_fields:
        key, value = f"{before}{name}", getattr(section, name)
        if isinstance(value, BaseModel):
            yield from _origins(value, variables, f"{key}.")
        elif name not in section.model_fields_set:
            yield key, Origin.DEFAULT
        else:
            yield key, Origin.ENVIRONMENT if _is_set(key, variables) else Origin.FILE


def _is_set(key: str, variables: Mapping[str, str]) -> bool:
    """Whether a variable sets the key itself, or the whole section that it is in, as JSON."""
    section, _, name = key.rpartition(".")
    whole = variables.get(PREFIX + section.replace(".", BETWEEN).upper(), "") if section else ""
    return PREFIX + key.replace(".", BETWEEN).upper() in variables or (bool(whole) and name in json.loads(whole))
