"""What `check` reports, and its time limit."""

from __future__ import annotations

import re
import time

import pytest
from committing import CommittingPacs
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made from tables at run time

from config.peers import DicomDestination
from config.settings import Settings
from node.operations.check import ask, check_everything, checks, destination_answers, listener, senders_reach_it
from node.operations.machine import database, disk
from node.store.database import open_database


@pytest.fixture
def answering_port():
    ae = AE("PACS")
    ae.add_supported_context(Verification)
    server = ae.start_server(("127.0.0.1", 0), block=False)
    yield server.socket.getsockname()[1]
    server.shutdown()


def settings(tmp_path, **changed: object) -> Settings:
    return Settings(data_dir=tmp_path / "data", **changed)


def destination(port: int, timeout_s: float = 10) -> DicomDestination:
    return DicomDestination(name="pacs", ae_title="PACS", host="127.0.0.1", port=port, timeout_s=timeout_s)


def test_a_destination_that_answers_passes_the_check(tmp_path, answering_port):
    assert destination_answers(destination(answering_port), settings(tmp_path)).ok


def test_a_hung_destination_is_reported_and_the_others_are_still_checked(tmp_path, answering_port, silent_port):
    of = settings(tmp_path)
    hung, well = ask(
        [
            lambda: destination_answers(destination(silent_port, 0.5), of),
            lambda: destination_answers(destination(answering_port), of),
        ]
    )
    assert not hung.ok
    assert "does not answer" in hung.says
    assert well.ok


def test_a_source_that_does_not_answer_is_reported(tmp_path, silent_port, answering_port):
    at = {"ae_title": "PACS", "host": "127.0.0.1"}
    hung = {"name": "hung", "port": silent_port, "timeout_s": 0.5, **at}
    sources = [hung, {"name": "well", "port": answering_port, **at}]
    web = {"name": "web", "url": f"http://127.0.0.1:{silent_port}/dicom-web", "timeout_s": 0.5}
    answers = {answer.about: answer.ok for answer in ask(checks(settings(tmp_path, sources=[*sources, web])))}
    assert (answers["source hung"], answers["source well"], answers["source web"]) == (False, True, False)


@pytest.mark.parametrize("commits", [True, False])
def test_a_destination_set_to_commit_without_storage_commitment_is_reported_with_the_cure(tmp_path, commits):
    pacs = CommittingPacs()
    pacs.commits = commits
    with pacs.listening():
        to = destination(pacs.port).model_copy(update={"commitment": True})
        answers = {answer.about: answer for answer in ask(checks(settings(tmp_path, destinations=(to,))))}
    assert answers["storage commitment of pacs"].ok is commits
    assert ("set commitment = false" in answers["storage commitment of pacs"].says) is not commits
    assert pacs.asked == [], "nothing is asked for"


def test_the_address_of_the_hl7_listener_is_shown(tmp_path):
    answers = ask(checks(settings(tmp_path, hl7={"port": 2575})))
    assert "127.0.0.1:2575" in next(answer.says for answer in answers if answer.about == "HL7")


REACHED = {"receiver": {"host": "0.0.0.0"}}


@pytest.mark.parametrize(
    ("changed", "ok", "warns", "says"),
    [
        ({}, True, True, "no PACS may send"),
        ({"senders": [{"ae_title": "A", "host": "127.0.0.1"}]}, True, False, "A may send"),
        ({"senders": [{"ae_title": "A", "host": "192.0.2.1"}]}, True, True, "Set receiver.host"),
        ({"senders": [{"ae_title": "A"}]}, True, True, "Set receiver.host"),
        ({"senders": [{"ae_title": "A", "host": "192.0.2.1"}, {"ae_title": "B"}], **REACHED}, True, False, "A, B may"),
        ({"senders": [{"ae_title": "A", "host": "no-such-host.invalid"}], **REACHED}, False, False, "no-such-host"),
    ],
)
def test_whether_a_pacs_can_send_to_the_node_is_told(tmp_path, changed, ok, warns, says):
    answer = senders_reach_it(settings(tmp_path, **changed))
    assert (answer.ok, answer.warns) == (ok, warns)
    assert says in answer.says


def test_a_node_without_destinations_is_warned_of(tmp_path, command):
    config = tmp_path / "node.toml"
    config.write_text('data_dir = "data"\n[reader]\nthreads = 1')
    ran = command("check", "-c", config)
    assert ran.exit_code == 0, "a warning is no failure"
    assert "warns   destinations: there are none" in ran.output


def test_a_port_that_refuses_is_told_from_one_that_is_silent(tmp_path, silent_port, closed_port):
    silent, refused = (
        destination_answers(destination(port, 0.5), settings(tmp_path)) for port in (silent_port, closed_port)
    )
    assert "does not answer" in silent.says
    assert "refuses connections: nothing listens at this port" in refused.says


