"""Settings from the file and the environment, and the messages about mistakes in them."""

from __future__ import annotations

from pathlib import Path

import pytest

from config.origins import Origin, origins
from config.peers import DicomDestination, WebDestination
from config.settings import SettingsError, load


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


def test_the_environment_overrides_the_file(toml, monkeypatch):
    path = toml('data_dir = "data"\n[receiver]\nport = 104\nae_title = "FILE"')
    monkeypatch.setenv("MAMMO_NODE__RECEIVER__PORT", "4100")
    settings = load(path)
    assert (settings.receiver.port, settings.receiver.ae_title) == (4100, "FILE")


def test_another_database_needs_only_one_setting(toml):
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
def test_a_wrong_setting_is_reported_with_its_file_and_key(toml, text, key):
    path = toml(text)
    with pytest.raises(SettingsError) as raised:
        load(path)
    assert str(path) in str(raised.value)
    assert f"  {key}: " in str(raised.value)


PACS = 'data_dir = "d"\n[[destinations]]\nname = "pacs"\nae_title = "A"\nhost = "h"\nport = 1\n'


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('data_dir = "d"\n[reciever]\nport = 1', "reciever: there is no such setting; did you mean receiver?"),
        ('data_dir = "d"\n[receiver]\nprot = 1', "receiver.prot: there is no such setting; did you mean port?"),
        (PACS + "hots = 1", "destinations.0.hots: there is no such setting; did you mean host?"),
        (PACS + 'profile = "oHif"', "did you mean ohif?"),
        (PACS.replace('"pacs"', '"PACS 1"'), "destinations.0.name: must be lower-case letters, digits, - and _"),
        (PACS.replace('"A"', "'A\\B'"), "destinations.0.ae_title: must be 1 to 16 printable characters"),
        ("", "data_dir: must be set"),
        ("data_dir = 3", "data_dir: must be a path in quotes"),
        ('data_dir = "d"\nreceiver = 3', "receiver: must be a section with keys of its own"),
        ('data_dir = "d"\ndestinations = 3', "destinations: must be a list in square brackets"),
        ('data_dir = "d"\n[receiver]\nport = "x"', "receiver.port: must be a whole number"),
        ('data_dir = "d"\n[receiver]\nport = 70000', "receiver.port: must be at most 65535"),
        ('data_dir = "d"\n[receiver]\nidle_timeout_s = 0', "receiver.idle_timeout_s: must be greater than 0"),
        ('data_dir = "d"\n[reader]\nmixed_precision = "x"', "reader.mixed_precision: must be true or false"),
        ('data_dir = "d"\n[reader]\ndevice = "gpu"', "reader.device: must be auto, cpu, cuda or one device"),
        ('data_dir = "d"\n[hl7]\nsender_hosts = []', "hl7.sender_hosts: must name at least 1"),
        ('data_dir = "d"\n[hl7]\ncategory = ["OBX"]', "hl7.category.0: must be a field of a message, such as OBR-18"),
    ],
)
def test_a_wrong_setting_is_reported_in_a_sentence_with_a_suggestion(toml, text, expected):
    with pytest.raises(SettingsError) as error:
        load(toml(text))
    assert expected in str(error.value)


@pytest.mark.parametrize(
    "pydantics", ["Input should", "Extra inputs", "Field required", "String should", "valid tuple"]
)
def test_no_error_message_of_the_settings_library_is_shown(toml, pydantics):
    text = """data_dri = 3
log_level = "info"
destinations = 3
[receiver]
port = "x"
ae_title = "LONGER_THAN_SIXTEEN"
[closing]
quiet_s = -1
[reader]
prevalence = 2
batch = 1.5
device = "gpu"
[hl7]
charset = 3
"""
    with pytest.raises(SettingsError) as error:
        load(toml(text))
    for pydantics in ("Input", "Extra inputs", "Field required", "String should", "valid tuple"):
        assert pydantics not in str(error.value)


@pytest.mark.parametrize(
    ("variable", "value", "expected"),
    [
        ("MAMMO_NODE__RECIEVER__PORT", "1", "there is no such setting; did you mean receiver?"),
        ("MAMMO_NODE__RECEIVER__PROT", "1", "there is no such setting; did you mean port?"),
        ("MAMMO_NODE__DATA_DIR__X", "1", "there is no such setting"),
        ("MAMMO_NODE__DESTINATIONS__0__NAME", "pacs", "a list is given whole, as JSON"),
        ("MAMMO_NODE__DESTINATIONS", "[{", "as JSON"),
        ("MAMMO_NODE_RECEIVER__PORT", "1", "there is no such setting; did you mean MAMMO_NODE__RECEIVER__PORT?"),
        ("MAMMO_NODE_RECEIVER_PORT", "1", "there is no such setting; did you mean MAMMO_NODE__RECEIVER__PORT?"),
        ("MAMMO_NODE_DATA_DIR", "/d", "there is no such setting; did you mean MAMMO_NODE__DATA_DIR?"),
        ("mammo_node_data_dir", "/d", "there is no such setting"),
        ("MAMMO_NODE_PORT", "104", "there is no such setting"),
        ("MAMMO_NODE_X", "1", "there is no such setting"),
        ("MAMMO_NODE__RECEIVER__PORT", "x", "receiver.port (from MAMMO_NODE__RECEIVER__PORT): must be a whole number"),
    ],
)
def test_a_wrong_environment_variable_is_reported_and_not_ignored(toml, monkeypatch, variable, value, expected):
    path = toml('data_dir = "d"')
    monkeypatch.setenv(variable, value)
    with pytest.raises(SettingsError) as error:
        load(path)
    assert expected in str(error.value)
    assert variable in str(error.value) or "destinations" in str(error.value)


