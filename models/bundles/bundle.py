"""A bundle: a folder with bundle.toml and the weights of a detector, a segmenter and a classifier. No torch here."""

from __future__ import annotations

import hashlib
import json
import math
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from models.birads.calibration import Calibration, Level, Method
from models.birads.caveat import caveat_of
from models.errors import UserError
from models.types.reading import BundleId

CARD = "bundle.toml"
SIGNATURE = f"{CARD}.sig"
"""Beside a signed bundle's card: see models/bundles/signature.py."""
ROLES = ("detector", "calcifications", "segmenter", "classifier")
"""The parts of a bundle, in the order in which they read."""
REQUIRED_ROLES = ("detector", "segmenter", "classifier")
"""A bundle without a detector of calcifications is whole: its detector then looks for them too."""


class BundleError(UserError):
    """A bundle cannot be used; the message names the file, the cause and the cure."""


@dataclass(frozen=True)
class Part:
    """One model of a bundle.

    Attributes:
        architecture: a name in models/catalog.py.
        weights: a safetensors file, or an ONNX file of an architecture `…-onnx`.
        sha256: the required digest of the weights, hexadecimal.
        settings: keyword arguments of the architecture's `load`, such as input size and thresholds.
        licence: of these weights, if the part states one; else the bundle's.
        training_data: of these weights, if the part states it; else the bundle's.
        largest_lesion: for a detector: the largest share of its breast (0..1) that a lesion of the training data
            covers; None if it is not known.
    """

    architecture: str
    weights: Path
    sha256: str
    settings: Mapping[str, Any]
    licence: str
    training_data: str
    largest_lesion: float | None = None


@dataclass(frozen=True)
class Bundle:
    """The content of a bundle.toml.

    Attributes:
        assumed_spacing_mm: millimetres per pixel of digital images without a spacing (film.py); the report then says
            so.
        figures: results on held-out patients as in bundle.toml, by role.
        calibration: of the classifier's scores, at the levels that are calibrated.
        card_sha256: the digest of the bundle.toml that this was made of, hexadecimal: what a signature is of.
    """

    folder: Path
    id: BundleId
    licence: str
    intended_use: str
    training_data: str
    assumed_spacing_mm: float
    detector: Part
    segmenter: Part
    classifier: Part
    figures: Mapping[str, Any]
    calibration: Mapping[Level, Calibration]
    card_sha256: str
    calcifications: Part | None = None

    @property
    def caveat(self) -> str:
        """One sentence on the error of the probabilities on held-out patients; empty if the figures show none."""
        figures = self.figures.get("classifier")
        return caveat_of(figures) if Level.IMAGE in self.calibration and isinstance(figures, Mapping) else ""

    @property
    def content(self) -> str:
        """Eight hexadecimal digits of the digest of everything that affects a reading."""
        content = {
            "parts": [
                [part.architecture, part.sha256, part.settings, part.largest_lesion] for part in self.parts.values()
            ],
            "calibration": calibration_tables(self.calibration),
            "assumed_spacing_mm": self.assumed_spacing_mm,
        }
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:8]

    @property
    def parts(self) -> dict[str, Part]:
        """The parts that it has, by role, in the order of `ROLES`."""
        return {role: part for role in ROLES if (part := getattr(self, role)) is not None}


def shipped() -> list[str]:
    """The names of the bundles that ship with the node."""
    return sorted(card.parent.name for card in _SHIPPED.glob(f"*/{CARD}"))


def find_bundle(name_or_path: str) -> Path:
    """The folder of a shipped bundle, given by name, or of a user's bundle, given by path.

    Raises:
        BundleError: there is no such bundle.
    """
    for folder in (_SHIPPED / name_or_path, Path(name_or_path)):
        if (folder / CARD).is_file():
            return folder
    raise BundleError(
        f"{name_or_path}: no shipped bundle has this name, and no folder of this path holds a {CARD}. "
        f"Shipped: {', '.join(shipped()) or 'none'}."
    )


def read_bundle(folder: Path) -> Bundle:
    """The bundle in `folder`; its weights are not opened (see `verify`).

    Raises:
        BundleError: bundle.toml is missing, is not TOML, or lacks or mistypes an entry.
    """
    path = folder / CARD
    try:
        content = path.read_bytes()
        card = _Card(path, tomllib.loads(content.decode()))
    except OSError as error:
        raise BundleError(f"{path}: cannot be read: {error.strerror}. Give the folder of a bundle.") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BundleError(f"{path}: is not TOML: {error}. Restore the file that came with the weights.") from error
    parts = {role: _part(card, role, folder) for role in ROLES if role in REQUIRED_ROLES or role in card.values}
    return Bundle(
        folder=folder,
        id=BundleId(card.text("name"), card.text("version")),
        licence=card.text("licence"),
        intended_use=card.text("intended_use"),
        training_data=card.text("training_data"),
        assumed_spacing_mm=card.positive("assumed_spacing_mm"),
        detector=parts["detector"],
        segmenter=parts["segmenter"],
        classifier=parts["classifier"],
        calcifications=parts.get("calcifications"),
        figures=card.table("figures").values,
        calibration=_calibrations(card),
        card_sha256=hashlib.sha256(content).hexdigest(),
    )


