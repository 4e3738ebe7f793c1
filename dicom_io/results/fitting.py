"""Checks that a source's value fits its value representation (PS3.5 section 6.2), so that it can be written."""

from __future__ import annotations

import re

from pydicom.config import RAISE
from pydicom.valuerep import MAX_VALUE_LEN, validate_value

_TEXTS = ("LT", "ST", "UT")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_CONTROL_IN_TEXT = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f]")
"""Texts may have lines, pages and tabs."""


def fits(vr: str, value: object) -> bool:
    """Whether a value has the length and the characters that its VR allows."""
    stated = str(value)
    if (_CONTROL_IN_TEXT if vr in _TEXTS else _CONTROL).search(stated):
        return False
    try:
        validate_value(vr, stated if isinstance(value, str) else value, RAISE)
    except ValueError:
        return False
    return True


def cut(vr: str, value: str) -> str:
    """A text as one line, cut to the length of the VR."""
    return " ".join(_CONTROL.sub(" ", value).split())[: MAX_VALUE_LEN.get(vr)].strip()
