"""Routes say what is read and who gets the results."""

from dataclasses import replace
from datetime import date

import pytest
from pydicom import Dataset
from pydicom.uid import DigitalMammographyXRayImageStorageForProcessing
from readings import header
from road import Road, changed

from config.settings import Route
from dicom_io.headers import describe
from node.demo.studies import DemoStudy
from node.routing import Decision, route
from node.states import StudyState

TODAY = date(2026, 3, 31)  # the study is of the first
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
def test_a_route_fits_where_all_its_conditions_hold(conditions):
    said = route(SCREENING, "PACS", [Route(name="it", read=False, **conditions)], TODAY)
    assert (said.read, said.route) == (False, "it")


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
def test_a_route_that_does_not_fit_says_why(conditions, because):
    said = route(SCREENING, "PACS", [Route(name="it", read=False, **conditions)], TODAY)
    assert (said.read, said.destinations, said.route) == (True, None, None)
    assert because in said.why[0]


def test_a_study_without_a_date_is_of_no_age():
    said = route(replace(IMAGE, study_date=None), "PACS", [Route(name="old", older_than_days=0, read=False)], TODAY)
    assert said.read
    assert "not stated" in said.why[0]


def test_the_first_route_that_fits_decides():
    routes = [
        Route(name="bus", institutions=("mammobil*",), destinations=("bus",)),
        Route(name="rest", destinations=("pacs",)),
    ]
    assert route(SCREENING, "", routes, TODAY).destinations == ("bus",)
    assert route(IMAGE, "", routes, TODAY).destinations == ("pacs",)


def test_a_study_that_a_route_leaves_out_gets_no_results_and_status_says_why(road_of, mammogram_study: DemoStudy):
    road = road_of(Route(name="no-screening", calling_ae_titles=("BUS",), read=False))
    road.all_of_it(*mammogram_study.files, sender="BUS")
    assert road.study().state is StudyState.NOT_READ
    assert "no-screening" in road.study().why
    assert (road.results(), road.jobs()) == ([], [])


def test_an_image_that_a_route_leaves_out_is_named_beside_those_that_are_read(road_of, mammogram_study: DemoStudy):
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


def test_results_go_where_the_route_of_their_study_says(road_of, mammogram_study: DemoStudy):
    road = road_of(Route(name="elsewhere", calling_ae_titles=("BUS",), destinations=("second",)))
    road.all_of_it(*mammogram_study.files, sender="BUS")
    assert {delivery.destination for delivery in road.deliveries()} == {"second"}


@pytest.fixture
def road_of(tmp_path):
    def built(*routes: Route) -> Road:
        def router(header, calling_ae_title: str) -> Decision:
            return route(header, calling_ae_title, routes, TODAY)

        return Road(tmp_path, destinations=("first", "second"), router=router)

    return built


def test_what_was_done_is_found_wherever_the_header_says_it():
    dataset = header("1.2.3", (80, 90))
    dataset.StudyDescription = "Screening"
    code = Dataset()
    code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = "24606-6", "LN", "MG Breast Screening"
    request = Dataset()
    request.RequestedProcedureDescription = "Mammography both sides"
    request.RequestedProcedureCodeSequence = [code]
    dataset.RequestAttributesSequence = [request]
    assert describe(dataset).procedures == ("Screening", "Mammography both sides", "24606-6", "MG Breast Screening")
