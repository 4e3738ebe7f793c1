"""Attributes as text, numbers and UIDs, whatever a sender wrote into them.

pydicom converts a value when it is first looked at, and a malformed one raises then (a Rows of three bytes, a decimal
string of letters). Here such a value counts as absent: it tells nothing, and the caller knows what absence means.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Sequence

from pydicom import Dataset
from pydicom.errors import BytesLengthException
from pydicom.multival import MultiValue

from dicom_io.errors import NotReadable

# PS3.5 §9.1: components of digits joined by dots, none with a leading zero, 64 characters at most.
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
_MALFORMED = (
    ArithmeticError,
    BytesLengthException,
    EOFError,
    LookupError,
    NotImplementedError,
    OSError,
    TypeError,
    ValueError,
    struct.error,
)


def values(dataset: Dataset, keyword: str) -> tuple[object, ...]:
    """The values of an attribute: empty where it is absent, empty or malformed."""
    try:
        value = dataset.get(keyword)
    except _MALFORMED:
        return ()
    if value is None or value == "":
        return ()
    return tuple(value) if isinstance(value, MultiValue | list | tuple) else (value,)


def text(dataset: Dataset, keyword: str) -> str:
    """The first value as stripped text, "" where there is none."""
    found = values(dataset, keyword)
    return str(found[0]).strip() if found else ""


def code(dataset: Dataset, keyword: str) -> str:
    """The first value as DICOM compares code strings: upper case, without padding."""
    return text(dataset, keyword).upper()


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """The values as finite floats; empty where any of them is no number."""
    try:
        found = tuple(float(str(value)) for value in values(dataset, keyword))
    except ValueError:
        return ()
    return found if all(math.isfinite(number) for number in found) else ()


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value as a finite float, None where there is none."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    """The items of a sequence; empty where it is absent or is no sequence."""
    try:
        value = dataset.get(keyword)
    except _MALFORMED:
        return ()
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
    value = str(found[0])
    if len(found) > 1 or len(value) > 64 or not _UID.fullmatch(value):
        raise NotReadable(f"The header's {keyword} is not a valid DICOM UID.")
    return value
