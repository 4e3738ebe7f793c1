"""Two destinations with equal profiles share the written objects."""

import pytest

from config.settings import Settings
from dicom_io.results.outputs import OUTPUTS
from dicom_io.results.profiles import IN_PROFILES, MESSAGES, PROFILES, ResultKind, profile_of


def test_the_order_of_objects_in_the_settings_does_not_change_a_profile():
    assert profile_of("all", ["SEG", "SR"]) == PROFILES["ohif"]
    assert profile_of("all", ["CAD-SR", "KO"]) == PROFILES["workstation-cad-sr"]
    assert profile_of("workstation-cad-sr", nominal_geometry=True) == PROFILES["workstation-cad-sr"], "it has no SEG"
    assert profile_of("ohif", nominal_geometry=False) not in PROFILES.values()


def test_a_profile_without_objects_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        profile_of("ohif", [])


def test_every_kind_of_object_is_in_the_table_of_profiles():
    assert {*OUTPUTS, *MESSAGES} == set(ResultKind)


@pytest.mark.parametrize(
    "wish", [*({"objects": [kind]} for kind in IN_PROFILES), *({"profile": name} for name in PROFILES)], ids=str
)
def test_every_kind_of_object_and_every_profile_can_be_set_in_the_settings(wish: dict[str, object]):
    pacs = {"name": "pacs", "ae_title": "PACS", "host": "192.0.2.1", "port": 104, **wish}
    (destination,) = Settings.model_validate({"data_dir": "data", "destinations": [pacs]}).destinations
    assert profile_of(destination.profile, destination.objects).kinds


def test_every_kind_of_object_is_about_an_image_or_the_exam_except_a_rejection_note():
    of_both = {kind for kind, output in OUTPUTS.items() if (output.of_image is None) == (output.of_exam is None)}
    assert of_both == {ResultKind.REJECTION}
