"""Text of the summary page: scores, lesions, and notes on unread images, missing views and warnings."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from dicom_io.results.colours import COLOURS, RGB
from dicom_io.results.encoding import lesion_name
from dicom_io.results.labels import long_axis, percent, recall
from dicom_io.results.own_codes import range_of
from dicom_io.results.statements import NO_FINDINGS, compared, tenth_rule, tenth_sentence, withheld_sentences
from dicom_io.results.statements_calibration import calibration_sentences
from dicom_io.results.summary.pen import Pen, line_height
from dicom_io.results.summary.place import Place
from dicom_io.results.summary.views import AMBER, BLACK, GREY, LINE, WHITE
from dicom_io.results.ties import tie_sentences
from models.types.birads import Agreement, Likelihood
from models.types.exam import JOINING_RULE, ExamReading, UnreadImage
from models.types.mammogram import Laterality
from models.types.reading import Finding
from models.types.region import Box

_PANEL: RGB = (28, 32, 38)
_CARD_ROWS, _CARD_GAP = 190, 14
_TEXT, _SMALL, _HEADING = 16, 14, 18
_ROW, _INDENT = 26, 18
_ALL_LINES = 99  # more than any text has: nothing is cut
_COLUMNS = (0, 330, 460, 560)

_BREASTS = {Laterality.RIGHT: "Right breast", Laterality.LEFT: "Left breast", None: "Exam"}


@dataclass(frozen=True, eq=False)
class _Lesion:
    name: str
    number: int
    finding: Finding
    size: str


def draw_scores(pen: Pen, room: Box, exam: ExamReading, places: Mapping[str, Place]) -> int:
    """Draws one card per breast and one for the exam, and the meaning of their numbers. Returns the row below."""
    # An unread image of an unknown breast can be of either.
    unread = {place.laterality if (place := places.get(image.sop_instance_uid)) else None for image in exam.unread}
    scores = {breast.laterality: (breast.malignancy, breast.likelihood) for breast in exam.breasts}
    whole = None if exam.malignancy is None else (exam.malignancy, exam.likelihood)
    cards = (
        (Laterality.RIGHT, scores.get(Laterality.RIGHT), not unread <= {Laterality.LEFT}),
        (Laterality.LEFT, scores.get(Laterality.LEFT), not unread <= {Laterality.RIGHT}),
        (None, whole, True),
    )
    width = (room.width - _CARD_GAP * (len(cards) - 1)) // len(cards)
    for number, (side, score, has_images) in enumerate(cards):
        left = room.left + number * (width + _CARD_GAP)
        card = Box(room.top, left, room.top + _CARD_ROWS, left + width)
        without = ("not read", AMBER) if has_images else ("no image", GREY)
        if any(image.laterality is side for image in exam.images) or (side is None and exam.images):
            without = ("no value", AMBER)
        _draw_card(pen, card, side, score, without, exam)
    top = room.top + _CARD_ROWS + 12
    if exam.tenth is not None:
        top = pen.write(room.left, top, pen.say(tenth_sentence(exam.tenth)), _HEADING, WHITE, room.width, _ALL_LINES)
        top = pen.write(room.left, top, pen.say(tenth_rule(exam.tenth)), _SMALL, GREY, room.width, _ALL_LINES) + 6
    meaning = " ".join(map(pen.say, calibration_sentences(exam)))
    top = pen.write(room.left, top, meaning, _TEXT, WHITE, room.width, _ALL_LINES)
    return pen.write(room.left, top + 4, pen.say(JOINING_RULE), _SMALL, GREY, room.width, _ALL_LINES)


def draw_lesions(pen: Pen, room: Box, exam: ExamReading, titles: Sequence[str]) -> int:
    """Draws as many lesions as fit, highest score first, and the count of the others. Returns the row below.

    Args:
        titles: the name of each image of the exam on the page.
    """
    top = pen.write(room.left, room.top, pen.say("Lesions"), _HEADING, WHITE)
    lesions = sorted(_lesions(exam, titles), key=lambda lesion: -lesion.finding.malignancy)
    if not lesions:
        return pen.write(room.left, top + 6, pen.say(NO_FINDINGS), _TEXT, WHITE, room.width, 2)
    columns = [room.left + offset for offset in _COLUMNS]
    for left, words in zip(columns, ("Lesion", "Long axis", "Score", "Probability"), strict=True):
        pen.write(left, top + 2, pen.say(words), _SMALL, GREY)
    top += line_height(_SMALL) + 6
    pen.draw.line((room.left, top, room.right - 1, top), fill=LINE)
    fits = max(1, (room.bottom - top) // _ROW)
    shown = len(lesions) if len(lesions) <= fits else fits - 1
    for lesion in lesions[:shown]:
        _draw_lesion(pen, top + 4, columns, lesion)
        top += _ROW
    if rest := len(lesions) - shown:
        top = pen.write(room.left, top + 4, pen.say(f"and {rest} more with lower scores"), _TEXT, AMBER, room.width)
    return top


def notes_height(pen: Pen, width: int, exam: ExamReading, places: Mapping[str, Place]) -> int:
    """The height of all notes in pixels."""
    count = sum(
        len(pen.wrapped(pen.say(words), _TEXT, width - _INDENT, _ALL_LINES)) for words, _ in _notes(exam, places)
    )
    return line_height(_HEADING) + 6 + count * line_height(_TEXT) if count else 0


def draw_notes(pen: Pen, room: Box, exam: ExamReading, places: Mapping[str, Place]) -> None:
    """Draws the notes: unread images, missing views and warnings, as many as fit, and the count of the others."""
    notes = list(_notes(exam, places))
    if not notes:
        return
    top = pen.write(room.left, room.top, pen.say("Please note"), _HEADING, WHITE) + 6
    for index, (words, colour) in enumerate(notes):
        rest, lines = len(notes) - index, (room.bottom - top) // line_height(_TEXT)
        free_lines = lines if rest == 1 else lines - 1  # the last line is for the count of the notes that do not fit
        if free_lines < 1:
            pen.write(room.left, top, pen.say(f"and {rest} more"), _TEXT, AMBER, room.width)
            return
        pen.draw.ellipse((room.left + 2, top + 6, room.left + 9, top + 13), fill=colour)
        top = pen.write(room.left + _INDENT, top, pen.say(words), _TEXT, WHITE, room.width - _INDENT, free_lines)


def _draw_card(
    pen: Pen,
    room: Box,
    side: Laterality | None,
    score: tuple[float, Likelihood | None] | None,
    without: tuple[str, RGB],
    exam: ExamReading,
) -> None:
    """`without`: the words instead of a missing score, and their colour."""
    pen.draw.rounded_rectangle((room.left, room.top, room.right - 1, room.bottom - 1), 8, fill=_PANEL, outline=LINE)
    left, width = room.left + 14, room.width - 28
    pen.write(left, room.top + 10, pen.say(_BREASTS[side]), _TEXT, GREY, width)
    if score is None:
        words, colour = without
        pen.write(left, room.top + 44, pen.say(words), 26, colour, width)
        return
    malignancy, likelihood = score
    if likelihood is None:
        pen.write(left, room.top + 34, f"{malignancy:.2f}", 44, WHITE, width)
        top = pen.write(left, room.top + 100, pen.say("score, no probability"), _SMALL, WHITE, width)
        if side in exam.withheld:
            pen.write(left, top, pen.say("nothing negative is stated: see the notes"), _SMALL, AMBER, width, 2)
        return
    threshold = exam.recall_threshold
    pen.write(left, room.top + 34, percent(likelihood.probability, threshold), 44, WHITE, width)
    top = pen.write(left, room.top + 96, pen.say(f"probability · score {malignancy:.2f}"), _SMALL, WHITE, width)
    colour = AMBER if likelihood.is_recalled(threshold) else WHITE
    top = pen.write(left, top, pen.say(recall(likelihood, threshold)), _SMALL, colour, width, 2)
    pen.write(left, top, pen.say(range_of(likelihood.category, side).meaning), _SMALL, GREY, width, 2)


def _lesions(exam: ExamReading, titles: Sequence[str]) -> Iterator[_Lesion]:
    for image, title in zip(exam.images, titles, strict=True):
        position = title.partition(", ")[2]
        for number, finding in enumerate(image.reading.findings, start=1):
            label = lesion_name(image, number).label
            size = next(iter(long_axis(image, number)), "")
            yield _Lesion(f"{label} ({position})" if position else label, number, finding, size)


def _draw_lesion(pen: Pen, top: int, columns: Sequence[int], lesion: _Lesion) -> None:
    finding, chip = lesion.finding, str(lesion.number)
    left, chip_px = columns[0], max(20, pen.width(chip, _SMALL) + 10)
    pen.draw.rounded_rectangle((left, top, left + chip_px - 1, top + 19), 4, fill=COLOURS[finding.kind])
    pen.write(left + (chip_px - pen.width(chip, _SMALL)) // 2, top + 2, chip, _SMALL, BLACK)
    pen.write(left + 40, top, lesion.name, _TEXT, WHITE, columns[1] - left - 50)
    likelihood = finding.likelihood
    pen.write(columns[1], top, lesion.size or pen.say("no scale"), _TEXT, WHITE if lesion.size else GREY)
    pen.write(columns[2], top, f"{finding.malignancy:.2f}", _TEXT, WHITE)
    percentage = percent(likelihood.probability) if likelihood else pen.say("none")
    pen.write(columns[3], top, percentage, _TEXT, WHITE if likelihood else GREY)


def _notes(exam: ExamReading, places: Mapping[str, Place]) -> Iterator[tuple[str, RGB]]:
    """Yields each note and its colour: amber for disagreement, what is withheld or was not read, missing views and
    warnings, else grey."""
    for concordance in exam.concordances:
        agreed = concordance.agreement in (Agreement.AGREE, Agreement.NOT_COMPARED)
        yield compared(concordance, exam), GREY if agreed else AMBER
    yield from ((sentence, AMBER) for sentence in withheld_sentences(exam))
    lacking = [image for image in exam.unread if not image.on_purpose]
    left_out = [image for image in exam.unread if image.on_purpose]
    yield from ((f"Not read: {_name_of(image, places)}: {image.reason}", AMBER) for image in lacking)
    yield from ((f"Missing view: {view}", AMBER) for view in exam.missing)
    yield from ((warning, AMBER) for warning in exam.warnings)
    yield from ((sentence, GREY) for sentence in tie_sentences(exam))
    yield from ((f"Left out: {_name_of(image, places)}: {image.reason}", GREY) for image in left_out)


def _name_of(image: UnreadImage, places: Mapping[str, Place]) -> str:
    place = places.get(image.sop_instance_uid)
    return f"{place} ({image.what})" if place and str(place) else image.what
