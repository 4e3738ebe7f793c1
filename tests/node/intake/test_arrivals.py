"""The effect of a received image on its study."""

from __future__ import annotations

import pytest

from node.store.states import JobKind, JobState, StudyState
from node.store.tables import Job, Result, Study

pytestmark = pytest.mark.slow

SECONDARY_CAPTURE = "1.2.840.10008.5.1.4.1.1.7"
TOMOSYNTHESIS = "1.2.840.10008.5.1.4.1.1.13.1.3"
RAW = "1.2.840.10008.5.1.4.1.1.1.2.1"
CR = "1.2.840.10008.5.1.4.1.1.1"
SR = "1.2.840.10008.5.1.4.1.1.88.33"


def put(node, state: StudyState, *, report: JobState | None = None) -> None:
    """Sets the state of the only study, as the rest of the node would."""
    with node.sessions.begin() as session:
        study = session.get_one(Study, 1)
        study.state = state
        study.closed_at = node.clock()
        if report:
            session.add(Job(kind=JobKind.REPORT, study_id=1, revision=study.revision, state=report))


def report_of(mammogram, uid="1.2.3.70"):
    report = mammogram(uid, SOPClassUID=SR, Modality="SR")
    del report.PixelData, report.Rows, report.Columns
    return report


def test_a_mammogram_is_read_at_once(listening_node, mammogram):
    listening_node.store(mammogram())
    (study,), (instance,), (job,) = listening_node.studies(), listening_node.instances(), listening_node.jobs()
    assert (study.study_instance_uid, study.source, study.state, study.revision) == ("1.2.3", "PACS", "open", 1)
    assert study.first_received_at == study.last_received_at == study.opened_at == listening_node.clock()
    assert (instance.kind, instance.laterality, instance.view) == ("for-presentation", "L", "CC")
    assert instance.path == "archive/1.2.3/1.2.3.1.dcm"
    assert instance.unread_reason is None
    assert (job.kind, job.instance_id, job.revision, job.state) == (JobKind.READ_IMAGE, instance.id, 1, "waiting")


def test_a_raw_mammogram_is_not_read_before_the_study_closes(listening_node, mammogram):
    listening_node.store(mammogram(SOPClassUID=RAW, PresentationIntentType="FOR PROCESSING"))
    assert listening_node.instances()[0].kind == "for-processing"
    assert listening_node.instances()[0].unread_reason is None
    assert listening_node.jobs() == []


def test_a_secondary_capture_is_read_only_if_the_setting_of_its_sender_allows_it(listening_node, mammogram):
    listening_node.store(mammogram("1.2.3.1", SOPClassUID=SECONDARY_CAPTURE), calling="PACS")
    assert listening_node.jobs() == []
    assert "reads_secondary_capture" in listening_node.instances()[0].unread_reason
    listening_node.store(mammogram("1.2.3.2", SOPClassUID=SECONDARY_CAPTURE), calling="CBIS")
    assert [job.instance_id for job in listening_node.jobs()] == [2]


@pytest.mark.parametrize(
    ("changes", "word"),
    [
        ({"SOPClassUID": TOMOSYNTHESIS}, "tomosynthesis"),
        ({"SOPClassUID": CR, "Modality": "CR", "BodyPartExamined": "CHEST"}, "no mammogram"),
    ],
)
def test_an_unreadable_image_is_kept_with_its_reason(listening_node, mammogram, changes, word):
    assert listening_node.store(mammogram(**changes)).Status == 0x0000
    assert word in listening_node.instances()[0].unread_reason
    assert listening_node.jobs() == []


def test_a_late_image_after_the_report_opens_the_next_revision(listening_node, mammogram):
    listening_node.store(mammogram("1.2.3.1"))
    put(listening_node, StudyState.REPORTED, report=JobState.DONE)
    listening_node.clock.seconds += 1000
    listening_node.store(mammogram("1.2.3.2", seed=2))
    (study,) = listening_node.studies()
    assert (study.state, study.revision, study.closed_at) == (StudyState.OPEN, 2, None)
    assert study.opened_at == study.first_received_at + 1000
    assert [job.revision for job in listening_node.jobs() if job.instance_id == 2] == [2]


def test_an_image_after_a_study_was_not_read_opens_the_same_revision(listening_node, mammogram):
    listening_node.store(report_of(mammogram))
    put(listening_node, StudyState.NOT_READ)
    listening_node.store(mammogram())
    (study,) = listening_node.studies()
    assert (study.state, study.revision) == (StudyState.OPEN, 1)


@pytest.mark.parametrize("report", [JobState.WAITING, JobState.RUNNING, JobState.FAILED])
def test_an_image_received_between_close_and_report_is_in_the_same_revision(listening_node, mammogram, report):
    listening_node.store(mammogram("1.2.3.1"))
    put(listening_node, StudyState.CLOSED, report=report)
    listening_node.store(mammogram("1.2.3.2", seed=2))
    (study,) = listening_node.studies()
    assert (study.state, study.revision) == (StudyState.OPEN, 1)
    assert [job.state for job in listening_node.jobs() if job.kind == JobKind.REPORT] == [JobState.CANCELLED]


