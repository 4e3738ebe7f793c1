"""Puts the node together: the one place where settings, database, network and models meet.

Importing this module never imports torch; only `run_reader`, in the reader's own process, does.
"""

from __future__ import annotations

import fcntl
import logging
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from uuid import uuid4

from pydicom.uid import generate_uid

from config.settings import AnyDestination, Destination, Outlet, Sender, Settings
from dicom_io.device import Device
from dicom_io.network.commitment import CommitmentReport
from dicom_io.network.peer import Peer
from dicom_io.network.scp import Listener, ListenerLimits
from dicom_io.network.scu import Content, count_instances
from dicom_io.results.encode import contents_of
from dicom_io.results.profiles import profile_of
from models.bundles.bundle import BundleError, find_bundle, read_bundle, verify
from models.errors import UserError
from node.archive.layout import LOCK
from node.archive.leftovers import sweep
from node.assessments.hl7.intake import Hl7Intake
from node.assessments.hl7.listener import MllpListener, listen
from node.delivery.backoff import RetryPolicy
from node.delivery.commitment import Commitment
from node.delivery.deliverer import Deliverer
from node.delivery.outbox import Recipient
from node.delivery.rejection import Rejecting
from node.delivery.stranded import stranded, waiting_for
from node.intake.receiving import Receiving, ReceivingLimits
from node.intake.refused_classes import enter_refused_classes
from node.logs import set_up_logging
from node.operations.descriptors import associations_for, raise_limit
from node.peers import callers, commitment_request, committing, destination
from node.reader.process import ReaderSupervisor, Unwell
from node.reporting.reporter import Reporter
from node.routing import route
from node.service import Loop, Service, Tick
from node.store.clock import ClockWatch, follow, resume, steady
from node.store.database import Sessions, open_database, sessions_of
from node.store.installation import identity_of
from node.store.queue import give_back
from node.studies.closing import close_complete
from node.studies.completeness import Ladder
from node.studies.source_counts import Count, ask_sources

log = logging.getLogger(__name__)

CLOSING_EVERY_S = 1.0
ASKING_EVERY_S = 10.0
REJECTING_EVERY_S = 30.0
IDLE_S = 0.2
MB = 1_000_000


class AlreadyRunning(UserError):
    """Another node works in this data folder; two would read and send everything twice."""


class DataFolderUnusable(UserError):
    """The data folder cannot be made or written in; the message says why."""


