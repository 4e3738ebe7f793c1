"""What a header states twice and differently: the breast, or the view. The report names both values, so that a person
looks; which one counts is decided by `headers.laterality_of` and `views.view_of`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from pydicom import Dataset

from dicom_io.attributes import values
from dicom_io.headers import stated_lateralities
from dicom_io.views import EXAGGERATED, stated_views

_SIDES = {"L": "left", "R": "right"}


def contradictions(dataset: Dataset) -> Iterator[str]:
    """One sentence for the breast, and one for the view, if the header states several."""
    if differing := _differing(stated_lateralities(dataset)):
        (name, side), (other, other_side) = differing
        yield (
            f"The header contradicts itself: {_source(dataset, name)} says {_SIDES[side]}, "
            f"{_source(dataset, other)} says {_SIDES[other_side]}: check the laterality."
        )
    # An exaggerated view may be stated as the cranio-caudal one with a modifier or a label.
    if differing := _differing((name, "CC" if view in EXAGGERATED else view) for name, view in stated_views(dataset)):
        (name, view), (other, other_view) = differing
        yield f"The header contradicts itself: {name} says {view}, {other} says {other_view}: check the view."


def _differing(stated: Iterable[tuple[str, str]]) -> tuple[tuple[str, str], tuple[str, str]] | None:
    first, *others = list(stated) or [("", "")]
    return next(((first, other) for other in others if other[1] != first[1]), None)


def _source(dataset: Dataset, name: str) -> str:
    """The attribute, with its value where that says the side in other words ("A\\FR", "RCC")."""
    if name not in ("Patient Orientation", "View Position"):
        return name
    stated = "\\".join(str(value).strip() for value in values(dataset, name.replace(" ", "")))
    return f"{name} ({''.join(filter(str.isprintable, stated))[:16]})"
