"""The view of the breast, and its extent: View Code Sequence, its modifiers, Partial View."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from pydicom import Dataset

from dicom_io.attributes import code, items, text, values
from dicom_io.image_types import MAGNIFIED, extents_by_image_type
from dicom_io.magnification import magnification_of

SPECIMEN = "SPECIMEN"
"""The view of a radiograph of excised tissue."""

# CID 4014 View for Mammography: SNOMED CT codes and the SNOMED RT codes that older senders use (designator SRT, SNM3
# or 99SDM), with the abbreviations of ACR MQCM 1999 that the context group lists beside them. The specimen of CID 4010
# (119376003) stands in DX images.
_VIEWS = {
    **dict.fromkeys(("399260004", "R-10224"), "ML"),
    **dict.fromkeys(("399368009", "R-10226"), "MLO"),
    **dict.fromkeys(("399352003", "R-10228"), "LM"),
    **dict.fromkeys(("399099002", "R-10230"), "LMO"),
    **dict.fromkeys(("399162004", "R-10242"), "CC"),
    **dict.fromkeys(("399196006", "R-10244"), "FB"),
    **dict.fromkeys(("399188001", "R-102D0"), "SIO"),
    **dict.fromkeys(("441555000", "R-40AAA"), "ISO"),
    **dict.fromkeys(("399265009", "R-102CF"), "XCC"),
    **dict.fromkeys(("399192008", "R-1024A", "Y-X1770"), "XCCL"),
    **dict.fromkeys(("399101009", "R-1024B", "Y-X1771"), "XCCM"),
    **dict.fromkeys(("127457009", "G-8310", "119376003", "G-8300"), SPECIMEN),
}


@dataclass(frozen=True)
class _Modifier:
    """A row of CID 4015 View Modifier for Mammography, or another modifier that devices send.

    Attributes:
        codes: SNOMED CT, SNOMED RT.
        words: a regular expression for its code meaning and for vendors' own words, in lower case.
        extent: the part of the view that such an image shows; "" for a whole view.
        label: its abbreviation in ACR MQCM 1999, as the context group lists it; "" if it has none.
    """

    codes: tuple[str, ...]
    words: str
    extent: str
    label: str = ""


_MAGNIFICATION = _Modifier(("399163009", "R-102D6"), r"\bmag\b|magnif", MAGNIFIED, "M")
_IMPLANT_DISPLACED = _Modifier(("399209000", "R-102D5"), "implant displaced", "", "ID")
_MODIFIERS = (
    _MAGNIFICATION,
    _Modifier(("399055006", "R-102D7"), r"\bspot\b", MAGNIFIED, "S"),
    _Modifier(("399161006", "R-102D2"), "cleavage", "cleavage", "CV"),
    _Modifier(("399011000", "R-102D1"), "axillary tail", "axillary tail", "AT"),
    _Modifier(("442580003", "R-40AB2"), "axilla(?!ry tail)", "axillary tissue"),
    _Modifier(("442593008", "R-40ABE"), "infra-?mammary", "infra-mammary fold", "IMF"),
    _Modifier(("441752004", "P2-00161"), "anterior compression", "anterior part", "AC"),
    _Modifier(("399110001", "R-102C2"), "tangential", "tangential", "TAN"),
    _Modifier(("399197002", "R-102D3"), "rolled lateral", "rolled", "RL"),
    _Modifier(("399226006", "R-102D4"), "rolled medial", "rolled", "RM"),
    _Modifier(("414493004", "R-102CA"), "rolled inferior", "rolled", "RI"),
    _Modifier(("415670009", "R-102C9"), "rolled superior", "rolled", "RS"),
    _IMPLANT_DISPLACED,
    _Modifier(("442581004", "R-40AB3"), "nipple in profile", "", "NP"),
    _Modifier((), "exaggerat", "exaggerated"),
)
_UNKNOWN = "unknown modifier"
_MOST_EXTENTS = 2
"""Segment Label, which begins with breast, view and extent, holds 64 characters."""
EXAGGERATED = ("XCC", "XCCL", "XCCM")
_AFTER = "|".join(known.label for known in _MODIFIERS if len(known.label) > 1)
_LABEL = re.compile(
    rf"(?P<side>[LR])?(?P<before>[MS])?(?P<view>{'|'.join(sorted(set(_VIEWS.values()) - {SPECIMEN}))})"
    rf"(?P<after>{_AFTER})?"
    rf"|(?P<alone>{_AFTER})"
)
"""A film's label (ACR MQCM 1999) in View Position: "RCC", "LMMLO" (magnified), "CCID" (implant displaced), "AT".
Some write "R CC" or "CC-ID"."""

_OF_SPECIMENS = (
    "SpecimenDescriptionSequence", "ContainerTypeCodeSequence", "ContainerComponentSequence", "SpecimenSequence",
    "SpecimenTypeCodeSequence", "ContainerIdentifier", "SpecimenIdentifier", "SpecimenUID", "SpecimenAccessionNumber",
)  # fmt: skip
"""Attributes of the Specimen module only (PS3.3 section C.7.6.22), and of its retired predecessor."""


def view_of(dataset: Dataset) -> str | None:
    """The view's abbreviation: by code (required of MG), by View Position, or by CBIS-DDSM's Patient Orientation.

    A specimen is detected before any view. An exaggerated view is a separate view (CID 4014); some senders write it as
    a modifier of the cranio-caudal view, or only in View Position.
    """
    if _is_specimen(dataset):
        return SPECIMEN
    coded = [_VIEWS.get(text(view, "CodeValue")) for view in [*_stated_modifiers(dataset), *_view_codes(dataset)]]
    labels = filter(None, map(_label, _positions(dataset)))
    written = list(dict.fromkeys(view for label in labels if (view := label["view"])))
    for view in (*coded, *written):
        if view in EXAGGERATED:
            return view
    for item in _view_codes(dataset):
        if view := _VIEWS.get(text(item, "CodeValue")):
            return view
    if len(written) == 1:
        return written[0]
    orientation = values(dataset, "PatientOrientation")
    if len(orientation) == 1 and (misplaced := str(orientation[0]).strip().upper()) in _VIEWS.values():
        return misplaced
    return None


def stated_views(dataset: Dataset) -> Iterator[tuple[str, str]]:
    """The view by each attribute that states a known one, with the attribute's name; not of a specimen."""
    if _is_specimen(dataset):
        return
    for coded in _view_codes(dataset)[:1]:
        if view := _VIEWS.get(text(coded, "CodeValue")):
            yield "View Code Sequence", view
    for label in filter(None, map(_label, _positions(dataset))):
        if label["view"]:
            yield "View Position", label["view"]


