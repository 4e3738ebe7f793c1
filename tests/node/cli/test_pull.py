"""`mammo-node pull` from a real Orthanc into a running node, and its messages where it fails."""

from __future__ import annotations

import re
from base64 import b64decode
from collections.abc import Iterator
from pathlib import Path

import pytest
from audit_messages import assert_valid
from orthanc import Orthanc, debian_orthanc
from pydicom import Dataset, dcmread
from pydicom.uid import JPEG2000Lossless, SegmentationStorage
from running import RunningNode, eventually
from sqlalchemy import select
from transfer_syntaxes import encode

from config.settings import load
from dicom_io.uids import derive_uid
from node.alive import main as alive
from node.demo.studies import DemoStudy
from node.operations.check import listener
from node.store.tables import Instance, Result, Study

pytestmark = pytest.mark.acceptance

WAYS = ("c-get", "c-move", "web")
MAGNETIC_RESONANCE = "1.2.840.10008.5.1.4.1.1.4"


@pytest.fixture(scope="module")
def orthanc(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Orthanc]:
    with debian_orthanc(tmp_path_factory.mktemp("orthanc")) as started:
        if not started.has_dicomweb:
            pytest.skip("this Orthanc has no DICOMweb plugin (Debian package orthanc-dicomweb)")
        yield started


@pytest.fixture(scope="module")
def node(orthanc: Orthanc, blind_bundle: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningNode]:
    """A node whose only sender is Orthanc, and that can pull from it by three protocols."""
    by_dicom = f'ae_title = "{orthanc.ae_title}"\nhost = "{orthanc.host}"\nport = {orthanc.dicom_port}'
    started = RunningNode(
        tmp_path_factory.mktemp("node"),
        f"""
[[senders]]
ae_title = "{orthanc.ae_title}"
[closing]
quiet_s = 600
[reader]
bundle = "{blind_bundle}"
[[destinations]]
name = "web"
url = "{orthanc.url}/dicom-web"
[[sources]]
name = "c-get"
{by_dicom}
[[sources]]
name = "c-move"
retrieve = "c-move"
{by_dicom}
[[sources]]
name = "web"
url = "{orthanc.url}/dicom-web"
[receiver]
ae_title = "PULLS"
""",
    )
    orthanc.knows_modality("pulls", "PULLS", "127.0.0.1", started.port)
    started.start()
    yield started
    started.end()


@pytest.fixture
def in_orthanc(orthanc: Orthanc, mammogram_study: DemoStudy, tmp_path: Path, request: pytest.FixtureRequest):
    """Stores a new study in Orthanc: two mammograms, one of them compressed, and the given further instances."""

    def put(accession: str, name: str = "", others: tuple[str, ...] = ()) -> dict[str, Dataset]:
        study = derive_uid(request.node.name, name)
        images = [dcmread(path) for path in mammogram_study.files[:2]]
        images[1] = encode(images[1], JPEG2000Lossless)
        for sop_class in others:
            images.append(dcmread(mammogram_study.files[2]))
            images[-1].SOPClassUID = images[-1].file_meta.MediaStorageSOPClassUID = sop_class
        for number, image in enumerate(images):
            image.StudyInstanceUID, image.AccessionNumber = study, accession
            image.SeriesInstanceUID = derive_uid(study, f"series {number}")
            image.SOPInstanceUID = image.file_meta.MediaStorageSOPInstanceUID = derive_uid(study, str(number))
            image.save_as(tmp_path / f"{name}{number}.dcm", enforce_file_format=True)
            orthanc.upload(tmp_path / f"{name}{number}.dcm")
        return {str(image.SOPInstanceUID): image for image in images[:2]}

    return put


def study_of(images: dict[str, Dataset]) -> str:
    return str(next(iter(images.values())).StudyInstanceUID)


