"""What the node takes from an actor: the readings as they were made, and nothing that is not an answer."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from simple_models import BUNDLE, OneMass, pipeline_of

from models.readings.reading_json import masks_of, to_json
from models.types.reading import BundleId
from node.archive.digests import ArchivedFile
from node.demo.studies import DemoStudy
from node.reader.cluster.messages import NoAnswer, Stored, told, understood
from node.reader.decoding import DecoderHere
from node.reader.executor import Hindered, Outcome, Read, Unreadable
from node.reader.local import LocalExecutor


@pytest.fixture(scope="module")
def outcomes(mammogram_study: DemoStudy, tmp_path_factory: pytest.TempPathFactory) -> list[tuple[int, Outcome]]:
    """Of a batch with a file that is none."""
    damaged = tmp_path_factory.mktemp("damaged") / "damaged.dcm"
    damaged.write_bytes(b"no image")
    executor = LocalExecutor(pipeline_of(OneMass()), DecoderHere(100_000_000))
    paths: list[Path] = [mammogram_study.files[0], damaged, mammogram_study.files[1]]
    return list(executor.begin([ArchivedFile(path) for path in paths])(lambda _: None))


def test_a_reading_comes_over_the_network_as_it_was_made(outcomes: list[tuple[int, Outcome]]) -> None:
    got = understood(told(outcomes), 3, BUNDLE)
    assert [place for place, _ in got] == [place for place, _ in outcomes]
    for (_, sent), (_, received) in zip(outcomes, got, strict=True):
        if isinstance(sent, Read):
            assert isinstance(received, Read)
            assert to_json(received.reading) == to_json(sent.reading)
            assert masks_of(received.reading) == masks_of(sent.reading)
        else:
            assert received == sent
    assert sum(isinstance(outcome, Unreadable) for _, outcome in got) == 1


SOMETHING = st.recursive(
    st.none() | st.booleans() | st.integers(-2, 4) | st.text(max_size=3) | st.binary(max_size=3),
    lambda inner: (
        st.tuples(inner, inner)
        | st.lists(inner, max_size=3).map(tuple)
        | st.builds(Stored, inner, inner)
        | st.builds(Unreadable, inner)
        | st.builds(Hindered, inner)
    ),
)


@given(SOMETHING)
def test_what_is_no_answer_is_dropped(answer: Any) -> None:
    try:
        got = understood(answer, 1, BUNDLE)
    except NoAnswer:
        return
    [(place, outcome)] = got
    assert place == 0
    assert isinstance(outcome, Unreadable | Hindered)
    assert isinstance(outcome.reason, str)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"malignancy": float("nan")}, "no finite number"),
        ({"bundle": BundleId("another", "1")}, "of the bundle another 1"),
    ],
)
def test_a_reading_of_another_bundle_or_without_a_score_is_dropped(
    outcomes: list[tuple[int, Outcome]], change: dict[str, Any], says: str
) -> None:
    read = next(outcome for _, outcome in outcomes if isinstance(outcome, Read))
    with pytest.raises(NoAnswer, match=says):
        understood(told([(0, Read(replace(read.reading, **change)))]), 1, BUNDLE)


def test_an_answer_for_another_number_of_images_is_dropped(outcomes: list[tuple[int, Outcome]]) -> None:
    for images in (2, 4):
        with pytest.raises(NoAnswer, match="each image once"):
            understood(told(outcomes), images, BUNDLE)
