"""The listener for HL7 messages: each is acknowledged (AA, AE, AR) without an internal error."""

from __future__ import annotations

import re
import shutil
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import count
from pathlib import Path

from dicom_bytes import NASTY, apply, changes
from hypothesis import strategies as some
from logged import Logged
from sqlalchemy import delete, select

MODULES = (
    "node/assessments/text/layout.py",
    "node/assessments/text/sentence.py",
    "node/assessments/text/sides.py",
    "node/assessments/text/spelling.py",
    "node/assessments/text/report.py",
    "node/assessments/text/words.py",
    "node/assessments/entered.py",
    "node/assessments/hl7/intake.py",
    "node/assessments/hl7/message.py",
    "node/assessments/hl7/coded.py",
    "node/assessments/hl7/mentions.py",
    "node/assessments/hl7/orders.py",
    "node/assessments/hl7/results.py",
    "node/assessments/hl7/wording.py",
    "node/assessments/matching.py",
    "node/assessments/hl7/listener.py",
)
_ANSWERS_WITHIN_S = 10.0
_BATCH = 100
_MESSAGES = 20  # per connection at most: a refused message is written to the disk, and a thousand of them take time
_WORDS = (
    "BI-RASD", "decision", "reader",
    "BI-RADS", "BIRADS", "bi rads", "ACR", "category", "Kategorie", "0", "1", "2", "3", "4", "4A", "4c", "5", "6", "7",
    "IV", "left", "right", "L", "R", "links", "rechts", "both", "breast", "mass", "no", "was", "2013", "12 mm",
    "density", ".", ",", ":", ";", "/", "(", ")", "\n", "\\.br\\", "\\X0D0A\\", "\\T\\", "\\", "^", "~", "&", "|",
    "\u2011", "\u0130", "\u00df", "\ufb01", "\u0661", "\x1c", "\x0b", "\0",
)  # fmt: skip
_SIDES, _STATUSES = ("", "L", "R^Right^HL70163", "B", "X"), ("F", "C", "P", "D", "")
_SAID = ("2", "4^BI-RADS 4^99X", "397144001^Suspicious^SCT", "^^^397144001^x^SCT", "2~4", "", '""', "4A^^DCM&&", "9")
_FIELDS = {
    "msh": (
        "MSH|^~\\&|RIS|HOSPITAL|MAMMO_NODE||20260301130000+0000||ORU^R01^ORU_R01|M1|P|2.5.1",
        "MSH|^~\\&|RIS||||||ORU^R01|M1|P|2.5||||||8859/1",
        "MSH|^~\\&|RIS||||||ORU^R01|M1|P|2.5||||||UNICODE UTF-8~8859/5",
        "MSH|^~\\&|||||||ADT^A01|M1|P|2.3",
        "MSH#*~\\&#RIS######ORU*R01#M1#T#2.5",
        "MSH|^~\\&",
    ),
    "pid": ("PID|1||ONE^^^HOSPITAL^MR||Name^First", "PID", "PID|1||~^^^&&&~TWO"),
    "obr": (
        "OBR|1|P1|A1|MAMMO^Mammography|||20260301110000||||||||||||||||||F|||||||7^Rita^Radiologist",
        "OBR|1||||||99999999999999",
        "OBR|1|P1|A1||||||||||||||||||20261399||||P",
    ),
    "zds": ("ZDS|1.2.3^HOSPITAL^Application^DICOM", "ZDS|", "ZDS|1.2.3^x^Application^DICOM~1.2.4"),
}


@some.composite
def inputs(drawn: some.DrawFn) -> bytes:
    """What is written to the connection: one message or two, framed."""
    from assessing import category_row, oru, text_row

    framed = b""
    for _ in range(drawn(some.sampled_from([1, 1, 1, 2]))):
        texts = some.lists(some.sampled_from(_WORDS), max_size=14).map(" ".join).map(lambda text: text_row(text))
        rows = some.builds(category_row, *map(some.sampled_from, (_SAID, _SIDES, _STATUSES)))
        changed = {
            name: drawn(some.sampled_from(values))
            for name, values in _FIELDS.items()
            if drawn(some.integers(0, 3)) == 0
        }
        message = oru(*drawn(some.lists(texts | rows, min_size=1, max_size=4)), **changed)
        for change in drawn(some.lists(changes(len(message)), max_size=3)) if drawn(some.booleans()) else ():
            message = apply(message, change)
        begin = drawn(some.sampled_from([b"\x0b"] * 12 + [b"", b"\x0b\x0b", *NASTY[:2]]))
        framed += begin + message + drawn(some.sampled_from([b"\x1c\r"] * 12 + [b"", b"\x1c", b"\r"]))
    return framed


@contextmanager
def opened(folder: Path) -> Iterator[Callable[[bytes], str]]:
    from config.hl7 import Hl7
    from node.archive.layout import HL7_REFUSED
    from node.assessments.hl7.intake import Hl7Intake
    from node.assessments.hl7.listener import MllpListener, listen
    from node.store.database import open_database, sessions_of
    from node.store.tables import ReceivedAssessment

    logged, sessions = Logged(), sessions_of(open_database(f"sqlite:///{folder / 'queue.sqlite'}"))
    intake = Hl7Intake(sessions, folder, Hl7(), lambda: 1.7e9)
    listening = listen("127.0.0.1", 0)
    port = listening.getsockname()[1]
    listener = MllpListener(listening, intake.may_send, intake.answer, intake.too_large, 1 << 16)
    stop, numbers = threading.Event(), count(1)
    thread = threading.Thread(target=listener.run, args=(stop,))
    thread.start()

    def run(data: bytes) -> str:
        acknowledged = _acknowledgements(port, b"\x1c".join(data.split(b"\x1c")[:_MESSAGES]))
        logged.check()
        if next(numbers) % _BATCH == 0:
            _serve_a_sender()
        return "/".join(sorted(set(acknowledged))) or "closed"

    def _serve_a_sender() -> None:
        from assessing import oru

        with sessions.begin() as session:
            session.execute(delete(ReceivedAssessment))
        shutil.rmtree(folder / HL7_REFUSED, ignore_errors=True)
        assert _acknowledgements(port, b"\x0b" + oru("BI-RADS 4 left") + b"\x1c\r") == ["AA"]
        with sessions.begin() as session:
            entered = session.scalars(select(ReceivedAssessment)).one()
            assert (entered.category, entered.laterality) == ("4", "L")
        logged.check()

    try:
        yield run
    finally:
        stop.set()
        thread.join()


def _acknowledgements(port: int, stream: bytes) -> list[str]:
    heard = b""
    with socket.create_connection(("127.0.0.1", port), timeout=_ANSWERS_WITHIN_S) as sender:
        try:
            sender.sendall(stream)
            sender.shutdown(socket.SHUT_WR)
            while more := sender.recv(1 << 16):
                heard += more
        except TimeoutError:
            raise AssertionError(f"no end within {_ANSWERS_WITHIN_S:g} s") from None
        except OSError:  # closed while data was sent
            pass
    assert heard.count(b"\x1c\r") == len(re.findall(rb"\rMSA", heard)), "an answer without an acknowledgement"
    return [code.decode() for code in re.findall(rb"\rMSA.(A[AER])", heard)]
