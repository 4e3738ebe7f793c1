"""config/node.example.toml documents every setting with its default in the code."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from pydantic_core import PydanticUndefined

from config.peers import (
    DicomDestination,
    DicomSource,
    FhirDestination,
    Hl7Destination,
    Sender,
    WebDestination,
    WebSource,
)
from config.settings import Route, Settings, load
from config.webhooks import Webhook

EXAMPLE = Path(__file__).parents[2] / "config" / "node.example.toml"
LISTS: dict[str, tuple[type[BaseModel], ...]] = {
    "senders": (Sender,),
    "destinations": (DicomDestination, WebDestination, FhirDestination, Hl7Destination),
    "webhooks": (Webhook,),
    "routes": (Route,),
    "sources": (DicomSource, WebSource),
}
"""The kinds of blocks of each list, in the example's order."""


def uncommented() -> dict[str, Any]:
    """The example with every key and block uncommented."""
    text = re.sub(r"^# (?=\[\[[a-z]+\]\]$|[a-z_]+ = )", "", EXAMPLE.read_text(encoding="utf-8"), flags=re.MULTILINE)
    # Blocks of arrays stand between the sections: each key belongs to the header before it, in TOML as on the page.
    return tomllib.loads(text)


def keys_of_settings() -> set[str]:
    """Every key of the settings, with dots; those of lists under the list's name."""
    keys = set()
    for name, field in Settings.model_fields.items():
        sections = LISTS.get(name) or (field.annotation,)
        for section in sections:
            if isinstance(section, type) and issubclass(section, BaseModel):
                keys |= {f"{name}.{key}" for key in section.model_fields}
            else:
                keys.add(name)
    return keys


def test_the_example_documents_every_setting_and_no_other():
    keys = set()
    for name, value in uncommented().items():
        match value:
            case [*blocks]:
                keys |= {f"{name}.{key}" for block in blocks for key in block}
            case dict():
                keys |= {f"{name}.{key}" for key in value}
            case _:
                keys.add(name)
    assert keys == keys_of_settings()


def test_the_example_states_the_defaults_of_the_code():
    wrong = []
    for name, value in uncommented().items():
        if name in LISTS:
            for kind, block in zip(LISTS[name], value, strict=True):
                wrong += _differences(name, kind, block)
        elif isinstance(value, dict):
            wrong += _differences(name, type(Settings.model_fields[name].default), value)
        else:
            default = Settings.model_fields[name].default
            if default not in (PydanticUndefined, None, value):
                wrong.append(name)
    assert wrong == []


def _differences(name: str, section: type[BaseModel], shown: dict[str, Any]) -> list[str]:
    """The keys whose default differs from the example; a required or unset key has a made-up value there."""
    defaults = {key: section.model_fields[key].default for key in shown}
    tuples = {key: tuple(value) if isinstance(value, list) else value for key, value in shown.items()}
    return [f"{name}.{key}" for key in shown if defaults[key] not in (PydanticUndefined, None, tuples[key])]


def test_a_setting_without_a_default_is_documented_with_what_happens_without_it():
    """Such a key has a made-up value, which is not its default."""
    paragraphs = re.split(r"\n#?\n", EXAMPLE.read_text(encoding="utf-8"))
    optional = [key for key in keys_of_settings() if _default(key) is None]
    assert "receiver.quota_mb" in optional
    for key in (key.rpartition(".")[2] for key in optional):
        assert any("Not set:" in text and f"\n# {key} = " in text for text in paragraphs), key


def _default(key: str) -> Any:
    section, _, name = key.rpartition(".")
    kinds = LISTS.get(section) or ((type(Settings.model_fields[section].default) if section else Settings),)
    return next(kind.model_fields[name].default for kind in kinds if name in kind.model_fields)


def test_the_example_file_loads(monkeypatch, tmp_path):
    copy = tmp_path / "node.toml"
    copy.write_text(EXAMPLE.read_text(encoding="utf-8"), encoding="utf-8")
    assert load(copy).receiver.host == "127.0.0.1"
