"""A DICOM query as audit messages have it (PS3.15 section A.5.3.10)."""

from __future__ import annotations

from base64 import b64encode

from pydicom import Dataset
from pydicom.filebase import DicomBytesIO
from pydicom.filewriter import write_dataset
from pydicom.uid import ExplicitVRLittleEndian

from dicom_io.audit.codes import SOP_CLASS_UID
from dicom_io.audit.message import AuditedObject

_STUDY_ROOT_FIND = "1.2.840.10008.5.1.4.1.2.2.1"


def study_query(keyword: str, value: str) -> AuditedObject:
    """A C-FIND for studies, by one attribute."""
    query = Dataset()
    query.QueryRetrieveLevel = "STUDY"
    setattr(query, keyword, value)
    encoded = DicomBytesIO()
    encoded.is_little_endian, encoded.is_implicit_VR = True, False
    write_dataset(encoded, query)
    return AuditedObject(
        _STUDY_ROOT_FIND,
        SOP_CLASS_UID,
        "2",
        "3",
        query=b64encode(encoded.getvalue()).decode(),
        details=(("TransferSyntax", str(ExplicitVRLittleEndian)),),
    )
