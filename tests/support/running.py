"""Real programs that tests start on 127.0.0.1, wait for, and end by process id."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import TypeVar

import psutil
import pytest
from ports import held_port
from sqlalchemy import Engine, create_engine
from sqlalchemy.orm import Session

Value = TypeVar("Value")


def eventually(what: str, look: Callable[[], Value | None], timeout_s: float = 300, every_s: float = 0.05) -> Value:
    """The first true result of `look`; there is no event to wait on for the actions of another process."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        seen = look()
        if seen:
            return seen
        time.sleep(every_s)
    pytest.fail(f"within {timeout_s:.0f} s this did not come true: {what}")


@contextmanager
def running(arguments: Sequence[str | Path], log: Path, cwd: Path | None = None) -> Iterator[subprocess.Popen[bytes]]:
    """A program in its own process group, which is ended on leaving."""
    with log.open("ab") as output:
        process = subprocess.Popen(arguments, stdout=output, stderr=output, cwd=cwd, start_new_session=True)
    try:
        yield process
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGTERM)
            try:
                process.wait(timeout=30)
            except subprocess.TimeoutExpired:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()


class RunningNode:
    """A `mammo-node serve` with its own configuration. Its database can be read while it runs."""

    def __init__(
        self,
        folder: Path,
        settings: str,
        script: Path | None = None,
        database_url: str | None = None,
        data_dir: Path | None = None,
        only: str = "",
        environment: Mapping[str, str] | None = None,
    ) -> None:
        """`settings` is TOML without data_dir and the receiver's port; a [receiver] table must come last in it.
        `script` runs the command line in place of `python -m node`. `database_url`: of the queue, and `data_dir`, if
        they are not the node's usual ones. `only`: the parts that it runs, if not all. `environment`: variables
        beside those of the tests."""
        self._program = [sys.executable, *(["-m", "node"] if script is None else [script])]
        self.folder = folder
        self._held = ExitStack()
        self.port = self._held.enter_context(held_port())
        self.config = folder / "node.toml"
        self.log = folder / "node.log"
        self.data_dir = data_dir or folder / "data"
        self._only = only
        self._environment = {**os.environ, **(environment or {})}
        folder.mkdir(parents=True, exist_ok=True)
        self.database_url = database_url or f"sqlite:///{self.data_dir / 'queue.sqlite'}"
        queue = f'database_url = "{database_url}"\n' if database_url is not None else ""
        self.config.write_text(
            f'data_dir = "{self.data_dir}"\n{queue}{settings.strip()}\n' + _receiver(settings) + f"port = {self.port}\n"
        )
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def process_id(self) -> int:
        return self._started().pid

    def start(self) -> None:
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [*self._program, "serve", "--config", self.config, *(["--only", self._only] if self._only else [])],
                stdout=output,
                stderr=output,
                start_new_session=True,
                env=self._environment,
            )
        if not self._only or "receive" in self._only:
            eventually("the node listens", self._listens)

    def kill(self) -> None:
        """SIGKILL for the node's main process alone: its reader has to detect it."""
        process = self._started()
        process.kill()
        process.wait()

    def stop(self) -> int:
        """SIGTERM, as systemd and Docker do; the exit status."""
        process = self._started()
        process.terminate()
        return process.wait(timeout=60)

    def ended(self) -> int:
        """Waits until it has ended by itself; the exit status."""
        return self._started().wait(timeout=60)

    def end(self) -> None:
        """Ends all its remaining processes."""
        try:
            if self._process is not None and self._process.poll() is None:
                self.stop()
        finally:
            self._held.close()

    def command(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        """`mammo-node …` with this node's configuration."""
        return subprocess.run(
            [sys.executable, "-m", "node", *arguments, "--config", str(self.config)],
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def status(self) -> dict[str, object]:
        answer = self.command("status", "--json")
        assert answer.returncode == 0, answer.stderr
        return dict(json.loads(answer.stdout))

    @contextmanager
    def database(self) -> Iterator[Session]:
        """A read-only session: it never begins a writing transaction, so the node is not delayed."""
        engine: Engine = create_engine(self.database_url)
        with Session(engine) as session:
            yield session
        engine.dispose()

    def _listens(self) -> bool:
        process = self._started()
        if process.poll() is not None:
            pytest.fail(f"the node ended with status {process.returncode}:\n{self.log.read_text()[-4000:]}")
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0

    def _started(self) -> subprocess.Popen[bytes]:
        assert self._process is not None, "the node was not started"
        return self._process


def reader_of(node: RunningNode) -> psutil.Process | None:
    """The reader's process, once it has imported torch, which no other process of a node does."""
    for child in psutil.Process(node.process_id).children():
        with suppress(psutil.Error):
            if any("libtorch" in mapped.path for mapped in child.memory_maps()):
                return child
    return None


def _receiver(settings: str) -> str:
    return "" if "[receiver]" in settings else "[receiver]\n"
