"""`mammo-node quarantine set-aside`: a person takes one instance out of a study in quarantine.

Its file is kept in `quarantine/`, and nothing names it any more: the same SOP Instance UID is a new instance when it
comes again, also in another study. For an image that was moved to another study at its source, and could otherwise
never be accepted there.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from sqlalchemy import delete, select
from sqlalchemy.orm import Session

from dicom_io.durable import make_folder, sync_folder
from models.errors import UserError
from models.types.birads import AssessmentSource
from node.archive.layout import QUARANTINE
from node.archive.versions import version_for
from node.assessments.entered import enter
from node.audit.actors import Actor
from node.operations.acts import Act, Deed, note
from node.operations.disagreement import with_disagreement
from node.operations.retry import let_out
from node.operations.studies import NoSuchStudy
from node.retention.deleting import files_by_instance
from node.retention.told import images_deleted
from node.store.states import JobState, StudyState
from node.store.tables import Annotation, DoomedFile, Instance, Job, Study
from node.studies.lifecycle import Contradiction, are_two_patients


class CannotSetAside(UserError):
    """Nothing was changed; the message says why, and what to do."""


def set_aside(session: Session, data_dir: Path, study_id: int, instance_id: int, now: float, by: Actor) -> list[str]:
    """Takes an instance out of a study in quarantine; returns what was done, in sentences.

    If nothing else is the matter than that instances disagree about the patient, and those that are left agree, or if
    none is left, the study leaves quarantine. Otherwise it stays there until `retry`.

    The file is copied before the commit, and deleted in the archive after it (`node.retention.deleting.delete_doomed`):
    a crash in between leaves it in both places.

    Raises:
        NoSuchStudy
        CannotSetAside: the study is not in quarantine, the instance is not its own, or it is being read now.
        OSError: the file cannot be copied.
    """
    study = session.get(Study, study_id, with_for_update=True)
    if study is None:
        raise NoSuchStudy(study_id)
    instance = session.get(Instance, instance_id)
    if instance is None or instance.study_id != study_id:
        raise CannotSetAside(f"Study {study_id} has no image {instance_id}: `mammo-node status {study_id}` names them.")
    if study.state is not StudyState.QUARANTINED:
        raise CannotSetAside(f"Study {study_id} is {study.state}: only of a study in quarantine an image is set aside.")
    jobs = session.scalars(select(Job).where(Job.instance_id == instance_id).with_for_update()).all()
    if any(job.state is JobState.RUNNING for job in jobs):
        raise CannotSetAside(f"Image {instance_id} is being read now: try again in a minute.")
    _keep_aside(session, study, instance, data_dir)
    _forget(session, instance, now)
    session.expire(study, ["instances"])
    note(session, Act(Deed.SET_ASIDE, by, study=study_id, about=f"image {instance_id}"), now)
    return [f"image {instance_id} was set aside", *_checked_again(session, study, now)]


def _keep_aside(session: Session, study: Study, instance: Instance, data_dir: Path) -> None:
    """Copies all versions of its file into `quarantine/`, durably, and dooms those in the archive, and its masks."""
    versions = files_by_instance(data_dir, study).get(instance.sop_instance_uid, [])
    folder = data_dir / QUARANTINE / study.study_instance_uid
    for path in sorted(versions):
        make_folder(folder)
        version = version_for(folder, instance.sop_instance_uid, data_dir / path)
        if not version.is_there:
            _copy(data_dir / path, version.path)
        session.add(DoomedFile(study_id=study.id, path=path))
    if instance.masks_path is not None:
        session.add(DoomedFile(study_id=study.id, path=instance.masks_path))


def _copy(source: Path, target: Path) -> None:
    part = target.with_name(target.name + ".part")
    with source.open("rb") as original, part.open("wb") as copy:
        shutil.copyfileobj(original, copy)
        copy.flush()
        os.fsync(copy.fileno())
    part.replace(target)
    sync_folder(target.parent)


def _forget(session: Session, instance: Instance, now: float) -> None:
    """Deletes its row and what hangs on it: jobs, an annotation, a radiologist's categories."""
    enter(session, [], AssessmentSource.SR, now, in_place_of=[instance.sop_instance_uid])
    session.execute(delete(Job).where(Job.instance_id == instance.id))
    session.execute(delete(Annotation).where(Annotation.instance_id == instance.id))
    session.delete(instance)
    session.flush()


def _checked_again(session: Session, study: Study, now: float) -> list[str]:
    if are_two_patients(session, study):
        return [f"it stays in quarantine: {with_disagreement(study.why, study.instances)}"]
    if study.instances and study.why != Contradiction.TWO_PATIENTS:
        return [f"it stays in quarantine: {study.why}; `mammo-node retry {study.id}` when that is right"]
    if deleted := images_deleted(study):
        return [f"it stays in quarantine: {deleted}. Have them sent again, then retry"]
    return let_out(session, study, now)
