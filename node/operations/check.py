"""The checks of `mammo-node check`. Each has one result, and none delays another."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from ipaddress import ip_address
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import urlsplit

from config.peers import (
    AnyDestination,
    AnySource,
    DicomDestination,
    FhirDestination,
    Hl7Destination,
    Sender,
    WebDestination,
    WebService,
)
from config.settings import Settings
from config.webhooks import Webhook
from dicom_io.errors import DestinationError, NotAccepted, Rejected, Unreachable
from dicom_io.network.commitment import offer_commitment
from dicom_io.network.host_names import addresses_of
from dicom_io.network.scu import Content, accepted_of, echo
from dicom_io.network.user_identity import AllowedUser, Demand, ProofUnusable
from dicom_io.network.web_peer import web_echo
from dicom_io.results.language import language_of
from node.archive.far_side import FarSideFailed, far_side
from node.audit.recording import syslog_receiver
from node.delivery.destinations import mllp_peer, preferred
from node.delivery.fhir_server import fhir_echo
from node.delivery.mllp import mllp_connects
from node.mail.server import MailRefused, mail_echo
from node.operations.accounts import LEAST_LETTERS, easy_to_guess
from node.operations.certificates import certificates
from node.operations.cluster import cluster_answers
from node.operations.listening import Listens, can_listen, is_own, listeners
from node.operations.machine import CheckResult, database, database_clock, descriptors, disk, reference, weights
from node.operations.provider import ProviderUnusable, provider_echo
from node.peers import committing, dicom_peer, find_peer, own_listener, user_of, web_peer
from node.store.clock import steady
from node.webhooks.message import SecretUnusable, secret_of

Check = Callable[[], CheckResult]

NO_DESTINATION = CheckResult(
    "destinations", True, "there are none: results are kept and sent to nobody. Add [[destinations]]", warns=True
)


def checks(settings: Settings) -> list[Check]:
    """All checks: whether each listener's address is free, who may send, whether those answer that are asked how many
    images a study has, whether the users can be known that senders must state, where results go, whether a
    translation is not reviewed, database, disk, weights, the reader's threads unless they are set, the Ray cluster
    where images are read on one, the reference set, the far side of the archive and the device if they are named, each
    destination, its storage commitment and its transfer syntaxes, each webhook, each source, the mail server, the
    syslog receiver of the audit trail, and the provider of the page's accounts."""
    reads_here = settings.reads_here
    device = [lambda: device_is_there(settings)] if reads_here and settings.reader.device.startswith("cuda") else []
    return [
        *(lambda at=address: listens(at, settings) for address in listeners(settings)),
        lambda: senders_reach_it(settings),
        *(lambda of=sender: sender_is_asked(of, settings) for sender in settings.senders if sender.find_host),
        *(
            lambda by=sender.ae_title, of=demand: user_can_be_known(by, of)
            for sender in settings.senders
            if (demand := user_of(sender, lambda: 0.0)) is not None  # only its files are read: no token is verified
        ),
        *([] if settings.destinations else [lambda: NO_DESTINATION]),
        *([] if language_of(settings.language).is_reviewed else [lambda: language_not_reviewed(settings)]),
        lambda: database(settings),
        lambda: disk(settings),
        lambda: descriptors(settings),
        lambda: weights(settings),
        *([lambda: threads(settings)] if reads_here and settings.reader.threads is None and not device else []),
        *([] if reads_here else [lambda: cluster_answers(settings)]),
        *([lambda: reference(settings)] if settings.reader.reference is not None else []),
        *([lambda: far_side_keeps(settings)] if settings.archive.copy_to is not None else []),
        *device,
        *(lambda to=destination: destination_answers(to, settings) for destination in settings.destinations),
        *(lambda of=webhook: webhook_can_be_told(of) for webhook in settings.webhooks),
        *(lambda to=destination: commitment_is_done(to, settings) for destination in committing(settings)),
        *(lambda to=destination: syntaxes_are_accepted(to, settings) for destination in _preferring(settings)),
        *(lambda of=source: source_answers(of, settings) for source in settings.sources),
        *([lambda: mail_server_answers(settings)] if settings.mail.host is not None else []),
        *([lambda: syslog_receiver_answers(settings)] if settings.audit.syslog_host is not None else []),
        *([lambda: provider_answers(settings)] if settings.oidc.issuer is not None else []),
    ]


