"""The settings as they are in force, for people: without passwords, and with where each comes from."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from sqlalchemy import make_url

from config.origins import Origin, origins
from config.settings import Settings


@dataclass(frozen=True)
class SettingView:
    """A setting: its key in its section, its value (of a list of sections: their keys and values), and its origin."""

    key: str
    value: object
    origin: Origin


def effective(settings: Settings) -> dict[str, object]:
    """The settings as plain values, as in the file; a password in the database's URL is hidden."""
    values = settings.model_dump(mode="json")
    if settings.database_url is not None:
        values["database_url"] = make_url(settings.database_url).render_as_string(hide_password=True)
    return values


def by_section(settings: Settings) -> dict[str, tuple[SettingView, ...]]:
    """The settings by section; those of no section are under ""."""
    of = origins(settings)
    sections: dict[str, tuple[SettingView, ...]] = {"": ()}
    for name, value in effective(settings).items():
        if isinstance(value, Mapping):
            sections[name] = tuple(_views(value, of, f"{name}."))
        elif isinstance(value, list) and name in _LISTS:
            sections[name] = (SettingView(name, value, of[name]),)
        else:
            sections[""] += (SettingView(name, value, of[name]),)
    return sections


_LISTS = ("senders", "destinations", "webhooks", "routes", "sources")


def _views(values: Mapping[str, object], of: Mapping[str, Origin], before: str) -> Iterator[SettingView]:
    """The settings of a section; those of a section in it have its name before theirs: "tls.port"."""
    for key, value in values.items():
        if isinstance(value, Mapping):
            yield from (replace(view, key=f"{key}.{view.key}") for view in _views(value, of, f"{before}{key}."))
        else:
            yield SettingView(key, value, of[before + key])
