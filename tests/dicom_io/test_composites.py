"""Lesions of several views in a Mammography CAD SR: each finding is written once, and only likely matches join."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dicom_io.results.cad_sr.composites import LEAST_CERTAINTY, composites
from models.types.exam import FindingId, Tie


def tie(first: str, second: str, certainty: float) -> Tie:
    """Of findings by image and number: "cc1"."""
    return Tie(
        (FindingId(first[:-1], int(first[-1])), FindingId(second[:-1], int(second[-1]))), (30.0, 31.0), certainty
    )


def made(*ties: Tie) -> list[tuple[tuple[str, ...], float]]:
    return [
        (tuple(f"{finding.sop_instance_uid}{finding.number}" for finding in composite.findings), composite.certainty)
        for composite in composites(ties)
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


FINDINGS = st.sampled_from([f"{view}{number}" for view in ("cc", "mlo", "ml", "xcc") for number in (1, 2)])


@settings(max_examples=100)
@given(
    st.lists(st.builds(tie, FINDINGS, FINDINGS, st.floats(0, 1)), max_size=10).map(
        lambda ties: [tie for tie in ties if tie.findings[0].sop_instance_uid != tie.findings[1].sop_instance_uid]
    )
)
def test_each_finding_belongs_to_one_lesion_and_a_lesion_has_one_finding_per_image(ties: list[Tie]) -> None:
    written = [finding for composite in composites(ties) for finding in composite.findings]
    assert len(set(written)) == len(written)
    for composite in composites(ties):
        images = [finding.sop_instance_uid for finding in composite.findings]
        assert len(set(images)) == len(images) >= 2
        assert composite.certainty > LEAST_CERTAINTY
