"""Writes numbers as Decimal Strings (VR DS)."""

from __future__ import annotations

from pydicom.valuerep import DSfloat


def decimal_string(value: float) -> DSfloat:
    """A number in at most 16 characters (PS3.5 section 6.2), with the best precision that fits.

    Raises:
        OverflowError, ValueError: it is infinite or NaN.
    """
    return DSfloat(float(value), auto_format=True)
