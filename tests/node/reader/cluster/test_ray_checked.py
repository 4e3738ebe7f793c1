"""`mammo-node check` and `status` on a cluster that cannot be used, or should not be."""

from __future__ import annotations

import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from pathlib import Path

import pytest
from certificates import Authority
from cluster_models import bundle_of, install
from ray_cluster import RayCluster, ray_cluster
from road import Road
from running import eventually

from config.settings import load
from node.demo.studies import DemoStudy
from node.operations.cluster import cluster_answers
from node.reader.main import run_reader
from node.reader.process import ReaderSupervisor
from node.store.states import JobState

pytestmark = pytest.mark.slow
WORKER = "MAMMO_NODE/read"
SUPPORT = Path(__file__).parents[3] / "support"


def settings_of(cluster: RayCluster | None, folder: Path, ray: str = "", bundle: str = "research-default") -> Path:
    path = folder / "node.toml"
    path.write_text(
        f'data_dir = "data"\n[reader]\nexecutor = "ray"\nbundle = "{bundle}"\nattempts = 1\n{ray or cluster.settings}'
    )
    return path


def check(cluster: RayCluster, folder: Path) -> tuple[bool, str]:
    answer = cluster_answers(load(settings_of(cluster, folder)))
    return answer.ok, answer.says


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("authority"))


@pytest.fixture(scope="module")
def by_tls(authority: Authority, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RayCluster]:
    """A cluster of one machine, with token and TLS, as for an address of the network."""
    certificate, key = authority.issue("ray", "127.0.0.1")
    installed = install(tmp_path_factory.mktemp("installed"))
    with ray_cluster(1, tls=(certificate, key, authority.path), paths=(installed, SUPPORT)) as started:
        yield started


def test_check_tells_what_is_wrong_with_a_cluster(
    by_tls: RayCluster, authority: Authority, tmp_path: Path, closed_port: int
) -> None:
    assert check(by_tls, tmp_path) == (
        True,
        f"{by_tls.address}: 2 machines with 0 GPUs and 1 CPUs, room for 1 actor",
    )
    other_token = tmp_path / "token"
    other_token.write_text("another-token-0123456789-0123456789")
    ok, says = check(replace(by_tls, token_file=other_token), tmp_path)
    assert not ok
    assert "ray.token_file must have the cluster's token" in says
    assert by_tls.tls is not None
    certificate, key, _ = by_tls.tls
    ok, says = check(replace(by_tls, tls=(certificate, key, Authority(tmp_path, "another").path)), tmp_path)
    assert not ok
    assert "TLS fails: CERTIFICATE_VERIFY_FAILED" in says
    ok, says = check(replace(by_tls, tls=None), tmp_path)
    assert not ok
    ok, says = check(replace(by_tls, token_file=tmp_path / "gone"), tmp_path)
    assert (ok, says) == (False, f"ray.token_file: {tmp_path / 'gone'} cannot be read: No such file or directory")
    ok, says = check(replace(by_tls, address=f"127.0.0.1:{closed_port}"), tmp_path)
    assert not ok
    assert "is not reached: Connection refused. Start its head, or mend ray.address" in says


def test_an_image_is_read_by_tls(by_tls: RayCluster, mammogram_study: DemoStudy, tmp_path: Path) -> None:
    road = Road(tmp_path / "data")
    road.receive(mammogram_study.files[0])
    bundle = bundle_of(tmp_path / "bundle", 0.0, tmp_path / "marks")
    with supervised(road, settings_of(by_tls, tmp_path, bundle=str(bundle))):
        eventually("the image is read", lambda: road.instances()[0].reading is not None)
    assert len(road.instances()[0].reading["findings"]) == 1


def test_a_cluster_that_lets_everybody_in_or_is_of_another_version_is_told(tmp_path: Path) -> None:
    with ray_cluster(0, with_token=False) as cluster:
        ok, says = check(cluster, tmp_path)
        assert not ok
        assert "lets in whoever has no token" in says
    with ray_cluster(0, says_version="2.40.0") as cluster:
        ok, says = check(cluster, tmp_path)
        here = f"this node Ray {version('ray')} with Python {sys.version.split()[0]}"
        assert not ok
        assert f"runs Ray 2.40.0 with Python {sys.version.split()[0]}, {here}: install the same" in says


class supervised:
    """The reader's process of a road with these settings, supervised as by `serve`."""

    def __init__(self, road: Road, config: Path) -> None:
        settings = load(config)
        self._stop = threading.Event()
        supervisor = ReaderSupervisor(run_reader, (settings, WORKER), road.sessions, WORKER, time.time, decodes=False)
        self._thread = threading.Thread(target=supervisor.run, args=(self._stop,))

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()


def test_while_the_cluster_is_away_no_attempt_is_counted_and_status_says_why(
    mammogram_study: DemoStudy, tmp_path: Path, closed_port: int
) -> None:
    pytest.importorskip("ray", reason='Ray is not installed (pip install "mammo-node[ray]")')
    road = Road(tmp_path / "data")
    road.receive(*mammogram_study.files)
    token = tmp_path / "token"
    token.write_text("a-token")
    ray = f'[ray]\naddress = "127.0.0.1:{closed_port}"\ntoken_file = "{token}"\n'
    config = settings_of(None, tmp_path, ray)
    with supervised(road, config):
        status = [sys.executable, "-m", "node", "status", "--config", config]

        def said() -> str | None:
            ran = subprocess.run(status, capture_output=True, text=True, check=True, timeout=120)
            found = re.search(r"FAULT of the Ray cluster: .*is not reached: .*", ran.stdout)
            return found and found[0]

        assert f"127.0.0.1:{closed_port}" in eventually("status says why", said)
    assert {(job.state, job.attempts) for job in road.jobs()} == {(JobState.WAITING, 0)}