def far_side_keeps(settings: Settings) -> CheckResult:
    """Whether the far side of the archive keeps a file: writes a small one, always the same, and reads it back."""
    about = f"archive: {settings.archive.copy_to}"
    with TemporaryDirectory() as folder:
        probe = Path(folder) / "probe"
        probe.write_bytes(b"mammo-node check")
        try:
            far = far_side(settings.archive)
            if far is not None:
                far.put(probe, "mammo-node-check")
        except FarSideFailed as error:
            return CheckResult(about, False, str(error))
    return CheckResult(about, True, "keeps copies")


def syslog_receiver_answers(settings: Settings) -> CheckResult:
    """Whether the receiver of the audit trail takes a connection by TLS; by UDP nobody answers."""
    about = f"audit trail: {settings.audit.syslog_host}:{settings.audit.port}"
    receiver = syslog_receiver(settings)
    if receiver is None or receiver.tls is None:
        return CheckResult(about, True, "by UDP: whether it takes what is sent is not known", warns=True)
    try:
        receiver.send([])
    except Unreachable as error:
        return CheckResult(about, False, str(error))
    return CheckResult(about, True, "answers by TLS")


def language_not_reviewed(settings: Settings) -> CheckResult:
    """That no native radiologist has reviewed the translations."""
    says = (
        f'no native radiologist has reviewed the translations of "{settings.language}", as every report says: '
        'have them reviewed (docs/languages.md), or set language = "en"'
    )
    return CheckResult("language", True, says, warns=True)


def senders_reach_it(settings: Settings) -> CheckResult:
    """Whether there are senders, whether their host names are known, and whether they can reach the listener's
    address."""
    senders = settings.senders
    named = {sender.host for sender in senders if sender.host is not None}
    hosts = {host: _addresses(host) for host in named if "/" not in host}
    if not senders:
        return CheckResult("senders", True, "there are none: no PACS may send. Add [[senders]]", warns=True)
    if unknown := [host for host, addresses in hosts.items() if not addresses]:
        return CheckResult(
            "senders", False, f"the name {', '.join(unknown)} is not known: write it otherwise, or enter it"
        )
    receiver = settings.receiver
    listens_at = [receiver.host, *([receiver.tls.host] if receiver.tls is not None else [])]
    from_here = bool(named) and named == hosts.keys() and all(map(_are_loopback, hosts.values()))
    if not from_here and all(_are_loopback(_addresses(host)) for host in listens_at):
        says = f"the node listens at {' and '.join(listens_at)}, which other machines cannot reach. Set receiver.host"
        return CheckResult("senders", True, says, warns=True)
    return CheckResult("senders", True, f"{', '.join(sender.ae_title for sender in senders)} may send")


def user_can_be_known(ae_title: str, demand: Demand) -> CheckResult:
    """Whether the file can be used by which the user of a sender is known."""
    about = f"user of sender {ae_title}"
    try:
        demand.check()
    except ProofUnusable as error:
        return CheckResult(about, False, str(error))
    if isinstance(demand, AllowedUser) and demand.passcode is not None:
        passcode = demand.passcode.decode("utf-8", "replace")
        if len(passcode) < LEAST_LETTERS or easy_to_guess(passcode, demand.username):
            says = f"its passcode is easy to guess: set one of {LEAST_LETTERS} letters at least, that no list has"
            return CheckResult(about, True, says, warns=True)
    return CheckResult(about, True, f"{demand.how} demanded")


def _addresses(host: str) -> frozenset[str]:
    """The IP addresses of a host, none if its name is not known."""
    try:
        return addresses_of(host)
    except (OSError, UnicodeError):
        return frozenset()


def _are_loopback(addresses: Iterable[str]) -> bool:
    return all(ip_address(address).is_loopback for address in addresses)


def check_everything(settings: Settings, now: float) -> list[CheckResult]:
    """The results of all checks, whether the clock is that of a database in PostgreSQL, and until when the node's
    certificates are valid. May import torch: a process that must not calls it in another."""
    began = steady()
    clock = [lambda: database_clock(settings, lambda: now + steady() - began)]
    shared = settings.database.startswith("postgresql")
    return [*ask([*checks(settings), *(clock if shared else [])]), *certificates(settings, now)]


