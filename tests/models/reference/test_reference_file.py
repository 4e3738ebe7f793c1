"""A reference set is used as it was written, or refused with the file, the cause and the cure."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from models.bundles.bundle import Bundle, find_bundle, read_bundle
from models.reference.reference_file import ReferenceUnusable, read_reference, write_reference
from models.reference.tenths import Reference, boundaries_of
from models.types.reading import BundleId
from models.types.reference import ReferenceSet

CURE = "Make one with `mammo-node reference`, or do not set reader.reference."


@pytest.fixture(scope="module")
def bundle() -> Bundle:
    return read_bundle(find_bundle("research-default"))


@pytest.fixture
def reference(bundle: Bundle) -> Reference:
    scores = [number / 117 for number in range(117)]
    return Reference(ReferenceSet("ward", 117, is_screening=False), bundle.id, bundle.content, boundaries_of(scores))


@pytest.fixture
def path(reference: Reference, tmp_path: Path) -> Path:
    write_reference(tmp_path / "ward.json", reference)
    return tmp_path / "ward.json"


def test_a_reference_set_is_read_back_as_it_was_written(path: Path, reference: Reference, bundle: Bundle) -> None:
    assert read_reference(path, bundle) == reference


def test_the_file_says_what_it_is_for(path: Path) -> None:
    assert json.loads(path.read_text())["intended_use"] == "Research use only, not for diagnosis."


def test_a_bundle_of_another_name_version_or_content_does_not_use_it(path: Path, bundle: Bundle) -> None:
    other_threshold = replace(bundle.detector, settings={**bundle.detector.settings, "confidence": 0.2})
    for other in (
        replace(bundle, id=BundleId("mine", bundle.id.version)),
        replace(bundle, id=BundleId(bundle.id.name, "9")),
        replace(bundle, classifier=replace(bundle.classifier, sha256="0" * 64)),
        replace(bundle, detector=other_threshold),
    ):
        with pytest.raises(ReferenceUnusable) as refused:
            read_reference(path, other)
        message = str(refused.value)
        for words in (str(path), str(bundle.id), bundle.content, str(other.id), other.content, "do not compare"):
            assert words in message
        assert message.endswith("has read enough exams, then make one with `mammo-node reference`.")


def _changed(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "cause"),
    [
        ({"exams": 99}, "it has 99 exams: tenths need at least 100"),
        ({"exams": "117"}, "exams: Input should be a valid integer"),
        ({"name": "x" * 13}, "cannot be used: give 1 to 12 letters"),
        ({"boundaries": [0.5] * 8}, "not nine ascending scores"),
        ({"boundaries": [0.5] * 8 + [float("nan")]}, "not nine ascending scores"),
        ({"boundaries": [0.5] * 8 + [0.1]}, "not nine ascending scores"),
        ({"bundle": {"name": "a", "version": "1"}}, "bundle.content: Field required"),
        ({"patients": ["P1"]}, "patients: Extra inputs are not permitted"),
    ],
)
def test_a_changed_file_is_refused_with_the_fault(
    path: Path, bundle: Bundle, changes: dict[str, Any], cause: str
) -> None:
    _changed(path, **changes)
    with pytest.raises(ReferenceUnusable) as refused:
        read_reference(path, bundle)
    message = str(refused.value)
    assert message.startswith(f"{path}: ")
    assert cause in message
    assert message.endswith(CURE)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff\xfe", b"name = 'ward'"])
def test_a_file_that_is_no_reference_set_is_refused(path: Path, bundle: Bundle, content: bytes) -> None:
    path.write_bytes(content)
    with pytest.raises(ReferenceUnusable, match=r"ward\.json: is no reference set: .* Make one with"):
        read_reference(path, bundle)


def test_a_missing_file_is_named(tmp_path: Path, bundle: Bundle) -> None:
    with pytest.raises(ReferenceUnusable, match=r"none\.json: cannot be read: No such file"):
        read_reference(tmp_path / "none.json", bundle)
