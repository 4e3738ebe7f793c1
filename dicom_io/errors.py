"""The errors of dicom_io, and what they mean for the caller.

DicomError
├── NotReadable        this file can never be read; the reason goes into the report
├── NotEncodable       a result could not be written, or reads back differently
├── NotListening       the listener's address cannot be used
├── CertificatesUnusable   a file of TLS is missing or no certificate or key
├── NoRoom             the disk has no room for retrieved instances
└── DestinationError
    ├── Unreachable    no answer, or the association broke: retry later
    └── Rejected       the peer answered and refused; a retry may or may not help
        └── NotAccepted    the peer does not accept this kind of object: a retry does not help
"""

from __future__ import annotations

import errno

from models.errors import UserError


class DicomError(UserError):
    """The message is one sentence for a person, without patient data."""


def is_the_machines(fault: BaseException) -> bool:
    """Whether an exception while reading a file is a fault of the machine (disk, descriptors, memory, permissions).

    pydicom's own OSError has no number. EINVAL comes from a damaged length that leads to a negative file position.
    """
    if isinstance(fault, OSError):
        return fault.errno not in (None, errno.EINVAL)
    return isinstance(fault, MemoryError)


class NotReadable(DicomError):
    """A file cannot be read: wrong kind, damaged, pixels that cannot be decoded, impossible dimensions."""


class NotEncodable(DicomError):
    """A result object could not be made from a reading."""


class NotListening(DicomError):
    """Another program uses the port, or the address does not belong to this machine."""


class CertificatesUnusable(DicomError):
    """A certificate, a key or an authority of TLS cannot be used; the message names the file."""


class NoRoom(DicomError):
    """Retrieved instances would fill the disk."""


class DestinationError(DicomError):
    """A result did not reach its destination.

    Attributes:
        comment: what the destination says of it, in its own words. They may name a patient: for the database, `status`
            and the page, and never for the log, mail or metrics.
    """

    comment: str = ""

    @property
    def with_comment(self) -> str:
        """The message, and what the destination says."""
        return f"{self}{ITS_WORDS}{self.comment}" if self.comment else str(self)


ITS_WORDS = "; its words: "
"""In `DestinationError.with_comment`, what follows may name a patient."""


class Unreachable(DestinationError):
    """There is no association, or it broke before the answer."""


class Rejected(DestinationError):
    """The destination refused.

    Attributes:
        status: the DIMSE status (PS3.7 Annex C), or None if the association or presentation context was refused.
    """

    def __init__(self, message: str, status: int | None = None) -> None:
        super().__init__(message)
        self.status = status


class NotAccepted(Rejected):
    """The peer does not accept this SOP class, or not in this transfer syntax, until its configuration changes."""