def test_a_missing_queue_passes_the_check_and_is_not_created(tmp_path):
    assert database(settings(tmp_path)).ok
    assert not (tmp_path / "data").exists()


def test_a_file_that_is_no_queue_is_reported(tmp_path):
    (tmp_path / "data").mkdir()
    (tmp_path / "data" / "queue.sqlite").write_text("not a database, and long enough to be looked at" * 40)
    answer = database(settings(tmp_path))
    assert not answer.ok
    assert "cannot be opened" in answer.says


@pytest.mark.parametrize(
    ("seconds", "warning"), [(0, None), (60, "60 s ahead of the database's"), (-60, "60 s behind the database's")]
)
def test_a_clock_that_is_not_the_databases_is_a_warning(tmp_path, postgresql, seconds, warning):
    node = settings(tmp_path, database_url=postgresql.fresh())
    open_database(node.database).dispose()
    (answer,) = [one for one in check_everything(node, time.time() + seconds) if one.about == "clock"]
    assert (answer.ok, answer.warns) == (True, warning is not None)
    assert warning is None or warning in answer.says


def test_a_databases_password_is_never_shown(tmp_path):
    answer = database(settings(tmp_path, database_url="postgresql+nodriver://node:secret@127.0.0.1/queue"))
    assert not answer.ok
    assert "secret" not in answer.says


def test_too_little_disk_space_is_reported(tmp_path):
    answer = disk(settings(tmp_path, receiver={"min_free_mb": 10**12}))
    assert not answer.ok
    assert "min_free_mb" in answer.says


@pytest.mark.parametrize("place", ["/proc", "a file"])
def test_a_data_folder_that_cannot_be_written_is_reported(tmp_path, place):
    (tmp_path / "a file").write_text("in the way")
    answer = disk(Settings(data_dir=tmp_path / place / "data"))
    assert not answer.ok
    assert "nothing can be written in" in answer.says


def test_check_neither_creates_a_data_folder_nor_leaves_files_in_it(tmp_path):
    assert disk(settings(tmp_path, receiver={"min_free_mb": 0})).ok
    assert list(tmp_path.iterdir()) == []


def test_a_configured_cuda_device_that_is_missing_is_reported(tmp_path):
    (answer,) = [a for a in ask(checks(settings(tmp_path, reader={"device": "cuda:99"}))) if a.about == "device"]
    assert not answer.ok
    assert "cuda:99" in answer.says


@pytest.mark.parametrize("device", ["auto", "cpu"])
def test_without_a_configured_cuda_device_none_is_required(tmp_path, device):
    assert "device" not in [a.about for a in ask(checks(settings(tmp_path, reader={"device": device})))]


def test_how_many_threads_would_be_used_is_measured_and_printed_unless_they_are_set(tmp_path):
    (answer,) = [answer for answer in ask(checks(settings(tmp_path))) if answer.about == "threads"]
    assert answer.ok
    assert re.fullmatch(r"a reader that starts now uses \d+: the same work took \d+ ms with 1.*", answer.says)
    assert "threads" not in [answer.about for answer in ask(checks(settings(tmp_path, reader={"threads": 2})))]


def test_a_running_node_that_rejects_its_own_ae_title_counts_as_running(tmp_path, answering_port):
    receiver = {"ae_title": "ANOTHER", "port": answering_port}
    assert listener(settings(tmp_path, receiver=receiver)).ok


def test_check_prints_one_line_per_item_and_fails_with_an_exit_status(tmp_path, command, silent_port):
    config = tmp_path / "node.toml"
    config.write_text(
        'data_dir = "data"\n[[destinations]]\nname = "pacs"\nae_title = "PACS"\nhost = "127.0.0.1"\n'
        f"port = {silent_port}\ntimeout_s = 0.3"
    )
    ran = command("check", "-c", config)
    assert ran.exit_code == 1
    lines = ran.output.splitlines()
    assert [line.split()[1].rstrip(":") for line in lines] == [
        "configuration",
        "senders",
        "database",
        "disk",
        "file",
        "weights",
        "threads",
        "destination",
    ]
    assert lines[-1].startswith("FAILED")


def test_senders_of_a_network_and_a_node_that_is_reached_by_tls_alone_are_well(tmp_path):
    network = {"ae_title": "PACS", "host": "192.0.2.0/24"}
    files = {"certificate": "node.pem", "key": "node.key", "ca_file": "ca.pem"}
    by_tls = {"tls": {"host": "0.0.0.0", **files}}
    answer = senders_reach_it(settings(tmp_path, senders=[network], receiver=by_tls))
    assert (answer.ok, answer.warns, answer.says) == (True, False, "PACS may send")
    assert senders_reach_it(settings(tmp_path, senders=[network])).warns, "from there nobody reaches 127.0.0.1"