def assert_in_the_node(node: RunningNode, images: dict[str, Dataset], sender: str) -> None:
    """The node has exactly these images of the study, as stored in Orthanc."""
    with node.database() as session:
        study = session.scalars(select(Study).where(Study.study_instance_uid == study_of(images))).one()
        assert study.source == sender
        kept = {instance.sop_instance_uid: dcmread(node.data_dir / instance.path) for instance in study.instances}
    assert kept.keys() == images.keys()
    for uid, image in images.items():
        assert kept[uid].PixelData == image.PixelData
        assert kept[uid].file_meta.TransferSyntaxUID == image.file_meta.TransferSyntaxUID


def test_a_pulled_study_is_read_like_any_other(node, in_orthanc):
    images = in_orthanc("READ-1")
    assert node.command("pull", "--from", "c-get", "--accession", "READ-1").returncode == 0

    def all_read() -> bool:
        with node.database() as session:
            read = session.scalars(select(Instance.reading).where(Instance.sop_instance_uid.in_(images))).all()
            return len(read) == 2 and all(read)

    eventually("both images are read", all_read, timeout_s=300)


@pytest.mark.parametrize("by", ["uid", "accession"])
@pytest.mark.parametrize("way", WAYS)
def test_a_study_is_pulled_into_the_running_node_as_stored(node, in_orthanc, way, by):
    accession = f"{way}-{by}"
    images = in_orthanc(accession)
    asked = ("--study", study_of(images)) if by == "uid" else ("--accession", accession)
    ran = node.command("pull", "--from", way, *asked)
    assert (ran.returncode, ran.stdout) == (0, "2 of 2 instances arrived at the node\n"), ran.stderr
    assert_in_the_node(node, images, "ORTHANC" if way == "c-move" else "PULLS")


@pytest.mark.parametrize("way", WAYS)
def test_what_was_asked_of_whom_and_what_came_is_in_the_audit_trail(node, orthanc, in_orthanc, tmp_path, way):
    """C-FIND with C-GET, C-FIND with C-MOVE, and QIDO-RS with WADO-RS."""
    images = in_orthanc(f"AUDIT-{way}")
    study, source = study_of(images), f"{orthanc.url}/dicom-web" if way == "web" else orthanc.host

    assert node.command("pull", "--from", way, "--study", study).returncode == 0

    def is_asked_for(message: str) -> bool:
        query = re.search("<ParticipantObjectQuery>(.+)</ParticipantObjectQuery>", message)
        return query is not None and study.encode() in b64decode(query[1])

    def both() -> tuple[str, str] | None:
        lines = node.command("audit", "show", "--xml", "--last", "100000").stdout.splitlines()
        mine = [line[line.index("<AuditMessage") :] for line in lines if "the command line" in line]
        asked = [line for line in mine if 'originalText="Query"' in line and is_asked_for(line)]
        fetched = [line for line in mine if "DICOM Instances Transferred" in line and f'="{study}"' in line]
        return (asked[0], fetched[0]) if (len(asked), len(fetched)) == (1, 1) else None

    asked, fetched = eventually("the trail has the question and what came", both)
    assert f'NumberOfInstances="{len(images)}"' in fetched
    for message in (asked, fetched):
        assert f'NetworkAccessPointID="{source}"' in message
    (patient,) = {str(image.PatientID) for image in images.values()}
    assert f'ParticipantObjectID="{patient}"' in fetched
    assert_valid([asked, fetched], tmp_path)


@pytest.mark.parametrize("way", ["c-get", "web"])
def test_instances_that_the_node_does_not_accept_are_left_out_and_named(node, in_orthanc, way):
    images = in_orthanc(f"MR-{way}", others=(MAGNETIC_RESONANCE,))
    ran = node.command("pull", "--from", way, "--accession", f"MR-{way}")
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout.splitlines()[1] == "left out, because the node does not accept them: 1 MR Image Storage"
    assert_in_the_node(node, images, "PULLS")


