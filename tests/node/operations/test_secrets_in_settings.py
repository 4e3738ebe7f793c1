"""Whatever setting somebody writes a secret into, nothing shows it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, get_args, get_origin

import pytest
from browsing import application_of
from fastapi.testclient import TestClient
from pydantic import BaseModel
from road import Road
from typer.testing import CliRunner

from config.fields import Section
from config.settings import Settings, SettingsError, load
from node.archive.layout import AUDITED_SETTINGS
from node.audit.recording import Recording
from node.cli.config_show import toml_of
from node.cli.main import build
from node.operations.machine import database
from node.parts import EVERYTHING

pytestmark = pytest.mark.slow

SECRET = "s3cr3t-of-a-test"
ADDRESSES = (
    f"https://user:{SECRET}@host.example/path",
    f"https://{SECRET}@host.example/path",
    f"https://host.example/path?password={SECRET}",
    f"https://host.example/{{StudyInstanceUID}}?a=b&api%5Fkey={SECRET}",
    f"https://host.example/path;token={SECRET}",
    f"s3://key:{SECRET}@bucket/prefix",
    f"postgresql+psycopg://mammo:{SECRET}@127.0.0.1:1/mammo",
    f"postgresql+psycopg://mammo@/mammo?host=db1&password={SECRET}",
    f"postgresql+psycopg://mammo@/mammo?host=db1&p%61ssword={SECRET}",
    f"postgresql+psycopg://mammo@/mammo?sslkey=a&sslpassword={SECRET}",
)
TLS = {"certificate": "node.pem", "key": "node.key", "ca_file": "ca.pem"}
DICOM = {"name": "pacs", "ae_title": "PACS", "host": "h", "port": 104, "tls": TLS}
EVERYTHING_SET: dict[str, Any] = {
    "data_dir": "data",
    "receiver": {"tls": {**TLS, "port": 2762}},
    "archive": {"copy_to": "s3://bucket", "endpoint": "https://s3.example"},
    "hl7": {"tls": TLS},
    "ray": {"tls": TLS},
    "bundles": {"signers": [{"name": "signer", "public_key": "k.pem"}]},
    "oidc": {"issuer": "https://login.example", "administrators": ["a"]},
    "web": {"port": 8080, "url": "https://mammo.example"},
    "audit": {"syslog_host": "h", "tls": TLS},
    "senders": [
        {"ae_title": "A", "username": "u", "find_host": "h", "find_port": 104, "find_tls": TLS},
        {"ae_title": "B", "token": {"keys_file": "k", "issuer": "https://i.example", "audience": "mammo-node"}},
    ],
    "destinations": [
        DICOM,
        {"name": "web", "url": "https://pacs.example"},
        {"name": "fhir", "kind": "fhir", "url": "https://fhir.example"},
        {"name": "ris", "kind": "hl7", "host": "h", "port": 2575, "tls": TLS},
    ],
    "sources": [DICOM, {"name": "web", "url": "https://pacs.example"}],
    "webhooks": [{"name": "hook", "url": "https://hook.example", "secret_file": "s", "events": ["reported"]}],
    "routes": [{"name": "all"}],
}


def models_in(annotation: Any) -> set[type[BaseModel]]:
    """The sections that a setting of this type can have, with those in them."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        inner = (models_in(field.annotation) for field in annotation.model_fields.values())
        return {annotation}.union(*inner)
    return set().union(*map(models_in, get_args(annotation)))


def is_text(annotation: Any) -> bool:
    if get_origin(annotation) is Annotated:
        return is_text(get_args(annotation)[0])
    return annotation is str or any(map(is_text, get_args(annotation)))


def texts(of: BaseModel, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], bool]]:
    """Where each setting is that can hold a text, and whether it is a list of them."""
    for name, field in type(of).model_fields.items():
        value = getattr(of, name)
        inner = value if isinstance(value, tuple) else (value,)
        if any(isinstance(one, BaseModel) for one in inner):
            for number, one in enumerate(inner):
                yield from texts(one, (*path, name, number) if isinstance(value, tuple) else (*path, name))
        elif is_text(field.annotation):
            yield (*path, name), "tuple" in str(field.annotation)


def with_text(path: tuple[str | int, ...], text: object) -> dict[str, Any]:
    values: Any = json.loads(json.dumps(EVERYTHING_SET))
    inner = values
    for key in path[:-1]:
        inner = inner[key] if isinstance(key, int) else inner.setdefault(key, {})
    inner[path[-1]] = text
    return values


BASE = Settings.model_validate(EVERYTHING_SET)
PLACES = list(texts(BASE))


def test_the_settings_that_are_tried_have_every_section_there_is() -> None:
    def used(of: BaseModel) -> set[type[BaseModel]]:
        values = (getattr(of, name) for name in type(of).model_fields)
        inner = (one for value in values for one in (value if isinstance(value, tuple) else (value,)))
        return {type(of)}.union(*(used(one) for one in inner if isinstance(one, BaseModel)))

    assert used(BASE) == models_in(Settings)
    assert all(issubclass(model, Section) for model in models_in(Settings) - {Settings})


@pytest.mark.parametrize(("path", "is_list"), PLACES, ids=[".".join(map(str, path)) for path, _ in PLACES])
def test_no_secret_in_any_setting_is_shown_by_anything(
    path: tuple[str | int, ...], is_list: bool, tmp_path: Path
) -> None:
    file = tmp_path / "node.toml"
    for address in ADDRESSES:
        values = with_text(path, [address] if is_list else address)
        file.write_text(toml_of(values, {}))
        if path == ("database_url",) and "?" not in address:  # its password has its place there
            if address.startswith("postgresql"):
                assert_nothing_shows_it(load(file), file, tmp_path)
            continue
        with pytest.raises(SettingsError) as refused:
            load(file)
        assert SECRET not in str(refused.value)


def assert_nothing_shows_it(settings: Settings, file: Path, folder: Path) -> None:
    assert SECRET in str(settings.database_url)
    assert SECRET not in database(settings).says
    for command in (["config", "show"], ["config", "show", "--json"], ["status"]):
        ran = CliRunner().invoke(build(), [*command, "--config", str(file)])
        assert SECRET not in ran.output + str(ran.exception)
    road = Road(folder / "road")
    of_the_road = Settings(data_dir=road.data_dir, database_url=settings.database_url)
    here = ("127.0.0.1", 50000)
    with TestClient(application_of(road, of_the_road), base_url="http://127.0.0.1:8080", client=here) as browser:
        page = browser.get("/settings").text
    assert "mammo:***@127.0.0.1" in page
    assert SECRET not in page
    Recording(of_the_road, road.sessions, EVERYTHING, lambda: True, road.clock).begin()
    kept = (road.data_dir / AUDITED_SETTINGS).read_text()
    assert "mammo:***@127.0.0.1" in kept
    assert SECRET not in kept