@contextmanager
def only_node(data_dir: Path) -> Iterator[None]:
    """Holds the data folder for this process; the lock goes when the process ends, however it ends.

    What stands in it is for the node's own user alone, also where somebody else made the folder, or an older node wrote
    into it with other permissions.

    Raises:
        AlreadyRunning: another process holds it.
        DataFolderUnusable: it cannot be made, or not be written in.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # patients' data: for the node's own user
        held = (data_dir / LOCK).open("w")
    except OSError as error:
        raise DataFolderUnusable(
            f"data_dir {data_dir} cannot be used: {error.strerror}. It must be a folder that the node may write in."
        ) from error
    with held as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunning(
                f"Another mammo-node works in {data_dir}: stop it, or set another data_dir."
            ) from error
        for entry in data_dir.iterdir():
            if entry.owner() == data_dir.owner() and not entry.is_symlink():
                entry.chmod(0o700 if entry.is_dir() else 0o600)
        yield


def build_service(settings: Settings) -> Service:
    """The node that these settings describe, ready to run.

    Raises:
        BundleError: the models are not there, or their weights are damaged.
        UnknownInstallation: the file that says which installation this is is damaged.
        NotListening: the address for HL7 messages cannot be had.
    """
    descriptors = raise_limit()
    sessions = sessions_of(open_database(settings.database))
    bundle = read_bundle(find_bundle(settings.reader.bundle))
    if problems := verify(bundle):
        raise BundleError("\n".join(problems))
    with sessions.begin() as session:  # leases of an earlier life of this node that was killed
        for worker in (reader_name(settings), reporter_name(settings)):
            give_back(session, worker, counts=True)
        resume(session, time.time())
        sweep(session, settings.data_dir, time.time())
        for name, count in stranded(session, [one.name for one in settings.destinations]).items():
            log.warning("%s, which is no destination any more", waiting_for(name, count))
    device = _device(settings)
    reporter = Reporter(
        sessions=sessions,
        data_dir=settings.data_dir,
        recipients=[_recipient(outlet) for outlet in settings.destinations],
        router=partial(route, settings.routes),
        bundle=bundle.id,
        device=device,
        worker=reporter_name(settings),
        lease_s=settings.reader.lease_s,
        now=time.time,
        recall_threshold=settings.birads.recall_threshold,
        coded_category=settings.birads.coded_category,
    )
    supervisor = ReaderSupervisor(run_reader, (settings,), sessions, reader_name(settings))
    loops = [Loop("reader", supervisor.run), Loop("reporter", reporter.run)]
    commitments = {outlet.name: _commitment(outlet, settings, sessions) for outlet in committing(settings)}
    for outlet in settings.destinations:
        deliverer = _deliverer(outlet, settings, sessions, commitments.get(outlet.name))
        loops.append(Loop(f"delivery to {outlet.name}", deliverer.run))
    if settings.hl7.port is not None:
        loops.append(Loop("HL7", _hl7_listener(settings.hl7.port, settings, sessions).run))
    ticks = [
        Tick("closing", CLOSING_EVERY_S, partial(_close, sessions, _ladder(settings), ClockWatch(time.time, steady)))
    ]
    for outlet in settings.destinations:
        if outlet.rejection_notes:
            rejecting = Rejecting(
                recipient=_recipient(outlet),
                commits=outlet.name in commitments,
                sessions=sessions,
                data_dir=settings.data_dir,
                device=device,
                bundle=bundle.id,
                now=time.time,
            )
            ticks.append(Tick(f"rejection notes to {outlet.name}", REJECTING_EVERY_S, rejecting.run))
    counts = {
        sender.ae_title: _count(sender, sender.find_host, sender.find_port, settings)
        for sender in settings.senders
        if sender.find_host is not None and sender.find_port is not None
    }
    if counts:
        ticks.append(Tick("asking", ASKING_EVERY_S, partial(_ask, sessions, counts, settings)))
    listener = _listener(settings, sessions, list(commitments.values()), descriptors)
    return Service(listener, loops, ticks, ClockWatch(time.time, steady))


def reader_name(settings: Settings) -> str:
    """The name under which this node's reader holds its leases."""
    return f"{settings.receiver.ae_title}/reader"


def reporter_name(settings: Settings) -> str:
    """The name under which this node's reporter holds its leases."""
    return f"{settings.receiver.ae_title}/reporter"


def run_reader(settings: Settings) -> None:
    """The reader's process: loads the bundle once, then reads until it is ended."""
    import torch

    from models.catalog import load_pipeline
    from models.device import choose_device
    from node.reader.images import ImageReader, ReadingLimits

    set_up_logging(settings.log_level)
    if settings.reader.threads is not None:
        torch.set_num_threads(settings.reader.threads)
    pipeline = load_pipeline(
        read_bundle(find_bundle(settings.reader.bundle)),
        choose_device(settings.reader.device),
        mixed_precision=settings.reader.mixed_precision,
        prevalence=settings.reader.prevalence,
        clock=time.perf_counter,
    )
    reader = ImageReader(
        sessions=sessions_of(open_database(settings.database)),
        data_dir=settings.data_dir,
        pipeline=pipeline,
        worker=reader_name(settings),
        limits=ReadingLimits(
            batch=settings.reader.batch,
            attempts=settings.reader.attempts,
            lease_s=settings.reader.lease_s,
            max_image_pixels=settings.receiver.max_image_pixels,
        ),
        now=time.time,
    )
    try:
        while True:
            if not reader.read_some():
                time.sleep(IDLE_S)
    except torch.AcceleratorError as error:
        raise Unwell("the GPU does not answer") from error


def _device(settings: Settings) -> Device:
    told = settings.installation
    return Device(identity_of(settings.data_dir, uuid4), told.station_name, told.institution_name)


