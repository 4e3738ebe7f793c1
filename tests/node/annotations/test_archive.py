"""The corrected archive as a data set, in place and exported."""

from __future__ import annotations

import json
import stat
from pathlib import Path

import numpy as np
import pytest
from annotating import annotations_of, disc, proposed_mass, segmentation
from pydicom import Dataset, dcmread
from pydicom.uid import generate_uid
from road import Road, changed

from config.settings import Settings
from dicom_io.case_reader import CaseReader
from models.datasets.archive import NO_KIND, read_archive
from models.datasets.case import Case, Cases, DatasetError
from models.datasets.catalog import open_data
from models.datasets.own.writing import Layout
from models.types.reading import FindingKind
from node.annotations.archive_cases import archive_cases, true_images
from node.annotations.export import NotEmpty, export, export_as
from node.annotations.pseudonyms import open_pseudonyms
from node.cli.terminal.cases import open_cases

pytestmark = pytest.mark.slow


def _settings(road: Road) -> Settings:
    return Settings(data_dir=road.data_dir)


def _exported(road: Road, out: Path) -> Cases:
    images, _ = true_images(annotations_of(road), road.data_dir, open_pseudonyms(road.data_dir))
    export(images, road.data_dir, out)
    return read_archive(out, CaseReader())


def _all_drawn(out: Path) -> list[list[tuple[FindingKind, np.ndarray]]]:
    return [_drawn(case) for case in read_archive(out, CaseReader()).cases]


def _drawn(case: Case) -> list[tuple[FindingKind, np.ndarray]]:
    image = case.read()
    return [(lesion.kind, lesion.mask.full(image.shape)) for lesion in case.read_lesions(image)]


