"""What people are told of: the base of every error that the person at the prompt can mend."""

from __future__ import annotations


class UserError(Exception):
    """The message says what is wrong and what helps, without patient data. The command line shows it and ends with
    exit status 2."""
