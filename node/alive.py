"""`python -m node.alive node.toml`: whether the running node answers, for the health check of a container; for one
without a listener `python -m node.alive --file FILE`: whether it goes on (`serve --alive-file FILE`).

It is no command of `mammo-node`, whose start costs a second of processor time: a container runs it every minute.
"""

from __future__ import annotations

import sys
from pathlib import Path

from config.listener_address import listener_address
from dicom_io.network.bare_association import answers_associations
from node.liveness import FRESH_S, is_alive

TIMEOUT_S = 5.0


def main(arguments: list[str]) -> int:
    """Exit status 0: the node accepts or rejects associations, or its file is fresh; 1: it does not, or is not; 2: its
    settings cannot be used."""
    if len(arguments) == 2 and arguments[0] == "--file":
        return _is_fresh(Path(arguments[1]))
    if len(arguments) != 1:
        print("Usage: python -m node.alive NODE.TOML, or --file FILE", file=sys.stderr)
        return 2
    try:
        ae_title, host, port = listener_address(Path(arguments[0]))
    except (OSError, ValueError, TypeError) as error:
        print(f"{arguments[0]}: the node's address cannot be read: {error}", file=sys.stderr)
        return 2
    try:
        alive = answers_associations(host, port, ae_title, TIMEOUT_S)
    except OSError as error:
        print(f"{ae_title} at {host}:{port} does not answer: {error.strerror or error}")
        return 1
    print(f"{ae_title} at {host}:{port} {'answers' if alive else 'answers, but not as a DICOM listener'}")
    return 0 if alive else 1


def _is_fresh(file: Path) -> int:
    try:
        alive = is_alive(file)
    except (OSError, ValueError) as error:
        print(f"{file}: no sign of the node: {error}")
        return 1
    print(f"{file}: the node {'goes on' if alive else f'gave no sign for more than {FRESH_S:.0f} s'}")
    return 0 if alive else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