@pytest.fixture
def corrected(reported: Road, images: list[Dataset]) -> Road:
    """Two of the four images were corrected: in one a lesion made smaller and one added, in one all removed."""
    mask = proposed_mass(reported, images[0])
    mask[: images[0].Rows // 2 - 20] = False
    drawn = {"R CC mass 1": mask, "calcs": disc(mask.shape, 30, 30, 11)}
    reported.receive(
        segmentation(drawn, images[0]),
        segmentation({"mass": np.zeros((images[1].Rows, images[1].Columns), dtype=bool)}, images[1]),
    )
    return reported


def test_corrected_images_are_cases_with_the_experts_outlines(corrected: Road, images: list[Dataset]):
    cases = archive_cases(_settings(corrected), CaseReader())
    assert cases.left_out == ()
    assert len(cases.cases) == 2, "what no correction is about is no case: nobody said that nothing is there"
    by_view = {(case.laterality, case.view): case for case in cases.cases}
    case = by_view[images[0].ImageLaterality, images[0].ViewPosition]
    (mass, mass_mask), (calcs, calcs_mask) = _drawn(case)
    assert (mass, calcs) == (FindingKind.MASS, FindingKind.CALCIFICATION)
    assert np.array_equal(calcs_mask, disc(mass_mask.shape, 30, 30, 11))
    assert not mass_mask[: images[0].Rows // 2 - 20].any()
    empty = by_view[images[1].ImageLaterality, images[1].ViewPosition]
    assert _drawn(empty) == []
    assert case.marked_up
    assert empty.marked_up
    assert (case.dataset, case.birads, case.pathology) == ("archive", None, None)
    assert case.kinds == {FindingKind.MASS, FindingKind.CALCIFICATION}


def test_nothing_in_a_case_names_a_patient(corrected: Road, images: list[Dataset]):
    cases = archive_cases(_settings(corrected), CaseReader()).cases
    words = " ".join(f"{case.name} {case.patients} {case.exam}" for case in cases)
    assert not [secret for secret in _secrets(images) if secret in words]
    assert len({case.patient for case in cases}) == 1
    again = archive_cases(_settings(corrected), CaseReader()).cases
    assert [case.patients for case in again] == [case.patients for case in cases], "splits stay valid"


def test_the_key_of_the_pseudonyms_is_readable_only_by_its_owner(tmp_path: Path):
    (tmp_path / "other").mkdir()
    pseudonyms, other_pseudonyms = open_pseudonyms(tmp_path), open_pseudonyms(tmp_path / "other")
    assert stat.S_IMODE((tmp_path / "pseudonyms.key").stat().st_mode) == 0o600
    assert pseudonyms.of("patient", "A") == open_pseudonyms(tmp_path).of("patient", "A")
    assert pseudonyms.of("patient", "A") != other_pseudonyms.of("patient", "A")
    assert pseudonyms.of("patient", "A") != pseudonyms.of("exam", "A")
    assert [path.name for path in tmp_path.iterdir() if path.is_file()] == ["pseudonyms.key"]


@pytest.mark.parametrize("key", [b"", b"short", bytes(33)])
def test_a_truncated_key_is_refused_with_its_file(tmp_path: Path, key: bytes):
    (tmp_path / "pseudonyms.key").write_bytes(key)
    with pytest.raises(DatasetError, match=rf"pseudonyms\.key has {len(key)} bytes instead of 32"):
        open_pseudonyms(tmp_path)
    assert (tmp_path / "pseudonyms.key").read_bytes() == key


def test_a_lesion_without_a_kind_gets_the_kind_of_the_overlapping_proposal(reported: Road, images: list[Dataset]):
    """As OHIF writes it: the type is always Tissue, and a new segment is "Segment 2"."""
    mask = proposed_mass(reported, images[0])
    seg = segmentation({"Segment 1": mask, "Segment 2": disc(mask.shape, 30, 30, 11)}, images[0])
    for item in seg.SegmentSequence:
        item.SegmentedPropertyTypeCodeSequence[0].CodeValue = "T-D0050"
        item.SegmentedPropertyTypeCodeSequence[0].CodeMeaning = "Tissue"
    reported.receive(seg)
    cases = archive_cases(_settings(reported), CaseReader())
    (case,) = cases.cases
    ((kind, found),) = _drawn(case)
    assert kind is FindingKind.MASS
    assert np.array_equal(found, mask)
    assert not case.marked_up, "the other lesion is there, and is not drawn"
    assert cases.left_out == ()
    assert [NO_KIND in sentence for sentence in cases.mended] == [True], "used, and for what"


@pytest.mark.parametrize("exported", [False, True])
def test_an_image_none_of_whose_lesions_has_a_kind_is_left_out_and_not_used(
    reported: Road, images: list[Dataset], tmp_path: Path, *, exported: bool
):
    seg = segmentation({"Segment 1": disc((images[0].Rows, images[0].Columns), 30, 30, 11)}, images[0])
    seg.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeValue = "T-D0050"
    seg.SegmentSequence[0].SegmentedPropertyTypeCodeSequence[0].CodeMeaning = "Tissue"
    reported.receive(seg)
    cases = _exported(reported, tmp_path / "out") if exported else archive_cases(_settings(reported), CaseReader())
    assert cases.cases == ()
    assert [entry.reason for entry in cases.left_out] == [NO_KIND]


def test_a_correction_of_another_size_is_left_out_and_reported(reported: Road, images: list[Dataset]):
    seg = segmentation({"mass": disc((90, 70), 40, 30, 12)}, None, StudyInstanceUID=images[0].StudyInstanceUID)
    seg.PatientID, seg.PatientBirthDate = images[0].PatientID, images[0].PatientBirthDate
    source = seg.PerFrameFunctionalGroupsSequence[0].DerivationImageSequence[0].SourceImageSequence[0]
    source.ReferencedSOPInstanceUID = images[0].SOPInstanceUID
    reported.receive(seg)
    cases = archive_cases(_settings(reported), CaseReader())
    assert cases.cases == ()
    (left_out,) = cases.left_out
    assert "90 × 70 pixels" in left_out.reason
    assert not [secret for secret in _secrets(images) if secret in left_out.name + left_out.reason]


def test_a_correction_whose_file_is_missing_is_left_out_and_reported(corrected: Road):
    (corrected.data_dir / annotations_of(corrected).images[0].correction_path).unlink()
    cases = archive_cases(_settings(corrected), CaseReader())
    assert len(cases.cases) == 1
    assert "missing in the data folder" in cases.left_out[0].reason


def test_a_node_without_an_archive_is_reported(tmp_path: Path):
    with pytest.raises(DatasetError, match="mammo-node serve"):
        archive_cases(Settings(data_dir=tmp_path), CaseReader())


def test_an_export_gives_the_same_cases_as_the_archive(corrected: Road, tmp_path: Path):
    there = archive_cases(_settings(corrected), CaseReader()).cases
    exported = _exported(corrected, tmp_path / "out").cases
    assert [case.name for case in exported] == [case.name for case in there]
    for entry, other in zip(exported, there, strict=True):
        assert (entry.patients, entry.exam, entry.laterality, entry.view) == (
            other.patients,
            other.exam,
            other.laterality,
            other.view,
        )
        assert np.array_equal(entry.read().pixels, other.read().pixels)
        drawn = zip(_drawn(entry), _drawn(other), strict=True)
        assert all(ours[0] == theirs[0] and np.array_equal(ours[1], theirs[1]) for ours, theirs in drawn)
    assert len(open_data([f"archive:{tmp_path / 'out'}"], CaseReader()).cases) == 2


def test_an_export_in_another_layout_has_the_same_outlines_and_names_nobody(
    corrected: Road, images: list[Dataset], tmp_path: Path
):
    found, _ = true_images(annotations_of(corrected), corrected.data_dir, open_pseudonyms(corrected.data_dir))
    assert export_as(Layout.COCO, found, corrected.data_dir, tmp_path / "out") == ()
    there = archive_cases(_settings(corrected), CaseReader()).cases
    exported = open_data([f"coco:{tmp_path / 'out'}"], CaseReader()).cases
    for entry, other in zip(exported, there, strict=True):
        assert (entry.exam, entry.laterality, entry.view) == (other.exam, other.laterality, other.view)
        drawn = zip(_drawn(entry), _drawn(other), strict=True)
        assert all(ours[0] == theirs[0] and np.array_equal(ours[1], theirs[1]) for ours, theirs in drawn)
    written = b"".join(path.read_bytes() for path in (tmp_path / "out").rglob("*") if path.is_file())
    assert not [secret for secret in _secrets(images) if secret.encode() in written]
    with pytest.raises(NotEmpty):
        export_as(Layout.CSV, found, corrected.data_dir, tmp_path / "out")


@pytest.mark.parametrize("damage", ["gone", "cut short"])
def test_a_lost_archived_image_is_reported_without_naming_the_study(
    corrected: Road, images: list[Dataset], damage: str
):
    cases = archive_cases(_settings(corrected), CaseReader()).cases
    file = corrected.data_dir / annotations_of(corrected).images[0].image_path
    if damage == "gone":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:5000])
    with pytest.raises(DatasetError, match="study 1, image 1: its file cannot be") as caught:
        cases[0].read()
    assert not [secret for secret in _secrets(images) if secret in str(caught.value)]


