"""Classifies images of the breast by Image Type (0008,0008), from its third value on.

One table: PS3.3 §C.8.11.7.1.4 (mammography) and §C.8.21.6.1.1 (breast tomosynthesis), with the values outside the
Standard that devices send. A value counts at any place from the third on: GE writes the energy in the
fourth, the Standard in the fifth.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from pydicom import Dataset

from dicom_io.attributes import items, values

MAGNIFIED = "spot/magnified"
_MAMMOGRAPHY = "PS3.3 C.8.11.7.1.4"
_TOMOSYNTHESIS = "PS3.3 C.8.21.6.1.1"
_NO_STANDARD = "outside the Standard"


@dataclass(frozen=True)
class ImageTypeRow:
    """The meaning of some values.

    Attributes:
        values: of Image Type; a regular expression for a family of values outside the Standard.
        clause: where they are defined.
        what: a description of the image for the report.
        is_read: whether the image is read; the report states what it is.
        extent: the shown part (as in views.py); "" for a whole view.
        unless: a regular expression: with such a value beside it, this one does not prevent reading.
    """

    values: tuple[str, ...]
    clause: str
    what: str
    is_read: bool = False
    extent: str = ""
    unless: str = ""


_LOW_ENERGY = r".*LOW_?ENER.*|(.*_)?LE(_.*)?|(C[ES]|DUAL).*_LOW"
_GENERATED = (
    r"GENERATED_?2D|SYNTHETIC(_?2D)?|SYNTHESI[SZ]ED(_?2D)?|SYNTH_?2D|[CS]_?VIEW|V_?PREVIEW|VOLUMEPREVIEW"
    r"|INSIGHT_?2D|INTELLIGENT_?2D|TOMO(SYNTHESIS)?_SYNTH.*|TOMOSYNTHESIS_2D"
)

IMAGE_TYPES = (
    # ---- the Standard's, value 3
    ImageTypeRow(
        ("STEREO_SCOUT", "STEREO_MINUS", "STEREO_PLUS"), _MAMMOGRAPHY, "a stereotactic image that guides a biopsy"
    ),
    ImageTypeRow(
        ("PREFIRE", "PREFIRE_MINUS", "PREFIRE_PLUS"), _MAMMOGRAPHY, "a biopsy image before the needle was fired"
    ),
    ImageTypeRow(
        ("POSTFIRE", "POSTFIRE_MINUS", "POSTFIRE_PLUS"), _MAMMOGRAPHY, "a biopsy image after the needle was fired"
    ),
    ImageTypeRow(
        ("POSTBIOPSY", "POSTBIOPSY_MINUS", "POSTBIOPSY_PLUS"), _MAMMOGRAPHY, "a biopsy image after tissue was taken"
    ),
    ImageTypeRow(
        ("POSTMARKER", "POSTMARKER_MINUS", "POSTMARKER_PLUS"), _MAMMOGRAPHY, "a biopsy image after a marker was placed"
    ),
    ImageTypeRow(("TOMO_PROJ",), _MAMMOGRAPHY, "a projection of a tomosynthesis"),
    ImageTypeRow(("TOMO_SCOUT",), _MAMMOGRAPHY, "a scout image of a tomosynthesis-guided biopsy"),
    ImageTypeRow(("TOMOSYNTHESIS",), _MAMMOGRAPHY, "reconstructed from a tomosynthesis", unless=_GENERATED),
    ImageTypeRow(
        ("PRE_CONTRAST", "POST_CONTRAST"),
        _MAMMOGRAPHY,
        "of a contrast-enhanced mammography, and not said to be its low-energy image",
        unless=_LOW_ENERGY,
    ),
    # ---- value 4
    ImageTypeRow(("GENERATED_2D",), _MAMMOGRAPHY, "A synthetic 2D image, generated from a tomosynthesis", is_read=True),
    ImageTypeRow(("SUBTRACTION",), _MAMMOGRAPHY, "a subtracted image of a contrast-enhanced mammography"),
    ImageTypeRow(("ADDITION",), _MAMMOGRAPHY, "added up of several images"),
    ImageTypeRow(("MAXIMUM", "MEAN"), _TOMOSYNTHESIS, "a slab of a tomosynthesis"),
    # ---- value 5
    ImageTypeRow(("LOW_ENERGY",), _MAMMOGRAPHY, "The low-energy image of a dual-energy mammography", is_read=True),
    ImageTypeRow(("HIGH_ENERGY",), _MAMMOGRAPHY, "the high-energy image of a dual-energy mammography"),
    # ---- what devices send besides
    ImageTypeRow(
        (_LOW_ENERGY,),
        _NO_STANDARD,
        "The low-energy image of a dual-energy mammography",
        is_read=True,
    ),
    ImageTypeRow(
        (_GENERATED,),
        _NO_STANDARD,
        "A synthetic 2D image, generated from a tomosynthesis",
        is_read=True,
    ),
    ImageTypeRow(
        ("TOMO_2D",),
        _NO_STANDARD,
        "A 2D image of a tomosynthesis examination (Hologic's TOMO_2D: taken beside it or generated from it)",
        is_read=True,
    ),
    ImageTypeRow(("TOMO", "DBT"), _NO_STANDARD, "reconstructed from a tomosynthesis", unless=_GENERATED),
    ImageTypeRow(
        (".*RECOMB.*", "(.*_)?SUB(_.*)?", ".*SUBTR.*", "(.*_)?DES(_.*)?", ".*IODINE.*"),
        _NO_STANDARD,
        "a recombined image of a contrast-enhanced mammography",
    ),
    ImageTypeRow(
        (".*HIGH_?ENER.*", "(.*_)?HE(_.*)?", "(C[ES]|DUAL).*_HIGH"),
        _NO_STANDARD,
        "the high-energy image of a dual-energy mammography",
    ),
    ImageTypeRow(
        (".*CONTRAST.*", "(CESM|CEDM|CEM|CE|CES|CEBM)(_.*)?", "I_?VIEW", ".*DUAL_?ENERGY.*"),
        _NO_STANDARD,
        "of a contrast-enhanced mammography, and not said to be its low-energy image",
        unless=_LOW_ENERGY,
    ),
    ImageTypeRow((".*STEREO.*", ".*FIRE.*", ".*BIOPSY.*", "SCOUT.*", ".*MARKER.*"), _NO_STANDARD, "of a biopsy"),
    ImageTypeRow((".*NEEDLE.*", "WIRE.*", ".*LOCALI[SZ].*"), _NO_STANDARD, "of a needle or wire that is placed"),
    ImageTypeRow((".*SPECIMEN.*",), _NO_STANDARD, "a specimen radiograph: no breast is in it"),
    ImageTypeRow(
        (
            ".*RECON.*", ".*SLICES?", ".*PLANES?", ".*SLAB.*", "MIP", "(MAX|MIN|AVG?)_?IP", "VOLUME(TRIC)?", "3_?D.*",
        ),
        _NO_STANDARD,
        "a slice or slab of a tomosynthesis, or reconstructed otherwise",
        unless=_GENERATED,
    ),
    ImageTypeRow(
        ("MINIMUM", "MEDIAN", "AVERAGE", "STD_?DEV.*", "STANDARD_DEV.*", "DIFFERENCE", "MULTIPLICATION", "DIVISION"),
        _NO_STANDARD,
        "calculated from several images",
    ),
    ImageTypeRow((".*PROJ.*", "PRJ"), _NO_STANDARD, "a projection of a tomosynthesis"),
    ImageTypeRow((".*TOMO.*",), _NO_STANDARD, "of a tomosynthesis", unless=_GENERATED),
    ImageTypeRow(
        (
            ".*PHANTOM.*", "QC", "QUALITY.*", "CALIBRAT.*", "FLAT_?FIELD.*", "TEST.*", ".*PATTERN.*", "UNIFORMITY.*",
            "DARK(_.*)?", "OFFSET(_.*)?", "GAIN(_.*)?", "DEFECT.*",
        ),
        _NO_STANDARD,
        "for quality control",
    ),
    ImageTypeRow(
        (
            "SCREEN_?(SHOT|CAP).*", ".*CAPTURE.*", "(.*_)?REPORT", "(.*_)?FORM", "PHOTO.*", ".*MAP", "PARAMETRIC.*",
            "PROBABILITY.*", "OVERLAY.*", "MARKUP.*", "ANNOTAT.*", "COLLAGE", "MOSAIC", "MONTAGE", "THUMB.*",
        ),
        _NO_STANDARD,
        "a picture of images or about them, and no exposure",
    ),
    # ---- a part of a view
    ImageTypeRow(
        ("(.*_)?SPOT.*", "(.*_)?MAG(NIF.*)?(_.*)?"),
        _NO_STANDARD,
        "A magnification or spot view",
        is_read=True,
        extent=MAGNIFIED,
    ),
    ImageTypeRow(
        (".*CROP.*", "ZOOM.*", ".*PARTIAL.*", "ROI"),
        _NO_STANDARD,
        "A part cut out of an image",
        is_read=True,
        extent="partial",
    ),
)  # fmt: skip
"""The first row that matches a value counts."""

_SAYS_NOTHING = re.compile(r"|NONE|2D|L|R|LEFT|RIGHT|POST_?PROCESSED|PROCESSED|MG|MAMMO.*|CC|M?LO?|[\d.]+")
"""Values without a meaning here: sides and views, pixel counts of Hologic, processing."""
_SEPARATOR = re.compile(r"[\s-]+")
"""Some write "LOW ENERGY" or "C-VIEW" where a Code String has underscores."""


def why_no_view(dataset: Dataset) -> str:
    """Why the image is no ordinary view of the breast by Image Type; else ""."""
    found = _values(dataset)
    rows = [(value, row) for value in found if (row := _row(value)) is not None and not row.is_read]
    for value, row in sorted(rows, key=lambda entry: bool(entry[1].unless)):  # what says most comes first
        if not any(re.fullmatch(row.unless, other) for other in found if row.unless):
            return f"{row.what} (Image Type {value})"
    return ""


def what_kind_of_view(dataset: Dataset) -> list[str]:
    """Sentences for the report about a view that is read although it is no plain 2D exposure."""
    sentences = []
    for value in _values(dataset):
        row = _row(value)
        if row is None and not _SAYS_NOTHING.fullmatch(value):
            sentences.append(f"Image Type holds the unknown value {value!r}: the image was read as an ordinary view.")
        elif row is not None and row.is_read:
            sentences.append(f"{row.what}: scores on such images are less dependable.")
    return list(dict.fromkeys(sentences))


def is_plain_exposure(dataset: Dataset) -> bool:
    """Whether Image Type says nothing by which its scores are less dependable (synthetic, low energy, magnified)."""
    return not any(row.is_read for value in _values(dataset) if (row := _row(value)) is not None)


def extents_by_image_type(dataset: Dataset) -> list[str]:
    """The shown parts by Image Type, if it is not the whole view."""
    return [row.extent for value in _values(dataset) if (row := _row(value)) is not None and row.extent]


def is_generated_2d(dataset: Dataset) -> bool:
    """Whether it is a synthetic 2D image (Intelligent 2D, C-View, Insight 2D, …)."""
    return any(re.fullmatch(_GENERATED, value) for value in _values(dataset))


def _values(dataset: Dataset) -> list[str]:
    """The values from the third on, of Image Type and, in an enhanced image, of Frame Type (PS3.3 §C.8.21.5.1)."""
    found = list(values(dataset, "ImageType")[2:])
    for groups in ("SharedFunctionalGroupsSequence", "PerFrameFunctionalGroupsSequence"):
        for group in items(dataset, groups)[:1]:
            for frame in items(group, "XRay3DFrameTypeSequence"):
                found += values(frame, "FrameType")[2:]
    return [
        value for value in dict.fromkeys(_SEPARATOR.sub("_", str(value).strip().upper()) for value in found) if value
    ]


def _row(value: str) -> ImageTypeRow | None:
    return next((row for row in IMAGE_TYPES if any(re.fullmatch(known, value) for known in row.values)), None)