@pytest.mark.parametrize("state", [StudyState.REPORTED, StudyState.CLOSED, StudyState.NOT_READ, StudyState.OPEN])
def test_a_report_of_a_radiologist_is_kept_and_does_not_open_the_study(listening_node, mammogram, state):
    listening_node.store(mammogram())
    put(listening_node, state)
    assert listening_node.store(report_of(mammogram)).Status == 0x0000
    (study,) = listening_node.studies()
    assert (study.state, study.revision) == (state, 1)
    assert [instance.kind for instance in listening_node.instances()] == ["for-presentation", "report"]
    assert len(listening_node.jobs()) == 1


def test_the_nodes_own_objects_are_acknowledged_and_not_kept(listening_node, mammogram):
    listening_node.store(mammogram())
    put(listening_node, StudyState.REPORTED)
    ours = report_of(mammogram)
    ours.Manufacturer = ours.ManufacturerModelName = "mammo-node"
    assert listening_node.store(ours).Status == 0x0000
    (study,) = listening_node.studies()
    assert (study.state, study.revision) == (StudyState.REPORTED, 1)
    assert len(listening_node.instances()) == 1
    assert listening_node.files("archive") == ["1.2.3/1.2.3.1.dcm"]
    assert listening_node.files("incoming") == []


def test_the_nodes_own_objects_are_recognised_by_uid_if_a_pacs_removed_the_manufacturer(listening_node, mammogram):
    listening_node.store(mammogram())
    with listening_node.sessions.begin() as session:
        session.add(
            Result(
                study_id=1,
                revision=1,
                last_revision=1,
                profile="ohif",
                kind="SR",
                sop_instance_uid="1.2.3.70",
                path="results/x",
                written_at=0,
            )
        )
    assert listening_node.store(report_of(mammogram)).Status == 0x0000
    assert len(listening_node.instances()) == 1


@pytest.mark.parametrize("changes", [{"PatientID": "TWO"}, {"PatientBirthDate": "19700101"}, {"PatientID": ""}])
def test_a_study_uid_with_two_patients_is_put_into_quarantine(listening_node, mammogram, changes):
    listening_node.store(mammogram("1.2.3.1"))
    put(listening_node, StudyState.CLOSED, report=JobState.WAITING)
    assert listening_node.store(mammogram("1.2.3.2", seed=2, **changes)).Status == 0x0000
    (study,) = listening_node.studies()
    assert study.state is StudyState.QUARANTINED
    assert "patient" in study.why
    assert len(listening_node.files("archive")) == 2
    assert [job.state for job in listening_node.jobs()] == [JobState.WAITING, JobState.CANCELLED]


def test_an_image_without_a_birth_date_is_not_of_another_patient(listening_node, mammogram):
    listening_node.store(mammogram("1.2.3.1", PatientBirthDate=""))
    listening_node.store(mammogram("1.2.3.2", seed=2))
    assert listening_node.studies()[0].state is StudyState.OPEN


def test_every_birth_date_is_remembered_for_the_next_instance(listening_node, mammogram):
    for number, birth_date in enumerate(("", "19600101", "")):
        listening_node.store(mammogram(f"1.2.3.{number + 1}", seed=number, PatientBirthDate=birth_date))
    assert listening_node.studies()[0].state is StudyState.OPEN
    listening_node.store(mammogram("1.2.3.8", seed=8, PatientBirthDate="19700101"))
    assert listening_node.studies()[0].state is StudyState.QUARANTINED


@pytest.mark.parametrize("state", [StudyState.REPORTED, StudyState.CLOSED])
def test_a_study_that_opens_again_drops_the_image_count_of_its_source(listening_node, mammogram, state):
    listening_node.store(mammogram("1.2.3.1"))
    put(listening_node, state)
    with listening_node.sessions.begin() as session:
        session.get_one(Study, 1).expected_instances = 1
    listening_node.store(mammogram("1.2.3.2", seed=2))
    assert listening_node.studies()[0].expected_instances is None


def test_images_for_a_study_in_quarantine_are_kept_and_not_read(listening_node, mammogram):
    listening_node.store(mammogram("1.2.3.1"))
    listening_node.store(mammogram("1.2.3.2", seed=2, PatientID="TWO"))
    listening_node.store(mammogram("1.2.3.3", seed=3))
    assert [job.instance_id for job in listening_node.jobs()] == [1]
    assert [instance.unread_reason for instance in listening_node.instances()] == [
        None,
        "the study is in quarantine",
        "the study is in quarantine",
    ]
    assert listening_node.studies()[0].state is StudyState.QUARANTINED


def test_logs_contain_row_numbers_and_never_patients(listening_node, mammogram, caplog):
    caplog.set_level("DEBUG")
    image = mammogram(PatientID="SECRET-ID", PatientName="SECRET^NAME", StudyInstanceUID="1.2.777")
    listening_node.store(image)
    listening_node.store(image)
    own = "\n".join(record.getMessage() for record in caplog.records if not record.name.startswith("pynetdicom"))
    assert "study 1: instance 1 received" in own
    for secret in ("SECRET", "1.2.777", "1.2.3.1"):
        assert secret not in own
