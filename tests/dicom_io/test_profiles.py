"""Equal wishes of two destinations are written once."""

import pytest

from config.settings import Settings
from dicom_io.results.outputs import OUTPUTS
from dicom_io.results.profiles import IN_PROFILES, PROFILES, ResultKind, profile_of


def test_the_same_objects_make_the_same_profile_whichever_it_was_listed_from():
    assert profile_of("all", ["SEG", "SR"]) == PROFILES["ohif"]
    assert profile_of("all", ["CAD-SR", "KO"]) == PROFILES["workstation-cad-sr"]
    assert profile_of("workstation-cad-sr", nominal_geometry=True) == PROFILES["workstation-cad-sr"], "it has no SEG"
    assert profile_of("ohif", nominal_geometry=False) not in PROFILES.values()


def test_a_profile_without_objects_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        profile_of("ohif", [])


def test_every_kind_of_object_is_in_the_table():
    assert set(OUTPUTS) == set(ResultKind)


@pytest.mark.parametrize(
    "wish", [*({"objects": [kind]} for kind in IN_PROFILES), *({"profile": name} for name in PROFILES)], ids=str
)
def test_every_kind_and_every_profile_can_be_asked_for_in_the_settings(wish: dict[str, object]):
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "192.0.2.1", "port": 104, **wish}
    (destination,) = Settings.model_validate({"data_dir": "data", "destinations": [pacs]}).destinations
    assert profile_of(destination.profile, destination.objects).kinds


def test_an_object_is_of_an_image_or_of_the_exam_and_only_a_rejection_note_is_of_neither():
    of_both = {kind for kind, output in OUTPUTS.items() if (output.of_image is None) == (output.of_exam is None)}
    assert of_both == {ResultKind.REJECTION}
