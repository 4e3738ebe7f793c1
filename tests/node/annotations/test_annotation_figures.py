"""Statistics of corrected images, and the studies selected for review."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest
from annotating import annotations_of, comparisons_of, disc, proposed_mass, segmentation
from pydicom import Dataset
from pydicom.uid import generate_uid
from road import Road
from typer.testing import CliRunner

from dicom_io.segmentations import ReadSegment
from models.errors import UserError
from models.types.reading import FindingKind
from models.types.region import Mask
from node.annotations.compared import Comparison, Pair, match
from node.annotations.review import due_for_review, is_selected
from node.annotations.stats import annotation_stats
from node.annotations.truth import AnnotatedImage
from node.cli.main import build
from node.store.database import read_only

pytestmark = pytest.mark.slow


def _segment(number: int, row: int, radius: int) -> ReadSegment:
    mask = Mask.from_full(disc((200, 100), row, 50, radius))
    assert mask is not None
    return ReadSegment(number, f"mass {number}", FindingKind.MASS, "1.2", mask)


def _image(patient: str, revision: int | None = 1) -> AnnotatedImage:
    return AnnotatedImage(
        1, 1, 1, "1.2.3", "1.2", patient, "a", "b", "L", "CC", "", "PACS", None, 0.0, 0, revision, None
    )


def _comparison(patient: str, dice: float, added: int = 0, removed: int = 0) -> Comparison:
    lesion = _segment(1, 50, 9)
    return Comparison(
        _image(patient),
        (lesion,) * (1 + added),
        (Pair(lesion, lesion, dice),),
        (lesion,) * added,
        (lesion,) * removed,
    )


def test_each_lesion_is_matched_once_and_by_the_best_overlap():
    proposed = [_segment(1, 50, 20), _segment(2, 150, 20)]
    drawn = [_segment(1, 155, 20), _segment(2, 60, 20), _segment(3, 52, 20)]
    pairs = match(proposed, drawn)
    assert [(pair.proposed.number, pair.drawn.number) for pair in pairs] == [(2, 1), (1, 3)]
    assert all(0.8 < pair.dice < 1 for pair in pairs)


def test_lesions_that_hardly_overlap_are_not_matched():
    assert match([_segment(1, 50, 20)], [_segment(1, 86, 20)]) == ()


def test_statistics_count_only_images_with_proposals_of_the_node():
    some = [_comparison("A", 1.0), _comparison("B", 0.5, added=1, removed=2)]
    unread = Comparison(_image("C", revision=None), (_segment(1, 50, 9),), (), (), ())
    stats = annotation_stats([*some, unread])
    assert (stats.images, stats.patients, stats.compared) == (3, 3, 2)
    assert (stats.proposed, stats.drawn, stats.kept, stats.unchanged) == (4, 3, 2, 1)
    assert (stats.added, stats.removed) == (1, 2)
    assert stats.dice_mean is not None
    assert stats.dice_mean.value == pytest.approx(0.75)
    assert math.isnan(stats.dice_mean.low), "two patients tell no interval"
    assert stats.found is not None
    assert stats.found.value == pytest.approx(2 / 3)
    assert stats.right is not None
    assert stats.right.value == pytest.approx(0.5)


def test_intervals_are_given_with_enough_patients():
    stats = annotation_stats([_comparison(f"P{number}", 0.5 + number / 40) for number in range(12)])
    assert stats.dice_median is not None
    assert stats.dice_median.low < stats.dice_median.value < stats.dice_median.high
    assert stats.dice_mean is not None
    assert stats.dice_mean.low < stats.dice_mean.value < stats.dice_mean.high


def test_without_corrections_there_are_no_statistics():
    stats = annotation_stats([])
    assert (stats.images, stats.dice_mean, stats.found) == (0, None, None)


def test_a_share_is_selected_by_the_study_and_a_larger_one_holds_a_smaller_one():
    uids = [f"1.2.3.{number}" for number in range(4000)]
    tenth = {uid for uid in uids if is_selected(uid, 0.1)}
    assert tenth == {uid for uid in uids if is_selected(uid, 0.1)}
    assert 0.07 < len(tenth) / len(uids) < 0.13
    assert tenth <= {uid for uid in uids if is_selected(uid, 0.3)}
    assert not any(is_selected(uid, 0) for uid in uids)
    assert all(is_selected(uid, 1) for uid in uids)


def test_a_selected_study_is_due_until_it_has_a_correction(reported: Road):
    study = reported.study()
    with read_only(reported.sessions) as session:
        (due,) = due_for_review(session, 1, set())
        assert (due.study_id, due.study_instance_uid, due.revision) == (study.id, study.study_instance_uid, 1)
        assert due_for_review(session, 1, {study.id}) == []
        assert due_for_review(session, 0, set()) == []


@pytest.fixture
def config(reported: Road, tmp_path: Path) -> Path:
    path = tmp_path / "node.toml"
    path.write_text(f'data_dir = "{reported.data_dir}"\n[review]\nshare = 1\n')
    return path


def _output(config: Path, *arguments: str) -> str:
    ran = CliRunner().invoke(build(), ["annotations", *arguments, "--config", str(config)])
    assert ran.exit_code == 0, ran.output
    return ran.stdout


def test_list_shows_who_corrected_what_when_and_with_which_overlap(reported: Road, images: list[Dataset], config: Path):
    mask = proposed_mass(reported, images[0])
    reported.receive(
        segmentation({"mass": mask, "calc": disc(mask.shape, 25, 25, 9)}, images[0]),
        segmentation({"mass": disc((60, 50), 30, 20, 9)}, None, StudyInstanceUID=generate_uid()),
    )
    output = _output(config, "list")
    assert "1 corrected image" in output
    assert "by Expert^Anna" in output
    assert "2 lesions: 1 kept (Dice 1.000), 1 added, 0 removed; against revision 1" in output
    assert "not counted: annotation 2, from PACS" in output
    assert str(images[0].PatientID) not in output
    (image,) = json.loads(_output(config, "list", "--json"))["images"]
    assert (image["creator"], image["dice"], image["added"], image["revision"]) == ("Expert^Anna", [1.0], ["calc"], 1)


def test_list_due_shows_the_studies_to_correct(reported: Road, images: list[Dataset], config: Path):
    assert "1 study due for review; 100% of the reported studies are selected" in _output(config, "list", "--due")
    (due,) = json.loads(_output(config, "list", "--due", "--json"))["due"]
    assert due["study"] == reported.study().id
    reported.receive(segmentation({"mass": proposed_mass(reported, images[0])}, images[0]))
    assert json.loads(_output(config, "list", "--due", "--json"))["due"] == []


def test_stats_are_printed_as_text_and_as_json(reported: Road, images: list[Dataset], config: Path):
    reported.receive(segmentation({"mass": proposed_mass(reported, images[0])}, images[0]))
    assert "kept 1 (1 unchanged), added 0, removed 0" in _output(config, "stats")
    stats = json.loads(_output(config, "stats", "--json"))
    assert stats["dice_mean"] == {"value": 1.0, "low": None, "high": None}
    assert (stats["images"], stats["not_counted"]) == (1, 0)
    (reported.data_dir / annotations_of(reported).images[0].correction_path).unlink()
    stats = json.loads(_output(config, "stats", "--json"))
    assert (stats["images"], stats["not_counted"]) == (0, 1)
    assert "1 not counted: `mammo-node annotations list` says why" in _output(config, "stats")


def test_list_reports_a_lost_proposal(reported: Road, images: list[Dataset], config: Path):
    reported.receive(segmentation({"mass": proposed_mass(reported, images[0])}, images[0]))
    (reported.data_dir / str(annotations_of(reported).images[0].proposal_path)).unlink()
    assert "1 lesion; no comparison: the node's own segmentation of it is missing" in _output(config, "list")


def test_help_says_that_due_shows_uids():
    output = CliRunner().invoke(build(), ["annotations", "list", "--help"], env={"COLUMNS": "300"}).stdout
    assert "StudyInstanceUID" in output


def test_export_with_a_damaged_key_reports_it(reported: Road, images: list[Dataset], config: Path):
    (reported.data_dir / "pseudonyms.key").write_bytes(b"")
    out = str(config.parent / "out")
    ran = CliRunner().invoke(build(), ["annotations", "export", "--out", out, "--config", str(config)])
    assert isinstance(ran.exception, UserError)


def test_export_says_that_the_images_hold_patient_data(reported: Road, images: list[Dataset], config: Path):
    reported.receive(segmentation({"mass": proposed_mass(reported, images[0])}, images[0]))
    out = config.parent / "out"
    output = _output(config, "export", "--out", str(out))
    assert "1 image in" in output
    assert "hold patient data" in output
    assert len(list((out / "images").iterdir())) == 1
    ran = CliRunner().invoke(build(), ["annotations", "export", "--out", str(out), "--config", str(config)])
    assert ran.exit_code != 0
    assert "is not empty" in str(ran.exception)


def test_listing_does_not_change_the_data_folder(reported: Road, images: list[Dataset], config: Path):
    reported.receive(segmentation({"mass": proposed_mass(reported, images[0])}, images[0]))
    before = [(path, path.read_bytes()) for path in sorted(reported.data_dir.glob("archive/**/*.dcm"))]
    for command in (["list"], ["list", "--due"], ["stats"]):
        _output(config, *command)
    assert before == [(path, path.read_bytes()) for path in sorted(reported.data_dir.glob("archive/**/*.dcm"))]
    assert np.all([comparison.kept[0].dice == 1 for comparison in comparisons_of(reported)])
