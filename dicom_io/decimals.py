"""Numbers as Decimal Strings (VR DS), the one way in which we write them."""

from __future__ import annotations

from pydicom.valuerep import DSfloat


def decimal_string(value: float) -> DSfloat:
    """A number in at most 16 characters (PS3.5 section 6.2), as exactly as these allow.

    Raises:
        OverflowError, ValueError: it is infinite or none.
    """
    return DSfloat(float(value), auto_format=True)
