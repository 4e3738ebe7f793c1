"""What `status` shows the administrator."""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from datetime import datetime

import pytest

from node.archive.lock import part_of_a_node
from node.audit.refused_callers import count_refused
from node.cli.status import NEWEST
from node.intake.refused_classes import enter_refused_classes
from node.operations.studies import PAGE
from node.store.states import DeliveryState, JobState, StudyState
from node.store.tables import Delivery, Result, Study
from node.store.unread import Unread
from node.store.urgency import Urgency
from node.studies.lifecycle import came_again

pytestmark = pytest.mark.slow


def numbers(output: str) -> list[int]:
    """The numbers of the studies that are shown, in the order of the lines."""
    return [int(found) for found in re.findall(r"^(\d+)  ", output, re.MULTILINE)]


DEAD = {"state": DeliveryState.DEAD, "attempts": 9, "error": "PACS at 192.0.2.1:104 does not answer"}


def test_status_shows_why_a_study_waits(command, config, a_study):
    a_study(why="quiet period", reading=JobState.WAITING)
    output = command("status", "1", "-c", config).output
    assert "1 open" in output
    assert "More images may come: quiet period." in output
    assert "0 read, 0 not read, 1 waiting" in output


def test_status_shows_which_studies_are_urgent_and_how_many_wait(command, config, a_study, sessions):
    for state in (StudyState.OPEN, StudyState.CLOSED, StudyState.REPORTED):
        a_study(state)
    assert "Not reported yet" not in command("status", "-c", config).output
    with sessions.begin() as session:
        for study_id in (2, 3):
            session.get_one(Study, study_id).urgency = Urgency.STAT
    output = command("status", "-c", config).output
    assert "Not reported yet: 1 STAT, 1 ROUTINE" in output
    assert re.search(r"^2 .* closed, STAT +ORTHANC ", output, re.MULTILINE)
    shown = json.loads(command("status", "-c", config, "--json").output)
    assert shown["unreported"] == {"STAT": 1, "HIGH": 0, "ROUTINE": 1, "LOW": 0}
    assert [study["urgency"] for study in shown["studies"]] == ["ROUTINE", "STAT", "STAT"]


def test_status_shows_which_image_was_not_read_and_why(command, config, a_study):
    a_study(StudyState.REPORTED, reading=JobState.FAILED, unread=Unread.UNREADABLE)
    output = command("status", "1", "-c", config).output
    assert "not read: image 1, left CC for-presentation: unreadable: kills the reader" in output
    assert "failed: read-image (job 1, image 1) after 3 attempts: it broke" in output


def test_status_shows_each_deliverys_state_and_last_error(command, config, a_study):
    a_study(StudyState.REPORTED, delivery=DEAD)
    output = command("status", "1", "-c", config).output
    assert "1 SR to pacs: dead after 9 attempts: PACS at 192.0.2.1:104 does not answer" in output


def test_status_shows_the_next_try_of_a_delivery_that_waits(command, config, a_study):
    a_study(StudyState.REPORTED, delivery=DEAD | {"state": DeliveryState.WAITING, "next_at": 86400.0})
    assert "next try 1970-01-0" in command("status", "1", "-c", config).output


def test_status_groups_deliveries_of_the_same_state_to_a_destination_in_one_line(command, config, a_study, sessions):
    sent = {"state": DeliveryState.SENT, "attempts": 1, "sent_at": 86400.0}
    a_study(StudyState.REPORTED, delivery=sent)
    with sessions.begin() as session:
        for number, kind in enumerate(["SEG", "SEG", "SEG"]):
            result = Result(
                study_id=1, revision=1, last_revision=1, profile="ohif", kind=kind, sop_instance_uid=f"1.2.{number}",
                path=f"{number}.dcm", written_at=0.0,
            )  # fmt: skip
            session.add(result)
            session.flush()
            state = sent if number else DEAD
            session.add(Delivery(result_id=result.id, destination="pacs", created_at=0.0, next_at=0.0, **state))
    lines = [line.strip() for line in command("status", "1", "-c", config).output.splitlines() if "to pacs" in line]
    assert [line.split(" 1970")[0] for line in lines] == [
        "1 SR, 2 SEG to pacs: sent",
        "1 SEG to pacs: dead after 9 attempts: PACS at 192.0.2.1:104 does not answer",
    ]
    (study,) = json.loads(command("status", "-c", config, "--json").output)["studies"]
    assert len(study["deliveries"]) == 4, "each by itself"


def test_status_shows_that_the_destination_of_stored_results_does_not_commit(command, config, a_study):
    error = "stored, but the destination does not commit"
    a_study(StudyState.REPORTED, delivery={"state": DeliveryState.SENT, "sent_at": 86400.0, "error": error})
    assert f", {error}" in command("status", "1", "-c", config).output


