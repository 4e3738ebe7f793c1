"""The summary page for a radiologist: it hides nothing and names no person."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageDraw
from readings import BUNDLE, blob, lesion
from summary_exams import FOUR, drawn_exam, drawn_image, many_findings

from dicom_io.results.colours import COLOURS
from dicom_io.results.summary.page import COLUMNS, ROWS, draw_page
from dicom_io.results.summary.pen import Pen
from dicom_io.results.summary.place import Place
from models.readings.exam import put_together
from models.types.birads import Category, Likelihood
from models.types.exam import ExamReading, UnreadImage
from models.types.mammogram import Laterality
from models.types.reading import FindingKind
from models.types.reference import ReferenceSet, ReferenceTenth

pytestmark = pytest.mark.slow


@dataclass(frozen=True)
class Text:
    words: str
    box: tuple[float, float, float, float]


Words = Callable[[ExamReading, Mapping[str, Place]], list[Text]]


@pytest.fixture
def written(monkeypatch: pytest.MonkeyPatch) -> Words:
    """All texts on the page of an exam, with the rectangles of their letters."""

    def on_page(exam: ExamReading, places: Mapping[str, Place]) -> list[Text]:
        texts: list[Text] = []
        plain = ImageDraw.ImageDraw.text

        def listened(draw: ImageDraw.ImageDraw, xy: tuple[float, float], words: str, **options: object) -> None:
            texts.append(Text(words, draw.textbbox(xy, words, font=options["font"])))
            plain(draw, xy, words, **options)

        with monkeypatch.context() as patch:
            patch.setattr(ImageDraw.ImageDraw, "text", listened)
            draw_page(exam, places, BUNDLE)
        return texts

    return on_page


def _worst() -> tuple[ExamReading, dict[str, Place]]:
    """Six images of twelve lesions each, one of them without preview, nine warnings and three long reasons."""
    images = [
        drawn_image(f"1.2.{number}", *place, *many_findings())
        for number, place in enumerate((*FOUR, ("R", "CC"), ("L", "ML")))
    ]
    images[5] = replace(images[5], reading=replace(images[5].reading, preview=None))
    reason = "the codestream of its JPEG 2000 pixels ends before its last tile, and nobody knows why – or ever will."
    unread = [UnreadImage(f"1.3.{number}", "for-presentation", reason * number) for number in (1, 2, 3)]
    exam = put_together(images, unread, [])
    warnings = tuple(f"left CC, right MLO: warning {number}, which is long: {reason}" for number in range(9))
    tenth = ReferenceTenth(ReferenceSet("x" * 12, 9_999_999, is_screening=False), 10)
    return replace(exam, warnings=warnings, tenth=tenth), {"1.3.1": Place(Laterality.LEFT, "ML")}


def _all(texts: list[Text]) -> str:
    return " ".join(text.words for text in texts)


def _calibrated(exam: ExamReading) -> ExamReading:
    worth = Likelihood(0.123, Category.FOUR_B)
    images = [
        replace(
            image,
            reading=replace(
                image.reading,
                findings=tuple(replace(finding, likelihood=worth) for finding in image.reading.findings),
                likelihood=worth,
                as_breast=worth,
                as_exam=worth,
                prevalence=0.006,
                spacing_mm=(0.1, 0.1),
            ),
        )
        for image in exam.images
    ]
    return put_together(images, [], [(Laterality(side), view) for side, view in FOUR])


# Its texts


def test_every_page_says_research_use_only_and_which_models_read(written: Words):
    nothing = put_together([], [], [])
    for exam in (drawn_exam(), drawn_exam(*many_findings()), nothing, _worst()[0]):
        words = _all(written(exam, {}))
        assert "FOR RESEARCH USE ONLY. NOT FOR DIAGNOSIS." in words
        assert str(BUNDLE) in words


def test_scores_that_are_not_calibrated_imply_no_category(written: Words):
    texts = written(drawn_exam(lesion(100, 60, blob(90, 71))), {})
    words = _all(texts)
    assert "The scores are not calibrated" in words
    assert "score, no probability" in words
    assert "no scale" in words, "no millimetres without a pixel spacing"
    assert not any(f"range of {category}" in text.words for category in Category for text in texts)
    assert "%" not in words, "a score is no percentage"


def test_calibrated_scores_are_probabilities_against_the_threshold_at_a_stated_prevalence(written: Words):
    words = _all(written(_calibrated(drawn_exam(lesion(100, 60, np.ones((30, 40), dtype=bool)))), {}))
    card = "12 % probability · score 0.50 above the recall threshold of 2 % > 10 to <= 50 %, the range of 4B"
    assert words.count(card) == 3, "right breast, left breast, exam"
    assert words.count("range of 4B") == 3, "of no single image"
    assert words.count("score 0.50, probability 12 %") == 4, "each view"
    assert "prevalence of 0.6 %" in words
    assert "R CC mass 1 5 mm 0.62 12 %" in words, "the diagonal of 3 by 4 mm"


def test_lesions_have_the_names_of_the_other_results_in_order_of_score(written: Words):
    low, high = lesion(100, 60, blob(90, 71), malignancy=0.2), lesion(700, 60, blob(90, 71), malignancy=0.8)
    exam = put_together([drawn_image("1.2.1", "R", "CC", low), drawn_image("1.2.2", "L", "MLO", high)], [], [])
    words = _all(written(exam, {}))
    assert words.index("L MLO mass 1") < words.index("R CC mass 1")


def test_images_without_findings_are_labelled_so(written: Words):
    assert "nothing was found" in _all(written(drawn_exam(), {}))


def test_a_page_without_any_read_image_states_it_in_large_letters(written: Words):
    unread = [UnreadImage("1.3.1", "for-presentation", "its pixels are corrupt.")]
    texts = written(put_together([], unread, []), {"1.3.1": Place(Laterality.LEFT, "CC")})
    (large,) = [text for text in texts if text.words == "NOTHING WAS READ"]
    assert large.box[3] - large.box[1] > 35
    assert "Not read: L CC (for-presentation): its pixels are corrupt." in _all(texts)


def test_a_view_that_was_not_read_has_a_frame_with_the_reason(written: Words):
    exam = replace(
        drawn_exam(of=FOUR[:2]),
        unread=(UnreadImage("1.3.1", "for-presentation", "its pixels are corrupt."),),
        missing=("left MLO",),
    )
    words = _all(written(exam, {"1.3.1": Place(Laterality.RIGHT, "MLO")}))
    assert "R MLO Not read its pixels are corrupt." in words
    assert "L MLO Missing The study holds no image of this view." in words
    assert "2 images read, 1 not read" in words


def test_a_breast_that_was_not_read_has_no_score(written: Words):
    unread = (UnreadImage("1.3.1", "for-presentation", "Cut short."),)
    for places in ({"1.3.1": Place(Laterality.LEFT, "CC")}, {"1.3.1": Place(None, "CC")}, {}):
        exam = replace(drawn_exam(of=(("R", "CC"), ("R", "MLO"))), unread=unread)
        assert "Left breast not read" in _all(written(exam, places)), "also where nobody knows whose it is"


def test_a_breast_without_any_image_is_not_called_unread(written: Words):
    exam = drawn_exam(of=(("R", "CC"), ("R", "MLO")))
    assert "Left breast no image" in _all(written(exam, {}))
    unread = (UnreadImage("1.3.1", "for-presentation", "Cut short."),)
    assert "Left breast no image" in _all(
        written(replace(exam, unread=unread), {"1.3.1": Place(Laterality.RIGHT, "CC")})
    )


def test_an_old_reading_without_preview_shows_its_outlines_and_states_it(written: Words):
    image = drawn_image("1.2.1", "R", "CC", lesion(600, 500, blob(200, 200)))
    exam = put_together([replace(image, reading=replace(image.reading, preview=None))], [], [])
    assert "No preview was kept of this image" in _all(written(exam, {}))
    assert _pixels_of(draw_page(exam, {}, BUNDLE)[:, :836], FindingKind.MASS) > 100


def test_no_image_is_dropped_silently(written: Words):
    images = [drawn_image(f"1.2.{number}", *FOUR[number % 4]) for number in range(14)]
    words = _all(written(put_together(images, [], []), {}))
    assert all(f"{side} {view}, image 2" in words for side, view in FOUR)
    assert "6 more" in words
    lateral = drawn_image("1.2.99", None, None)
    assert "view not stated" in _all(written(put_together([*images[:4], lateral], [], []), {}))


def test_a_spot_view_is_never_shown_in_the_place_of_a_missing_full_view(written: Words):
    spot = replace(drawn_image("1.2.0", "R", "CC", score=0.9), extent="spot/magnified")
    exam = put_together([spot, drawn_image("1.2.1", "R", "MLO")], [], [(Laterality.RIGHT, "MLO")])
    words = [text.words for text in written(exam, {})]
    assert "Missing" in words
    assert any(word.startswith("R CC spot/magnified") for word in words)
    assert "R CC" in words  # the frame of a missing view


def test_of_two_images_of_a_view_the_more_suspicious_is_shown_large(written: Words):
    weak, strong = drawn_image("1.2.1", "R", "CC", score=0.3), drawn_image("1.2.2", "R", "CC", score=0.9)
    texts = written(put_together([weak, strong], [], []), {})
    (title,) = [text for text in texts if text.words == "R CC, image 2"]
    assert title.box[1] < 900, "in its place, not in the row below"


# Its layout


@pytest.mark.parametrize(
    "make",
    [_worst, lambda: (drawn_exam(*many_findings()), {}), lambda: (_calibrated(drawn_exam(*many_findings(3))), {})],
)
def test_texts_never_overlap_and_stay_on_the_page(
    make: Callable[[], tuple[ExamReading, dict[str, Place]]], written: Words
):
    texts = [text for text in written(*make()) if not text.words.isdigit()]
    assert all(text.box[0] >= 0 and text.box[2] <= COLUMNS and text.box[3] <= ROWS for text in texts)
    for text, other in combinations(texts, 2):
        across = min(text.box[2], other.box[2]) - max(text.box[0], other.box[0])
        down = min(text.box[3], other.box[3]) - max(text.box[1], other.box[1])
        assert across <= 0 or down <= 0, f"{text} over {other}"


@settings(max_examples=60)
@given(st.text("abc mi%4", max_size=120), st.integers(40, 300))
def test_a_long_text_is_wrapped_without_losing_a_letter(words: str, width: int):
    pen = Pen(Image.new("RGB", (400, 40)))
    lines = pen.wrapped(words, 15, width, 500)
    assert "".join(lines).replace(" ", "") == "".join(words.split())
    assert all(pen.width(line, 15) <= width for line in lines)


def test_a_number_is_not_alone_in_the_last_line():
    pen = Pen(Image.new("RGB", (400, 40)))
    assert pen.wrapped("above the recall threshold of 2 %", 14, 200, 2) == ["above the recall", "threshold of 2 %"]


def test_lines_that_do_not_fit_on_the_page_are_counted(written: Words):
    words = _all(written(*_worst()))
    shown = sum(
        words.count(f"{side} {view} {kind}") for side, view in (*FOUR, ("L", "ML")) for kind in ("mass", "calc")
    )
    assert f"and {72 - shown} more with lower scores" in words
    assert "warning 8" in words or "more" in words.split("Please note")[1]


def test_right_breasts_are_shown_on_the_left_with_the_chest_walls_together():
    exam = drawn_exam()
    right = exam.images[0]
    marked = right.reading.preview.copy()
    marked[:, -40:] = 255  # the chest wall of a right breast
    page = draw_page(
        replace(exam, images=(replace(right, reading=replace(right.reading, preview=marked)), *exam.images[1:])),
        {},
        BUNDLE,
    )
    below = page[660:1180, :836].astype(int)
    columns = np.nonzero((below.min(axis=2) == 255).sum(axis=0) > 300)[0]
    assert columns.max() in range(415, 425), "at the middle of the page's left half"


@pytest.mark.parametrize("shape", [(1501, 1199), (2294, 1914), (960, 700), (300, 207)])
@pytest.mark.parametrize("kind", list(FindingKind))
def test_outlines_enclose_their_lesions_in_the_colours_of_the_segmentation(shape: tuple[int, int], kind: FindingKind):
    height, width = shape[0] // 5, shape[1] // 4
    rows, columns = np.mgrid[:height, :width]
    disc = ((rows - height / 2) / (height / 2)) ** 2 + ((columns - width / 2) / (width / 2)) ** 2 < 1
    top, left = shape[0] // 2, shape[1] // 3
    finding = lesion(top, left, disc, kind)
    image = drawn_image("1.2.1", "R", "CC", finding, shape=shape)
    scale = image.reading.preview.shape[0] / shape[0]
    preview = np.full(image.reading.preview.shape, 40, dtype=np.uint8)
    at = np.stack(np.nonzero(finding.mask.full(shape)), axis=1) * scale
    preview[tuple(at.astype(int).T)] = 230
    page = draw_page(
        put_together([replace(image, reading=replace(image.reading, preview=preview))], [], []), {}, BUNDLE
    )
    field = page[670:1180, 20:420]
    bright = np.stack(np.nonzero((field == 230).all(axis=2)), axis=1)
    ring = np.stack(np.nonzero((field == COLOURS[kind]).all(axis=2)), axis=1)
    ring = ring[np.abs(ring - np.median(ring, axis=0)).max(axis=1) < 100]
    assert np.abs((bright.min(axis=0) + bright.max(axis=0)) - (ring[:, 0].min() + ring[:, 0].max(), 0))[0] <= 5
    assert ring[:, 0].min() <= bright[:, 0].min() + 2
    assert ring[:, 0].max() >= bright[:, 0].max() - 2
    assert ring[:, 1].min() <= bright[:, 1].min() + 2


def test_the_same_exam_gives_the_same_page():
    exam, places = _worst()
    assert np.array_equal(draw_page(exam, places, BUNDLE), draw_page(exam, places, BUNDLE))


def _pixels_of(page: NDArray[np.uint8], kind: FindingKind) -> int:
    return int((page == COLOURS[kind]).all(axis=2).sum())
