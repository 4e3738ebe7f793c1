"""Puts a part into a bundle: first the weights, then bundle.toml atomically, so that a kill leaves a valid bundle."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import tomli_w
import torch
from safetensors.torch import save

from models.birads.calibration import Calibration, Level
from models.bundles.bundle import CARD, ROLES, SIGNATURE, Bundle, Part, calibration_tables, find_bundle, read_bundle
from models.durable import write_durably
from models.types.reading import BundleId
from models.types.words import RESEARCH_USE_ONLY, counted

DEFAULT_BASE = "research-default"


@dataclass(frozen=True, eq=False)
class NewPart:
    """A part that was trained or imported.

    Attributes:
        role: one of `models.bundles.bundle.ROLES`.
        weights: the state dict.
        architecture: a name in models/catalog.py.
        settings: keyword arguments of the architecture's `load`; None values are left out, because TOML has no None.
        licence: of the weights.
        training_data: a description for people.
        largest_lesion: see `models.bundles.bundle.Part`.
        figures: results on held-out patients.
        calibration: for a classifier: the calibration of its scores.
        half: kernels are stored in half precision (except norms, biases, and tensors whose values exceed its range).
    """

    role: str
    weights: Mapping[str, torch.Tensor]
    architecture: str
    settings: Mapping[str, Any]
    licence: str
    training_data: str
    largest_lesion: float | None = None
    figures: Mapping[str, Any] = field(default_factory=dict)
    calibration: Mapping[Level, Calibration] = field(default_factory=dict)
    half: bool = True


def put_part(folder: Path, part: NewPart, base: Bundle | None = None) -> Bundle:
    """Puts a part into the bundle in `folder`; a folder without a bundle gets its other parts from `base`.

    A new bundle is named after its folder; its version is the base's plus eight hexadecimal digits that depend on its
    content. Each weights file is named by its content, so bundle.toml always names files that exist.

    Results that depend on the replaced part are removed: the calibration, which was fitted on findings of the old
    detector and outlines of the old segmenter, and the figures of the parts that run after it. So is a signature.

    Args:
        folder: created if missing.
        part: the part.
        base: None: research-default; ignored if the folder holds a bundle.

    Returns:
        The new bundle.

    Raises:
        BundleError: the folder holds a card that cannot be read, or the base cannot be found.
    """
    has_card = (folder / CARD).is_file()
    old = other_parts(folder, base)
    data = save(stored(part.weights, half=part.half))
    sha256 = hashlib.sha256(data).hexdigest()
    weights = folder / f"{part.role}-{sha256[:8]}.safetensors"
    write_durably(weights, data)
    new = Part(
        part.architecture,
        weights,
        sha256,
        _plain(part.settings),
        part.licence,
        part.training_data,
        part.largest_lesion,
    )
    parts = {role: _copied(kept, folder) for role, kept in old.parts.items()} | {part.role: new}
    stale = () if _is_equivalent(new, old.parts.get(part.role)) else ROLES[ROLES.index(part.role) + 1 :]
    kept = {role: figures for role, figures in old.figures.items() if role not in stale}
    calibration = part.calibration if part.role == "classifier" else {} if stale else old.calibration
    bundle = replace(
        old,
        folder=folder,
        intended_use=RESEARCH_USE_ONLY,
        figures=_plain({**kept, part.role: dict(part.figures)}),
        calibration=dict(calibration),
        detector=parts["detector"],
        segmenter=parts["segmenter"],
        classifier=parts["classifier"],
        calcifications=parts.get("calcifications"),
    )
    name = old.id.name if has_card else folder.resolve().name
    bundle = replace(bundle, id=BundleId(name, f"{old.id.version.partition('+')[0]}+{bundle.content}"))
    _write_cards(bundle)
    _delete_unused_weights(folder)
    return read_bundle(folder)


def other_parts(folder: Path, base: Bundle | None = None) -> Bundle:
    """The bundle whose other parts a part put into `folder` will be used with; see `put_part`.

    Raises:
        BundleError: the folder holds a card that cannot be read, or the base cannot be found.
    """
    if (folder / CARD).is_file():
        return read_bundle(folder)
    return base or read_bundle(find_bundle(DEFAULT_BASE))


def stored(weights: Mapping[str, torch.Tensor], *, half: bool) -> dict[str, torch.Tensor]:
    """The weights as stored in a bundle: contiguous, on the CPU, without shared memory; see `NewPart.half`."""
    return {
        name: _narrow(tensor.detach().cpu()).clone().contiguous()
        if half
        else tensor.detach().cpu().clone().contiguous()
        for name, tensor in weights.items()
    }


def _narrow(tensor: torch.Tensor) -> torch.Tensor:
    if tensor.ndim < 2 or not tensor.dtype.is_floating_point:
        return tensor
    narrow = tensor.half()
    return narrow if bool(narrow.isfinite().all()) else tensor


def _is_equivalent(new: Part, old: Part | None) -> bool:
    if old is None:
        return False
    return (new.architecture, new.sha256, new.settings) == (old.architecture, old.sha256, old.settings)


def _copied(part: Part, folder: Path) -> Part:
    """The part, with its weights copied to this folder."""
    if part.weights.parent == folder:
        return part
    target = folder / part.weights.name
    if not target.exists():
        temporary = target.with_name(target.name + ".part")
        shutil.copyfile(part.weights, temporary)
        temporary.replace(target)
    return replace(part, weights=target)


def _write_cards(bundle: Bundle) -> None:
    licences = {role: part.licence for role, part in bundle.parts.items()}
    data = {role: part.training_data for role, part in bundle.parts.items()}
    tables: dict[str, Any] = {
        "name": bundle.id.name,
        "version": bundle.id.version,
        "licence": _joined(licences),
        "intended_use": bundle.intended_use,
        "training_data": _joined(data),
        "assumed_spacing_mm": bundle.assumed_spacing_mm,
    }
    for role, part in bundle.parts.items():
        tables[role] = {
            "architecture": part.architecture,
            "weights": part.weights.name,
            "sha256": part.sha256,
            "licence": part.licence,
            "training_data": part.training_data,
            **({} if part.largest_lesion is None else {"largest_lesion": part.largest_lesion}),
            "settings": _plain(part.settings),
        }
    tables["calibration"] = calibration_tables(bundle.calibration)
    tables["figures"] = dict(bundle.figures)
    (bundle.folder / SIGNATURE).unlink(missing_ok=True)  # of the card that is replaced
    write_durably(bundle.folder / "card.md", _card(bundle, licences, data).encode())
    write_durably(bundle.folder / CARD, tomli_w.dumps(tables, multiline_strings=True).encode())


def _joined(by_role: Mapping[str, str]) -> str:
    """One text if it is the same for all parts, else each part's text."""
    texts = set(by_role.values())
    return texts.pop() if len(texts) == 1 else "; ".join(f"{role}: {text}" for role, text in by_role.items())


