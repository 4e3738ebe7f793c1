"""An object in another lossless transfer syntax than its file has."""

from __future__ import annotations

from pathlib import Path

from pydicom import Dataset, dcmread
from pydicom.uid import UID

from dicom_io.errors import Rejected


def in_other_syntax(path: Path, transfer_syntax_uid: UID) -> Dataset:
    """The object of an uncompressed file, with the same pixels and attributes. It keeps its SOP Instance UID, since
    nothing is lost (PS3.3 section C.12.4.1).

    Args:
        transfer_syntax_uid: one that compresses pixels without loss, or the whole data set (deflated).

    Raises:
        Rejected: the pixels cannot be compressed in it.
    """
    dataset = dcmread(path)
    if not transfer_syntax_uid.is_encapsulated:
        dataset.file_meta.TransferSyntaxUID = transfer_syntax_uid
        return dataset
    try:
        dataset.compress(transfer_syntax_uid, generate_instance_uid=False)
    except (AttributeError, NotImplementedError, RuntimeError, ValueError) as error:
        raise Rejected(f"it cannot be sent: its pixels cannot be compressed in {transfer_syntax_uid.name}") from error
    return dataset
