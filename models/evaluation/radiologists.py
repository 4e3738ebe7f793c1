"""The radiologists' BI-RADS categories as decisions: rows of paper A's Table 1, and the models' differences to them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType

from models.birads.categories import SUSPICIOUS
from models.datasets.case import Pathology
from models.evaluation.decisions import A1_COLUMNS, decided, decision_row, patient
from models.evaluation.observations import Observation
from models.evaluation.paired import decision_difference, differences_to
from models.evaluation.papers import printed
from models.evaluation.scored import Scored, birads_of, can_be_scored, only_masses, scored_of, with_masses
from models.evaluation.tables import Draws, Row, Table, figures
from models.types.birads import Category

RECALLED = frozenset(category.value for category in SUSPICIOUS)
_PROVEN_BEFORE = Category.SIX.value
_RULES = MappingProxyType({"0 a recall": RECALLED, "0 below 4, as in the paper": RECALLED - {Category.ZERO.value}})
BIRADS_NOTES = (
    "BI-RADS: above 3 counts as malignant, up to 3 as benign, as in the paper. 0 is a recall and counts as above 3; 6 "
    "(proven cancer) is left out. The row below it uses the paper's literal rule: 0 is less than 4, so it is benign.",
    "On CBIS-DDSM's own tables of masses the literal rule gives accuracy 0.74, F1 0.76, precision 0.66 and recall "
    "0.90, but the paper prints 0.51, 0.57, 0.48 and 0.69: its cases or its rule differ from its description.",
)
NO_BIRADS = "No scored image has a BI-RADS category."
NO_MASSES = "No scored image has a mass, or no mass has a pathology of its own."
_PAPERS_BEST = "EfficientNet + radiomics, whole image"


def birads_rows(observations: Sequence[Observation], draws: Draws) -> tuple[Row, ...]:
    """The radiologists' rows of paper A's Table 1 (their category against the pathology), for `with_birads`, for those
    with masses, and for masses with a category of their own; by our rule, and by the paper's literal rule, in which a
    recall (0) is below 4."""
    known = with_birads(observations)
    groups = (
        ("the same images", image_calls(known), NO_BIRADS),
        ("those with masses", image_calls(with_masses(known)), NO_MASSES if known else NO_BIRADS),
        ("masses", mass_calls(observations), NO_MASSES),
    )
    return tuple(
        decision_row(f"{name}, {group}", calls, draws, reason)
        for group, by_rule, reason in groups
        for name, calls in by_rule.items()
    )


def birads_differences(
    images: Mapping[str, Sequence[Scored]],
    masses: Mapping[str, Sequence[Scored]],
    observations: Sequence[Observation],
    draws: Draws,
) -> tuple[Table, ...]:
    """Each model's decisions minus the radiologists', on the same images and on the same masses; none without
    categories."""
    groups = (("images", images, image_calls(with_birads(observations))), ("masses", masses, mass_calls(observations)))
    if not any(calls for *_, theirs in groups for calls in theirs.values()):
        return ()
    rows = [
        row
        for group, ours, theirs in groups
        for rule, calls in theirs.items()
        for row in differences_to(f"{rule}, {group}", calls, ours, decision_difference, draws)
    ]
    return (
        Table(
            "A1-radiologists",
            "Malignant or not: the models minus the radiologists",
            A1_COLUMNS,
            tuple(rows),
            notes=("Paired: on the items that both have, with the same draws of patients.",),
        ),
    )


def paper_differences(contenders: Mapping[str, Sequence[Scored]], draws: Draws) -> tuple[Table, ...]:
    """Each contender's decisions minus the figures of the paper's best row. Not paired: the items are not the same."""
    (best,) = printed("A1", A1_COLUMNS, [_PAPERS_BEST])
    theirs = [cell for cell in best.cells if isinstance(cell, float)]

    def differ(some: list[Scored]) -> list[float]:
        return [ours - paper for ours, paper in zip(decided(some), theirs, strict=True)]

    return (
        Table(
            "A1-paper",
            f"Malignant or not: minus the paper's best row ({_PAPERS_BEST}: accuracy {theirs[0]:g}, F1 {theirs[1]:g})",
            A1_COLUMNS,
            tuple(Row(name, figures(some, patient, differ, 4, draws, NO_MASSES)) for name, some in contenders.items()),
            notes=("The interval is of our figure alone: the paper gives none, and has other test patients.",),
        ),
    )


def image_calls(observations: Iterable[Observation]) -> dict[str, list[Scored]]:
    """By the name of the rule, what the radiologists' categories call each image: score 1 is malignant, 0 not."""
    some = list(observations)
    return {
        f"BI-RADS > 3 = malignant ({rule})": [scored_of(item, float(birads_of(item) in called)) for item in some]
        for rule, called in _RULES.items()
    }


def mass_calls(observations: Iterable[Observation]) -> dict[str, list[Scored]]:
    """The same for masses with a category and a pathology of their own."""
    some = [
        (item, number, lesion)
        for item in only_masses(list(observations))
        if item.label_is_fair
        for number, lesion in enumerate(item.lesions)
        if lesion.pathology and lesion.birads not in (None, _PROVEN_BEFORE)
    ]
    return {
        f"BI-RADS > 3 = malignant ({rule})": [
            Scored(
                item.patient,
                float(lesion.birads in called),
                lesion.pathology is Pathology.MALIGNANT,
                (item.name, str(number)),
                item.hospital,
            )
            for item, number, lesion in some
        ]
        for rule, called in _RULES.items()
    }


def with_birads(observations: Iterable[Observation]) -> list[Observation]:
    """Scored images with a radiologist's category (except 6), on which models and radiologists can be compared."""
    return [
        observation
        for observation in observations
        if can_be_scored(observation) and birads_of(observation) not in (None, _PROVEN_BEFORE)
    ]
