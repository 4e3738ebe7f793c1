"""The modifiers of a mammogram's view, as image libraries name them."""

from __future__ import annotations

from pydicom import Dataset
from pydicom.sr.codedict import codes
from pydicom.sr.coding import Code

from dicom_io.attributes import items, text
from dicom_io.results.fitting import cut, fits

_OLD_SNOMED = ("SRT", "SNM3", "99SDM")
_MODIFIERS: tuple[Code, ...] = tuple(getattr(codes.cid4015, name) for name in codes.cid4015.dir())


def view_modifiers(source: Dataset) -> tuple[Code, ...]:
    """The modifiers of the view (0054,0222) as CID 4015 codes them today, in their order, each once; others as stated,
    with a meaning that is cut where it is too long, and none whose code cannot be written.

    They belong below the view; some senders put them beside it.
    """
    holders = (source, *items(source, "SharedFunctionalGroupsSequence"))
    views = [view for holder in holders for view in items(holder, "ViewCodeSequence")]
    found: dict[str, Code] = {}
    for holder in (*views, source):
        for item in items(holder, "ViewModifierCodeSequence"):
            if (modifier := _modifier(item)) is not None:
                found.setdefault(modifier.value, modifier)
    return tuple(found.values())


def _modifier(item: Dataset) -> Code | None:
    value, scheme = text(item, "CodeValue"), text(item, "CodingSchemeDesignator")
    meaning = cut("LO", text(item, "CodeMeaning"))
    if not (value and scheme and meaning and fits("SH", value) and fits("SH", scheme)):
        return None
    code = Code(value, "SRT" if scheme in _OLD_SNOMED else scheme, meaning)
    return next((known for known in _MODIFIERS if known == code), code)
