"""Images received again with the same SOP Instance UID."""

from __future__ import annotations

import pytest
from pydicom import Dataset, dcmread
from pydicom.uid import ExplicitVRBigEndian, ImplicitVRLittleEndian, JPEG2000Lossless, RLELossless
from sqlalchemy import select

from dicom_io.network.answers import Status
from node.operations.retry import retry_study
from node.store.states import JobKind, JobState, StudyState
from node.store.tables import Instance, Job, Study

pytestmark = pytest.mark.slow


def put(node, state: StudyState) -> None:
    with node.sessions.begin() as session:
        session.get_one(Study, 1).state = state


def test_an_identical_resend_is_a_success_and_changes_nothing(listening_node, mammogram):
    listening_node.store(mammogram())
    put(listening_node, StudyState.REPORTED)
    assert listening_node.store(mammogram()).Status == Status.SUCCESS
    (study,) = listening_node.studies()
    assert (study.state, study.revision) == (StudyState.REPORTED, 1)
    assert listening_node.files("archive") == ["1.2.3/1.2.3.1.dcm"]
    assert len(listening_node.jobs()) == 1


@pytest.mark.parametrize("syntax", [ImplicitVRLittleEndian, ExplicitVRBigEndian, RLELossless, JPEG2000Lossless])
def test_the_same_pixels_in_another_transfer_syntax_are_no_new_image(listening_node, mammogram, syntax):
    listening_node.store(mammogram())
    put(listening_node, StudyState.REPORTED)
    again = mammogram()
    if syntax.is_encapsulated:
        again.compress(syntax, generate_instance_uid=False)
    elif syntax == ExplicitVRBigEndian:
        again.PixelData = again.pixel_array.byteswap().tobytes()
    again.file_meta.TransferSyntaxUID = syntax
    assert listening_node.store(again).Status == Status.SUCCESS
    (study,), (instance,) = listening_node.studies(), listening_node.instances()
    assert (study.state, study.revision) == (StudyState.REPORTED, 1)
    assert instance.path == "archive/1.2.3/1.2.3.1_2.dcm"
    assert instance.transfer_syntax_uid == syntax
    assert listening_node.files("archive") == ["1.2.3/1.2.3.1.dcm", "1.2.3/1.2.3.1_2.dcm"]


@pytest.mark.parametrize(
    "changes",
    [
        {"PatientName": "Married^Name"},
        {"AccessionNumber": "A2"},
        {"PatientSex": "O"},
        {"StudyDate": "20240102"},
        {"SeriesInstanceUID": "1.2.3.10"},
        {"BurnedInAnnotation": "YES"},
        {"PatientIdentityRemoved": "YES", "DeidentificationMethod": "By hand"},
    ],
)
def test_corrected_demographics_are_reported_again_without_reading_the_image_again(listening_node, mammogram, changes):
    listening_node.store(mammogram())
    put(listening_node, StudyState.REPORTED)
    assert listening_node.store(mammogram(**changes)).Status == Status.SUCCESS
    (study,), (instance,) = listening_node.studies(), listening_node.instances()
    assert (study.state, study.revision) == (StudyState.OPEN, 2)
    kept = dcmread(listening_node.data_dir / instance.path)
    assert all(kept[keyword].value == value for keyword, value in changes.items())
    assert len(listening_node.files("archive")) == 2
    assert len(listening_node.jobs()) == 1


@pytest.mark.parametrize(
    "changes",
    [
        {"ImagerPixelSpacing": [0.07, 0.07]},
        {"EstimatedRadiographicMagnificationFactor": 1.8},
        {"PixelSpacing": [0.06, 0.06], "PixelSpacingCalibrationType": "FIDUCIAL"},
        {"DistanceSourceToDetector": 660, "DistanceSourceToPatient": 400},
        # The side and view decide where a lesion lies and which warnings there are, the display what the models see.
        {"ViewPosition": "ML"},
        {"ImageLaterality": "R"},
        {"Modality": "CR"},
        {"WindowCenter": 100, "WindowWidth": 300},
        {"RescaleSlope": 2, "RescaleIntercept": 0},
        {"BreastImplantPresent": "YES"},
    ],
    ids=lambda changes: next(iter(changes)),
)
def test_an_image_is_read_again_where_its_reading_depends_on_what_was_corrected(listening_node, mammogram, changes):
    stated = {"ImagerPixelSpacing": [0.08, 0.08]}
    listening_node.store(mammogram(**stated))
    put(listening_node, StudyState.REPORTED)
    with listening_node.sessions.begin() as session:
        session.scalars(select(Job)).one().state = JobState.DONE
        session.scalars(select(Instance)).one().reading = {"bundle": "old"}
    assert listening_node.store(mammogram(**stated | changes)).Status == Status.SUCCESS
    (study,), (instance,) = listening_node.studies(), listening_node.instances()
    assert (study.state, study.revision) == (StudyState.OPEN, 2)
    assert instance.reading is None
    assert [job.state for job in listening_node.jobs()] == [JobState.DONE, JobState.WAITING]


