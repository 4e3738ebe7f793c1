"""Where the settings require it, the node reads with no bundle that nobody they name has signed."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from browsing import Browsing, application_of
from fastapi.testclient import TestClient
from road import Road
from running import RunningNode, eventually, reader_of
from signing import key_pair
from typer.testing import CliRunner

from config.settings import SettingsError, load
from models.bundles.bundle import BundleError
from node.api import Reader
from node.cli.main import build
from node.demo.studies import DemoStudy
from node.operations.machine import weights

pytestmark = pytest.mark.slow

NOT_SIGNED = "the bundle is not signed"


@pytest.fixture
def bundle(blind_bundle: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(blind_bundle, tmp_path / "bundle"))


@pytest.fixture
def config(bundle: Path, tmp_path: Path) -> Path:
    """Settings that require a signature by radiology-ai."""
    key_pair(tmp_path, "radiology-ai")
    path = tmp_path / "strict.toml"
    path.write_text(f'data_dir = "data"\n{requiring(tmp_path, bundle)}')
    (tmp_path / "data").mkdir()
    return path


def requiring(folder: Path, bundle: Path) -> str:
    signers = f'[{{ name = "radiology-ai", public_key = "{folder / "radiology-ai-public.pem"}" }}]'
    return f'[reader]\nbundle = "{bundle}"\n[bundles]\nsignature_required = true\nsigners = {signers}\n'


def command(*arguments: object) -> tuple[int, str]:
    ran = CliRunner().invoke(build(), [str(argument) for argument in arguments])
    return ran.exit_code, ran.output + str(ran.exception or "")


def sign(bundle: Path, tmp_path: Path) -> None:
    assert command("models", "sign", bundle, "--key", tmp_path / "radiology-ai.pem") == (
        0,
        f"Written: {bundle / 'bundle.toml.sig'}\n",
    )


def test_verify_says_by_whom_a_bundle_is_signed(bundle: Path, config: Path, tmp_path: Path) -> None:
    status, says = command("models", "verify", bundle, "--config", config)
    assert status == 1
    assert NOT_SIGNED in says
    status, says = command("models", "verify", bundle)
    assert status == 0
    assert says.endswith("not signed.\n")
    sign(bundle, tmp_path)
    status, says = command("models", "verify", bundle, "--config", config)
    assert status == 0
    assert says.endswith("signed by radiology-ai.\n")
    assert "signed; --config names the settings" in command("models", "verify", bundle)[1]


def test_an_unsigned_bundle_reads_nothing_by_any_command(
    bundle: Path, config: Path, mammogram_study: DemoStudy, tmp_path: Path
) -> None:
    folder = mammogram_study.files[0].parent
    for arguments in (
        ("read", folder, "--out", tmp_path / "out", "--bundle", bundle),
        ("serve",),
        ("reference", "--name", "ward", "--out", tmp_path / "ward.json"),
    ):
        status, says = command(*arguments, "--config", config)
        assert status != 0
        assert NOT_SIGNED in says, arguments
    with pytest.raises(BundleError, match=NOT_SIGNED):
        Reader(str(bundle), "cpu", config=config)
    answer = weights(load(config))
    assert not answer.ok
    assert NOT_SIGNED in answer.says


def test_a_study_is_read_again_only_with_a_signed_bundle(
    config: Path, bundle: Path, mammogram_study: DemoStudy, tmp_path: Path
) -> None:
    road = Road(tmp_path / "data")
    road.all_of_it(*mammogram_study.files)
    status, says = command("reread", "1", "--config", config)
    assert status != 0
    assert NOT_SIGNED in says
    assert {image.reading["bundle"]["name"] for image in road.instances()} == {"test"}, "nothing was changed"
    sign(bundle, tmp_path)
    status, says = command("reread", "1", "--config", config)
    assert status == 0, says


def test_the_page_shows_no_bundle_that_is_not_signed(config: Path, bundle: Path, tmp_path: Path) -> None:
    road = Road(tmp_path / "data")
    client = TestClient(application_of(road, load(config)), base_url="http://127.0.0.1:8080", client=("127.0.0.1", 1))
    assert NOT_SIGNED in Browsing(client).text("/models")
    sign(bundle, tmp_path)
    assert NOT_SIGNED not in Browsing(client).text("/models")


@pytest.fixture
def node(bundle: Path, tmp_path: Path) -> Iterator[RunningNode]:
    key_pair(tmp_path, "radiology-ai")
    sender = '[[senders]]\nae_title = "PACS"\nhost = "127.0.0.1"\n'
    running = RunningNode(tmp_path / "node", f"{requiring(tmp_path, bundle)}{sender}[closing]\nquiet_s = 1\n")
    try:
        yield running
    finally:
        running.end()


def test_a_bundle_that_is_changed_while_the_node_runs_reads_nothing_until_it_is_restored(
    node: RunningNode, bundle: Path, mammogram_study: DemoStudy, tmp_path: Path
) -> None:
    sign(bundle, tmp_path)
    node.start()
    reader = eventually("the reader has loaded its models", lambda: reader_of(node))
    card = bundle / "bundle.toml"
    as_signed = card.read_bytes()
    card.write_bytes(as_signed.replace(b"confidence = 1.0", b"confidence = 0.01"))
    reader.kill()
    eventually("it says why", lambda: "the reader stops: " in node.log.read_text())
    assert "none of the signers in the settings (radiology-ai) signed this bundle.toml" in node.log.read_text()
    assert "none of the signers" in node.command("status").stdout
    sent = command("send", mammogram_study.files[0].parent, f"MAMMO_NODE@127.0.0.1:{node.port}", "--calling", "PACS")
    assert sent[0] == 0, sent[1]
    assert node.status()["studies"][0]["state"] != "reported"
    card.write_bytes(as_signed)
    eventually("the study is reported", lambda: node.status()["studies"][0]["state"] == "reported")


def test_a_demand_without_signers_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "node.toml"
    path.write_text('data_dir = "data"\n[bundles]\nsignature_required = true\n')
    with pytest.raises(SettingsError, match="signature_required needs signers"):
        load(path)
