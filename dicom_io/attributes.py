"""Attributes as text, numbers and UIDs, whatever a sender wrote into them.

pydicom converts a value when it is first looked at, and a malformed one raises then (a Rows of three bytes, a decimal
string of letters). Here such a value counts as absent: it tells nothing, and the caller knows what absence means.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items

from dicom_io.errors import NotReadable, is_the_machines

# PS3.5 §9.1: components of digits joined by dots, none with a leading zero, 64 characters at most.
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")


def values(dataset: Dataset, keyword: str) -> tuple[object, ...]:
    """The values of an attribute: empty where it is absent, empty or malformed, or all its values are.

    A sequence has items and no values; items within items would take minutes to be written as text.
    """
    value = _value(dataset, keyword)
    if isinstance(value, Items):
        return ()
    found = tuple(value) if isinstance(value, MultiValue | list | tuple) else (value,)
    return () if all(value is None or value == "" for value in found) else found


def text(dataset: Dataset, keyword: str) -> str:
    """The first value as stripped text, "" where there is none."""
    found = values(dataset, keyword)
    return _text(found[0]).strip() if found else ""


def code(dataset: Dataset, keyword: str) -> str:
    """The first value as DICOM compares code strings: upper case, without padding."""
    return text(dataset, keyword).upper()


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """The values as finite floats; empty where any of them is no number."""
    try:
        found = tuple(float(_text(value)) for value in values(dataset, keyword))
    except ValueError:
        return ()
    return found if all(math.isfinite(number) for number in found) else ()


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value as a finite float, None where there is none."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    """The items of a sequence; empty where it is absent or is no sequence."""
    value = _value(dataset, keyword)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return ()
    return [item for item in value if isinstance(item, Dataset)]


def uid(dataset: Dataset, keyword: str) -> str:
    """The one UID that an attribute must hold.

    Raises:
        NotReadable: it is missing, is no UID (PS3.5 §9.1) or there are several; the message never repeats the value.
    """
    found = values(dataset, keyword)
    if not found:
        raise NotReadable(f"The header has no {keyword}.")
    value = _text(found[0])
    if len(found) > 1 or len(value) > 64 or not _UID.fullmatch(value):
        raise NotReadable(f"The header's {keyword} is not a valid DICOM UID.")
    return value


def _value(dataset: Dataset, keyword: str) -> object:
    """The value as pydicom converts it, None where it cannot.

    There is no list of what it raises then: RecursionError for items within items, IndexError for a name of nothing but
    separators, and what its next version will. Only a fault of the machine is none of the value's: its memory, and its
    disk, from which a long value is read when it is first looked at.
    """
    try:
        return dataset.get(keyword)
    except Exception as fault:
        if is_the_machines(fault):
            raise
        return None


def _text(value: object) -> str:
    """A value as text, "" where it cannot be had: bytes are none, and a name is decoded when it is first looked at."""
    if isinstance(value, bytes):
        return ""
    try:
        return str(value)
    except Exception as fault:
        if is_the_machines(fault):
            raise
        return ""
