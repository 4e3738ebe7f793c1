"""The page shows the certificate that its files have now."""

from __future__ import annotations

import shutil
import socket
import ssl
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from certificates import Authority
from ports import held_port
from running import eventually, running

from config.settings import Settings
from node.operations.certificates import certificates
from node.store.database import open_database

pytestmark = pytest.mark.slow

SERVE = """
import sys
from pathlib import Path
from config.settings import Settings
from node.web.main import run_web
web = {"port": int(sys.argv[2]), "certificate": Path(sys.argv[3]), "key": Path(sys.argv[4])}
run_web(Settings(data_dir=Path(sys.argv[1]), web=web))
"""


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


@pytest.fixture
def page(tmp_path: Path, authority: Authority) -> Iterator[int]:
    """Its port."""
    open_database(f"sqlite:///{tmp_path / 'queue.sqlite'}").dispose()
    files = authority.issue("page", "localhost")
    with held_port() as port:
        command = [sys.executable, "-c", SERVE, tmp_path, str(port), *files]
        with running(command, tmp_path / "page.log"):
            yield port


def shown(port: int, authority: Authority, name: str | None = "localhost") -> bytes | None:
    """The certificate that the page shows; None: nobody listens."""
    context = ssl.create_default_context(cafile=str(authority.path))
    context.check_hostname = name is not None
    try:
        with (
            socket.create_connection(("127.0.0.1", port), 10) as connection,
            context.wrap_socket(connection, server_hostname=name) as secured,
        ):
            return secured.getpeercert(binary_form=True)
    except ConnectionRefusedError:
        return None


def in_file(tmp_path: Path) -> bytes:
    return ssl.PEM_cert_to_DER_cert((tmp_path / "page.pem").read_text())


@pytest.mark.parametrize("name", ["localhost", None], ids=["by a name", "without a name"])
def test_a_renewed_certificate_is_shown_to_the_next_connection_and_one_that_cannot_be_used_is_not(
    page: int, tmp_path: Path, authority: Authority, name: str | None
) -> None:
    first = eventually("the page answers", lambda: shown(page, authority, name))
    assert first == in_file(tmp_path)
    authority.issue("page", "localhost")
    renewed = shown(page, authority, name)
    assert renewed == in_file(tmp_path) != first
    shutil.copy(authority.issue("another")[1], tmp_path / "page.key")
    assert shown(page, authority, name) == renewed
    assert "the ones before are kept" in (tmp_path / "page.log").read_text()
    authority.issue("page", "localhost")
    assert shown(page, authority, name) == in_file(tmp_path) != renewed


def test_check_names_files_of_the_page_that_do_not_fit(tmp_path: Path, authority: Authority) -> None:
    web = {"port": 1, "certificate": authority.issue("page")[0], "key": authority.issue("another")[1]}
    failed = [one for one in certificates(Settings(data_dir=tmp_path, web=web), 0.0) if not one.ok]
    assert [(one.about, "does not belong" in one.says) for one in failed] == [("TLS of the page", True)]