def verify(bundle: Bundle) -> list[str]:
    """The faults of the weights: missing files and wrong digests, one sentence each. Empty: there is none."""
    return [problem for part in bundle.parts.values() if (problem := _problem(part))]


def calibration_tables(calibrations: Mapping[Level, Calibration]) -> dict[str, Any]:
    """The table [calibration] of bundle.toml."""
    return {
        str(level): {
            "method": str(calibration.method),
            "prevalence": calibration.prevalence,
            "cases": calibration.cases,
            "patients": calibration.patients,
            **({"normals": calibration.normals} if calibration.normals is not None else {}),
            **({"composed": True} if calibration.composed else {}),
            "parameters": {name: list(values) for name, values in calibration.parameters.items()},
        }
        for level, calibration in calibrations.items()
    }


def read_weights(part: Part) -> bytes:
    """The content of a part's weights file, whose digest is that of bundle.toml: what is returned is what was checked.

    Raises:
        BundleError: the file cannot be read, or its digest is another.
    """
    try:
        content = part.weights.read_bytes()
    except OSError as error:
        raise BundleError(_unreadable(part, error)) from error
    if problem := _another_digest(part, hashlib.sha256(content).hexdigest()):
        raise BundleError(problem)
    return content


def _problem(part: Part) -> str | None:
    try:
        with part.weights.open("rb") as file:
            return _another_digest(part, hashlib.file_digest(file, "sha256").hexdigest())
    except OSError as error:
        return _unreadable(part, error)


def _unreadable(part: Part, error: OSError) -> str:
    return f"{part.weights}: cannot be read: {error.strerror}. Restore the weights that came with the bundle."


def _another_digest(part: Part, found: str) -> str | None:
    if found == part.sha256:
        return None
    return (
        f"{part.weights}: SHA-256 is {found}, {CARD} says {part.sha256}: the file is damaged or was replaced. "
        "Restore the weights that came with the bundle."
    )


@dataclass(frozen=True)
class _Card:
    """A table of bundle.toml; its methods return entries of the requested type, or raise BundleError."""

    path: Path
    values: Mapping[str, Any]
    prefix: str = ""

    def text(self, key: str) -> str:
        return str(self._get(key, str, "a text"))

    def table(self, key: str) -> _Card:
        values: dict[str, Any] = self._get(key, dict, "a table")
        return _Card(self.path, values, f"{self.prefix}{key}.")

    def positive(self, key: str) -> float:
        number = float(self._get(key, (int, float), "a number"))
        if not 0 < number < math.inf:
            raise BundleError(f"{self.path}: {self.prefix}{key} is {number}. Give a number above 0.")
        return number

    def _get(self, key: str, kind: type | tuple[type, ...], called: str) -> Any:
        if key not in self.values:
            raise BundleError(f"{self.path}: {self.prefix}{key} is missing. Give {called}.")
        value = self.values[key]
        if not isinstance(value, kind) or isinstance(value, bool):
            raise BundleError(f"{self.path}: {self.prefix}{key} is {value!r}. Give {called}.")
        return value


def _part(whole: _Card, role: str, folder: Path) -> Part:
    card = whole.table(role)
    weights = card.text("weights")
    if Path(weights).name != weights:
        raise BundleError(f"{card.path}: {role}.weights is {weights!r}. Name a file in the bundle's own folder.")
    return Part(
        architecture=card.text("architecture"),
        weights=folder / weights,
        sha256=card.text("sha256"),
        settings=card.table("settings").values if "settings" in card.values else {},
        licence=(card if "licence" in card.values else whole).text("licence"),
        training_data=(card if "training_data" in card.values else whole).text("training_data"),
        largest_lesion=card.positive("largest_lesion") if "largest_lesion" in card.values else None,
    )


def _calibrations(card: _Card) -> dict[Level, Calibration]:
    if "calibration" not in card.values:
        return {}
    tables = card.table("calibration")
    unknown = set(tables.values) - set(Level)
    if unknown:
        raise BundleError(f"{card.path}: calibration.{min(unknown)} is not a level. Levels: {', '.join(Level)}.")
    return {Level(name): _calibration(Level(name), tables.table(name)) for name in tables.values}


def _calibration(level: Level, card: _Card) -> Calibration:
    parameters = card.table("parameters").values
    try:
        return Calibration(
            level=level,
            method=Method(card.text("method")),
            parameters={name: tuple(map(float, values)) for name, values in parameters.items()},
            prevalence=card.positive("prevalence"),
            cases=int(card.positive("cases")),
            patients=int(card.positive("patients")),
            normals=card.positive("normals") if "normals" in card.values else None,
            composed=card.values.get("composed", False),
        )
    except (TypeError, ValueError) as error:
        table = card.prefix.rstrip(".")
        raise BundleError(f"{card.path}: {table} cannot be used: {error}. Train the part again.") from error


_SHIPPED = Path(__file__).parent