def test_a_patient_has_the_same_name_in_the_archive_and_its_export(
    corrected: Road, images: list[Dataset], tmp_path: Path
):
    _exported(corrected, tmp_path / "old")
    config = tmp_path / "node.toml"
    config.write_text(f'data_dir = "{corrected.data_dir}"\n')
    both = ["archive", f"archive:{tmp_path / 'old'}"]
    with pytest.raises(DatasetError, match=r"Two images are named .* \(archive and archive\)"):
        open_cases(both, config)
    listing = json.loads((tmp_path / "old" / "archive.json").read_text())
    for image in listing["images"]:  # an export of other images of the patient
        image["name"] = f"other {image['name']}"
    (tmp_path / "old" / "archive.json").write_text(json.dumps(listing))
    cases = open_cases(both, config).cases
    assert len(cases) == 4
    (patient,) = {case.patient for case in cases}
    assert patient.startswith("archive/")


def test_the_json_of_an_export_names_no_person(corrected: Road, images: list[Dataset], tmp_path: Path):
    mask = proposed_mass(corrected, images[2])
    corrected.receive(segmentation({"mass of Mrs Miller": mask}, images[2]))
    _exported(corrected, tmp_path / "out")
    text = (tmp_path / "out" / "archive.json").read_text()
    assert not [secret for secret in (*_secrets(images), "Expert", "Anna", "Miller") if secret in text]
    assert "Research use only" in text
    names = [path.name for path in (tmp_path / "out").rglob("*.dcm")]
    assert not [secret for secret in _secrets(images) if any(secret in name for name in names)]


def test_a_segmentation_of_two_images_is_exported_image_by_image(
    reported: Road, images: list[Dataset], mammogram_study, tmp_path: Path
):
    other = changed(mammogram_study.files[0], SOPInstanceUID=generate_uid())
    reported.all_of_it(other)
    mask = proposed_mass(reported, images[0])
    seg = segmentation({"mass": mask, "mass 2": disc(mask.shape, 30, 30, 11)}, images[0])
    frame = seg.PerFrameFunctionalGroupsSequence[1]
    frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID = other.SOPInstanceUID
    reported.receive(seg)
    cases = _exported(reported, tmp_path / "out").cases
    drawn = sorted((int(found.sum()) for case in cases for _, found in _drawn(case)), reverse=True)
    assert drawn == [int(mask.sum()), int(disc(mask.shape, 30, 30, 11).sum())]


def test_an_export_into_the_folder_of_another_export_is_refused(corrected: Road, tmp_path: Path):
    _exported(corrected, tmp_path / "out")
    with pytest.raises(NotEmpty, match="is not empty"):
        _exported(corrected, tmp_path / "out")


@pytest.mark.parametrize("damage", ["json", "image", "segmentation", "version", "lesions", "gone"])
def test_a_damaged_export_is_refused_with_its_name(corrected: Road, tmp_path: Path, damage: str):
    out = tmp_path / "out"
    _exported(corrected, out)
    listing = json.loads((out / "archive.json").read_text())
    first = next(image for image in listing["images"] if image["lesions"])
    match damage:
        case "json":
            (out / "archive.json").write_text("{")
        case "gone":
            (out / "archive.json").unlink()
        case "image":
            (out / first["file"]).unlink()
        case "segmentation":
            (out / first["segmentation"]).unlink()
        case "version":
            listing["version"] = 99
        case "lesions":
            del first["lesions"][0]
    if damage in ("version", "lesions"):
        (out / "archive.json").write_text(json.dumps(listing))
    with pytest.raises(DatasetError, match="annotations export"):
        _all_drawn(out)


def test_exported_copies_are_identical_to_the_received_files(corrected: Road, images: list[Dataset], tmp_path: Path):
    _exported(corrected, tmp_path / "out")
    copies = {dcmread(path).SOPInstanceUID for path in (tmp_path / "out" / "images").iterdir()}
    assert copies == {image.SOPInstanceUID for image in images[:2]}


def _secrets(images: list[Dataset]) -> set[str]:
    return {
        str(image.get(keyword))
        for image in images
        for keyword in ("PatientID", "PatientName", "StudyInstanceUID", "SOPInstanceUID", "PatientBirthDate")
        if image.get(keyword)
    }
