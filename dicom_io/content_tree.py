"""Reads the content tree of any structured report (PS3.3 section C.17.3): items, concepts and values by code."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from dataclasses import dataclass
from itertools import count

from pydicom import Dataset

from dicom_io.attributes import items, text
from dicom_io.errors import NotReadable

Coded = tuple[str, str]
"""Coding Scheme Designator, Code Value."""
DEEPEST = 50
MOST_ITEMS = 20_000


@dataclass(frozen=True, eq=False)
class Item:
    """A content item.

    Attributes:
        name: Concept Name Code.
        value: of a CODE item.
        person: of a PNAME item; "" if it has no name.
        children: the items of its Content Sequence.
    """

    name: Coded | None
    value: Coded | None
    person: str
    children: tuple[Item, ...]

    def named(self, concepts: Collection[Coded]) -> list[Item]:
        """The children whose name is one of the concepts."""
        return [child for child in self.children if child.name in concepts]

    def holds(self, concepts: Collection[Coded]) -> bool:
        """Whether the name of this item or of any item below it is one of the concepts."""
        return self.name in concepts or any(child.holds(concepts) for child in self.children)


Path = tuple[Item, ...]
"""The content items from the root to an item."""


def read_tree(root: Dataset) -> Item:
    """The content tree of a document.

    Raises:
        NotReadable: the tree is deeper or larger than any report.
    """
    places = count(1)

    def read(item: Dataset, depth: int) -> Item:
        if next(places) > MOST_ITEMS or depth > DEEPEST:
            raise NotReadable("The structured report is too large or too deep to be read.")
        return Item(
            name=_coded(item, "ConceptNameCodeSequence"),
            value=_coded(item, "ConceptCodeSequence"),
            person=text(item, "PersonName"),
            children=tuple(read(child, depth + 1) for child in items(item, "ContentSequence")),
        )

    return read(root, 1)


def paths_to(root: Item, concept: Coded) -> Iterator[Path]:
    """The paths to all items of a concept, in their order."""
    waiting: list[Path] = [(root,)]
    while waiting:
        path = waiting.pop()
        if path[-1].name == concept:
            yield path
        waiting.extend((*path, child) for child in reversed(path[-1].children))


def _coded(item: Dataset, keyword: str) -> Coded | None:
    coded = next(iter(items(item, keyword)), None)
    return (text(coded, "CodingSchemeDesignator"), text(coded, "CodeValue")) if coded is not None else None
