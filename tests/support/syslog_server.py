"""A real syslog server (Debian's rsyslog), which writes what it receives into a file."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from running import eventually, running

_DRIVERS = [Path(library).joinpath("rsyslog/lmnsd_ossl.so") for library in Path("/usr/lib").glob("*-linux-gnu*")]


@dataclass
class SyslogServer:
    """rsyslog at a port of 127.0.0.1, by UDP, or by TLS if it has a certificate and its key of an authority. It runs
    within `started`."""

    folder: Path
    port: int
    certificate: tuple[Path, Path] | None = None
    authority: Path | None = None

    def __post_init__(self) -> None:
        if shutil.which("rsyslogd") is None or not any(driver.exists() for driver in _DRIVERS):
            pytest.skip("rsyslog or rsyslog-openssl (Debian packages) is not installed")
        self.folder.mkdir()
        self.file = self.folder / "audit.log"
        (self.folder / "rsyslog.conf").write_text(self._settings())

    @contextmanager
    def started(self) -> Iterator[None]:
        command: list[str | Path] = [
            "rsyslogd",
            "-n",
            "-f",
            self.folder / "rsyslog.conf",
            "-i",
            self.folder / "rsyslog.pid",
        ]
        with running(command, self.folder / "rsyslogd.log"):
            eventually("rsyslog runs", lambda: (self.folder / "rsyslog.pid").exists() or None)
            yield

    def lines(self, least: int) -> list[str]:
        """What it has received, once that is at least so many messages."""
        return eventually(
            f"{least} messages have arrived", lambda: found if len(found := self._lines()) >= least else None
        )

    def _lines(self) -> list[str]:
        if not self.file.exists():
            return []
        return self.file.read_text(encoding="utf-8").splitlines()

    def _settings(self) -> str:
        secure, kind, extra = "", "imudp", ""
        if self.certificate is not None:
            certificate, key = self.certificate
            files = f'DefaultNetstreamDriverCertFile="{certificate}" DefaultNetstreamDriverKeyFile="{key}"'
            secure = f'DefaultNetstreamDriver="ossl" DefaultNetstreamDriverCAFile="{self.authority}" {files}'
            kind = "imtcp"
            extra = 'StreamDriver.Name="ossl" StreamDriver.Mode="1" StreamDriver.AuthMode="x509/certvalid"'
        return f"""
            global(workDirectory="{self.folder}" maxMessageSize="64k" {secure})
            module(load="{kind}" {extra})
            input(type="{kind}" address="127.0.0.1" port="{self.port}")
            action(type="omfile" file="{self.file}" template="RSYSLOG_SyslogProtocol23Format")
        """
