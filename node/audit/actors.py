"""Who does something: people, programs, and the node itself."""

from __future__ import annotations

import os
import pwd
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from socket import gethostname

from dicom_io.audit.codes import Coded
from dicom_io.audit.message import Participant

PROCESS_NAME = "mammo-node"
_LOGIN = Path("/proc/self/loginuid")
_NO_LOGIN = (1 << 32) - 1


@dataclass(frozen=True)
class Actor:
    """Somebody or something that acts.

    Attributes:
        known_as: as logs name it: "account 3", "token 2", "the command line"; never a name.
        user: as the audit trail names it: the name of an account, of a token, or of a user of this machine.
        address: from where, as far as it is known.
    """

    known_as: str
    user: str
    address: str = ""

    def participant(self, *roles: Coded, is_requestor: bool = True) -> Participant:
        """The actor as one of an audit message."""
        return Participant(self.user, is_requestor, roles, alternative=self.known_as, address=self.address)


def command_line() -> Actor:
    """The user of this machine who runs a command; with sudo: as whom, and who signed in."""
    user = _name_of(os.getuid())
    with suppress(OSError, ValueError):
        login = int(_LOGIN.read_text())
        if login not in (_NO_LOGIN, os.getuid()):
            user = f"{user} ({_name_of(login)})"
    return Actor("the command line", f"{user}@{gethostname()}", gethostname())


def retention() -> Actor:
    """The node itself, where it deletes what its settings do not keep."""
    return Actor("retention", str(os.getpid()), gethostname())


def this_process(*roles: Coded, ae_title: str = "", is_requestor: bool = False) -> Participant:
    """The process that calls, as one of an audit message (PS3.15 section A.5.2.1)."""
    titles = f"AETITLES={ae_title}" if ae_title else ""
    return Participant(str(os.getpid()), is_requestor, roles, titles, PROCESS_NAME, gethostname())


def dicom_application(ae_title: str, address: str, *roles: Coded, is_requestor: bool = False) -> Participant:
    """Another application."""
    return Participant(ae_title, is_requestor, roles, f"AETITLES={ae_title}", address=address)


def _name_of(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:  # a container's user may have no name
        return f"uid {number}"
