"""A study can be read again: as a shadow reading for comparison, or with a new report."""

from dataclasses import replace

import pytest
from pydicom import Dataset
from road import Road, changed, texts
from simple_models import BUNDLE, Nothing, OneMass, pipeline_of

from models.types.reading import BundleId
from node.demo.studies import DemoStudy
from node.reader.reread import CannotReread, Rereading, reread, store_rereading, store_shadow
from node.store.states import StudyState
from node.store.tables import ShadowReading

pytestmark = pytest.mark.slow

OTHER = BundleId("other", "2")


@pytest.fixture
def reported(tmp_path, mammogram_study: DemoStudy) -> Road:
    road = Road(tmp_path)
    road.all_of_it(*mammogram_study.files)
    return road


def _reread(road: Road, models: OneMass) -> Rereading:
    pipeline = replace(pipeline_of(models), bundle=OTHER)
    return reread(road.sessions, road.data_dir, road.study().id, pipeline, 10**8, lambda done, total: None)


def test_a_shadow_reading_compares_and_does_not_change_the_study(reported: Road):
    before = [instance.reading for instance in reported.instances()]
    rereading = _reread(reported, OneMass(malignancy=0.25))
    for image in rereading.images:
        assert (image.before.bundle, image.now.bundle) == (BUNDLE, OTHER)
        assert (image.before.malignancy, image.now.malignancy) == (0.5, 0.25)
        assert (len(image.kept), image.new, image.gone) == (1, 0, 0)
    with reported.sessions.begin() as session:
        store_shadow(session, rereading, 1.8e9)
    reported.report()
    assert [instance.reading for instance in reported.instances()] == before
    with reported.sessions() as session:
        kept = session.query(ShadowReading).one()
    assert (kept.bundle, kept.other_bundle) == (str(BUNDLE), str(OTHER))
    assert (kept.score, kept.other_score) == (0.5, 0.25)
    assert (kept.findings_kept, kept.findings_new, kept.findings_gone) == (4, 0, 0)
    assert (reported.study().state, reported.study().revision) == (StudyState.REPORTED, 1)


def test_findings_that_other_models_do_not_find_are_counted_as_gone(reported: Road):
    assert [(image.new, image.gone) for image in _reread(reported, Nothing()).images] == [
        (0, 1) for _ in reported.instances()
    ]


def test_a_study_read_again_with_other_models_is_reported_again(reported: Road):
    assert store_rereading(reported.sessions, reported.data_dir, _reread(reported, OneMass(0.25)), 1.8e9) == 2
    reported.report()
    assert (reported.study().state, reported.study().revision) == (StudyState.REPORTED, 2)
    first, second = reported.results("SR")
    assert (
        second.PredecessorDocumentsSequence[0]
        .ReferencedSeriesSequence[0]
        .ReferencedSOPSequence[0]
        .ReferencedSOPInstanceUID
        == first.SOPInstanceUID
    )
    assert str(OTHER) in texts(second)
    assert str(OTHER) in second.SoftwareVersions
    segs = [_uids(reported.results("SEG", revision)) for revision in (1, 2)]
    assert not segs[0] & segs[1], "other models, other segmentations"


def test_the_same_findings_of_the_same_models_are_not_sent_again(reported: Road):
    pipeline = pipeline_of(OneMass())
    again = reread(reported.sessions, reported.data_dir, reported.study().id, pipeline, 10**8, lambda done, total: None)
    store_rereading(reported.sessions, reported.data_dir, again, 1.8e9)
    reported.report()
    assert _uids(reported.results("SEG", 1)) == _uids(reported.results("SEG", 2))
    assert len(reported.results("SEG")) == len(reported.instances())


def test_a_second_reading_is_dropped_if_another_report_was_written_meanwhile(
    reported: Road, mammogram_study: DemoStudy
):
    rereading = _reread(reported, OneMass(0.25))
    reported.all_of_it(changed(mammogram_study.files[0], SOPInstanceUID="1.2.3"))
    with pytest.raises(CannotReread, match="reported again"):
        store_rereading(reported.sessions, reported.data_dir, rereading, 1.8e9)
    assert {instance.reading["bundle"]["name"] for instance in reported.instances()} == {BUNDLE.name}


def test_a_study_without_a_report_cannot_be_read_again(tmp_path, mammogram_study: DemoStudy):
    road = Road(tmp_path)
    road.receive(*mammogram_study.files)
    with pytest.raises(CannotReread, match="it is open"):
        _reread(road, OneMass())


def _uids(objects: list[Dataset]) -> set[str]:
    return {written.SOPInstanceUID for written in objects}