def _listener(settings: Settings, sessions: Sessions, commitments: Sequence[Commitment], descriptors: int) -> Listener:
    limits = settings.receiver
    at_once = min(limits.max_associations, associations_for(descriptors))
    if at_once < limits.max_associations:
        log.warning("%d associations at once and no more: too few file descriptors (ulimit -n)", at_once)
    receiving = Receiving(
        sessions,
        settings.data_dir,
        ReceivingLimits(
            min_free_bytes=limits.min_free_mb * MB,
            quota_bytes=None if limits.quota_mb is None else limits.quota_mb * MB,
            max_image_bytes=limits.max_image_mb * MB,
            max_image_pixels=limits.max_image_pixels,
        ),
        frozenset(sender.ae_title for sender in settings.senders if sender.reads_secondary_capture),
        time.time,
        partial(route, settings.routes),
    )
    return Listener(
        limits.ae_title,
        limits.host,
        limits.port,
        callers(settings),
        receiving.incoming,
        receiving,
        ListenerLimits(
            max_associations=at_once,
            max_associations_per_peer=limits.max_associations_per_peer,
            max_pdu_bytes=limits.max_pdu_bytes,
            association_timeout_s=limits.association_timeout_s,
            idle_timeout_s=limits.idle_timeout_s,
            max_image_bytes=limits.max_image_mb * MB,
        ),
        partial(_heard, commitments) if commitments else None,
        partial(_enter_refused_classes, sessions),
    )


def _enter_refused_classes(sessions: Sessions, calling_ae_title: str, sop_class_uids: Sequence[str]) -> None:
    enter_refused_classes(sessions, calling_ae_title, sop_class_uids, time.time())


def _heard(commitments: Sequence[Commitment], report: CommitmentReport) -> bool:
    return any(commitment.hear(report) for commitment in commitments)


def _hl7_listener(port: int, settings: Settings, sessions: Sessions) -> MllpListener:
    intake = Hl7Intake(sessions, settings.data_dir, settings.hl7, time.time)
    intake.hosts.watch(settings.hl7.sender_hosts)
    return MllpListener(
        listen(settings.hl7.host, port),
        intake.may_send,
        intake.answer,
        intake.too_large,
        settings.hl7.max_message_kb * 1000,
    )


def _ladder(settings: Settings) -> Ladder:
    closing = settings.closing
    return Ladder(closing.four_views_quiet_s, closing.quiet_s, closing.deadline_s)


def _close(sessions: Sessions, ladder: Ladder, clock: ClockWatch) -> None:
    if moved := clock.set_by():
        with sessions.begin() as session:
            follow(session, moved, time.time(), clock.since_s())
        clock.accept(moved)
    close_complete(sessions, ladder, time.time())


def _ask(sessions: Sessions, counts: dict[str, Count], settings: Settings) -> None:
    ask_sources(sessions, counts, settings.closing.four_views_quiet_s, time.time())


def _count(sender: Sender, host: str, port: int, settings: Settings) -> Count:
    return partial(count_instances, Peer(sender.ae_title, host, port, 10, settings.receiver.ae_title))


def _recipient(outlet: Outlet) -> Recipient:
    profile = profile_of(outlet.profile, outlet.objects, outlet.nominal_geometry, outlet.draws_exam)
    return Recipient(outlet.name, profile, outlet.only_discordant, outlet.rejection_notes)


def _commitment(outlet: Destination, settings: Settings, sessions: Sessions) -> Commitment:
    return Commitment(
        name=outlet.name,
        request=commitment_request(outlet, settings.receiver.ae_title),
        policy=_policy(outlet),
        timeout_s=outlet.commitment_timeout_s,
        sessions=sessions,
        now=time.time,
        new_uid=partial(generate_uid, prefix=None),
    )


def _contents(outlet: Outlet) -> tuple[Content, ...]:
    return contents_of(_recipient(outlet).profile, rejection_notes=outlet.rejection_notes)


def _policy(outlet: Outlet) -> RetryPolicy:
    return RetryPolicy(outlet.retry_first_s, outlet.retry_ceiling_s, outlet.dead_after_s)


def _deliverer(
    outlet: AnyDestination, settings: Settings, sessions: Sessions, commitment: Commitment | None
) -> Deliverer:
    return Deliverer(
        name=outlet.name,
        destination=destination(outlet, settings.receiver.ae_title, _contents(outlet)),
        policy=_policy(outlet),
        sessions=sessions,
        data_dir=settings.data_dir,
        now=time.time,
        commitment=commitment,
    )
