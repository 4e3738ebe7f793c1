"""Codes of audit messages (PS3.16 CID 400 to 405; PS3.15 section A.5.1.2 for those of RFC 3881)."""

from __future__ import annotations

from typing import NamedTuple


class Coded(NamedTuple):
    """A coded value: `csd-code`, `codeSystemName` and `originalText` of the schema."""

    value: str
    scheme: str
    meaning: str


APPLICATION_ACTIVITY = Coded("110100", "DCM", "Application Activity")
AUDIT_LOG_USED = Coded("110101", "DCM", "Audit Log Used")
BEGIN_TRANSFERRING = Coded("110102", "DCM", "Begin Transferring DICOM Instances")
INSTANCES_ACCESSED = Coded("110103", "DCM", "DICOM Instances Accessed")
INSTANCES_TRANSFERRED = Coded("110104", "DCM", "DICOM Instances Transferred")
STUDY_DELETED = Coded("110105", "DCM", "DICOM Study Deleted")
EXPORT = Coded("110106", "DCM", "Export")
PATIENT_RECORD = Coded("110110", "DCM", "Patient Record")
QUERY = Coded("110112", "DCM", "Query")
SECURITY_ALERT = Coded("110113", "DCM", "Security Alert")
USER_AUTHENTICATION = Coded("110114", "DCM", "User Authentication")

APPLICATION_START = Coded("110120", "DCM", "Application Start")
APPLICATION_STOP = Coded("110121", "DCM", "Application Stop")
LOGIN = Coded("110122", "DCM", "Login")
LOGOUT = Coded("110123", "DCM", "Logout")
NODE_AUTHENTICATION = Coded("110126", "DCM", "Node Authentication")
SECURITY_CONFIGURATION = Coded("110129", "DCM", "Security Configuration")
RESTRICTED_FUNCTION = Coded("110132", "DCM", "Use of Restricted Function")
RECORDING_STOPPED = Coded("110133", "DCM", "Audit Recording Stopped")
RECORDING_STARTED = Coded("110134", "DCM", "Audit Recording Started")
OBJECT_ATTRIBUTES_CHANGED = Coded("110135", "DCM", "Object Security Attributes Changed")
ROLES_CHANGED = Coded("110136", "DCM", "Security Roles Changed")
USER_ATTRIBUTES_CHANGED = Coded("110137", "DCM", "User Security Attributes Changed")

APPLICATION = Coded("110150", "DCM", "Application")
DESTINATION = Coded("110152", "DCM", "Destination Role ID")
SOURCE = Coded("110153", "DCM", "Source Role ID")
DESTINATION_MEDIA = Coded("110154", "DCM", "Destination Media")

STUDY_INSTANCE_UID = Coded("110180", "DCM", "Study Instance UID")
SOP_CLASS_UID = Coded("110181", "DCM", "SOP Class UID")
NODE_ID = Coded("110182", "DCM", "Node ID")
PATIENT_NUMBER = Coded("2", "RFC-3881", "Patient Number")
SEARCH_CRITERIA = Coded("10", "RFC-3881", "Search Criteria")
USER_IDENTIFIER = Coded("11", "RFC-3881", "User Identifier")
URI = Coded("12", "RFC-3881", "URI")

URI_MEDIA = Coded("110037", "DCM", "URI")
