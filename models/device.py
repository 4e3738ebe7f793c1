"""Chooses the device that the models run on."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from models.errors import UserError
from models.types.words import counted


class NoSuchDevice(UserError):
    """The settings name a device that this machine does not have."""


def half_type(device: torch.device) -> torch.dtype:
    """The type of half precision: float16 on a GPU, bfloat16 on a CPU."""
    return torch.float16 if device.type == "cuda" else torch.bfloat16


@contextmanager
def tf32(allowed: bool) -> Iterator[None]:
    """Whether a GPU may multiply matrices of float32 in TF32, which has 10 bits of mantissa as float16 has: many times
    faster, and not exact enough for the positions of boxes. (Convolutions are in TF32 by torch's own choice.)"""
    matrices = torch.backends.cuda.matmul
    before = matrices.fp32_precision
    matrices.fp32_precision = "tf32" if allowed else "ieee"
    try:
        yield
    finally:
        matrices.fp32_precision = before


def choose_device(wanted: str) -> torch.device:
    """The device for a setting of "auto" (the first CUDA device, else the CPU), "cpu", "cuda" or "cuda:N".

    Raises:
        NoSuchDevice: it is none of these, or a CUDA device that this machine does not have.
    """
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if wanted == "auto":
        wanted = "cuda" if count else "cpu"
    if not re.fullmatch(r"cpu|cuda(:\d+)?", wanted):
        raise NoSuchDevice(f"{wanted!r} is not a device: give auto, cpu, cuda or cuda:N.")
    device = torch.device(wanted)
    if device.type == "cuda" and (device.index or 0) >= count:
        raise NoSuchDevice(
            f"reader.device is {wanted!r}, but torch finds {counted(count, 'CUDA device')}. "
            'Set it to "auto" or "cpu", or check the driver with nvidia-smi.'
        )
    return device
