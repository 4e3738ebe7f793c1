"""Settings as an administrator meets them: the file, the environment, and what is said of mistakes."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.settings import Destination, SettingsError, WebDestination, load


@pytest.fixture
def toml(tmp_path: Path):
    def write(text: str) -> Path:
        path = tmp_path / "node.toml"
        path.write_text(text)
        return path

    return write


def test_only_the_data_folder_must_be_set_and_it_is_relative_to_the_file(toml, tmp_path):
    settings = load(toml('data_dir = "data"'))
    assert settings.data_dir == tmp_path / "data"
    assert settings.database == f"sqlite:///{tmp_path}/data/queue.sqlite"


def test_the_environment_goes_before_the_file(toml, monkeypatch):
    path = toml('data_dir = "data"\n[receiver]\nport = 104\nae_title = "FILE"')
    monkeypatch.setenv("MAMMO_NODE__RECEIVER__PORT", "4100")
    settings = load(path)
    assert (settings.receiver.port, settings.receiver.ae_title) == (4100, "FILE")


def test_another_database_is_one_key(toml):
    assert load(toml('data_dir = "d"\ndatabase_url = "postgresql://queue/db"')).database == "postgresql://queue/db"


@pytest.mark.parametrize(
    ("text", "key"),
    [
        ("", "data_dir"),
        ('data_dir = "d"\ndata_dri = "e"', "data_dri"),
        ('data_dir = "d"\n[receiver]\nport = 70000', "receiver.port"),
        ('data_dir = "d"\n[receiver]\nae_title = "LONGER_THAN_SIXTEEN"', "receiver.ae_title"),
        ('data_dir = "d"\n[reader]\ndevice = "gpu"', "reader.device"),
        ('data_dir = "d"\n[[destinations]]\nname = "pacs"\nae_title = "A"\nport = 1', "destinations.0.host"),
        ('data_dir = "d"\n[[destinations]]\nname = "web"\nurl = "ftp://pacs"', "destinations.0.url"),
        ('data_dir = "d"\n[[destinations]]\nname = "web"\nurl = "https://u:p@pacs"', "destinations.0.url"),
        ('data_dir = "d"\n[[destinations]]\nname = "web"\nurl = "https://pacs"\nport = 1', "destinations.0.port"),
        ('data_dir = "d"\n[[sources]]\nname = "pacs"\nae_title = "A"\nport = 1', "sources.0.host"),
        ('data_dir = "d"\n[[sources]]\nname = "s"\nurl = "http://pacs"\nbearer_token_file = "t"', "sources.0"),
        ('data_dir = "d"\n[[senders]]\nae_title = "A"\nfind_port = 1', "senders.0"),
    ],
    ids=[
        "missing",
        "misspelt",
        "out of range",
        "too long",
        "not a choice",
        "in a destination",
        "no web address",
        "a password in an address",
        "DICOM and DICOMweb at once",
        "in a source",
        "a token that everybody could read",
        "belongs together",
    ],
)
def test_a_mistake_is_told_with_the_file_and_the_key(toml, text, key):
    path = toml(text)
    with pytest.raises(SettingsError) as told:
        load(path)
    assert str(path) in str(told.value)
    assert f"  {key}: " in str(told.value)


def test_two_destinations_of_one_name_are_refused(toml):
    block = '[[destinations]]\nname = "pacs"\nae_title = "A"\nhost = "h"\nport = 1\n'
    with pytest.raises(SettingsError, match="pacs"):
        load(toml('data_dir = "d"\n' + block + block))


def test_destinations_and_sources_speak_dicom_or_dicomweb(toml, tmp_path):
    settings = load(
        toml(
            """data_dir = "d"
[[destinations]]
name = "pacs"
ae_title = "A"
host = "h"
port = 1
[[destinations]]
name = "web"
url = "https://pacs.example/dicom-web/"
bearer_token_file = "token"
[[sources]]
name = "web"
url = "http://127.0.0.1:8042/dicom-web"
client_certificate = "/etc/node.pem"
"""
        )
    )
    pacs, web = settings.destinations
    assert isinstance(pacs, Destination)
    assert isinstance(web, WebDestination)
    assert (web.url, web.bearer_token_file) == ("https://pacs.example/dicom-web", tmp_path / "token")
    assert settings.sources[0].client_certificate == Path("/etc/node.pem")


def test_a_password_in_an_address_is_not_repeated(toml):
    with pytest.raises(SettingsError) as told:
        load(toml('data_dir = "d"\n[[sources]]\nname = "web"\nurl = "https://user:secret@pacs"'))
    assert "secret" not in str(told.value)


def test_a_missing_file_tells_where_to_start(tmp_path):
    with pytest.raises(SettingsError, match=r"node\.example\.toml"):
        load(tmp_path / "node.toml")


def test_a_file_that_is_not_toml_is_told(toml):
    with pytest.raises(SettingsError, match="is not TOML"):
        load(toml("data_dir: data"))


def test_settings_cannot_be_changed_while_the_node_runs(toml):
    settings = load(toml('data_dir = "d"'))
    with pytest.raises(ValueError, match="frozen"):
        settings.receiver.port = 1
