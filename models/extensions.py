"""Architectures of other packages: a hospital's own model is a package that is installed beside the node, not a fork.

A package offers an architecture as an entry point of one of `GROUPS` (docs/own_models.md has an example):

    [project.entry-points."mammo_node.detectors"]
    my-detector = "my_package.detector:load"

`load(weights, device, mixed_precision, **settings)` returns a Detector, OneImageSegmenter or OneImageClassifier of
models/protocols.py. A bundle that names the architecture can then be used like any other. Only what is installed is
loaded, and only when a bundle names it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from models.errors import UserError
from models.protocols import OneImageClassifier, OneImageSegmenter, ToOutline, ToScore
from models.types.region import Mask

GROUPS = ("mammo_node.detectors", "mammo_node.segmenters", "mammo_node.classifiers")


class ExtensionError(UserError):
    """An architecture of another package cannot be used; the message names the package and the cure."""


def extensions() -> dict[str, EntryPoint]:
    """The architectures of other packages, by name.

    Raises:
        ExtensionError: two packages offer one of the same name.
    """
    found: dict[str, EntryPoint] = {}
    for group in GROUPS:
        for offered in entry_points(group=group):
            if offered.name in found and found[offered.name].value != offered.value:
                raise ExtensionError(
                    f"Two packages offer the architecture {offered.name!r}: {package_of(found[offered.name])} and "
                    f"{package_of(offered)}. Uninstall one of them."
                )
            found[offered.name] = offered
    return found


def load_extension(offered: EntryPoint) -> Callable[..., Any]:
    """The package's `load` function; what it returns takes several images.

    Raises:
        ExtensionError: the package cannot be imported, or has no such function.
    """
    try:
        load = offered.load()
    except Exception as error:
        raise ExtensionError(
            f"The architecture {offered.name!r} of {package_of(offered)} cannot be imported ({offered.value}): "
            f"{type(error).__name__}: {error}. Install a version of it that fits this node."
        ) from error
    if not callable(load):
        raise ExtensionError(f"{offered.value} of {package_of(offered)} is no function. It must be a load function.")
    several = _SEVERAL.get(offered.group)
    return load if several is None else lambda *arguments, **settings: several(load(*arguments, **settings))


@dataclass(frozen=True)
class _SegmentsEach:
    """A segmenter of one image, as `models.protocols.Segmenter`."""

    of_one: OneImageSegmenter

    def segment(self, images: Sequence[ToOutline]) -> list[list[Mask | None]]:
        return [
            self.of_one.segment(asked.image, [box for box, _ in asked.lesions], [kind for _, kind in asked.lesions])
            if asked.lesions  # it is not asked for nothing
            else []
            for asked in images
        ]


@dataclass(frozen=True)
class _ClassifiesEach:
    """A classifier of one image, as `models.protocols.Classifier`."""

    of_one: OneImageClassifier

    @property
    def scores_images_alone(self) -> bool:
        return self.of_one.scores_images_alone

    def classify(self, images: Sequence[ToScore]) -> list[tuple[float, list[float]]]:
        return [self.of_one.classify(asked.image, asked.masks) for asked in images]


_SEVERAL: Mapping[str, Callable[[Any], Any]] = MappingProxyType(
    {"mammo_node.segmenters": _SegmentsEach, "mammo_node.classifiers": _ClassifiesEach}
)
"""By the group: what makes an object for one image take several."""


def package_of(offered: EntryPoint) -> str:
    """The name and version of the package that offers it."""
    return "a package" if offered.dist is None else f"{offered.dist.name} {offered.dist.version}"
