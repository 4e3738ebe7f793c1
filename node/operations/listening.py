"""Whether `serve` can listen where the settings say, and whether an address is one of the node's own listeners."""

from __future__ import annotations

import errno
import socket
from dataclasses import dataclass
from ipaddress import ip_address

from config.settings import Settings
from dicom_io.network.host_names import addresses_of
from node.archive.lock import DataFolderUnusable, is_free
from node.operations.machine import CheckResult

_EVERY_ADDRESS = ("0.0.0.0", "::")


@dataclass(frozen=True)
class Listens:
    """An address at which `serve` listens. `about`: for people; `section`: of its settings `host` and `port`."""

    about: str
    section: str
    host: str
    port: int

    @property
    def where(self) -> str:
        return f"{self.host}:{self.port}"


def listeners(settings: Settings) -> list[Listens]:
    """All that a node with these settings listens at."""
    receiver, hl7, web = settings.receiver, settings.hl7, settings.web
    found = [Listens("receiver", "receiver", receiver.host, receiver.port)]
    if receiver.tls is not None:
        found.append(Listens("receiver by TLS", "receiver.tls", receiver.tls.host, receiver.tls.port))
    if hl7.port is not None:
        found.append(Listens("HL7", "hl7", hl7.host, hl7.port))
    if web.port is not None:
        found.append(Listens("page", "web", web.host, web.port))
    return found


def can_listen(at: Listens, settings: Settings) -> CheckResult:
    """Whether `serve` could listen there now. While a node works in the data folder the address is its own, and nothing
    is tried."""
    for other in listeners(settings):
        if other != at and other.port == at.port and (other.host == at.host or _any_of(other, at)):
            says = f"{at.where} is also the address of {other.about}: set another {at.section}.port"
            return CheckResult(at.about, False, says)
    try:
        if not is_free(settings.data_dir):
            return CheckResult(at.about, True, f"{at.where} is left to the node that works in {settings.data_dir} now")
        _bind(at)
    except DataFolderUnusable as error:
        return CheckResult(at.about, False, str(error))
    except (OSError, UnicodeError) as error:
        return _refused(at, error)
    return CheckResult(at.about, True, f"{at.where} is free: serve listens there")


def is_own(host: str, port: int | None, of: Listens) -> bool:
    """Whether an address, as a peer's settings have it, leads to one of the node's own listeners."""
    if port != of.port:
        return False
    try:
        addresses = addresses_of(host)
        listens_at = addresses_of(of.host)
    except (OSError, UnicodeError):
        return False
    if addresses & listens_at:
        return True
    return of.host in _EVERY_ADDRESS and any(map(_is_of_this_machine, addresses))


def _any_of(one: Listens, other: Listens) -> bool:
    return one.host in _EVERY_ADDRESS or other.host in _EVERY_ADDRESS


def _bind(at: Listens) -> None:
    """Binds the address for a moment, as a server does, and never listens: a server that starts meanwhile is not
    disturbed.

    Raises:
        OSError, UnicodeError: it cannot be bound, or its name is not known.
    """
    (family, kind, protocol, _, address), *_ = socket.getaddrinfo(
        at.host, at.port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
    )
    with socket.socket(family, kind, protocol) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or a port closed just now would count as taken
        probe.bind(address)


def _refused(at: Listens, error: OSError | UnicodeError) -> CheckResult:
    number = error.errno if isinstance(error, OSError) else None
    if number == errno.EADDRINUSE:
        says = (
            f"{at.where} is taken by another program (`ss -ltnp` shows which): end that, or set another "
            f"{at.section}.port"
        )
    elif number == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror | UnicodeError):
        says = (
            f"{at.host} is no address of this machine: set {at.section}.host to one of its own (`ip address` shows "
            "them), or to 0.0.0.0 for all of them"
        )
    elif number == errno.EACCES:  # the unit or container of serve may have the right that this user lacks
        says = f"whether {at.where} is free is not known: this user may not listen at ports below 1024; serve must"
        return CheckResult(at.about, True, says, warns=True)
    else:
        says = f"{at.where}: {error}: set another {at.section}.host or {at.section}.port"
    return CheckResult(at.about, False, says)


def _is_of_this_machine(address: str) -> bool:
    """Whether this machine has an address: only then a socket can be bound to it."""
    parsed = ip_address(address)
    if parsed.is_loopback:
        return True
    try:
        with socket.socket(socket.AF_INET6 if parsed.version == 6 else socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind((address, 0))
    except OSError:
        return False
    return True
