"""What can go wrong with DICOM, and what it means for the caller.

DicomError
├── NotReadable        this image will never be read; the reason goes into the report
├── NotEncodable       a result could not be written, or did not read back as it was written
├── NotListening       the listener's address cannot be had
├── NoRoom             the disk has no room for what is fetched
└── DestinationError
    ├── Unreachable    nobody answered, or the association broke: try again later
    └── Rejected       the peer answered and refused; trying again may or may not help
        └── NotAccepted    it takes no objects of this kind: trying again is of no use
"""

from __future__ import annotations

import errno

from models.errors import UserError


class DicomError(UserError):
    """The message is one sentence for a person, without patient data."""


def is_the_machines(fault: BaseException) -> bool:
    """Whether a fault met while a file was read is the machine's (disk, descriptors, memory, rights), not the file's.

    pydicom's own OSError has no number; EINVAL is what a damaged length that leads before the file's start gives.
    """
    if isinstance(fault, OSError):
        return fault.errno not in (None, errno.EINVAL)
    return isinstance(fault, MemoryError)


class NotReadable(DicomError):
    """An image cannot be read: wrong kind, undecodable pixels, absurd dimensions."""


class NotEncodable(DicomError):
    """A result object could not be made out of a reading."""


class NotListening(DicomError):
    """Another program has the port, or the address is none of this machine's."""


class NoRoom(DicomError):
    """What is fetched would fill the disk."""


class DestinationError(DicomError):
    """A result did not reach its destination."""


class Unreachable(DestinationError):
    """No association, or it broke before the answer came."""


class Rejected(DestinationError):
    """The destination answered with a failure.

    Attributes:
        status: the DIMSE status (PS3.7 Annex C), or None where the association or presentation context was refused.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class NotAccepted(Rejected):
    """The peer takes no objects of this SOP class, or not in this transfer syntax, until it is set up otherwise."""