@pytest.mark.parametrize("way", WAYS)
def test_the_nodes_own_results_are_not_pulled(node, in_orthanc, way):
    accession = f"OWN-{way}"
    images = in_orthanc(accession)
    assert node.command("pull", "--from", way, "--accession", accession).returncode == 0
    with node.database() as session:
        study = session.scalars(select(Study).where(Study.study_instance_uid == study_of(images))).one()
        uid = derive_uid(study.study_instance_uid, "2")
        session.add(
            Result(
                study=study, revision=1, last_revision=1, profile="ohif", kind="SEG", sop_instance_uid=uid,
                path="seg.dcm", written_at=0.0,
            )
        )  # fmt: skip
        session.commit()
    in_orthanc(accession, others=(SegmentationStorage,))
    ran = node.command("pull", "--from", way, "--accession", accession)
    assert ran.stdout.splitlines() == [
        "2 of 2 instances arrived at the node",
        "left out, because the node does not accept them: 1 of the node's own results",
    ], ran.stderr
    assert_in_the_node(node, images, "ORTHANC" if way == "c-move" else "PULLS")


@pytest.mark.parametrize("way", ["c-get", "web"])
def test_nothing_is_pulled_to_a_nearly_full_disk(node, in_orthanc, tmp_path, monkeypatch, way):
    images = in_orthanc(f"FULL-{way}")
    monkeypatch.setenv("MAMMO_NODE__RECEIVER__MIN_FREE_MB", str(10**9))  # of the command: the node runs already
    (tmp_path / "fetched").mkdir()
    monkeypatch.setenv("TMPDIR", str(tmp_path / "fetched"))
    ran = node.command("pull", "--from", way, "--accession", f"FULL-{way}")
    assert ran.returncode == 2
    assert f"{10**9} MB must stay free (receiver.min_free_mb). No instance was given to the node" in ran.stderr
    assert "Traceback" not in ran.stderr
    assert list((tmp_path / "fetched").iterdir()) == []
    with node.database() as session:
        assert session.scalars(select(Study).where(Study.study_instance_uid == study_of(images))).all() == []


def test_several_studies_of_an_accession_number_are_named_and_none_is_pulled(node, in_orthanc):
    first, second = (study_of(in_orthanc("TWICE", name)) for name in ("first", "second"))
    ran = node.command("pull", "--from", "web", "--accession", "TWICE")
    assert ran.returncode == 2
    assert first in ran.stderr
    assert second in ran.stderr
    assert "--study" in ran.stderr
    with node.database() as session:
        assert session.scalars(select(Study).where(Study.study_instance_uid.in_([first, second]))).all() == []


@pytest.mark.parametrize("way", WAYS)
def test_a_study_that_the_source_does_not_have_is_reported(node, way):
    ran = node.command("pull", "--from", way, "--accession", "NOWHERE")
    assert (ran.returncode, "has no such study" in ran.stderr) == (2, True)


def test_an_unknown_source_is_reported_with_the_known_ones(node):
    ran = node.command("pull", "--from", "elsewhere", "--accession", "1")
    assert ran.returncode == 2
    assert "there are c-get, c-move, web" in ran.stderr


@pytest.mark.parametrize(
    "asked",
    [(), ("--study", "1.2.3", "--accession", "1"), ("--accession", "*"), ("--accession", " "), ("--study", "1.2.x")],
    ids=["nothing", "both", "any accession number", "an empty one", "no UID"],
)
def test_only_one_study_can_be_requested(command, asked):
    assert command("pull", "--from", "pacs", *asked).exit_code == 2


def test_a_node_that_does_not_run_is_reported_before_anything_is_pulled(tmp_path, command, orthanc, closed_port):
    config = tmp_path / "node.toml"
    config.write_text(
        f'data_dir = "data"\n[receiver]\nport = {closed_port}\n[[sources]]\nname = "web"\nurl = "{orthanc.url}"'
    )
    ran = command("pull", "--from", "web", "--accession", "1", "-c", config)
    assert "mammo-node serve" in str(ran.exception)


def test_check_queries_a_dicomweb_destination(node):
    ran = node.command("check")
    assert "destination web: http://127.0.0.1" in ran.stdout


def test_the_nodes_own_ae_title_is_accepted_from_this_machine_without_being_a_sender(node):
    assert listener(load(node.config)).ok
    assert alive([str(node.config)]) == 0
    assert "association refused" not in node.log.read_text()
