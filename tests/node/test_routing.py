"""Routes decide which studies are read and who gets the results."""

from dataclasses import replace
from datetime import UTC, datetime
from functools import partial

import pytest
from pydicom import Dataset
from pydicom.uid import DigitalMammographyXRayImageStorageForProcessing
from readings import header
from road import Road, changed

from config.settings import Route
from dicom_io.headers import describe
from node.demo.studies import DemoStudy
from node.routing import route
from node.store.states import StudyState

CAME_AT = datetime(2026, 3, 31, 12, tzinfo=UTC).timestamp()  # the study is of the first
IMAGE = describe(header("1.2.3", (80, 90)))
SCREENING = replace(IMAGE, procedures=("Mammographie Screening", "24606-6"), institution="Mammobil 3")


@pytest.mark.parametrize(
    "conditions",
    [
        {},
        {"calling_ae_titles": ("PACS", "OTHER")},
        {"sop_class_uids": (IMAGE.sop_class_uid,)},
        {"procedures": ("*biopsy*", "*SCREENING*")},
        {"procedures": ("24606-?",)},
        {"institutions": ("mammobil*",)},
        {"older_than_days": 29, "younger_than_days": 31},
    ],
)
def test_a_route_applies_if_all_its_conditions_hold(conditions):
    decision = route([Route(name="it", read=False, **conditions)], SCREENING, "PACS", CAME_AT)
    assert (decision.read, decision.route) == (False, "it")


@pytest.mark.parametrize(
    ("conditions", "because"),
    [
        ({"calling_ae_titles": ("OTHER",)}, "PACS"),
        ({"sop_class_uids": ("1.2.840.10008.5.1.4.1.1.1.2.1",)}, "SOP class"),
        ({"procedures": ("*biopsy*",)}, "Mammographie Screening"),
        ({"institutions": ("clinic",)}, "Mammobil 3"),
        ({"older_than_days": 30}, "30 day"),
        ({"younger_than_days": 30}, "30 day"),
        ({"calling_ae_titles": ("PACS",), "institutions": ("clinic",)}, "Mammobil 3"),
    ],
)
def test_a_route_that_does_not_apply_states_why(conditions, because):
    decision = route([Route(name="it", read=False, **conditions)], SCREENING, "PACS", CAME_AT)
    assert (decision.read, decision.destinations, decision.route) == (True, None, None)
    assert because in decision.why[0]


def test_a_study_without_a_date_has_no_age():
    decision = route(
        [Route(name="old", older_than_days=0, read=False)], replace(IMAGE, study_date=None), "PACS", CAME_AT
    )
    assert decision.read
    assert "not stated" in decision.why[0]


def test_the_first_applicable_route_decides():
    routes = [
        Route(name="bus", institutions=("mammobil*",), destinations=("bus",)),
        Route(name="rest", destinations=("pacs",)),
    ]
    assert route(routes, SCREENING, "", CAME_AT).destinations == ("bus",)
    assert route(routes, IMAGE, "", CAME_AT).destinations == ("pacs",)


def test_a_study_that_a_route_excludes_gets_no_results_and_status_shows_why(road_of, mammogram_study: DemoStudy):
    road = road_of(Route(name="no-screening", calling_ae_titles=("BUS",), read=False))
    road.all_of_it(*mammogram_study.files, sender="BUS")
    assert road.study().state is StudyState.NOT_READ
    assert "no-screening" in road.study().why
    assert (road.results(), road.jobs()) == ([], [])


def test_an_image_that_a_route_excludes_is_named_in_the_report(road_of, mammogram_study: DemoStudy):
    road = road_of(Route(name="no-raw", sop_class_uids=(DigitalMammographyXRayImageStorageForProcessing,), read=False))
    raw = changed(
        mammogram_study.files[1],
        SOPClassUID=DigitalMammographyXRayImageStorageForProcessing,
        PresentationIntentType="FOR PROCESSING",
    )
    road.all_of_it(mammogram_study.files[0], raw)
    assert road.study().state is StudyState.REPORTED
    assert [instance.reading is not None for instance in road.instances()] == [True, False]
    assert road.results("SR")[0].CompletionFlag == "PARTIAL", "its view was not read"


def test_results_are_sent_to_the_destinations_of_the_route_of_their_study(road_of, mammogram_study: DemoStudy):
    road = road_of(Route(name="elsewhere", calling_ae_titles=("BUS",), destinations=("second",)))
    road.all_of_it(*mammogram_study.files, sender="BUS")
    assert {delivery.destination for delivery in road.deliveries()} == {"second"}


def test_later_revisions_are_sent_to_the_destinations_of_the_first_at_any_age_of_the_study(
    road_of, mammogram_study: DemoStudy
):
    road = road_of(Route(name="old", older_than_days=30, destinations=("second",)))
    young = [changed(file) for file in mammogram_study.files]
    for image in young:
        image.StudyDate = datetime.fromtimestamp(road.clock(), UTC).strftime("%Y%m%d")
    road.all_of_it(young[0])
    road.clock.seconds += 45 * 24 * 3600
    road.all_of_it(young[1])
    assert road.study().revision == 2
    reports = {delivery.destination for delivery in road.deliveries()}
    assert reports == {"first", "second"}, "no route fits a study that came young: all destinations get it"
    assert len([entry for entry in road.deliveries() if entry.destination == "first"]) == len(road.results())


@pytest.fixture
def road_of(tmp_path):
    def built(*routes: Route) -> Road:
        return Road(tmp_path, destinations=("first", "second"), router=partial(route, routes))

    return built


def test_the_procedure_is_read_from_every_attribute_that_can_state_it():
    dataset = header("1.2.3", (80, 90))
    dataset.StudyDescription = "Screening"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "24606-6", "LN", "MG Breast Screening"
    request = Dataset()
    request.RequestedProcedureDescription = "Mammography both sides"
    request.RequestedProcedureCodeSequence = [code]
    dataset.RequestAttributesSequence = [request]
    assert describe(dataset).procedures == ("Screening", "Mammography both sides", "24606-6", "MG Breast Screening")
