"""Lesions of several views in a Mammography CAD SR: each finding is written once, and only likely matches join."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_io.results.cad_sr.composites import LEAST_CERTAINTY, composites
from models.types.exam import FindingId, Tie


def tie(first: str, second: str, certainty: float) -> Tie:
    """Of findings by image and number: "cc1"."""
    return Tie((named(first), named(second)), (30.0, 31.0), certainty)


def named(finding: str) -> FindingId:
    return FindingId(finding[:-1], int(finding[-1]))


def made(*ties: Tie, **masses: str) -> list[tuple[tuple[str, ...], float | None]]:
    """`masses`: the mass that a calcification lies in: cc2="cc1"."""
    within = {named(calcification): named(mass) for calcification, mass in masses.items()}
    return [
        (tuple(f"{finding.sop_instance_uid}{finding.number}" for finding in composite.findings), composite.certainty)
        for composite in composites(ties, within)
    ]


@pytest.mark.parametrize(
    ("ties", "lesions"),
    [
        ([tie("cc1", "mlo1", 0.7)], [(("cc1", "mlo1"), 0.7)]),
        ([tie("cc1", "mlo1", 0.7), tie("cc2", "mlo2", 0.6)], [(("cc1", "mlo1"), 0.7), (("cc2", "mlo2"), 0.6)]),
        ([tie("cc1", "mlo1", 0.55), tie("cc1", "ml1", 0.7)], [(("cc1", "ml1", "mlo1"), 0.55)]),
        ([tie("cc1", "mlo1", 0.7), tie("cc1", "ml1", 0.4)], [(("cc1", "mlo1"), 0.7)]),
        ([tie("cc1", "mlo1", 0.7), tie("xcc1", "mlo1", 0.6), tie("xcc1", "ml1", 0.6), tie("cc2", "ml1", 0.6)],
         [(("cc1", "mlo1", "xcc1", "ml1"), 0.6)]),
        ([tie("cc1", "mlo1", LEAST_CERTAINTY)], []),
        ([tie("cc1", "mlo1", 0.41)], []),
        ([], []),
    ],
    ids=["one tie", "two lesions", "tied twice", "tied twice, once likely", "never two of one image",
         "as likely wrong as right", "unlikely", "none"],
)  # fmt: skip
def test_a_finding_matched_twice_is_part_of_one_lesion_and_unlikely_matches_give_no_lesion(
    ties: list[Tie], lesions: list[tuple[tuple[str, ...], float]]
) -> None:
    assert made(*ties) == lesions


@pytest.mark.parametrize(
    ("ties", "masses", "lesions"),
    [
        ([], {"cc2": "cc1"}, [(("cc1", "cc2"), None)]),
        ([], {"cc2": "cc1", "cc3": "cc1"}, [(("cc1", "cc2", "cc3"), None)]),
        ([tie("cc1", "mlo1", 0.7)], {"cc2": "cc1"}, [(("cc1", "mlo1", "cc2"), 0.7)]),
        ([tie("cc1", "mlo1", 0.7), tie("cc2", "mlo2", 0.6)], {"cc2": "cc1", "mlo2": "mlo1"},
         [(("cc1", "mlo1", "cc2", "mlo2"), 0.6)]),
        ([tie("cc2", "mlo2", 0.6)], {"cc2": "cc1"}, [(("cc1", "cc2", "mlo2"), 0.6)]),
        ([tie("cc2", "mlo2", 0.6)], {"cc2": "cc1", "mlo2": "mlo1"}, [(("cc1", "cc2", "mlo2"), 0.6)]),
        ([], {"cc2": "cc1", "mlo2": "mlo1"}, [(("cc1", "cc2"), None), (("mlo1", "mlo2"), None)]),
    ],
    ids=["in one view", "two clusters", "the mass in two views", "both in two views", "calcifications in two views",
         "tied calcifications in two masses", "two lesions"],
)  # fmt: skip
def test_calcifications_in_a_mass_are_part_of_its_lesion(
    ties: list[Tie], masses: dict[str, str], lesions: list[tuple[tuple[str, ...], float | None]]
) -> None:
    assert made(*ties, **masses) == lesions


FINDINGS = st.sampled_from([f"{view}{number}" for view in ("cc", "mlo", "ml", "xcc") for number in (1, 2)])


@settings(max_examples=100)
@given(
    st.lists(st.builds(tie, FINDINGS, FINDINGS, st.floats(0, 1)), max_size=10).map(
        lambda ties: [tie for tie in ties if tie.findings[0].sop_instance_uid != tie.findings[1].sop_instance_uid]
    ),
    st.lists(st.tuples(st.sampled_from(("cc", "mlo", "ml", "xcc")), st.integers(3, 5), st.integers(1, 2)), max_size=6),
)
def test_each_finding_belongs_to_one_lesion_and_a_lesion_has_one_mass_per_image(
    ties: list[Tie], within: list[tuple[str, int, int]]
) -> None:
    """Findings 1 and 2 of an image are masses, 3 to 5 calcifications."""
    masses = {FindingId(view, calcification): FindingId(view, mass) for view, calcification, mass in within}
    made = composites(ties, masses)
    written = [finding for composite in made for finding in composite.findings]
    assert len(set(written)) == len(written)
    for composite in made:
        images = [finding.sop_instance_uid for finding in composite.findings if finding.number < 3]
        assert len(set(images)) == len(images)
        assert len(composite.findings) >= 2
        assert composite.certainty is None or composite.certainty > LEAST_CERTAINTY
    assert set(masses) <= set(written), "a cluster in a mass is part of a lesion"
