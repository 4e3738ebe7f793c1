"""What `check` reports, and its time limit."""

from __future__ import annotations

import re
import time

import pytest
from committing import CommittingPacs
from ports import held_port
from pynetdicom import AE
from pynetdicom.sop_class import Verification  # type: ignore[attr-defined]  # made from tables at run time

from config.peers import DicomDestination
from config.settings import Settings
from node.archive.lock import only_node
from node.operations.check import ask, check_everything, checks, destination_answers, listener, senders_reach_it
from node.operations.listening import can_listen, listeners
from node.operations.machine import CheckResult, database, disk
from node.store.database import open_database

pytestmark = pytest.mark.slow


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


FILES = {"certificate": "node.pem", "key": "node.key", "ca_file": "ca.pem"}
LISTENERS = [
    ("receiver", lambda at: {"receiver": at}),
    ("receiver.tls", lambda at: {"receiver": {"tls": {**at, **FILES}}}),
    ("hl7", lambda at: {"hl7": at}),
    ("web", lambda at: {"web": at}),
]


def address_of(of: Settings, section: str) -> CheckResult:
    (at,) = (at for at in listeners(of) if at.section == section)
    return can_listen(at, of)


@pytest.mark.parametrize(("section", "put"), LISTENERS)
def test_an_address_that_serve_cannot_listen_at_fails_the_check_with_the_cure(tmp_path, section, put, silent_port):
    taken = address_of(settings(tmp_path, **put({"host": "127.0.0.1", "port": silent_port})), section)
    assert not taken.ok
    assert taken.says.startswith(f"127.0.0.1:{silent_port} is taken by another program")
    assert f"set another {section}.port" in taken.says
    foreign = address_of(settings(tmp_path, **put({"host": "192.0.2.1", "port": silent_port})), section)
    assert not foreign.ok
    assert f"192.0.2.1 is no address of this machine: set {section}.host" in foreign.says
    with held_port() as port:
        free = address_of(settings(tmp_path, **put({"host": "127.0.0.1", "port": port})), section)
    assert (free.ok, free.says) == (True, f"127.0.0.1:{port} is free: serve listens there")


def test_two_listeners_at_one_address_fail_the_check(tmp_path):
    with held_port() as port:
        of = settings(tmp_path, receiver={"host": "0.0.0.0", "port": port}, hl7={"port": port})
        answers = [address_of(of, section) for section in ("receiver", "hl7")]
    assert [answer.ok for answer in answers] == [False, False]
    assert f"127.0.0.1:{port} is also the address of receiver: set another hl7.port" in answers[1].says


def test_while_a_node_works_its_own_ports_are_not_called_taken(tmp_path, silent_port):
    of = settings(tmp_path, receiver={"port": silent_port})
    with only_node(of.data_dir):
        answer = address_of(of, "receiver")
    assert answer.ok
    assert "the node that works in" in answer.says
    assert not address_of(of, "receiver").ok, "it has ended: the port is another program's"


def test_a_check_keeps_no_port_and_no_lock_from_a_node_that_starts(tmp_path):
    with held_port() as port:
        of = settings(tmp_path, receiver={"port": port})
        assert address_of(of, "receiver").ok
        ae = AE("MAMMO_NODE")
        ae.add_supported_context(Verification)
        with only_node(of.data_dir):
            ae.start_server(("127.0.0.1", port), block=False).shutdown()


def test_a_find_port_that_does_not_answer_is_reported(tmp_path, silent_port, closed_port, answering_port):
    of = settings(
        tmp_path,
        senders=[
            {"ae_title": "DEAF", "find_host": "127.0.0.1", "find_port": closed_port},
            {"ae_title": "WELL", "find_host": "127.0.0.1", "find_port": answering_port},
            {"ae_title": "UNASKED"},
        ],
    )
    answers = {answer.about: answer for answer in ask(checks(of)) if answer.about.startswith("find_port")}
    deaf = answers.pop("find_port of sender DEAF")
    assert not deaf.ok
    assert "refuses connections" in deaf.says
    assert [(about, answer.ok) for about, answer in answers.items()] == [("find_port of sender WELL", True)]


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_a_destination_that_is_the_node_itself_fails_the_check(tmp_path, answering_port, host):
    to = destination(answering_port).model_copy(update={"host": host})
    itself = settings(tmp_path, receiver={"ae_title": "PACS", "host": "0.0.0.0", "port": answering_port})
    answer = destination_answers(to, itself)
    assert not answer.ok
    assert "is this node itself (receiver): its results would count as sent" in answer.says
    assert destination_answers(to, settings(tmp_path)).ok, "at another port it is another program"
    page = Settings(
        data_dir=tmp_path,
        web={"port": answering_port},
        destinations=[{"name": "own", "url": f"http://{host}:{answering_port}/dicom-web"}],
    )
    assert "this node itself (web)" in destination_answers(page.destinations[0], page).says


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
    with held_port() as port:  # nobody listens there
        config.write_text(f'data_dir = "data"\n[reader]\nthreads = 1\n[receiver]\nport = {port}')
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
        "receiver",
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
