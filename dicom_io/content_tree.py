"""The content tree of anybody's structured report (PS3.3 section C.17.3): items, concepts and values by code."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from pydicom import Dataset

from dicom_io.attributes import items, text
from dicom_io.errors import NotReadable

Coded = tuple[str, str]
"""Coding Scheme Designator, Code Value."""
Path = tuple[Dataset, ...]
"""A content item and those that it stands in, from the root."""
DEEPEST = 50
MOST_ITEMS = 100_000


def paths_to(root: Dataset, concept: Coded) -> Iterator[Path]:
    """The paths to all items of a concept, in their order.

    Raises:
        NotReadable: the tree is deeper or larger than any report.
    """
    waiting: list[Path] = [(root,)]
    seen = 0
    while waiting:
        path = waiting.pop()
        seen += 1
        if seen > MOST_ITEMS or len(path) > DEEPEST:
            raise NotReadable("The structured report is too large or too deep to be read.")
        if name_of(path[-1]) == concept:
            yield path
        waiting.extend((*path, child) for child in reversed(children(path[-1])))


def children(item: Dataset) -> Sequence[Dataset]:
    """The items that an item contains."""
    return items(item, "ContentSequence")


def name_of(item: Dataset) -> Coded | None:
    """The concept that an item is about."""
    return _coded(item, "ConceptNameCodeSequence")


def value_of(item: Dataset) -> Coded | None:
    """The value of a CODE item."""
    return _coded(item, "ConceptCodeSequence")


def _coded(item: Dataset, keyword: str) -> Coded | None:
    coded = next(iter(items(item, keyword)), None)
    return (text(coded, "CodingSchemeDesignator"), text(coded, "CodeValue")) if coded is not None else None