def test_environment_variables_that_kubernetes_sets_for_a_service_are_ignored(toml, monkeypatch):
    path = toml('data_dir = "d"')
    for service in ("", "HL7_"):
        monkeypatch.setenv(f"MAMMO_NODE_{service}SERVICE_HOST", "10.0.0.1")
        monkeypatch.setenv(f"MAMMO_NODE_{service}SERVICE_PORT", "104")
        monkeypatch.setenv(f"MAMMO_NODE_{service}SERVICE_PORT_DICOM", "104")
        monkeypatch.setenv(f"MAMMO_NODE_{service}PORT", "tcp://10.0.0.1:104")
        monkeypatch.setenv(f"MAMMO_NODE_{service}PORT_104_TCP", "tcp://10.0.0.1:104")
        monkeypatch.setenv(f"MAMMO_NODE_{service}PORT_104_TCP_PORT", "104")
    assert load(path).receiver.port == 11112


def test_two_destinations_with_the_same_name_are_refused(toml):
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
    assert isinstance(pacs, DicomDestination)
    assert isinstance(web, WebDestination)
    assert (web.url, web.bearer_token_file) == ("https://pacs.example/dicom-web", tmp_path / "token")
    assert settings.sources[0].client_certificate == Path("/etc/node.pem")


def test_a_password_in_an_address_is_not_repeated(toml):
    with pytest.raises(SettingsError) as raised:
        load(toml('data_dir = "d"\n[[sources]]\nname = "web"\nurl = "https://user:secret@pacs"'))
    assert "secret" not in str(raised.value)


def test_a_missing_settings_file_is_reported_with_how_to_make_it(tmp_path):
    with pytest.raises(SettingsError, match=r"node\.example\.toml"):
        load(tmp_path / "node.toml")


def test_a_settings_file_that_is_not_toml_is_reported(toml):
    with pytest.raises(SettingsError, match="is not TOML"):
        load(toml("data_dir: data"))


@pytest.mark.parametrize("section", ["senders", "destinations", "routes", "webhooks"])
@pytest.mark.parametrize("times", [1, 2])
def test_a_list_of_sections_that_is_written_as_one_section_is_told_the_brackets(toml, section, times):
    with pytest.raises(SettingsError, match=rf"\[\[{section}\]\], in two brackets"):
        load(toml('data_dir = "d"\n' + f'[{section}]\nname = "a"\n' * times))


def test_settings_that_a_windows_editor_saved_are_read_or_the_cure_is_told(tmp_path):
    path = tmp_path / "node.toml"
    path.write_bytes('data_dir = "data"'.encode("utf-8-sig"))
    assert load(path).data_dir == tmp_path / "data"
    path.write_bytes('data_dir = "data"'.encode("utf-16"))
    with pytest.raises(SettingsError, match="Save it as UTF-8"):
        load(path)


def test_settings_cannot_be_changed_while_the_node_runs(toml):
    settings = load(toml('data_dir = "d"'))
    with pytest.raises(ValueError, match="frozen"):
        settings.receiver.port = 1


def test_a_destination_of_an_unknown_kind_is_told_which_there_are(toml):
    with pytest.raises(SettingsError, match=r"destinations\.0: kind must be one of: 'dicom', .*'fhir', 'hl7'"):
        load(toml('data_dir = "d"\n[[destinations]]\nname = "a"\nkind = "fire"\nurl = "https://a"'))


def test_a_fhir_server_has_the_settings_of_a_web_service_and_no_objects(toml, tmp_path):
    written = 'data_dir = "d"\n[[destinations]]\nname = "a"\nkind = "fhir"\nurl = "https://a/r4"\n'
    (server,) = load(toml(written + 'bearer_token_file = "token"')).destinations
    assert (server.kind, server.url, server.bearer_token_file) == ("fhir", "https://a/r4", tmp_path / "token")
    with pytest.raises(SettingsError, match=r"destinations\.0\.profile: there is no such setting"):
        load(toml(written + 'profile = "all"'))


def test_patients_ids_go_over_udp_only_where_that_is_said(tmp_path: Path) -> None:
    file = tmp_path / "node.toml"
    file.write_text('data_dir = "d"\n[audit]\nsyslog_host = "audit"\ntls = { ca_file = "ca.pem" }\n')
    audit = load(file).audit
    assert (audit.syslog_transport, audit.port) == ("tls", 6514)
    assert audit.tls is not None
    assert audit.tls.ca_file == tmp_path / "ca.pem"
    file.write_text(file.read_text() + 'syslog_transport = "udp"\n')
    with pytest.raises(SettingsError, match="UDP would show patients' IDs"):
        load(file)


def test_it_is_known_that_a_whole_section_of_tls_comes_from_the_environment(toml, monkeypatch):
    path = toml('data_dir = "data"')
    monkeypatch.setenv("MAMMO_NODE__RECEIVER__TLS", '{"certificate": "a.pem", "key": "a.key", "ca_file": "ca.pem"}')
    found = origins(load(path))
    assert found["receiver.tls.certificate"] is Origin.ENVIRONMENT
    assert found["receiver.tls.port"] is Origin.DEFAULT
