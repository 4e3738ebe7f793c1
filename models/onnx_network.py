"""A network in an ONNX file, run by onnxruntime (the extra `onnx`): for models that were made elsewhere.

An ONNX file has tensors and a graph of known operators, and no program: unlike a pickle it can be loaded from somebody
else. All of it must be in the one file, whose digest the bundle has.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from models.framing import Size, rows_columns
from models.protocols import NotFinite

_PROVIDERS = {"cpu": "CPUExecutionProvider", "cuda": "CUDAExecutionProvider"}


class OnnxNetwork(nn.Module):
    """Pictures in (batch × rows × columns, float32 in 0..1), the file's first output out (batch × …, float32).

    The file has one input, of batch × 1 or 3 channels × rows × columns; three channels are equal. A picture is given as
    (it - `mean`) / `deviation`. If the file's batch is fixed, pictures go through it one by one.
    """

    def __init__(
        self,
        content: object,
        device: torch.device,
        mean: float | Sequence[float] = 0,
        deviation: float | Sequence[float] = 1,
    ) -> None:
        """Loads a file's content.

        Raises:
            ValueError: it is no ONNX file of this form, or onnxruntime is not here, or not for this device.
        """
        super().__init__()
        if not isinstance(content, bytes):
            raise ValueError("this architecture needs a file whose name ends in .onnx")
        self._session = _session(content, device)
        inputs = self._session.get_inputs()
        if len(inputs) != 1 or len(inputs[0].shape) != 4 or inputs[0].type != "tensor(float)":
            raise ValueError(
                f"its inputs are {[(each.name, each.type, each.shape) for each in inputs]}; it must have one, of "
                "floats, batch × channels × rows × columns"
            )
        (batch, channels, *self._size) = inputs[0].shape
        if channels not in (1, 3):
            raise ValueError(f"its input has {channels} channels; give a file for 1 or 3")
        self._input, self._alone, self._channels = inputs[0].name, isinstance(batch, int), channels
        self._mean, self._deviation = (_per_channel(value, channels) for value in (mean, deviation))

    def takes(self, size: Size | None) -> None:
        """Checks that pictures of this size can be given; None: of any size.

        Raises:
            ValueError: the file has another size.
        """
        fixed = [side for side in self._size if isinstance(side, int)]
        if fixed and (size is None or list(rows_columns(size)) != self._size):
            wanted = "pictures of any size (mm_per_px)" if size is None else " × ".join(map(str, rows_columns(size)))
            raise ValueError(f"its input is {' × '.join(map(str, self._size))}, the settings ask for {wanted}")

    def output_shape(self) -> list[int | str | None]:
        """As the file states it; a number where a side is fixed."""
        return list(self._session.get_outputs()[0].shape)

    def forward(self, pictures: Tensor) -> Tensor:
        """Raises:
        NotFinite: the output has NaN or an infinite number.
        """
        shown = pictures[:, None].cpu().numpy().repeat(self._channels, axis=1)
        given = np.ascontiguousarray((shown - self._mean) / self._deviation, dtype=np.float32)
        parts = np.split(given, len(given)) if self._alone else [given]
        found = np.concatenate([self._session.run(None, {self._input: part})[0] for part in parts]).astype(np.float32)
        if not np.isfinite(found).all():
            raise NotFinite("the output of the ONNX file is not finite: nothing is known of this image")
        return torch.from_numpy(found).to(pictures.device)


def _session(content: bytes, device: torch.device) -> Any:
    try:
        from onnxruntime import InferenceSession, SessionOptions, get_available_providers
        from onnxruntime.capi import onnxruntime_pybind11_state as errors
    except ImportError as error:
        raise ValueError('onnxruntime is not installed: pip install "mammo-node[onnx]"') from error
    provider = _PROVIDERS.get(device.type)
    if provider not in get_available_providers():
        raise ValueError(
            f"onnxruntime here cannot use {device.type}: install onnxruntime-gpu, or set reader.device to cpu"
        )
    options = SessionOptions()
    options.intra_op_num_threads = torch.get_num_threads()
    options.log_severity_level = 3
    # Tensors in files beside it, of which the bundle has no digest, are looked for in a folder that cannot be there.
    options.add_session_config_entry("session.model_external_initializers_file_folder_path", "/dev/null/none")
    try:
        return InferenceSession(content, options, providers=[provider])
    except (errors.Fail, errors.InvalidGraph, errors.InvalidProtobuf, errors.RuntimeException) as error:
        raise ValueError(f"onnxruntime cannot load it: {error}") from error


def _per_channel(value: float | Sequence[float], channels: int) -> NDArray[np.float32]:
    values = np.atleast_1d(np.asarray(value, dtype=np.float32))
    if len(values) not in (1, channels):
        raise ValueError(f"{value} has {len(values)} values for {channels} channels")
    return values[:, None, None]