def ask(asked: Sequence[Check]) -> list[CheckResult]:
    """The results, in the checks' order. They run in parallel, so that a hung peer delays no other check."""
    with ThreadPoolExecutor(max_workers=max(1, len(asked))) as pool:
        return list(pool.map(lambda question: question(), asked))


def device_is_there(settings: Settings) -> CheckResult:
    """Whether this machine has the CUDA device that reader.device names. Imports torch, so it is called only if a
    device is named."""
    from models.device import NoSuchDevice, choose_device

    try:
        choose_device(settings.reader.device)
    except NoSuchDevice as error:
        return CheckResult("device", False, str(error))
    return CheckResult("device", True, f"{settings.reader.device} is there")


def threads(settings: Settings) -> CheckResult:
    """How many CPU threads the reader would use if it started now. Imports torch."""
    from node.reader.threads import in_words, wait_without_spinning

    wait_without_spinning()
    from models.device import choose_device
    from models.threads import measure_threads

    if choose_device(settings.reader.device).type != "cpu":
        return CheckResult("threads", True, "the reader uses a GPU")
    times = measure_threads(time.perf_counter)
    return CheckResult("threads", True, f"a reader that starts now uses {times.best}: {in_words(times)}")


def destination_answers(destination: AnyDestination, settings: Settings) -> CheckResult:
    """Whether a destination answers: a C-ECHO, a search if it is a DICOMweb service, its capabilities if it is a FHIR
    server, or by taking a connection if it receives HL7 messages."""
    about = f"destination {destination.name}"
    if (own := _own_listener_behind(destination, settings)) is not None:
        says = (
            f"{own.where} is this node itself ({own.section}): its results would count as sent, and nobody would have "
            "them. Set the address of the system that shall get them"
        )
        return CheckResult(about, False, says)
    return _answers(about, destination, settings)


def _own_listener_behind(destination: AnyDestination, settings: Settings) -> Listens | None:
    """The listener of the node itself that a destination's address leads to."""
    sections: tuple[str, ...]
    if isinstance(destination, WebService):
        url = urlsplit(destination.url)
        host, port = url.hostname or "", url.port or (443 if url.scheme == "https" else 80)
        sections = ("web",) if isinstance(destination, WebDestination) else ()
    else:
        host, port = destination.host, destination.port
        sections = ("hl7",) if isinstance(destination, Hl7Destination) else ("receiver", "receiver.tls")
    if isinstance(destination, DicomDestination) and destination.ae_title != settings.receiver.ae_title:
        return None  # the node refuses to be called by another name
    found = (at for at in listeners(settings) if at.section in sections and is_own(host, port, at))
    return next(found, None)


def sender_is_asked(sender: Sender, settings: Settings) -> CheckResult:
    """Whether the application at a sender's find_host and find_port answers a C-ECHO."""
    about = f"find_port of sender {sender.ae_title}"
    peer = find_peer(sender, settings.receiver.ae_title)
    assert peer is not None  # asked only of senders that have one
    try:
        echo(peer)
    except DestinationError as error:
        says = f"{error}: studies would close by time alone. Set the address of its C-FIND, or leave it out"
        return CheckResult(about, False, says)
    return CheckResult(about, True, f"{peer} answers")


def source_answers(source: AnySource, settings: Settings) -> CheckResult:
    """Whether a source answers a C-ECHO, or a search if it is a DICOMweb service."""
    return _answers(f"source {source.name}", source, settings)


def commitment_is_done(destination: DicomDestination, settings: Settings) -> CheckResult:
    """Whether a destination with `commitment` supports storage commitment. Sends no request."""
    about = f"storage commitment of {destination.name}"
    peer = dicom_peer(destination, settings.receiver.ae_title)
    try:
        offer_commitment(peer)
    except NotAccepted as error:
        return CheckResult(
            about, False, f"{error}: set commitment = false, or enter the node at it for storage commitment"
        )
    except DestinationError as error:
        return CheckResult(about, False, str(error))
    return CheckResult(about, True, f"{peer} does it; its reports come to the node's listener")