def test_status_as_json_contains_the_same_facts(command, config, a_study):
    study_id = a_study(StudyState.REPORTED, delivery=DEAD)
    queue = json.loads(command("status", "-c", config, "--json").output)
    assert queue["counts"]["reported"] == 1
    (study,) = queue["studies"]
    assert (study["id"], study["study_instance_uid"]) == (study_id, "1.2.826.0.1.77.1")
    assert study["images"][0]["outcome"] == "read"
    assert study["deliveries"][0]["state"] == "dead"


def test_status_names_no_patient(command, config, a_study):
    a_study(StudyState.QUARANTINED, why="its instances disagree about the patient's ID or birth date")
    for arguments in ((), ("--json",)):
        output = command("status", "-c", config, *arguments).output
        assert "SECRET-7" not in output
        assert "19600101" not in output


def test_status_shows_old_studies_only_if_work_is_left(command, config, a_study):
    unsettled = [a_study(StudyState.REPORTED, delivery=DEAD), a_study(StudyState.QUARANTINED)]
    a_study(StudyState.REPORTED)
    newest = [a_study(StudyState.REPORTED) for _ in range(NEWEST)]
    shown = json.loads(command("status", "-c", config, "--json").output)["studies"]
    assert [study["id"] for study in shown] == unsettled + newest
    everything = json.loads(command("status", "-c", config, "--json", "--all").output)["studies"]
    assert len(everything) == NEWEST + 3


def test_status_shows_many_studies_in_pages_with_the_newest_first(command, config, a_study):
    for _ in range(2 * PAGE + 1):
        a_study(StudyState.REPORTED)
    first = command("status", "-c", config, "--all").output
    assert first.endswith(f"There are older ones: --before {PAGE + 2}\n")
    second = command("status", "-c", config, "--all", "--before", PAGE + 2).output
    last = command("status", "-c", config, "--all", "--before", 2).output
    assert [numbers(output) for output in (first, second, last)] == [
        list(range(PAGE + 2, 2 * PAGE + 2)),
        list(range(2, PAGE + 2)),
        [1],
    ]
    assert "older" not in last


def test_fifty_studies_fit_on_a_screen_one_line_each(command, config, a_study):
    for _ in range(50):
        a_study(StudyState.QUARANTINED, why="its instances disagree about the patient's ID or birth date")
    lines = command("status", "-c", config).output.splitlines()
    assert len(lines) < 56
    assert lines[-1].startswith("50 ")
    assert "It is in quarantine: its instances disagree" in lines[-1]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ((), [1, 2, 3, 4]),
        (("--state", "quarantined"), [2]),
        (("--state", "reported", "--sender", "ELSEWHERE"), [4]),
        (("--sender", "ORTHANC"), [1, 2, 3]),
        (("--since", "2026-01-31 10:30"), [3, 4]),
        (("--until", "2026-01-31T10:30"), [1, 2]),
        (("--since", "2026-01-31", "--until", "2026-02-01"), [1, 2, 3]),
        (("--problems",), [2, 3]),
        (("--accession", "A-2"), [2]),
        (("--accession", "SECRET-7"), []),
        (("3",), [3]),
        (("1.2.826.0.1.77.4",), [4]),
    ],
)
def test_status_shows_the_studies_that_are_asked_for(command, config, a_study, sessions, options, expected):
    a_study(StudyState.REPORTED)
    a_study(StudyState.QUARANTINED)
    a_study(StudyState.REPORTED, delivery=DEAD)
    a_study(StudyState.REPORTED)
    times = ["2026-01-31 10:00", "2026-01-31 10:29", "2026-01-31 10:30", "2026-02-03 00:00"]
    with sessions.begin() as session:
        for study, at in zip(session.query(Study).order_by(Study.id), times, strict=True):
            study.first_received_at = datetime.fromisoformat(at).astimezone().timestamp()
            study.instances[0].accession_number = f"A-{study.id}"
        session.get_one(Study, 4).source = "ELSEWHERE"
    assert numbers(command("status", "-c", config, *options).output) == expected
    shown = json.loads(command("status", "-c", config, "--json", *options).output)["studies"]
    assert [study["id"] for study in shown] == expected


def test_a_study_that_is_not_there_is_said_to_be_missing(command, config, a_study):
    a_study()
    assert "There is no study 77" in str(command("status", "77", "-c", config).exception)
    assert "No study is shown" in command("status", "--state", "closed", "-c", config).output


def test_times_are_those_of_the_machine_whose_zone_is_named(command, config, a_study, monkeypatch):
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        a_study()
        output = command("status", "-c", config).output
    finally:
        monkeypatch.undo()
        time.tzset()
    assert "last image (JST, UTC+09:00)" in output
    assert re.search(r"1970-01-01 09:00 +open", output)


