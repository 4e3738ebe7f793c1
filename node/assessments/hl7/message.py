"""The syntax of an HL7 v2 message: its segments and fields (HL7 v2.5.1 chapter 2)."""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

import hl7

CHARSETS = {f"8859/{part}": f"iso8859-{part}" for part in (*range(1, 10), 15)} | {
    "ASCII": "ascii",
    "ISO IR6": "ascii",
    "UNICODE": "utf-8",
    "UNICODE UTF-8": "utf-8",
    "UTF-8": "utf-8",
    "GB 18030-2000": "gb18030",
    "KS X 1001": "euc_kr",
    "BIG-5": "big5",
}
"""Character sets of HL7 table 0211 with single-byte separators, by their Python names; and "UTF-8", as many write."""
UNREAD = "\ufffd"
"""Replaces an escape sequence that cannot be decoded: of another character set, or defined by the site."""
_ESCAPES = (
    r"{mark}(?P<sign>[EFRSTHN]){mark}"
    r"|(?P<hexadecimal>(?:{mark}[Xx][0-9A-Fa-f]+{mark})+)"
    r"|{mark}\.(?P<space>[sS][kK])\s*[+-]?\d*{mark}"
    r"|{mark}\.(?P<line>[A-Za-z]{{2}})\s*[+-]?\d*{mark}"
    r"|{mark}(?:C[0-9A-Fa-f]{{4}}|M[0-9A-Fa-f]{{4,6}}|Z[^{mark}\s]{{0,32}}){mark}"
)
_SEGMENT = re.compile(r"[A-Z][A-Z0-9]{2}")
_PLACE = re.compile(r"(?P<segment>\w{3})(?:\((?P<identifier>.+)\))?-(?P<field>\d+)(?:\.(?P<component>\d+))?")
_PARSER_FAULTS = (hl7.HL7Exception, LookupError, TypeError, ValueError)
"""Exceptions of the parser for bytes that are not a message."""


_LONGEST = {3: 227, 4: 227, 5: 227, 6: 227, 10: 199}
"""Fields of MSH, and their length at most: HL7 v2.5.1 section 2.A.33 (HD); v2.7 section 2.14.9.10."""


class NoMessage(Exception):
    """The bytes are not an HL7 message. The text is one sentence without patient data."""


class NotUsable(Exception):
    """The message mentions BI-RADS and cannot be used. The text is one sentence without patient data."""


class Triplet(NamedTuple):
    """A code, its text, and the coding system; each may be empty."""

    code: str
    text: str
    system: str


@dataclass(frozen=True)
class Segment:
    """A segment with its fields by number (MSH-1 is the separator), as received."""

    fields: tuple[str, ...]
    separators: str
    """The separators of segments, fields, repetitions, components and subcomponents, in this order."""
    escape: str
    charset: str

    @property
    def name(self) -> str:
        return self.fields[0]

    def raw(self, field: int) -> str:
        """A field as received; "" if there is none."""
        return self.fields[field] if field < len(self.fields) else ""

    def repetitions(self, field: int) -> list[str]:
        """The repetitions of a field, still escaped."""
        return self.fields[field].split(self.separators[2]) if field < len(self.fields) else []

    def components(self, field: int) -> list[str]:
        """The components of a field's first repetition, unescaped."""
        return [self._plain(component) for component in "".join(self.repetitions(field)[:1]).split(self.separators[3])]

    def every(self, field: int, component: int) -> list[str]:
        """The first subcomponent of a component in each repetition, unescaped, without empty ones."""
        repetitions = (repetition.split(self.separators[3]) for repetition in self.repetitions(field))
        values = (
            self._plain(components[component - 1].split(self.separators[4])[0])
            for components in repetitions
            if component <= len(components)
        )
        return list(filter(None, values))

    def triplets(self, field: int) -> list[Triplet]:
        """The codes of a field of data type CE or CWE (chapter 2.A.13), including the alternate ones."""
        found: list[Triplet] = []
        for repetition in self.repetitions(field):
            components = [self._plain(component) for component in repetition.split(self.separators[3])]
            components += [""] * (12 - len(components))
            found += [Triplet(*components[at : at + 3]) for at in (0, 3, 9) if any(components[at : at + 2])]
        return found

    def component(self, field: int, number: int = 1) -> str:
        """A component of the first repetition in which it is not empty; "" if there is none."""
        return next(iter(self.every(field, number)), "")

    def text(self, field: int) -> str:
        """The unescaped text of a field, one line per repetition."""
        return "\n".join(self._plain(repetition) for repetition in self.repetitions(field))

    def escaped(self, value: str) -> str:
        """Plain text, escaped for a field of the same message (section 2.7)."""
        signs = {self.escape: "E"} | dict(zip(self.separators[1:], "FRST", strict=False))
        return "".join(self.escape + signs[letter] + self.escape if letter in signs else letter for letter in value)

    def _plain(self, value: str) -> str:
        """Unescapes a value (section 2.7). Formatting commands become white space. An escape character that begins no
        sequence stays in the text."""
        signs = dict(zip("FRST", self.separators[1:], strict=True)) | {"E": self.escape, "H": "", "N": ""}
        mark = re.escape(self.escape)

        def unescaped(found: re.Match[str]) -> str:
            match found.lastgroup:
                case "sign":
                    return signs[found["sign"]]
                case "hexadecimal":
                    return _characters(re.findall(rf"{mark}[Xx](\w+)", found["hexadecimal"]), self.charset)
                case "space":
                    return " "
                case "line":
                    return "\n"
                case _:
                    return UNREAD

        return re.sub(_ESCAPES.format(mark=mark), unescaped, value).strip()


