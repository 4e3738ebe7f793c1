"""Feeds a target with inputs, in a process of its own, and counts what must never happen.

A target is a module of this folder, `target_*.py`, with

    MODULES     the files of the node whose coverage is counted, relative to the repository
    inputs()    a hypothesis strategy of bytes
    KEPT        (where it is there) the first bytes of an input that only say what to do with the others
    opened(folder)   a context manager that gives the function to feed, which says in a word what became of the input;
                     what it raises is a finding

and, where it keeps files, `orphans(folder)`: how many of them have no row, and rows no file.
"""

from __future__ import annotations

import importlib
import math
import multiprocessing
import signal
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from random import Random
from types import ModuleType

import coverage
import psutil
from dicom_bytes import CHANGES, NASTY, apply
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.strategies import SearchStrategy

ROOT = Path(__file__).parents[2]
TARGETS = tuple(sorted(path.stem for path in Path(__file__).parent.glob("target_*.py")))
HANGS_AFTER_S = 10.0
_IDLE_S = 120
_STARTS_WITHIN_S = 600
_AT_ONCE = 100
"""Inputs that hypothesis draws together; it remembers all of them to avoid duplicates."""
_NEIGHBOURS = 9
"""For each drawn input so many random variants are made, for a tenth of the time."""
_WARM = 500
"""After so many inputs everything is loaded; later growth of memory is a leak."""


@dataclass
class Count:
    """What became of the inputs.

    Attributes:
        answers: what became of how many inputs, in the target's words.
        findings: for each crash or hang where it was, and the input; every place is kept once.
        crashes: exceptions that left the target, and deaths of its process.
        orphans: files without a row, and rows without their file.
        growth_mib: by which the process grew after it was warm.
        covered: the part of the target's modules whose lines were run, 0 to 1.
    """

    target: str
    inputs: int = 0
    crashes: int = 0
    hangs: int = 0
    orphans: int = 0
    growth_mib: float = 0.0
    covered: float = 0.0
    seconds: float = 0.0
    answers: Counter[str] = field(default_factory=Counter)
    findings: dict[str, bytes] = field(default_factory=dict)


