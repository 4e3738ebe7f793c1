"""Resolves host names in background threads, so that a name service that does not answer blocks nobody."""

from __future__ import annotations

import ipaddress
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

log = logging.getLogger(__name__)

_AGAIN_S = 60.0
"""A name is looked up again after this time, and at once if a connection comes from an address that is not its own."""
_PAUSE_S = 2.0
"""Least time between two look-ups of one name."""
_FIRST_S = 2.0
"""How long `watch` waits for the first answers."""


def addresses_of(host: str) -> frozenset[str]:
    """The addresses of a host name, normalised (see `plain`).

    Raises:
        OSError, UnicodeError: the name does not resolve.
    """
    return frozenset(plain(str(entry[4][0])) for entry in socket.getaddrinfo(host, None))


def plain(address: str) -> str:
    """An IP address as normalised text: without a zone; an IPv4-mapped IPv6 address as IPv4.

    Raises:
        ValueError: it is no IP address.
    """
    parsed = ipaddress.ip_address(address.split("%")[0])
    if isinstance(parsed, ipaddress.IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return str(parsed)


@dataclass(eq=False)
class _Name:
    """Attributes:
    addresses: the result of the last successful look-up; None: there was none yet.
    """

    host: str
    addresses: frozenset[str] | None = None
    looked: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)


class HostNames:
    """The addresses of hosts, without waiting. One thread per name looks it up. The last result stays valid while the
    name service does not answer. Thread-safe."""

    def __init__(self, look_up: Callable[[str], frozenset[str]] = addresses_of) -> None:
        self._look_up = look_up
        self._names: dict[str, _Name] = {}
        self._lock = threading.Lock()
        self._over = threading.Event()

    def watch(self, hosts: Iterable[str]) -> None:
        """Starts to look up those of `hosts` that are names, and waits up to 2 s for the first answers."""
        names = [self._watched(host) for host in hosts if _network(host) is None]
        deadline = time.monotonic() + _FIRST_S
        for name in names:
            name.looked.wait(max(0.0, deadline - time.monotonic()))

    def is_at(self, host: str, address: str) -> bool | None:
        """Whether `address` belongs to `host`: a name, an address, or a network such as 192.0.2.0/24; None: the name is
        not resolved yet."""
        if (network := _network(host)) is not None:
            return ipaddress.ip_address(plain(address)) in network
        name = self._watched(host)
        if name.addresses is not None and plain(address) in name.addresses:
            return True
        name.asked.set()
        return None if name.addresses is None else False

    def stop(self) -> None:
        """Ends the threads; a thread that waits for the name service ends when that answers."""
        self._over.set()
        with self._lock:
            for name in self._names.values():
                name.asked.set()

    def _watched(self, host: str) -> _Name:
        with self._lock:
            name = self._names.get(host)
            if name is None:
                name = self._names[host] = _Name(host)
                threading.Thread(target=self._watch, args=(name,), name=f"address of {host}", daemon=True).start()
            return name

    def _watch(self, name: _Name) -> None:
        is_logged = False
        while not self._over.is_set():
            try:
                name.addresses, is_logged = self._look_up(name.host), False
            except (OSError, UnicodeError):  # UnicodeError: an invalid label
                if not is_logged:
                    log.warning("the host %r does not resolve", name.host)
                is_logged = True
            name.looked.set()
            if self._over.wait(_PAUSE_S):
                return
            name.asked.wait(_AGAIN_S)
            name.asked.clear()


def _network(host: str) -> ipaddress.IPv4Network | ipaddress.IPv6Network | None:
    """The network that `host` is, or that has the one address that it is; None: it is a name."""
    try:
        return ipaddress.ip_network(host if "/" in host else plain(host))
    except ValueError:
        return None
