"""What stays float32 is multiplied in TF32 on a GPU: emulated here, since a CPU has none. Positions are exact."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from sam_networks import BOX, POINT, photograph, seeded, small
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

from models.device import tf32
from models.runner import Runner
from models.segmenters.network import PromptedNet, encode_prompts, positions_of

CPU = torch.device("cpu")
MATRIX_PRODUCTS = {"mm", "addmm", "bmm", "baddbmm", "linear", "matmul"}
CONVOLUTIONS = {"convolution", "conv2d", "conv_transpose2d"}


def allowed() -> bool:
    return torch.backends.cuda.matmul.fp32_precision == "tf32"


class EmulatedTf32(TorchDispatchMode):
    """Rounds what is multiplied to 10 bits of mantissa where a GPU would: in convolutions, and in matrix products where
    that is allowed."""

    def __init__(self) -> None:
        super().__init__()
        self.products = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        name = func.overloadpacket.__name__
        product = name in MATRIX_PRODUCTS and allowed()
        self.products += product
        if product or name in CONVOLUTIONS:
            args = [rounded(value) for value in args]
        return func(*args, **(kwargs or {}))


def rounded(value: Any) -> Any:
    if not isinstance(value, Tensor) or value.dtype != torch.float32:
        return value
    return ((value.contiguous().view(torch.int32) + 0x1000) & ~0x1FFF).view(torch.float32)


@pytest.mark.parametrize("kind", ["sam", "hq", "mlsam"])
def test_masks_are_the_same_in_tf32_and_positions_are_exact(kind: str) -> None:
    """At most one pixel in 500 of a mask differs; with the shipped segmenter 15 outlines of the demo's films had a Dice
    of .9993 and more with those of float32."""
    net = seeded(small(kind))
    picture = net.picture.prepare(photograph((256, 200)).astype("float32") / 255)
    boxes, points = torch.tensor([BOX]), torch.tensor([POINT])
    with torch.inference_mode():
        embedded = net.embed(picture[None])
        encoded = prompts(net, boxes, points)
        logits = net.decode(embedded, torch.tensor([0]), boxes, points)
        with tf32(True), EmulatedTf32() as emulated:
            assert [torch.equal(*pair) for pair in zip(prompts(net, boxes, points), encoded, strict=True)] == [True] * 3
            assert not emulated.products
            coarse = net.decode(embedded, torch.tensor([0]), boxes, points)
    assert emulated.products
    assert not torch.equal(coarse, logits)
    assert ((coarse > 0) != (logits > 0)).float().mean() <= 1 / 500


def prompts(net: Any, boxes: Tensor, points: Tensor) -> tuple[Tensor, ...]:
    assert isinstance(net, PromptedNet)
    encoder: Any = net.prompt_encoder
    return (*encode_prompts(encoder, boxes, points, None), positions_of(encoder))


@pytest.mark.parametrize(("mixed_precision", "together"), [(True, True), (True, False), (False, True)])
def test_tf32_is_for_mixed_precision_on_a_gpu_and_ends_with_the_run(mixed_precision: bool, together: bool) -> None:
    before = torch.backends.cuda.matmul.fp32_precision
    with Runner(CPU, mixed_precision, together).fitting("nothing"):
        assert allowed() == (mixed_precision and together)
    assert torch.backends.cuda.matmul.fp32_precision == before
