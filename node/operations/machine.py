"""Checks of this machine: database, disk, file descriptors, models. One function per check."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import extract, func, select
from sqlalchemy.exc import SQLAlchemyError

from config.settings import Settings
from models.bundles.bundle import BundleError, verify
from models.errors import UserError
from node.archive.layout import RECEIVED
from node.archive.lock import is_free
from node.bundles import open_bundle, signers_of
from node.operations.descriptors import associations_for, descriptors_for, hard_limit
from node.store.database import (
    NotServedYet,
    QueueUnusable,
    held_by,
    open_existing,
    read_only,
    sessions_of,
    why_not_opened,
)
from node.store.tables import Study

MB = 1_000_000
CLOCKS_APART_S = 5.0
"""A larger difference is no delay of the network."""


@dataclass(frozen=True)
class CheckResult:
    """`about`: the checked thing; `ok`: whether the check passed; `says`: one sentence; `warns`: whether it passed, but
    is probably not what was meant."""

    about: str
    ok: bool
    says: str
    warns: bool = False


def faults(settings: Settings) -> list[CheckResult]:
    """The current faults of the machine that stop the node's work, or leave something out of it; for `status`."""
    ranks = [reference] if settings.reader.reference is not None else []
    return [answer for ask in (running, database, disk, weights, *ranks) if not (answer := ask(settings)).ok]


def running(settings: Settings) -> CheckResult:
    """Whether a process of the node works in the data folder: its lock says so."""
    if is_free(settings.data_dir):
        says = "it does not run: nothing is received, read or sent. Its log says why; `mammo-node serve` starts it"
        return CheckResult("the node", False, says)
    return CheckResult("the node", True, "it runs")


def database(settings: Settings) -> CheckResult:
    """Whether the queue can be used, and is not locked by another process. Changes nothing and takes no lock; `serve`
    creates a missing queue."""
    if holder := _holder(settings.database):
        return CheckResult("database", False, f"{holder} does not let others write to it: end that process")
    try:
        engine = open_existing(settings.database)
    except NotServedYet as error:
        return CheckResult("database", True, str(error))
    except QueueUnusable as error:
        return CheckResult("database", False, str(error))
    except SQLAlchemyError as error:
        return CheckResult("database", False, f"it cannot be opened: {why_not_opened(error)}")
    try:
        with read_only(sessions_of(engine)) as session:
            studies = session.scalars(select(func.count()).select_from(Study)).one()
    except SQLAlchemyError as error:
        return CheckResult("database", False, f"it cannot be opened: {why_not_opened(error)}")
    finally:
        engine.dispose()
    return CheckResult("database", True, f"{engine.url.render_as_string()} holds {studies} studies")


def database_clock(settings: Settings, now: Callable[[], float]) -> CheckResult:
    """Whether this machine's clock is that of the database's, by which the processes of a node go; commands and the
    times in logs are by the machine's. For PostgreSQL.

    Args:
        now: UTC seconds since the epoch, by this machine's clock.
    """
    try:
        engine = open_existing(settings.database)
    except (UserError, SQLAlchemyError):
        return CheckResult("clock", True, "not compared with the database's, which cannot be opened")
    try:
        with read_only(sessions_of(engine)) as session:
            session.connection()  # which may take its time
            before = now()
            its = float(session.scalars(select(extract("epoch", func.clock_timestamp()))).one())
            ahead = (before + now()) / 2 - its
    except SQLAlchemyError:
        return CheckResult("clock", True, "not compared with the database's, which does not answer")
    finally:
        engine.dispose()
    if abs(ahead) <= CLOCKS_APART_S:
        return CheckResult("clock", True, f"at most {CLOCKS_APART_S:.0f} s from the database's")
    says = (
        f"this machine's is {abs(ahead):.0f} s {'ahead of' if ahead > 0 else 'behind'} the database's, by which the"
        " node goes: set both by NTP"
    )
    return CheckResult("clock", True, says, warns=True)


def _holder(url: str) -> str:
    """The process that holds the queue's write lock for two seconds, which the node itself never does; "": none."""
    process = held_by(url)
    for _ in range(20):
        if process is None or held_by(url) != process:
            return ""
        time.sleep(0.1)
    return f"process {process}" if process else "a process outside this container"


def disk(settings: Settings) -> CheckResult:
    """Whether the data folder and its subfolders, or its future parent, can be written and have room."""
    folder = next(parent for parent in (settings.data_dir, *settings.data_dir.parents) if parent.exists())
    kept_in = [settings.data_dir / name for name in RECEIVED]
    served = any(os.path.lexists(path) for path in kept_in)
    for path in (folder, *(kept_in if served else ())):
        try:
            with tempfile.TemporaryFile(dir=path):
                pass
        except OSError as error:
            says = f"{settings.data_dir}: nothing can be written in {path}: {error.strerror}"
            cure = "" if path == folder else ". Images are refused: bring that folder back, and start the node again"
            return CheckResult("disk", False, says + cure)
    free_mb = shutil.disk_usage(folder).free // MB
    floor_mb = settings.receiver.min_free_mb
    says = f"{settings.data_dir}: {free_mb} MB free; below {floor_mb} MB (receiver.min_free_mb) images are refused"
    return CheckResult("disk", free_mb > floor_mb, says)


def descriptors(settings: Settings) -> CheckResult:
    """Whether the limit of open files allows the configured number of associations."""
    limit, wanted = hard_limit(), descriptors_for(settings.receiver.max_associations)
    says = (
        f"{limit} may be open at once; receiver.max_associations = {settings.receiver.max_associations} needs {wanted}"
    )
    if limit < wanted:
        says += f": there will be {associations_for(limit)}. Raise the hard limit (ulimit -Hn, LimitNOFILE)"
    return CheckResult("file descriptors", limit >= wanted, says)


def weights(settings: Settings) -> CheckResult:
    """Whether the bundle exists, is signed as the settings require, and every file has the SHA-256 of bundle.toml."""
    try:
        bundle = open_bundle(settings)
        signed = f", signed by {signers_of(settings).signer_of(bundle)}" if settings.bundles.signature_required else ""
    except BundleError as error:
        return CheckResult("weights", False, str(error))
    if problems := verify(bundle):
        return CheckResult("weights", False, " ".join(problems))
    return CheckResult("weights", True, f"{bundle.id}: every file has its SHA-256{signed}")


def reference(settings: Settings) -> CheckResult:
    """Whether the reference set of `reader.reference`, which must be set, can be used with the bundle."""
    from models.reference.reference_file import read_reference  # not above: it imports scipy

    about = "reference"
    if settings.reader.reference is None:
        raise ValueError("reader.reference is not set")
    try:
        read = read_reference(settings.reader.reference, open_bundle(settings))
    except UserError as error:
        return CheckResult(about, False, str(error))
    return CheckResult(about, True, f"{read.of}: scores of {read.bundle}")