def test_status_counts_the_reported_studies_of_which_nothing_was_read(command, config, a_study):
    a_study(StudyState.REPORTED)
    a_study(StudyState.REPORTED, reading=JobState.FAILED, unread=Unread.UNREADABLE)
    a_study(StudyState.OPEN, reading=JobState.WAITING)
    assert "Nothing was read of 1 reported study\n" in command("status", "-c", config).output
    assert json.loads(command("status", "-c", config, "--json").output)["nothing_read"] == 1


def test_status_begins_with_faults_of_the_machine(command, config, a_study):
    config.write_text(f'data_dir = "data"\n[receiver]\nmin_free_mb = {10**9}\n[reader]\nbundle = "no/such/bundle"\n')
    _, first, second, third, *_ = command("status", "-c", config).output.splitlines()
    assert first.startswith("FAULT of this machine, disk: ")
    assert second.startswith("FAULT of this machine, weights: ")
    assert third.startswith("Studies: ")
    faults = json.loads(command("status", "-c", config, "--json").output)["faults"]
    assert [fault["about"] for fault in faults] == ["the node", "disk", "weights"]


def test_status_says_first_that_the_node_does_not_run(command, config, a_study, tmp_path):
    a_study()
    assert command("status", "-c", config).output.startswith("FAULT of this machine, the node: it does not run")
    with part_of_a_node(tmp_path / "data", f"sqlite:///{tmp_path / 'data' / 'queue.sqlite'}", ["receive"]):
        assert "does not run" not in command("status", "-c", config).output


def test_status_says_who_was_refused_and_names_few_of_many_classes(command, config, a_study, sessions):
    a_study()
    classes = [f"1.2.840.10008.5.1.4.1.1.{number}" for number in range(1, 41)]
    with sessions.begin() as session:
        count_refused(session, "192.0.2.7", "'GE_MAMMO' at 192.0.2.7 is not among the senders", 3, time.time())
    enter_refused_classes(sessions, "ORTHANC", classes, time.time())
    output = command("status", "-c", config).output
    assert "192.0.2.7 was refused 3 times in 7 days" in output
    assert "'GE_MAMMO' at 192.0.2.7 is not among the senders" in output
    assert output.count(" (1 time)") == 5
    assert "and 35 more (--json names all)" in output
    assert "SOP classes" not in command("status", "1", "-c", config).output
    shown = json.loads(command("status", "-c", config, "--json").output)
    assert len(shown["refused_classes"]) == 40
    assert [caller["times"] for caller in shown["refused_callers"]] == [3]


def test_the_last_image_of_a_study_is_not_what_came_again_later(command, config, a_study, sessions):
    a_study(StudyState.REPORTED)
    before = command("status", "1", "-c", config).output
    with sessions.begin() as session:
        came_again(session.get_one(Study, 1), time.time())
    assert command("status", "1", "-c", config).output == before


def test_status_before_the_first_run_reports_it(command, config):
    ran = command("status", "-c", config)
    assert "mammo-node serve" in str(ran.exception)


def test_a_report_from_an_ae_title_that_is_no_sender_is_named_where_the_commitment_is_waited_for(
    command, config, a_study, sessions
):
    now = time.time()
    asked = {"state": DeliveryState.UNCOMMITTED, "sent_at": now - 60, "commitment_asked_at": now - 60}
    a_study(StudyState.REPORTED, delivery=asked)
    assert ", not committed yet\n" in command("status", "1", "-c", config).output
    with sessions.begin() as session:
        count_refused(session, "192.0.2.9", "'ARCHIVE2' at 192.0.2.9 is not among the senders", 1, now)
    output = command("status", "1", "-c", config).output
    assert "not committed yet; refused since it was asked: 'ARCHIVE2' at 192.0.2.9 is not among the senders" in output


def test_status_distinguishes_sent_from_committed_results(command, config, a_study):
    sent = {"state": DeliveryState.UNCOMMITTED, "sent_at": 86400.0, "transaction_uid": "2.25.1"}
    a_study(StudyState.REPORTED, delivery=sent)
    a_study(StudyState.REPORTED, delivery=sent | {"error": "not committed: it refuses"})
    a_study(StudyState.REPORTED, delivery=sent | {"state": DeliveryState.COMMITTED})
    output = "".join(command("status", str(number), "-c", config).output for number in (1, 2, 3))
    assert ", not committed yet" in output
    assert ", not committed: it refuses" in output
    assert "to pacs: committed 1970-01-0" in output


def test_status_imports_no_heavy_library(config, sessions):
    """A second of the two within which it answers with 100,000 studies."""
    code = (
        "import sys; from node.cli.main import build; build()(['status', '-c', sys.argv[1]], standalone_mode=False); "
        "print(sorted({'alembic', 'pydicom', 'pynetdicom', 'scipy', 'torch'} & set(sys.modules)))"
    )
    ran = subprocess.run([sys.executable, "-c", code, str(config)], capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines()[-1] == "[]"
