"""`python -m node.alive node.toml`: whether the running node answers, for the health check of a container.

It is no command of `mammo-node`, whose start costs a second of processor time: a container runs it every minute.
"""

from __future__ import annotations

import sys
from pathlib import Path

from config.listener_address import listener_address
from dicom_io.network.bare_association import answers_associations

TIMEOUT_S = 5.0


def main(arguments: list[str]) -> int:
    """Exit status 0: the node accepts or rejects associations; 1: it does not; 2: its settings cannot be used."""
    if len(arguments) != 1:
        print("Usage: python -m node.alive NODE.TOML", file=sys.stderr)
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


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