def fuzz(
    target: str,
    inputs: int,
    folder: Path,
    random_seed: int = 0,
    minutes: float | None = None,
    progress: Callable[[Count], None] = lambda count: None,
) -> Count:
    """Feeds `inputs` inputs, or as many as there is time for; the same random seed gives the same ones.

    Args:
        progress: is given the count so far after each thousand inputs.
    """
    module = importlib.import_module(target)
    count, began = Count(target), time.monotonic()
    with _Fed(target, folder, count) as fed:
        chance = Random(random_seed)

        def feed(data: bytes) -> None:
            fed.feed(data)
            for _ in range(min(_NEIGHBOURS, inputs - count.inputs)):
                fed.feed(_neighbour(data, chance, getattr(module, "KEPT", 0)))

        over = math.inf if minutes is None else began + 60 * minutes
        while count.inputs < inputs and time.monotonic() < over:
            drawn = min(_AT_ONCE, -(-(inputs - count.inputs) // (1 + _NEIGHBOURS)))
            _draw(module.inputs(), drawn, chance.getrandbits(64), feed)
            progress(count)
    count.seconds = time.monotonic() - began
    return count


def _draw(inputs: SearchStrategy[bytes], number: int, random_seed: int, feed: Callable[[bytes], None]) -> None:
    @seed(random_seed)
    @settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(inputs)
    def each(data: bytes) -> None:
        feed(data)

    each()


def _neighbour(data: bytes, chance: Random, kept: int) -> bytes:
    start, body = data[:kept], data[kept:]
    for _ in range(chance.randint(1, 3)):
        change = chance.choice(CHANGES), chance.randrange(1 << 16), chance.randrange(256), chance.choice(NASTY)
        body = apply(body, change)
    return start + body[: 1 << 16]


class _Fed(AbstractContextManager["_Fed"]):
    """The target's process, started again after an input ended it."""

    def __init__(self, target: str, folder: Path, count: Count) -> None:
        self._target, self._folder, self._count = target, folder, count
        self._coverage_files = folder / "coverage"
        self._coverage_files.mkdir(parents=True, exist_ok=True)
        self._generation = 0
        self._warm_mib: float | None = None

    def __enter__(self) -> _Fed:
        self._start()
        return self

    def __exit__(self, *_: object) -> None:
        self._parent.send(None)
        if self._parent.poll(_IDLE_S):
            self._count.orphans = self._parent.recv()
        if self._warm_mib is not None:
            self._count.growth_mib = max(0.0, self._mib() - self._warm_mib)
        self._parent.send(None)
        self._process.join(30)
        self._end()
        self._count.covered = _covered(self._target, self._coverage_files)

    def feed(self, data: bytes) -> None:
        self._count.inputs += 1
        self._parent.send(data)
        try:
            if not self._answers():
                self._count.hangs += 1
                self._found("a hang", data)
                self._restart()
            else:
                became, where = self._parent.recv()
                self._count.answers[became] += 1
                if where:
                    self._count.crashes += 1
                    self._found(where, data)
        except (EOFError, ConnectionResetError):
            self._process.join(5)
            self._count.crashes += 1
            self._found(f"the process ended with {self._process.exitcode}", data)
            self._restart()
        if self._count.inputs == _WARM:
            self._warm_mib = self._mib()

    def _answers(self) -> bool:
        """Whether the answer comes before the target worked on it for too long: by its own clock, as others may work
        on this machine too, unless it does nothing at all."""
        process = psutil.Process(self._process.pid)
        began = sum(process.cpu_times()[:2])
        for _ in range(_IDLE_S):
            if self._parent.poll(1):
                return True
            if sum(process.cpu_times()[:2]) - began > HANGS_AFTER_S:
                return False
        return False

    def _found(self, where: str, data: bytes) -> None:
        self._count.findings.setdefault(where, data)

    def _mib(self) -> float:
        return float(psutil.Process(self._process.pid).memory_info().rss) / (1 << 20)

    def _start(self) -> None:
        context = multiprocessing.get_context("spawn")
        self._parent, child = context.Pipe()
        self._generation += 1
        folder = self._folder / str(self._generation)
        folder.mkdir()
        self._process = context.Process(
            target=_serve, args=(self._target, folder, self._coverage_files / f"data.{self._generation}", child)
        )
        self._process.start()
        child.close()
        if not self._parent.poll(_STARTS_WITHIN_S) or self._parent.recv() != "ready":
            raise RuntimeError(f"{self._target} did not start")

    def _restart(self) -> None:
        self._end()
        self._start()
        self._warm_mib = None if self._warm_mib is None else self._mib()

    def _end(self) -> None:
        if self._process.is_alive():
            self._process.kill()
        self._process.join()
        self._parent.close()


def _serve(target: str, folder: Path, coverage_file: Path, connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    warnings.simplefilter("ignore")
    module = importlib.import_module(target)
    files = [str(ROOT / name) for name in module.MODULES]
    measured = coverage.Coverage(data_file=str(coverage_file), include=files, config_file=False)
    measured.start()
    with module.opened(folder) as run:
        connection.send("ready")
        while (data := connection.recv()) is not None:
            connection.send(_fed(run, data))
        connection.send(module.orphans(folder) if hasattr(module, "orphans") else 0)
        connection.recv()
    measured.stop()
    measured.save()


def _fed(run: Callable[[bytes], str], data: bytes) -> tuple[str, str]:
    """What happened with an input, and the place where the target failed ("" if it did not)."""
    try:
        return run(data), ""
    except Exception as finding:  # noqa: BLE001 - whatever it is, it is a finding
        return "a finding", _where(finding)


def _where(finding: Exception) -> str:
    frames = traceback.extract_tb(finding.__traceback__)
    ours = [frame for frame in frames if str(ROOT) in frame.filename and "/tests/" not in frame.filename]
    places = " < ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in (ours or frames)[::-1][:3])
    reason = f" ({finding})" if isinstance(finding, AssertionError) else ""
    return f"{type(finding).__name__} at {places}{reason}"


def _covered(target: str, files: Path) -> float:
    module: ModuleType = importlib.import_module(target)
    combined = coverage.Coverage(data_file=str(files / "all"), config_file=False)
    combined.combine([str(path) for path in files.glob("data.*")], keep=True)
    lines = missing = 0
    for name in module.MODULES:
        _, executable, _, absent, _ = combined.analysis2(str(ROOT / name))
        lines, missing = lines + len(executable), missing + len(absent)
    return 1 - missing / lines if lines else 0.0