def side_of_label(dataset: Dataset) -> str | None:
    """L or R by the labels in View Position ("RCC"); None if they name none, or both."""
    sides = {label["side"] for label in map(_label, _positions(dataset)) if label and label["side"]}
    return sides.pop() if len(sides) == 1 else None


def extent_of(dataset: Dataset) -> str:
    """The part that the image shows if not the whole of a standard view: "spot/magnified", "cleavage", "partial", …

    By view modifiers (CID 4015, and unknown ones), Image Type, Partial View (0028,1350) and its sections, and the
    magnification factor. "" is a whole view, also with the implant displaced or the nipple in profile. If there are
    more than two parts, the first two.
    """
    if _is_specimen(dataset):
        return "specimen"
    found = [modifier.extent for modifier in _modifiers(dataset)] + extents_by_image_type(dataset)
    if unknown_modifiers(dataset):
        found.append(_UNKNOWN)
    if magnification_of(dataset).is_large:
        found.insert(0, MAGNIFIED)
    if (
        code(dataset, "PartialView") == "YES"
        or items(dataset, "PartialViewCodeSequence")
        or text(dataset, "PartialViewDescription")
    ):
        found.append("partial")
    return ", ".join(list(dict.fromkeys(part for part in found if part))[:_MOST_EXTENTS])


def is_said_to_be_magnified(dataset: Dataset) -> bool:
    """Whether a view modifier says that it is a magnification view."""
    return _MAGNIFICATION in _modifiers(dataset)


