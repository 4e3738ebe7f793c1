"""Reads attributes as text, numbers and UIDs. A malformed value counts as absent.

pydicom converts a value when it is first read, and raises if it is malformed (Rows of three bytes, a decimal string
with letters). Callers handle absent values anyway, so here a malformed value is treated as absent.
"""

from __future__ import annotations

import math
import re
from collections.abc import Sequence

from pydicom import Dataset
from pydicom.multival import MultiValue
from pydicom.sequence import Sequence as Items

from dicom_io.errors import NotReadable, is_the_machines

# PS3.5 §9.1: components of digits, separated by dots, without leading zeros; at most 64 characters.
_UID = re.compile(r"(0|[1-9][0-9]*)(\.(0|[1-9][0-9]*))+")
# Control characters other than those that PS3.5 §6.1.3 allows in text (TAB, LF, FF, CR), and surrogates: PostgreSQL
# refuses a row with a NUL or a surrogate. They are never removed from a UID, which would become another one.
_NO_TEXT = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


def values(dataset: Dataset, keyword: str) -> tuple[object, ...]:
    """The values of an attribute; empty if it is absent or malformed, or if all its values are empty.

    A sequence gives no values: converting nested items to text could take minutes.
    """
    value = _value(dataset, keyword)
    if isinstance(value, Items):
        return ()
    found = tuple(value) if isinstance(value, MultiValue | list | tuple) else (value,)
    return () if all(value is None or value == "" for value in found) else found


def text(dataset: Dataset, keyword: str) -> str:
    """The first value as stripped text without control characters; "" if there is none."""
    found = values(dataset, keyword)
    return _clean(found[0]) if found else ""


def texts(dataset: Dataset, keyword: str) -> tuple[str, ...]:
    """All values, each as `text` gives the first one."""
    return tuple(map(_clean, values(dataset, keyword)))


def code(dataset: Dataset, keyword: str) -> str:
    """The first value as DICOM compares code strings: upper case, without padding."""
    return text(dataset, keyword).upper()


def numbers(dataset: Dataset, keyword: str) -> tuple[float, ...]:
    """The values as finite floats; empty if any of them is not a number."""
    try:
        found = tuple(float(_text(value)) for value in values(dataset, keyword))
    except ValueError:
        return ()
    return found if all(math.isfinite(number) for number in found) else ()


def number(dataset: Dataset, keyword: str) -> float | None:
    """The first value as a finite float; None if there is none."""
    found = numbers(dataset, keyword)
    return found[0] if found else None


def items(dataset: Dataset, keyword: str) -> Sequence[Dataset]:
    """The items of a sequence; empty if it is absent or not a sequence."""
    value = _value(dataset, keyword)
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        return ()
    return [item for item in value if isinstance(item, Dataset)]


def uid(dataset: Dataset, keyword: str) -> str:
    """The single UID that an attribute must hold.

    Raises:
        NotReadable: it is missing, malformed (PS3.5 §9.1) or multi-valued; the message does not contain the value.
    """
    found = values(dataset, keyword)
    if not found:
        raise NotReadable(f"The header has no {keyword}.")
    value = _text(found[0])
    if len(found) > 1 or len(value) > 64 or not _UID.fullmatch(value):
        raise NotReadable(f"The header's {keyword} is not a valid DICOM UID.")
    return value


def _value(dataset: Dataset, keyword: str) -> object:
    """The value as pydicom converts it; None if pydicom raises.

    pydicom can raise any exception here: RecursionError for nested items, IndexError for a name of only separators, and
    so on. Only errors of the machine are raised: its memory, and its disk, from which pydicom reads a long value later.
    """
    try:
        return dataset.get(keyword)
    except Exception as fault:
        if is_the_machines(fault):
            raise
        return None


def _clean(value: object) -> str:
    return _NO_TEXT.sub("", _text(value)).strip()


def _text(value: object) -> str:
    """A value as text; "" for bytes and for a name that cannot be decoded (pydicom decodes it when it is first
    read)."""
    if isinstance(value, bytes):
        return ""
    try:
        return str(value)
    except Exception as fault:
        if is_the_machines(fault):
            raise
        return ""
