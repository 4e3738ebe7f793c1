"""The health check of a container says what `serve` would say, and costs next to nothing."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made from tables at run time

from config.listener_address import DEFAULTS, listener_address
from config.settings import Receiver, load
from node.alive import main

HEAVY = "{'pydantic', 'pynetdicom', 'pydicom', 'sqlalchemy', 'typer', 'numpy', 'torch'}"


@pytest.fixture
def config(tmp_path: Path) -> Callable[..., Path]:
    def write(port: int, ae_title: str = "MAMMO_NODE") -> Path:
        file = tmp_path / "node.toml"
        file.write_text(f'data_dir = "data"\n[receiver]\nport = {port}\nae_title = "{ae_title}"\n')
        return file

    return write


@pytest.fixture
def listening() -> Iterator[int]:
    """A listener that accepts only who calls it MAMMO_NODE."""
    ae = AE("MAMMO_NODE")
    ae.require_called_aet = True
    ae.add_supported_context(Verification)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    yield server.socket.getsockname()[1]
    server.shutdown()


@pytest.fixture
def other_server() -> Iterator[int]:
    """A server that answers everything as a web server does."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")

        thread = threading.Thread(target=answer)
        thread.start()
        yield server.getsockname()[1]
        thread.join()


def test_a_listener_that_accepts_or_rejects_is_alive(config, listening, capsys):
    assert main([str(config(listening))]) == 0
    assert main([str(config(listening, "ANOTHER"))]) == 0, "it is rejected: somebody rejects"
    assert capsys.readouterr().out.splitlines()[0] == f"MAMMO_NODE at 127.0.0.1:{listening} answers"


def test_nobody_a_silent_one_and_another_server_are_not_alive(
    config, closed_port, silent_port, other_server, monkeypatch, capsys
):
    monkeypatch.setattr("node.alive.TIMEOUT_S", 0.2)
    for port in (closed_port, silent_port, other_server):
        assert main([str(config(port))]) == 1
    refused, silent, other = capsys.readouterr().out.splitlines()
    assert refused.endswith("does not answer: Connection refused")
    assert silent.endswith("does not answer: timed out")
    assert other.endswith("answers, but not as a DICOM listener")


@pytest.mark.parametrize("text", [None, "[receiver", 'receiver = "here"', '[receiver]\nport = "one"', "\xff"])
def test_settings_that_cannot_be_used_are_named_with_exit_status_2(tmp_path, text, capsys):
    file = tmp_path / "node.toml"
    if text is not None:
        file.write_text(text, encoding="latin-1")
    assert main([str(file)]) == 2
    assert capsys.readouterr().err.startswith(f"{file}: the node's address cannot be read: ")


@pytest.mark.parametrize(
    ("text", "variables"),
    [
        ("", {}),
        ('[receiver]\nae_title = " A B "\nhost = "192.0.2.1"\nport = 104\nquota_mb = 5', {}),
        ('[receiver]\nhost = "0.0.0.0"', {}),
        ('[receiver]\nhost = "::"', {"MAMMO_NODE__RECEIVER__PORT": "105"}),
        ("[receiver]\nport = 104", {"mammo_node__receiver__port": "105", "MAMMO_NODE__RECEIVER__AE_TITLE": "X"}),
        ("[receiver]\nport = 104", {"MAMMO_NODE__RECEIVER": '{"port": 106, "host": "192.0.2.2"}'}),
        ("", {"MAMMO_NODE__RECEIVER": '{"port": 106}', "MAMMO_NODE__RECEIVER__PORT": "107"}),
    ],
)
def test_it_asks_where_the_settings_say_that_the_node_listens(tmp_path, monkeypatch, text, variables):
    file = tmp_path / "node.toml"
    file.write_text(f'data_dir = "data"\n{text}')
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    receiver = load(file).receiver
    assert listener_address(file) == (receiver.ae_title, receiver.own_host, receiver.port)


def test_its_defaults_are_those_of_the_settings():
    assert {name: Receiver.model_fields[name].default for name in DEFAULTS} == DEFAULTS


def test_it_imports_no_library(config, closed_port):
    code = f"import sys; from node.alive import main; main(sys.argv[1:]); print(sorted({HEAVY} & set(sys.modules)))"
    ran = subprocess.run(
        [sys.executable, "-c", code, str(config(closed_port))], capture_output=True, text=True, check=True
    )
    assert ran.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize(
    ("seconds_ago", "status", "says"), [(1, 0, "goes on"), (61, 1, "no sign for more than 60 s"), (None, 1, "no sign")]
)
def test_a_process_without_a_listener_is_judged_by_its_file(tmp_path, capsys, seconds_ago, status, says):
    file = tmp_path / "alive"
    if seconds_ago is not None:
        file.write_text(f"{time.clock_gettime(time.CLOCK_BOOTTIME) - seconds_ago:.0f}\n")
    assert main(["--file", str(file)]) == status
    assert says in capsys.readouterr().out
