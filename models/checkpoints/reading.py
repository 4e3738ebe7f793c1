"""Reads weights from untrusted files: no code in a file is run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file

from models.errors import UserError

_NETWORK_CLASSES = (
    *(f"ultralytics.nn.modules.block.{name}" for name in ("Bottleneck", "C2f", "DFL", "SPPF")),
    *(f"ultralytics.nn.modules.conv.{name}" for name in ("Concat", "Conv")),
    "ultralytics.nn.modules.head.Detect",
    "ultralytics.nn.tasks.DetectionModel",
    "torch.nn.modules.activation.SiLU",
    "torch.nn.modules.batchnorm.BatchNorm2d",
    *(f"torch.nn.modules.container.{name}" for name in ("ModuleList", "Sequential")),
    "torch.nn.modules.conv.Conv2d",
    "torch.nn.modules.pooling.MaxPool2d",
    "torch.nn.modules.upsampling.Upsample",
)
"""The classes in a pickled stock YOLOv8: ultralytics' checkpoints hold the pickled network, not a state dict."""


class StartError(UserError):
    """The file does not hold weights for this network; the message names the file, the cause and the cure."""


def read_start(path: Path) -> dict[str, torch.Tensor]:
    """Reads a state dict from a safetensors file or a PyTorch checkpoint.

    A checkpoint is read by torch's `weights_only` unpickler: of the functions that the file names it calls only those
    that make tensors and plain containers. If the file holds a pickled YOLOv8 under "model", as ultralytics writes it,
    each of the network's classes is replaced by `_StandIn`, which only keeps the tensors: neither ultralytics' code nor
    code in the file runs.

    Args:
        path: the file.

    Returns:
        Tensors by name; floating-point numbers in single precision.

    Raises:
        StartError: the file is missing or damaged, or does not hold a state dict.
    """
    try:
        content = load_file(path) if path.suffix == ".safetensors" else _unpickled(path)
    except FileNotFoundError as error:
        raise StartError(f"{path} cannot be read as weights: there is no such file. Give a state dict.") from error
    # All exceptions: a damaged file makes the unpickler, zipfile and safetensors raise almost any type (IndexError,
    # struct.error, AttributeError, RuntimeError, …). Every one is reported as a StartError; none is swallowed.
    except Exception as error:
        raise StartError(
            f"{path} cannot be read as weights ({type(error).__name__}): it is damaged, or holds more than tensors. "
            "Get it again, or give a state dict."
        ) from error
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise StartError(f"{path} does not hold a state dict. Give a file of named tensors.")
    plain = {str(name): tensor.detach() for name, tensor in content.items()}
    return {name: tensor.float() if tensor.is_floating_point() else tensor for name, tensor in plain.items()}


class _StandIn:
    """Replaces an object of a network's class in unpickling: keeps its tensors and child modules, ignores the rest."""

    tensors: dict[str, object]
    parts: dict[str, object]

    def __new__(cls) -> _StandIn:
        # Not in __init__: an unpickler does not call it. Constructor arguments are refused.
        made = super().__new__(cls)
        made.tensors, made.parts = {}, {}
        return made

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        not_saved = state.get("_non_persistent_buffers_set", ())
        buffers = {name: buffer for name, buffer in state["_buffers"].items() if name not in not_saved}
        self.tensors = {**state["_parameters"], **buffers}
        self.parts = dict(state["_modules"])

    def state_dict(self, prefix: str = "") -> Iterator[tuple[str, object]]:
        """Names and tensors as `nn.Module.state_dict` gives them."""
        for name, tensor in self.tensors.items():
            if tensor is not None:
                yield f"{prefix}{name}", tensor
        for name, part in self.parts.items():
            if isinstance(part, _StandIn):
                yield from part.state_dict(f"{prefix}{name}.")
            elif part is not None:
                raise TypeError(f"{prefix}{name} is not part of a network")


def _unpickled(path: Path) -> Any:
    with torch.serialization.safe_globals([(_StandIn, name) for name in _NETWORK_CLASSES]):
        content: Any = torch.load(path, map_location="cpu", weights_only=True)
    if isinstance(content, Mapping) and isinstance(content.get("model"), _StandIn):
        return dict(content["model"].state_dict())
    return content
