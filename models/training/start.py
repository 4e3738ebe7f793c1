"""Weights to start training from, made by others for other pictures."""

from __future__ import annotations

import pickle
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import nn


class StartError(ValueError):
    """The file does not hold weights for this network."""


def read_start(path: Path, known: Iterable[type] = ()) -> dict[str, torch.Tensor]:
    """Reads a state dict from a safetensors file or a PyTorch checkpoint; no code in a checkpoint is run.

    Args:
        path: the file.
        known: classes a checkpoint may hold besides tensors (it is read with `weights_only`). One that pickles a
            whole network under "model", as ultralytics writes it, is taken apart into its state dict.

    Raises:
        StartError: the file is missing or holds anything else.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        with torch.serialization.safe_globals(list(known)):
            content: Any = torch.load(path, map_location="cpu", weights_only=True)
    except (OSError, RuntimeError, ValueError, EOFError, pickle.UnpicklingError, SafetensorError) as error:
        raise StartError(f"{path} cannot be read as weights ({type(error).__name__}). Give a state dict.") from error
    if isinstance(content, Mapping) and isinstance(content.get("model"), nn.Module):
        content = content["model"].state_dict()
    if not isinstance(content, Mapping) or not all(isinstance(value, torch.Tensor) for value in content.values()):
        raise StartError(f"{path} holds no state dict. Give a file of named tensors.")
    return {str(name): one.float() if one.is_floating_point() else one for name, one in content.items()}


def take_start(network: nn.Module, start: Mapping[str, torch.Tensor]) -> float:
    """Copies every tensor whose name and shape fit into the network.

    Returns:
        The share of the network's numbers that were copied, 0..1.

    Raises:
        StartError: none fits.
    """
    own = network.state_dict()
    fitting = {name: tensor for name, tensor in start.items() if name in own and own[name].shape == tensor.shape}
    if not fitting:
        raise StartError("None of the start weights fits this network. Give weights of the same architecture.")
    network.load_state_dict(fitting, strict=False)
    copied = sum(own[name].numel() for name in fitting)
    return float(copied / sum(tensor.numel() for tensor in own.values()))
