"""OHIF's files and a PACS's DICOMweb behind one address of 127.0.0.1: nginx, as compose/viewer sets it up."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from ports import held_port
from running import eventually, running

_COMPOSE = Path(__file__).parents[3] / "compose/viewer"
_AROUND = """
daemon off;
worker_processes 1;
pid {folder}/pid;
error_log stderr;
events {{}}
http {{
  include /etc/nginx/mime.types;
  {temporary}
  {server}
}}
"""
_TEMPORARY = ("client_body", "proxy", "fastcgi", "uwsgi", "scgi")


@contextmanager
def one_origin(viewer: Path, pacs_url: str, folder: Path) -> Iterator[str]:
    """Serves OHIF's files in `viewer` and, behind them, the PACS at `pacs_url`; yields their common address.

    The test is skipped where nginx is not installed.
    """
    program = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if program is None:
        pytest.skip("nginx is not installed (Debian package nginx-light)")
    with held_port() as port:
        here = {
            "listen 8080;": f"listen 127.0.0.1:{port};",
            "/usr/share/nginx/html": str(viewer),
            "/etc/nginx/ohif-app-config.js": str(_COMPOSE / "app-config.js"),
            "http://orthanc:8042": pacs_url,
        }
        server = (_COMPOSE / "nginx.conf").read_text()
        for there, instead in here.items():
            assert server.count(there) == 1
            server = server.replace(there, instead)
        temporary = "\n".join(f"  {name}_temp_path {folder}/{name};" for name in _TEMPORARY)
        user = "user root;" if os.geteuid() == 0 else ""  # its workers read what the test may read
        (folder / "nginx.conf").write_text(user + _AROUND.format(folder=folder, temporary=temporary, server=server))
        with running([program, "-p", folder, "-c", folder / "nginx.conf"], folder / "nginx.log"):
            address = f"http://127.0.0.1:{port}"
            eventually("nginx answers", lambda: _answers(address))
            yield address


def _answers(address: str) -> bool:
    try:
        with urlopen(f"{address}/app-config.js", timeout=5) as answer:
            return bool(answer.status == 200)
    except URLError:
        return False
