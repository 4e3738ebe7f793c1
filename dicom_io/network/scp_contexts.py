"""The presentation contexts that the listener supports: SOP classes and transfer syntaxes."""

from __future__ import annotations

from pydicom.uid import (
    HTJ2K,
    JPEG2000,
    AllTransferSyntaxes,
    DeflatedExplicitVRLittleEndian,
    ExplicitVRBigEndian,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    ImplicitVRLittleEndian,
    JPEG2000Lossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEGLSNearLossless,
    RLELossless,
)
from pynetdicom import build_context
from pynetdicom.presentation import PresentationContext

_VERIFICATION = "1.2.840.10008.1.1"
STORAGE_COMMITMENT = "1.2.840.10008.1.20.1"
"""Storage Commitment Push Model (PS3.4 section J.3)."""
_STORAGE = "1.2.840.10008.5.1.4.1.1."
STORAGE_CLASSES = tuple(
    _STORAGE + suffix
    for suffix in (
        "1",  # Computed Radiography
        "1.1",  # Digital X-Ray, For Presentation
        "1.1.1",  # Digital X-Ray, For Processing
        "1.2",  # Digital Mammography, For Presentation
        "1.2.1",  # Digital Mammography, For Processing
        "13.1.3",  # Breast Tomosynthesis
        "13.1.4",  # Breast Projection X-Ray, For Presentation
        "13.1.5",  # Breast Projection X-Ray, For Processing
        "7",  # Secondary Capture, single and multi-frame
        "7.1",
        "7.2",
        "7.3",
        "7.4",
        *(f"11.{number}" for number in range(1, 9)),  # presentation states
        "66.4",  # Segmentation
        "66.5",  # Surface Segmentation
        "66.7",  # Label Map Segmentation
        *(f"88.{number}" for number in (11, 22, 33, 34, 35, 40, 50, 59, 65, *range(67, 78))),  # structured reports
    )
)
"""SOP Class UIDs (PS3.4 section B.5)."""

# If a sender offers several transfer syntaxes in one presentation context, the first of these is accepted: uncompressed
# before lossless before lossy, so that no sender compresses an image with loss for the transfer.
_PREFERRED = (
    ExplicitVRLittleEndian,
    ImplicitVRLittleEndian,
    ExplicitVRBigEndian,
    DeflatedExplicitVRLittleEndian,
    JPEGLossless,
    JPEGLosslessSV1,
    JPEGLSLossless,
    JPEG2000Lossless,
    HTJ2KLossless,
    HTJ2KLosslessRPCL,
    RLELossless,
    JPEGBaseline8Bit,
    JPEGExtended12Bit,
    JPEGLSNearLossless,
    JPEG2000,
    HTJ2K,
)
# JPIP refers to pixels on another server, and SMPTE ST 2110 is for live video: neither can be stored.
_NOT_STORABLE = ("1.2.840.10008.1.2.4.204", "1.2.840.10008.1.2.4.205", "1.2.840.10008.1.2.7.")
TRANSFER_SYNTAXES = (
    *_PREFERRED,
    *(uid for uid in AllTransferSyntaxes if uid not in _PREFERRED and not uid.startswith(_NOT_STORABLE)),
)


def supported_contexts(*, stores: bool = True, reports: bool = False) -> list[PresentationContext]:
    """Verification; with `stores`, every storage class in every transfer syntax; with `reports`, storage commitment."""
    storage = [build_context(uid, list(TRANSFER_SYNTAXES)) for uid in STORAGE_CLASSES] if stores else []
    return [build_context(_VERIFICATION), *storage, *([_commitment()] if reports else [])]


def _commitment() -> PresentationContext:
    """The peer, which opens the association, is the SCP and proposes that role (PS3.7 section D.3.3.4). A peer that
    proposes no role is accepted too."""
    context = build_context(STORAGE_COMMITMENT)
    context.scu_role, context.scp_role = False, True
    return context
