"""Where each file lies in the data folder. Paths are relative to it, as the database stores them.

    incoming/                                     data sets that are being received; with PostgreSQL in one folder for
                                                  each process that receives
    web-incoming/                                 instances of Store requests (STOW-RS) on their way to the listener
    fetching/                                     copies on their way back from the far side of the archive
    archive/STUDY/INSTANCE.dcm, INSTANCE_2.dcm    received instances; a corrected header is stored as the next version
    quarantine/STUDY/INSTANCE.dcm                 instances that contradict one in the archive
    readings/IMAGE-TOKEN.npz                      the masks of a reading
    results/STUDY/revision-N/…                    the objects of a report
    hl7-refused/DIGEST.hl7                        HL7 messages that could not be used
    audit/2026-11-30.log                          the audit trail; audit/sent, audit/settings.json, audit/lock
    pseudonyms.key, web.key, node.lock, node-PART.lock

STUDY and INSTANCE are UIDs in `archive` and `quarantine`, and row ids of the database elsewhere.
"""

from __future__ import annotations

from pathlib import Path

INCOMING, ARCHIVE, QUARANTINE = Path("incoming"), Path("archive"), Path("quarantine")
RECEIVED = (INCOMING, ARCHIVE, QUARANTINE)
"""The folders that `serve` creates."""
WEB_INCOMING = Path("web-incoming")
FETCHING = Path("fetching")
READINGS = Path("readings")
HL7_REFUSED = Path("hl7-refused")
AUDIT = Path("audit")
AUDIT_SENT = AUDIT / "sent"
"""The number of the last line that the syslog receiver has."""
AUDITED_SETTINGS = AUDIT / "settings.json"
"""The settings of the last start, to tell which were changed."""
PSEUDONYM_KEY = Path("pseudonyms.key")
WEB_KEY = Path("web.key")
"""Signs the sessions of the web page."""
LOCK = Path("node.lock")
"""Of the folder; `lock_of_part`: of a part of the node, with SQLite."""
_RESULTS = Path("results")
_SUFFIXES = {"FHIR": ".json", "ORU": ".hl7"}
"""Of results that are no DICOM objects."""
ACKNOWLEDGEMENT = ".ack"
FHIR_ANSWER = ".answer.json"
ANSWERS = (ACKNOWLEDGEMENT, FHIR_ANSWER)
"""The suffixes of files with what a destination answered when it refused a message; they have no row."""


def lock_of_part(part: str) -> Path:
    return Path(f"node-{part}.lock")


def archived(study_instance_uid: str, sop_instance_uid: str) -> Path:
    """The first version of a received instance."""
    return ARCHIVE / study_instance_uid / f"{sop_instance_uid}.dcm"


def masks_of_reading(instance_id: int | None, job_id: int, token: int) -> Path:
    """The masks of a reading. The job and the claim's token in the name prevent a reader that lost its lease, or whose
    job was cancelled, from overwriting those of another."""
    return READINGS / f"{instance_id}-{job_id}-{token}.npz"


def masks_of_rereading(instance_id: int, revision: int) -> Path:
    """The masks of a reading by `mammo-node reread`, for the revision that will report it."""
    return READINGS / f"{instance_id}-revision-{revision}.npz"


def results_of(study_id: int) -> Path:
    """The folder of a study's results."""
    return _RESULTS / str(study_id)


def result(study_id: int, revision: int, profile: str, number: int, kind: str) -> Path:
    """Object `number` (1, 2, …) of a revision's report in one profile."""
    return results_of(study_id) / f"revision-{revision}" / profile / f"{number:02}-{kind}{_SUFFIXES.get(kind, '.dcm')}"


def answer_to(path: Path, destination: str, suffix: str) -> Path:
    """What a destination answered to the message at `path`, one of ANSWERS by its suffix."""
    return path.with_suffix(f".{destination}{suffix}")


def rejection_note(study_id: int, revision: int, sop_instance_uid: str) -> Path:
    return results_of(study_id) / f"revision-{revision}" / f"{sop_instance_uid}.dcm"