def modifiers_of(dataset: Dataset) -> tuple[str, ...]:
    """All view modifiers, each once and sorted: known ones by a code of the table, else its words; unknown ones by
    their meanings. Two images of one view with other modifiers are two exposures."""
    known = {modifier.codes[0] if modifier.codes else modifier.words for modifier in _modifiers(dataset)}
    return tuple(sorted({*known, *unknown_modifiers(dataset)}))


def has_implant(dataset: Dataset) -> bool:
    """An implant is in the breast (Breast Implant Present) or was pushed aside for this view (modifier ID)."""
    return code(dataset, "BreastImplantPresent") == "YES" or _IMPLANT_DISPLACED in _modifiers(dataset)


def functional_groups(dataset: Dataset, keyword: str) -> Iterator[Dataset]:
    """The items of a functional group of an enhanced image: shared by all frames, then the first frame's own."""
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in items(dataset, groups)[:1]:
            yield from items(group, keyword)


def unknown_modifiers(dataset: Dataset) -> list[str]:
    """The meanings, else the values, of modifiers that are not in the table, for the report."""
    stated = [*_stated_modifiers(dataset), *_view_codes(dataset)[1:]]
    unknown = [code for code in stated if _VIEWS.get(text(code, "CodeValue")) is None and not _known(code)]
    names = [text(item, "CodeMeaning") or text(item, "CodeValue") or "without a code" for item in unknown]
    return list(dict.fromkeys("".join(filter(str.isprintable, name))[:64] for name in names))


def _is_specimen(dataset: Dataset) -> bool:
    """By code, by words, or by attributes that only specimens have."""
    regions = items(dataset, "AnatomicRegionSequence")
    within = [modifier for region in regions for modifier in items(region, "AnatomicRegionModifierSequence")]
    for coded in (*_view_codes(dataset), *_stated_modifiers(dataset), *regions, *within):
        if _VIEWS.get(text(coded, "CodeValue")) == SPECIMEN or "specimen" in text(coded, "CodeMeaning").lower():
            return True
    written = (*_positions(dataset), code(dataset, "BodyPartExamined"))
    if any(SPECIMEN in word for word in written):
        return True
    return any(items(dataset, keyword) or text(dataset, keyword) for keyword in _OF_SPECIMENS)


def _positions(dataset: Dataset) -> list[str]:
    return [position for stated in values(dataset, "ViewPosition") if (position := str(stated).strip().upper())]


def _label(position: str) -> re.Match[str] | None:
    return _LABEL.fullmatch(re.sub(r"[\s_-]+", "", position))


def _view_codes(dataset: Dataset) -> list[Dataset]:
    return [*items(dataset, "ViewCodeSequence"), *functional_groups(dataset, "ViewCodeSequence")]


def _modifiers(dataset: Dataset) -> list[_Modifier]:
    """The known modifiers, in all places where senders write them: within the view's code, beside it, as another view,
    or as a label or words in View Position."""
    found = [known for code in [*_view_codes(dataset), *_stated_modifiers(dataset)] for known in _known(code)]
    for position in _positions(dataset):
        if position in _VIEWS.values():
            continue
        if label := _label(position):
            written = {label["before"], label["after"], label["alone"]}
            found += [known for known in _MODIFIERS if known.label in written]
        else:
            found += _named(position)
    return found


def _stated_modifiers(dataset: Dataset) -> list[Dataset]:
    holders = [dataset, *_view_codes(dataset), *items(dataset, "SharedFunctionalGroupsSequence")]
    return [modifier for holder in holders for modifier in items(holder, "ViewModifierCodeSequence")]


def _known(stated: Dataset) -> list[_Modifier]:
    """The rows for a code: by its value, or for a vendor's code by its meaning; none for the code of a view."""
    value = text(stated, "CodeValue")
    if coded := [known for known in _MODIFIERS if value in known.codes]:
        return coded
    return [] if value in _VIEWS else _named(text(stated, "CodeMeaning"))


def _named(words: str) -> list[_Modifier]:
    plain = words.lower().replace("_", " ")
    return [known for known in _MODIFIERS if re.search(known.words, plain)]