def _card(bundle: Bundle, licences: Mapping[str, str], data: Mapping[str, str]) -> str:
    lines = [
        f"# {bundle.id}",
        "",
        f"**{RESEARCH_USE_ONLY}**",
        "",
        "| part | architecture | licence |",
        "| --- | --- | --- |",
    ]
    lines += [f"| {role} | {part.architecture} | {part.licence} |" for role, part in bundle.parts.items()]
    lines += ["", "## Training data", ""]
    lines += [f"- {role}: {text}" for role, text in data.items()]
    lines += ["", "## Calibration", ""]
    lines += [
        f"- {level}: {calibration.method}, {counted(calibration.cases, 'case')} of "
        f"{counted(calibration.patients, 'patient')}, {calibration.prevalence:.0%} of them malignant"
        for level, calibration in bundle.calibration.items()
    ]
    lines += [f"- {level}: not calibrated" for level in Level if level not in bundle.calibration]
    lines += ["", "## Figures on held-out patients", "", "```toml", tomli_w.dumps(dict(bundle.figures)).rstrip(), "```"]
    return "\n".join(lines) + "\n"


def _plain(value: Any) -> Any:
    """The value in types that TOML has: without None, tuples and paths."""
    match value:
        case Mapping():
            return {str(key): _plain(part) for key, part in value.items() if part is not None}
        case list() | tuple():
            return [_plain(part) for part in value]
        case Path():
            return str(value)
    return value


def _delete_unused_weights(folder: Path) -> None:
    named = {part.weights.name for part in read_bundle(folder).parts.values()}
    for role in ROLES:
        for path in folder.glob(f"{role}-????????.safetensors"):
            if path.name not in named:
                path.unlink()
