"""Equal wishes of two destinations are written once."""

import pytest

from dicom_io.results.profiles import PROFILES, profile_of


def test_the_same_objects_make_the_same_profile_whichever_it_was_listed_from():
    assert profile_of("all", ["SEG", "SR"]) == PROFILES["ohif"]
    assert profile_of("all", ["CAD-SR", "KO"]) == PROFILES["workstation-cad-sr"]
    assert profile_of("workstation-cad-sr", nominal_geometry=True) == PROFILES["workstation-cad-sr"], "it has no SEG"
    assert profile_of("ohif", nominal_geometry=False) not in PROFILES.values()


def test_a_profile_without_objects_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        profile_of("ohif", [])