def test_a_corrected_header_without_a_reported_change_gives_no_new_report(listening_node, mammogram):
    listening_node.store(mammogram())
    put(listening_node, StudyState.REPORTED)
    listening_node.store(mammogram(InstitutionName="Elsewhere"))
    (study,), (instance,) = listening_node.studies(), listening_node.instances()
    assert (study.state, study.revision) == (StudyState.REPORTED, 1)
    assert instance.path.endswith("1.2.3.1_2.dcm")


def test_a_corrected_header_before_the_report_cancels_the_pending_report(listening_node, mammogram):
    listening_node.store(mammogram())
    put(listening_node, StudyState.CLOSED)
    with listening_node.sessions.begin() as session:
        session.add(Job(kind=JobKind.REPORT, study_id=1, revision=1))
    listening_node.store(mammogram(PatientName="Married^Name"))
    assert listening_node.studies()[0].state is StudyState.OPEN
    assert listening_node.studies()[0].revision == 1
    assert listening_node.jobs()[1].state is JobState.CANCELLED


def test_a_corrected_patient_id_of_a_studys_only_image_corrects_the_study(listening_node, mammogram):
    listening_node.store(mammogram())
    put(listening_node, StudyState.REPORTED)
    listening_node.store(mammogram(PatientID="RIGHT"))
    listening_node.store(mammogram("1.2.3.2", seed=2, PatientID="RIGHT"))
    (study,) = listening_node.studies()
    assert (study.state, study.revision) == (StudyState.OPEN, 2)


def test_a_corrected_patient_id_of_one_of_several_images_puts_the_study_into_quarantine(listening_node, mammogram):
    listening_node.store(mammogram("1.2.3.1"))
    listening_node.store(mammogram("1.2.3.2", seed=2))
    put(listening_node, StudyState.REPORTED)
    assert listening_node.store(mammogram("1.2.3.1", PatientID="RIGHT")).Status == Status.SUCCESS
    assert listening_node.studies()[0].state is StudyState.QUARANTINED


def test_a_reverted_correction_uses_the_old_file_again(listening_node, mammogram):
    for name in ("First^Name", "Second^Name", "First^Name", "Second^Name"):
        listening_node.store(mammogram(PatientName=name))
    assert listening_node.instances()[0].path == "archive/1.2.3/1.2.3.1_2.dcm"
    assert len(listening_node.files("archive")) == 2


def test_a_corrected_image_never_has_the_path_of_another_image(listening_node, mammogram):
    listening_node.store(mammogram("1.2.3.1", seed=1))
    listening_node.store(mammogram("1.2.3.1", seed=1, PatientName="Married^Name"))
    assert listening_node.store(mammogram("1.2.3.1.2", seed=2)).Status == Status.SUCCESS
    corrected, other = (dcmread(listening_node.data_dir / instance.path) for instance in listening_node.instances())
    assert (corrected.SOPInstanceUID, corrected.PatientName) == ("1.2.3.1", "Married^Name")
    assert other.SOPInstanceUID == "1.2.3.1.2"
    assert len(listening_node.files("archive")) == 3


def test_a_file_that_a_person_has_released_causes_no_second_quarantine(listening_node, mammogram):
    listening_node.store(mammogram(seed=1))
    listening_node.store(mammogram(seed=2))
    with listening_node.sessions.begin() as session:
        retry_study(session, 1, listening_node.clock())
    assert listening_node.store(mammogram(seed=2)).Status == Status.CONTRADICTS
    assert listening_node.studies()[0].state is StudyState.OPEN
    listening_node.store(mammogram(seed=3))
    assert listening_node.studies()[0].state is StudyState.QUARANTINED


def test_an_image_sent_again_as_another_kind_of_image_is_set_aside(listening_node, mammogram):
    listening_node.store(mammogram())
    answer = listening_node.store(mammogram(PresentationIntentType="FOR PROCESSING"))
    assert answer.Status == Status.CONTRADICTS
    assert "another kind" in listening_node.studies()[0].why


def test_other_pixels_with_a_known_uid_are_set_aside_and_reported(listening_node, mammogram):
    listening_node.store(mammogram(seed=1))
    put(listening_node, StudyState.REPORTED)
    for _ in range(2):  # a sender that repeats does not fill the disk
        answer = listening_node.store(mammogram(seed=2))
        assert answer.Status == Status.CONTRADICTS
        assert "other pixels" in answer.ErrorComment
    (study,), (instance,) = listening_node.studies(), listening_node.instances()
    assert study.state is StudyState.QUARANTINED
    assert "other pixels" in study.why
    assert instance.path == "archive/1.2.3/1.2.3.1.dcm"
    assert listening_node.files("quarantine") == ["1.2.3/1.2.3.1_2.dcm"]
    assert dcmread(listening_node.data_dir / instance.path).PixelData == mammogram(seed=1).PixelData