def webhook_can_be_told(webhook: Webhook) -> CheckResult:
    """Whether a webhook's secret can be used and its host is known. Sends nothing: `mammo-node webhooks test` does."""
    about, host = f"webhook {webhook.name}", urlsplit(webhook.url).hostname or ""
    try:
        secret_of(webhook.secret_file)
    except SecretUnusable as error:
        return CheckResult(about, False, str(error))
    if not _addresses(host):
        return CheckResult(about, False, f"the name {host} is not known: write it otherwise, or enter it")
    return CheckResult(
        about, True, f"is told of {', '.join(webhook.events)}; `mammo-node webhooks test {webhook.name}` tries it"
    )


def mail_server_answers(settings: Settings) -> CheckResult:
    """Whether the mail server answers and lets the node in. Sends nothing."""
    try:
        mail_echo(settings.mail)
    except MailRefused as error:
        return CheckResult("mail", False, str(error))
    return CheckResult("mail", True, f"what needs a person is mailed to {', '.join(settings.mail.recipients)}")


def provider_answers(settings: Settings) -> CheckResult:
    """Whether the page can ask the OpenID provider, and whether that is the one that the settings name. Signs nobody
    in."""
    try:
        provider_echo(settings.oidc)
    except ProviderUnusable as error:
        return CheckResult("sign-in", False, str(error))
    return CheckResult("sign-in", True, f"{settings.oidc.issuer} answers; whether it takes the secret shows a sign-in")


def _preferring(settings: Settings) -> list[DicomDestination]:
    return [to for to in settings.destinations if isinstance(to, DicomDestination) and to.transfer_syntaxes]


def syntaxes_are_accepted(destination: DicomDestination, settings: Settings) -> CheckResult:
    """Which of the transfer syntaxes that a destination prefers it accepts. Sends no object."""
    about = f"transfer syntaxes of {destination.name}"
    peer = dicom_peer(destination, settings.receiver.ae_title)
    wanted = [Content(sop_class, uid) for sop_class, uids in preferred(destination).items() for uid in uids]
    try:
        taken = accepted_of(peer, wanted)
    except DestinationError as error:
        return CheckResult(about, False, str(error))
    if not taken:
        return CheckResult(
            about, True, f"{peer} takes none of transfer_syntaxes: objects are sent uncompressed", warns=True
        )
    names = dict.fromkeys(content.transfer_syntax_uid.name for content in taken)
    return CheckResult(about, True, f"{peer} takes {', '.join(names)}")


def listens(at: Listens, settings: Settings) -> CheckResult:
    """Whether `serve` can listen at an address; and who may send HL7 messages there, or how the page is reached and
    whether passwords cross the network in the clear on the way to it."""
    answer = can_listen(at, settings)
    web = settings.web
    if at.section == "hl7" and answer.ok:
        return replace(answer, says=f"{answer.says}, for messages from {', '.join(settings.hl7.sender_hosts)}")
    if at.section == "web" and answer.ok:
        if not (web.is_local or web.is_encrypted):
            says = f"passwords for {web.address} can be read on the network: set web.certificate, or web.url of a proxy"
            return CheckResult(at.about, True, says, warns=True)
        return replace(answer, says=f"{answer.says}, and shows the page at {web.address}")
    return answer


def _answers(about: str, of: AnyDestination | AnySource, settings: Settings) -> CheckResult:
    try:
        if isinstance(of, WebService):
            peer = of.url
            (fhir_echo if isinstance(of, FhirDestination) else web_echo)(web_peer(of))
        elif isinstance(of, Hl7Destination):
            peer = f"{of.host}:{of.port}"
            mllp_connects(mllp_peer(of))
        else:
            peer = f"{of.ae_title} at {of.host}:{of.port}"
            echo(dicom_peer(of, settings.receiver.ae_title))
    except DestinationError as error:
        return CheckResult(about, False, str(error))
    return CheckResult(about, True, f"{peer} answers")


def listener(settings: Settings) -> CheckResult:
    """Whether the node itself answers; a refusal is an answer too."""
    node = own_listener(settings.receiver, timeout_s=5)
    try:
        echo(node)
    except Rejected:
        pass
    except DestinationError as error:
        return CheckResult("listener", False, str(error))
    return CheckResult("listener", True, f"{node} answers")