def _characters(sequences: Iterable[str], charset: str) -> str:
    """Decodes hexadecimal data as text in the message's character set; control characters become white space."""
    block = b"".join(bytes.fromhex(digits.zfill(len(digits) + len(digits) % 2)) for digits in sequences)
    text = re.sub("\r\n|[\r\n\v\f\x85]", "\n", block.decode(charset, errors="replace"))
    return "".join(" " if unicodedata.category(letter) == "Cc" and letter != "\n" else letter for letter in text)


@dataclass(frozen=True)
class Message:
    """A message: its segments in order, the header (MSH) first."""

    segments: tuple[Segment, ...]
    charset: str
    digest: str
    """16 hexadecimal digits of the SHA-256 of its bytes: senders may reuse a control ID for another message."""

    @property
    def header(self) -> Segment:
        return self.segments[0]

    @property
    def control_id(self) -> str:
        """The beginning of MSH-10, where that is too long (`too_long`)."""
        return self.header.component(10)[: _LONGEST[10]]

    @property
    def too_long(self) -> str:
        """The first field of MSH that is longer than HL7 has it, in words; "" if none is."""
        for field, most in _LONGEST.items():
            if len(self.header.raw(field)) > most:
                return f"MSH-{field} is longer than {most} characters"
        return ""

    @property
    def document(self) -> str:
        """Names this message among all: the same again is the same document."""
        return f"{self.control_id} {self.digest}"


@dataclass(frozen=True)
class FieldPath:
    """A field or component of a message, from a setting like "OBX(111005)-5.1"."""

    segment: str
    identifier: str | None
    field: int
    component: int

    @classmethod
    def of(cls, setting: str) -> FieldPath:
        """Parses a setting.

        Raises:
            ValueError: it is not a field path.
        """
        found = _PLACE.fullmatch(setting)
        if found is None:
            raise ValueError(f"{setting} is not a field of a message")
        return cls(found["segment"], found["identifier"], int(found["field"]), int(found["component"] or 1))

    def is_in(self, segment: Segment) -> bool:
        """Whether a segment has this name and, if the path has an identifier, that identifier in its third field (first
        or alternate identifier of the data types CE and CWE)."""
        if segment.name != self.segment or self.identifier is None:
            return segment.name == self.segment
        return self.identifier in (*segment.every(3, 1), *segment.every(3, 4))


def first_value(paths: Iterable[str], segments: Iterable[Segment]) -> str:
    """The value at the first path that has one; "" if none has."""
    among = list(segments)
    values = (
        segment.component(path.field, path.component)
        for path in map(FieldPath.of, paths)
        for segment in among
        if path.is_in(segment)
    )
    return next(filter(None, values), "")


def parse(block: bytes, charset: str) -> Message:
    """Parses a message.

    Args:
        block: the bytes without their MLLP frame.
        charset: the Python codec for messages without MSH-18.

    Raises:
        NoMessage: it does not begin with a usable MSH segment, is not in its character set, or cannot be split into
            segments.
    """
    begin = re.match(rb"MSH(([^\w\s])[^\w\s]{3,5}?)\2", block)
    if begin is None or len(set(begin[1])) < len(begin[1]):  # separators must differ
        raise NoMessage("it does not begin with an MSH segment")
    codec = _charset(block) or charset
    try:
        text = block.decode(codec)
    except (UnicodeError, LookupError, ValueError) as error:
        raise NoMessage(
            f"it is not in its character set ({codec}): set hl7.charset, or MSH-18 at the sender"
        ) from error
    try:
        parsed = hl7.parse(re.sub("\r\n|\n", "\r", text))
        separators, escape = parsed.separators, parsed.esc
        segments = [
            Segment(tuple(map(str, fields)), separators, escape, codec) for fields in parsed if str(fields).strip()
        ]
    except _PARSER_FAULTS as error:
        raise NoMessage("it cannot be split into segments") from error
    if not all(_SEGMENT.fullmatch(segment.name) for segment in segments):  # a line end within a field
        raise NoMessage("it cannot be split into segments")
    return Message(tuple(segments), codec, hashlib.sha256(block).hexdigest()[:16])


def _charset(block: bytes) -> str | None:
    header = re.split(rb"[\r\n]", block, maxsplit=1)[0].decode("latin-1").split(chr(block[3]))
    named = header[17].split(header[1][1:2] or "~")[0].strip() if len(header) > 17 else ""  # MSH-1 is the separator
    if not named:
        return None
    if named.upper() not in CHARSETS:
        raise NoMessage("the character set in its MSH-18 is unknown or not supported")
    return CHARSETS[named.upper()]