@pytest.mark.parametrize(
    "changes",
    [
        {"Rows": 32, "Columns": 128},
        {"PhotometricInterpretation": "MONOCHROME1"},
        {"PresentationLUTShape": "INVERSE"},
    ],
)
def test_the_same_pixel_bytes_with_another_meaning_count_as_other_pixels(listening_node, mammogram, changes):
    listening_node.store(mammogram())
    assert listening_node.store(mammogram(**changes)).Status == Status.CONTRADICTS


def test_a_resent_report_is_kept_beside_the_old_one(listening_node, mammogram):
    def report(text):
        made = mammogram(SOPClassUID="1.2.840.10008.5.1.4.1.1.88.33", Modality="SR", ContentLabel=text)
        del made.PixelData, made.Rows, made.Columns
        return made

    for text in ("OLD", "NEW"):
        assert listening_node.store(report(text)).Status == Status.SUCCESS
    assert listening_node.instances()[0].path == "archive/1.2.3/1.2.3.1_2.dcm"
    assert listening_node.studies()[0].state is StudyState.OPEN


def test_a_known_instance_under_another_study_is_set_aside(listening_node, mammogram):
    listening_node.store(mammogram())
    assert listening_node.store(mammogram(StudyInstanceUID="1.2.4")).Status == Status.CONTRADICTS
    (study,) = listening_node.studies()
    assert study.state is StudyState.QUARANTINED
    assert listening_node.files("quarantine") == ["1.2.4/1.2.3.1_2.dcm"]


def lose(file):
    file.unlink()


def damage(file):
    file.write_bytes(file.read_bytes()[:700])


@pytest.mark.parametrize(("spoil", "archive"), [(lose, ["1.2.3.1_2"]), (damage, ["1.2.3.1", "1.2.3.1_2"])])
def test_a_lost_or_damaged_file_is_replaced_by_a_resend_and_read(listening_node, mammogram, spoil, archive):
    listening_node.store(mammogram())
    file = listening_node.data_dir / "archive/1.2.3/1.2.3.1.dcm"
    spoil(file)
    assert listening_node.store(mammogram()).Status == Status.SUCCESS
    (instance,) = listening_node.instances()
    assert dcmread(listening_node.data_dir / instance.path).PixelData == mammogram().PixelData
    assert listening_node.files("archive") == [f"1.2.3/{name}.dcm" for name in archive]
    assert [job.state for job in listening_node.jobs()][-1] is JobState.WAITING


def test_a_replacement_of_a_lost_file_with_another_patient_is_quarantined(listening_node, mammogram):
    listening_node.store(mammogram("1.2.3.1"))
    listening_node.store(mammogram("1.2.3.2", seed=2))
    (listening_node.data_dir / "archive/1.2.3/1.2.3.1.dcm").unlink()
    listening_node.store(mammogram("1.2.3.1", PatientID="TWO"))
    assert listening_node.studies()[0].state is StudyState.QUARANTINED


ICON = {"Rows": 2, "Columns": 2, "PixelData": b"\1\2\3\4"}


def with_bytes_as(vr: str, image: Dataset) -> Dataset:
    """The image with the given VR for all elements of bytes or words."""
    icon = Dataset()
    for keyword, value in ICON.items():
        setattr(icon, keyword, value)
    image.IconImageSequence = [icon]
    image.add_new(0x60000010, "US", 4)
    image.add_new(0x60003000, vr, b"\1\2")
    image.add_new(0x00090010, "LO", "ANY MAKER")
    image.add_new(0x00091001, vr, b"\1\2")
    for tag, holder in ((0x7FE00010, image), (0x7FE00010, icon)):
        holder[tag].VR = vr
    return image


@pytest.mark.parametrize(
    ("changes", "files"),
    [
        ({}, 1),
        ({"BitsStored": 8, "HighBit": 7}, 1),
        ({"PatientName": "Other^Name"}, 2),
        ({"AccessionNumber": "OB"}, 2),  # OW before: letters in a value are no VR
    ],
)
@pytest.mark.parametrize("vrs", [("OB", "OW"), ("OW", "OB")])
def test_ob_instead_of_ow_does_not_count_as_a_corrected_header(listening_node, mammogram, vrs, changes, files):
    same = {"AccessionNumber": "OW"} | {key: value for key, value in changes.items() if files == 1}
    first, again = (with_bytes_as(vr, mammogram(**(same | more))) for vr, more in zip(vrs, ({}, changes), strict=True))
    assert listening_node.store(first).Status == Status.SUCCESS
    assert listening_node.store(again).Status == Status.SUCCESS
    assert len(listening_node.files("archive")) == files
