"""Is everything there that the node needs? Each question gets one answer; no answer holds up another."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Engine, create_engine, make_url, text
from sqlalchemy.exc import SQLAlchemyError

from config.settings import AnyDestination, AnySource, Destination, Settings, Web
from dicom_io.errors import DestinationError, NotAccepted, Rejected
from dicom_io.network.commitment import offer_commitment
from dicom_io.network.scu import echo
from dicom_io.network.web_peer import web_echo
from models.bundle import BundleError, find_bundle, read_bundle, verify
from node.descriptors import associations_for, descriptors_for, hard_limit
from node.peers import committing, dicom_peer, web_peer

MB = 1_000_000


@dataclass(frozen=True)
class Answer:
    """`about`: what was asked; `ok`: whether the node can work with it; `says`: one sentence."""

    about: str
    ok: bool
    says: str


Question = Callable[[], Answer]


def questions(settings: Settings) -> list[Question]:
    """Everything that `mammo-node check` asks: database, disk, weights, the device where one is named, each destination
    and its storage commitment, each source, and the address for HL7 messages."""
    device = [lambda: device_is_there(settings)] if settings.reader.device.startswith("cuda") else []
    return [
        lambda: database(settings),
        lambda: disk(settings),
        lambda: descriptors(settings),
        lambda: weights(settings),
        *device,
        *(lambda to=destination: destination_answers(to, settings) for destination in settings.destinations),
        *(lambda to=destination: commitment_is_done(to, settings) for destination in committing(settings)),
        *(lambda of=source: source_answers(of, settings) for source in settings.sources),
        *([lambda: hl7_address(settings)] if settings.hl7.port is not None else []),
    ]


def ask(asked: Sequence[Question]) -> list[Answer]:
    """The answers, in the questions' order; all are asked at once, so that a hung peer delays no one but itself."""
    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        return list(pool.map(lambda question: question(), asked))


def database(settings: Settings) -> Answer:
    """Whether the queue can be opened. Changes nothing: a queue that is not there yet is made by `serve`."""
    url = make_url(settings.database)
    shown = url.render_as_string(hide_password=True)
    if url.get_backend_name() == "sqlite" and not Path(url.database or "").is_file():
        return Answer("database", True, f"{shown} is not there yet: serve makes it")
    try:
        studies = _count_studies(create_engine(url))
    except (SQLAlchemyError, ModuleNotFoundError) as error:  # a driver that is not installed
        return Answer("database", False, f"{shown} cannot be opened: {getattr(error, 'orig', None) or error}")
    return Answer("database", True, f"{shown} holds {studies} studies")


def _count_studies(engine: Engine) -> int:
    try:
        with engine.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM study")).scalar_one())
    finally:
        engine.dispose()


def disk(settings: Settings) -> Answer:
    """Whether the data folder, or the one where it will be made, can be written and has room for images."""
    folder = next(parent for parent in (settings.data_dir, *settings.data_dir.parents) if parent.exists())
    try:
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        return Answer("disk", False, f"{settings.data_dir}: nothing can be written in {folder}: {error.strerror}")
    free_mb = shutil.disk_usage(folder).free // MB
    floor_mb = settings.receiver.min_free_mb
    says = f"{settings.data_dir}: {free_mb} MB free; below {floor_mb} MB (receiver.min_free_mb) images are refused"
    return Answer("disk", free_mb > floor_mb, says)


def descriptors(settings: Settings) -> Answer:
    """Whether a process of this user may open as many files and connections as the listener is set to have."""
    limit, wanted = hard_limit(), descriptors_for(settings.receiver.max_associations)
    says = (
        f"{limit} may be open at once; receiver.max_associations = {settings.receiver.max_associations} needs {wanted}"
    )
    if limit < wanted:
        says += f": there will be {associations_for(limit)}. Raise the hard limit (ulimit -Hn, LimitNOFILE)"
    return Answer("file descriptors", limit >= wanted, says)


def weights(settings: Settings) -> Answer:
    """Whether the bundle is there and every file of it has the SHA-256 that bundle.toml tells."""
    try:
        bundle = read_bundle(find_bundle(settings.reader.bundle))
    except BundleError as error:
        return Answer("weights", False, str(error))
    if problems := verify(bundle):
        return Answer("weights", False, " ".join(problems))
    return Answer("weights", True, f"{bundle.id}: every file has its SHA-256")


def device_is_there(settings: Settings) -> Answer:
    """Whether this machine has the CUDA device that reader.device names. Imports torch, so ask only where it does."""
    from models.device import NoSuchDevice, choose_device

    try:
        choose_device(settings.reader.device)
    except NoSuchDevice as error:
        return Answer("device", False, str(error))
    return Answer("device", True, f"{settings.reader.device} is there")


def destination_answers(destination: AnyDestination, settings: Settings) -> Answer:
    """Whether a destination answers a C-ECHO, or a search where it is a DICOMweb service."""
    return _answers(f"destination {destination.name}", destination, settings)


def source_answers(source: AnySource, settings: Settings) -> Answer:
    """Whether a source answers a C-ECHO, or a search where it is a DICOMweb service."""
    return _answers(f"source {source.name}", source, settings)


def commitment_is_done(destination: Destination, settings: Settings) -> Answer:
    """Whether a destination that is set to commit does storage commitment. Asks it to keep nothing."""
    about = f"storage commitment of {destination.name}"
    peer = dicom_peer(destination, settings.receiver.ae_title)
    try:
        offer_commitment(peer)
    except NotAccepted as error:
        return Answer(about, False, f"{error}: set commitment = false, or enter the node at it for storage commitment")
    except DestinationError as error:
        return Answer(about, False, str(error))
    return Answer(about, True, f"{peer} does it; its reports come to the node's listener")


def hl7_address(settings: Settings) -> Answer:
    """Where HL7 messages are taken. Whether the address can be had shows when `serve` starts."""
    hl7 = settings.hl7
    return Answer("HL7", True, f"serve takes messages at {hl7.host}:{hl7.port} from {', '.join(hl7.sender_hosts)}")


def _answers(about: str, of: AnyDestination | AnySource, settings: Settings) -> Answer:
    try:
        if isinstance(of, Web):
            peer = of.url
            web_echo(web_peer(of))
        else:
            peer = f"{of.ae_title} at {of.host}:{of.port}"
            echo(of.ae_title, of.host, of.port, of.timeout_s, settings.receiver.ae_title)
    except DestinationError as error:
        return Answer(about, False, str(error))
    return Answer(about, True, f"{peer} answers")


def listener(settings: Settings) -> Answer:
    """Whether the node itself answers. A refusal is an answer too."""
    receiver = settings.receiver
    try:
        echo(receiver.ae_title, receiver.own_host, receiver.port, 5, receiver.ae_title)
    except Rejected:
        pass
    except DestinationError as error:
        return Answer("listener", False, str(error))
    return Answer("listener", True, f"{receiver.ae_title} at {receiver.own_host}:{receiver.port} answers")
