"""What needs a person now, the most urgent first: whatever the node does not mend by itself."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from config.settings import Settings
from dicom_io.network.answers import Status
from models.types.words import counted
from node.archive.copies import longest_waiting, not_copied
from node.archive.layout import AUDIT_SENT
from node.audit.recorder import stored_head
from node.audit.sender import not_sent
from node.delivery.orphaned import orphaned, waiting_for
from node.intake.refused_instances import code, refused_instances
from node.operations.certificates import certificates
from node.operations.cluster import view_actors
from node.operations.day import Day, DestinationWord, destination_words, view_day
from node.operations.drift import drift
from node.operations.machine import MB, CheckResult, disk
from node.operations.webhooks import webhook_words
from node.store.events import left_behind, notices_wait
from node.store.states import JobKind, JobState, StudyState
from node.store.tables import AuditEvent, Job, Study

_CURES = {
    "result": "Mend the destination, then `mammo-node deliveries retry {name}`.",
    "notice": "Mend the webhook, then `mammo-node webhooks retry {name}`.",
}
STALLED_S = 600.0
"""Images that wait so long while none is read mean that the reader does not work."""
UNCOPIED_S = 3600.0
"""Instances that are not copied after so long mean that the far side of the archive does not work."""

REFUSED_S = 86400.0
"""For how long instances that were refused need a person."""
_TOLD_ELSEWHERE = frozenset(code(status) for status in (Status.NO_SPACE, Status.NO_STORAGE, Status.CONTRADICTS))
"""They come again by themselves once the disk has room, or their study is in quarantine."""
UNSENT_S = 600.0
"""Lines of the audit trail that are not sent after so long mean that its syslog receiver is away, and events that are
not written into it that its files cannot be written, or that no process does it."""


@dataclass(frozen=True)
class Need:
    """Something that a person must look at.

    Attributes:
        about: what it concerns, for pages ("disk", "delivery", "quarantine", "failed", "stranded", "reader",
            "drift", "certificate", "archive", "audit", "refused").
        says: what is wrong.
        cure: what to do.
        of: the part that it concerns: a destination, a kind of job; "" where there is one only.
        count: how many studies, images or results need it, where more of them are another matter; else 1.
    """

    about: str
    says: str
    cure: str
    of: str = ""
    count: int = 1

    @property
    def key(self) -> str:
        """The same for the same matter."""
        return f"{self.about} {self.of}".strip()


def needs_now(session: Session, settings: Settings, now: float) -> tuple[Need, ...]:
    """What needs a person now."""
    names = [destination.name for destination in settings.destinations]
    webhooks = [webhook.name for webhook in settings.webhooks]
    words = (*destination_words(session, names, now), *webhook_words(session, webhooks, now))
    return needs(session, settings, view_day(session, names, now), words, now)


def needs(
    session: Session, settings: Settings, day: Day, destinations: Sequence[DestinationWord], now: float
) -> tuple[Need, ...]:
    """What needs a person.

    Args:
        day, destinations: see node/operations/day.py, of the same moment.
    """
    return tuple(_needs(session, settings, day, destinations, now))


def _needs(
    session: Session, settings: Settings, day: Day, destinations: Sequence[DestinationWord], now: float
) -> Iterator[Need]:
    room = disk(settings)
    if not room.ok:
        yield Need("disk", room.says, "Free some space, or mend the folder: senders are refused until then.")
    yield from _not_freed(settings)
    judged = certificates(settings, now)
    yield from _certificates([certificate for certificate in judged if not certificate.ok])
    if day.to_read and not day.being_read and _waits_since(session) < now - STALLED_S:
        says = f"{counted(day.to_read, 'image')} {'waits' if day.to_read == 1 else 'wait'}, and none is being read"
        if (day.last_read_at or 0) < now - STALLED_S:
            faults = [pool.fault for pool in view_actors(session) if pool.fault]
            cure = (
                f"Mend it: {faults[0]}."
                if faults
                else "The reader does not start, or ends again: the node's log says why."
            )
            yield Need("reader", says, cure)
    patience = {of.name: of.dead_after_s for of in (*settings.destinations, *settings.webhooks)}
    for word in destinations:
        if word.waiting and word.error:
            says = f"{waiting_for_results(word)}: {word.error}"
            cure = (
                "It is tried again by itself, and each wait is longer than the one before; "
                f"what is older than {patience[word.name] / 3600:.3g} h is given up."
            )
            yield Need("delivery", says, cure, of=word.name)
    yield from _refused(session, now)
    yield from _uncopied(session, settings, now)
    yield from _unsent(session, settings, now)
    quarantined = session.scalar(select(func.count()).select_from(Study).where(Study.state == StudyState.QUARANTINED))
    if quarantined:
        yield Need(
            "quarantine",
            f"{counted(quarantined, 'study', 'studies')} in quarantine: nothing of {_it(quarantined)} is sent",
            "Check what contradicts, and retry the study when it is right.",
            count=quarantined,
        )
    failed = select(Job.kind, func.count()).where(Job.state == JobState.FAILED).group_by(Job.kind)
    for kind, count in session.execute(failed):
        what = f"{counted(count, 'report')} could not be written"
        if kind is JobKind.READ_IMAGE:
            what = f"{counted(count, 'image')} could not be read"
        yield Need("failed", what, "The study says why; then retry it.", of=str(kind), count=count)
    for word in destinations:
        if word.given_up:
            says = f"{counted(word.given_up, word.what)} did not reach {word.name}, and {_is(word.given_up)} given up"
            cure = _CURES[word.what].format(name=word.name)
            yield Need("failed", says, cure, of=f"to {word.name}", count=word.given_up)
    yield from _certificates([certificate for certificate in judged if certificate.ok and certificate.warns])
    for watched in drift(session, now):
        for course in (course for course in watched.courses if course.drifts):
            cure = "Look at some of its images: the device, its processing, or who is examined may have changed."
            yield Need("drift", f"{watched.name}: {course.drifts}", cure, of=f"{watched.name}, {course.measure}")
    for name, count in orphaned(session, [word.name for word in destinations]).items():
        cure = f"`mammo-node deliveries move {name} TO` or `deliveries drop {name}`"
        yield Need("stranded", f"{waiting_for(name, count)}, which is no longer in the settings", cure, of=name)
    for name, count in left_behind(session, [webhook.name for webhook in settings.webhooks]).items():
        says = f"{notices_wait(name, count)}, which is no longer in the settings; more are added"
        yield Need("stranded", says, f"`mammo-node webhooks drop {name}`", of=f"webhook {name}")


def _not_freed(settings: Settings) -> Iterator[Need]:
    below_mb = settings.retention.purge_below_free_mb
    if below_mb is None or not settings.data_dir.is_dir():
        return
    free_mb = shutil.disk_usage(settings.data_dir).free // MB
    if free_mb < below_mb:
        says = f"{free_mb} MB free, less than purge_below_free_mb ({below_mb} MB): retention has not freed enough"
        cure = "`mammo-node purge --dry-run` says what is kept and why; the log, whether deleted files freed nothing."
        yield Need("disk", says, cure, of="retention")


def _refused(session: Session, now: float) -> Iterator[Need]:
    for refused in refused_instances(session):
        if refused.status not in _TOLD_ELSEWHERE and refused.last_at > now - REFUSED_S:
            says = f"{refused.calling_ae_title}: {counted(refused.times, 'instance')} refused with {refused.status}"
            cure = "They are not stored here: mend it at the sender, then send them again."
            yield Need("refused", f"{says} ({refused.meaning})", cure, f"{refused.calling_ae_title} {refused.status}")


def _uncopied(session: Session, settings: Settings, now: float) -> Iterator[Need]:
    if settings.archive.copy_to is None:
        return
    count, since = not_copied(session)
    if since is not None and since < now - UNCOPIED_S:
        day = f"{datetime.fromtimestamp(since, UTC):%Y-%m-%d %H:%M} UTC"
        first = ", ".join(f"{instance} of study {study}" for study, instance in longest_waiting(session))
        says = f"{counted(count, 'instance')} {_is(count)} not copied to {settings.archive.copy_to} since {day}"
        yield Need(
            "archive",
            f"{says}: first {first}",
            "The node's log says why; they are copied by themselves once it is mended.",
        )


def _unsent(session: Session, settings: Settings, now: float) -> Iterator[Need]:
    oldest = session.scalar(select(AuditEvent.at).order_by(AuditEvent.id).limit(1))
    if oldest is not None and oldest < now - UNSENT_S:
        says = "Events wait to be written into the audit trail"
        cure = (
            "The log of the node with the part `report` says why, if it runs; mended, they are written by themselves."
        )
        yield Need("audit", says, cure, of="files")
    if settings.audit.syslog_host is None:
        return
    count, since = not_sent(settings.data_dir / AUDIT_SENT, stored_head(session))
    if since is not None and since < now - UNSENT_S:
        waits = "line of the audit trail waits" if count == 1 else "lines of the audit trail wait"
        says = f"{count} {waits} for the syslog receiver {settings.audit.syslog_host}"
        yield Need("audit", says, "The node's log says why; they are sent by themselves once it is mended.")


def _certificates(judged: Sequence[CheckResult]) -> Iterator[Need]:
    cure = "A new file is read by itself; for ray.tls, start the node again."
    for certificate in judged:
        yield Need("certificate", f"{certificate.about}: {certificate.says}", cure, of=certificate.about)


def waiting_for_results(word: DestinationWord) -> str:
    """ "2 results wait for pacs"."""
    return f"{counted(word.waiting, word.what)} {'waits' if word.waiting == 1 else 'wait'} for {word.name}"


def _waits_since(session: Session) -> float:
    """When the image that waits the longest was due."""
    waits = select(func.min(Job.next_at), func.min(Job.turn)).where(
        Job.state == JobState.WAITING, Job.kind == JobKind.READ_IMAGE
    )
    next_at, turn = session.execute(waits).one()
    return max(next_at or 0.0, turn or 0.0)


def _it(count: int) -> str:
    return "it" if count == 1 else "them"


def _is(count: int) -> str:
    return "is" if count == 1 else "are"
