"""The base class of errors that the user can correct."""

from __future__ import annotations


class UserError(Exception):
    """The message gives the cause and the cure, without patient data. The command line shows it and ends with exit
    status 2."""
