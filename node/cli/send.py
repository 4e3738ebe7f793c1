"""`mammo-node send`: sends the DICOM files of a folder to a DICOM application."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from node.cli.terminal.failure import CommandFailed
from node.cli.terminal.options import AsJson
from node.cli.terminal.progress import image_bar

if TYPE_CHECKING:
    from dicom_io.network.scu import Sent


@dataclass(frozen=True)
class Address:
    """The AE title, host and port of a destination."""

    ae_title: str
    host: str
    port: int


def parse_address(text: str) -> Address:
    """The address in `AE@HOST:PORT`; an IPv6 host is in brackets.

    Raises:
        typer.BadParameter: it is malformed.
    """
    found = re.fullmatch(r"([ -\[\]-~]{1,16})@(\[[0-9A-Fa-f:.]+\]|[^@:\s]+):(\d{1,5})", text)
    if found is None or not 1 <= int(found[3]) <= 65535:
        raise typer.BadParameter(f"{text!r} is not AE@HOST:PORT, such as ORTHANC@127.0.0.1:4242")
    return Address(found[1], found[2].strip("[]"), int(found[3]))


def send(
    folder: Annotated[Path, typer.Argument(help="A folder (with all below it) or one file.", exists=True)],
    to: Annotated[Address, typer.Argument(help="The destination.", metavar="AE@HOST:PORT", parser=parse_address)],
    calling: Annotated[str, typer.Option(help="The calling AE title.")] = "MAMMO_NODE",
    timeout: Annotated[float, typer.Option(help="Seconds to wait for each answer.", min=1)] = 30,
    as_json: AsJson = False,
) -> None:
    """Send the DICOM files of a folder by C-STORE, unchanged.

    Files that are not DICOM, and files that the destination refuses, are listed with the reason; the others are sent.
    The exit status is 1 if a file was refused, or the destination cannot be reached.
    """
    from dicom_io.errors import DestinationError
    from dicom_io.network.peer import Peer
    from dicom_io.network.scu import send_files

    paths = [folder] if folder.is_file() else sorted(path for path in folder.rglob("*") if path.is_file())
    sent_files: list[Sent] = []
    fault = ""
    with image_bar(hidden=as_json) as progress:
        task = progress.add_task("Sending", total=len(paths))
        try:
            for sent in send_files(Peer(to.ae_title, to.host, to.port, timeout, calling), paths):
                sent_files.append(sent)
                progress.advance(task)
        except DestinationError as error:
            fault = str(error)
    report = _Report(sent_files, len(paths) - len(sent_files), fault)
    typer.echo(report.as_json() if as_json else report.as_text())
    if not paths or len(report.foreign) == len(paths):
        raise CommandFailed(f"{folder}: there is no DICOM file in it.")
    raise typer.Exit(1 if report.refused or fault else 0)


class _Report:
    """The outcome for all files."""

    def __init__(self, sent_files: Sequence[Sent], untried: int, fault: str) -> None:
        self.arrived = [sent for sent in sent_files if sent.error is None]
        self.refused = [sent for sent in sent_files if sent.error is not None and sent.is_dicom]
        self.foreign = [sent for sent in sent_files if not sent.is_dicom]
        self.untried = untried
        self.fault = fault

    def as_json(self) -> str:
        return json.dumps(
            {
                "sent": [str(sent.path) for sent in self.arrived],
                "refused": {str(sent.path): sent.error for sent in self.refused},
                "not_dicom": {str(sent.path): sent.error for sent in self.foreign},
                "not_tried": self.untried,
                "fault": self.fault,
            },
            indent=2,
        )

    def as_text(self) -> str:
        lines = [f"not sent: {sent.path}: {sent.error}" for sent in self.foreign + self.refused]
        megabytes = sum(sent.size_bytes for sent in self.arrived) / 1e6
        lines.append(
            f"{len(self.arrived)} sent ({megabytes:.1f} MB), {len(self.refused)} refused, "
            f"{len(self.foreign)} not DICOM, {self.untried} not tried"
        )
        return "\n".join([*lines, self.fault] if self.fault else lines)
