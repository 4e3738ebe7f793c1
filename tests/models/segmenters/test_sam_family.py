"""Networks of the SAM family: their branches, parts, starting weights and settings."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
import timm
import torch
from sam_networks import BOX, CPU, SIDE, SMALL, assert_close, ours, photograph, seeded, small

from models.protocols import ToOutline
from models.runner import Runner
from models.segmenters import hq_sam, mlsam
from models.segmenters.hq_encoders import HqVit
from models.segmenters.hq_sam import HqSamNet
from models.segmenters.mlsam import Branches, MlsamNet
from models.segmenters.pictures import SamPicture
from models.segmenters.prompted import PromptedSegmenter
from models.segmenters.prompts import Settings
from models.segmenters.sam import SamNet
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind
from models.types.region import Box

pytestmark = pytest.mark.slow


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def test_each_branch_of_mlsam_changes_the_masks() -> None:
    full = seeded(MlsamNet(HqVit(SMALL, SIDE), SamPicture(SIDE), Branches(last_block=True)))
    photo = photograph((256, 256))
    whole, _ = ours(full, photo, BOX)
    for off in ("early", "middle", "final", "mask_features", "global_fusion"):
        net = MlsamNet(HqVit(SMALL, SIDE), SamPicture(SIDE), Branches(**{"last_block": True, off: False}))
        net.load_state_dict(full.state_dict())
        drawn, _ = ours(net.eval(), photo, BOX)
        assert float((drawn - whole).abs().max()) > 1e-3, off
    other = MlsamNet(HqVit(SMALL, SIDE), SamPicture(SIDE), Branches(last_block=True, middle_block=2))
    other.load_state_dict(full.state_dict())
    assert float((ours(other.eval(), photo, BOX)[0] - whole).abs().max()) > 1e-3


def test_hq_sam_of_table_3_is_mlsam_without_the_middle_branch() -> None:
    full = seeded(MlsamNet(HqVit(SMALL, SIDE), SamPicture(SIDE), Branches(middle=False)))
    hq = HqSamNet(HqVit(SMALL, SIDE), SamPicture(SIDE))
    hq.load_state_dict({name: full.state_dict()[name] for name in hq.state_dict()})
    photo = photograph((256, 256))
    assert torch.equal(ours(full, photo, BOX)[0], ours(hq.eval(), photo, BOX)[0])


def test_a_new_branch_is_trained_although_it_starts_at_zero() -> None:
    net = MlsamNet(HqVit(SMALL, SIDE), SamPicture(SIDE), Branches(), hq_token_only=True).train()
    embedded = net.embed(torch.rand(2, 3, SIDE, SIDE))
    net.decode(embedded, torch.tensor([0, 1, 1]), boxes=torch.tensor([BOX] * 3)).square().mean().backward()
    last = net.compress_middle[-1].weight.grad
    assert last is not None
    assert last.abs().max() > 0


@pytest.mark.parametrize(
    ("kind", "index"),
    [
        ("sam", [0, 1, 2]),
        ("sam", [1]),
        ("hq", [0, 1, 2]),
        ("hq", [2, 0, 0, 1, 2]),
        ("tiny", [1, 0]),
        ("mlsam", [2, 0, 0]),
    ],
)
def test_many_prompts_over_several_pictures_give_the_masks_of_single_prompts(kind: str, index: list[int]) -> None:
    """Even as many prompts as pictures: no prompt is paired with another's picture."""
    net = seeded(small(kind))
    pictures = torch.stack(
        [net.picture.prepare(np.roll(photograph((256, 256)), 60 * n).astype("f4") / 255) for n in range(3)]
    )
    boxes = torch.tensor([[20.0 + 9 * n, 30, 150, 160 + 11 * n] for n in range(len(index))])
    points = boxes[:, :2] + 30
    with torch.inference_mode():
        embedded = net.embed(pictures)
        masks = None
        for _ in range(2):
            together = net.decode(embedded, torch.tensor(index), boxes, points, masks)
            for n, picture in enumerate(index):
                prompt = slice(n, n + 1)
                alone = net.decode(
                    net.embed(pictures[picture : picture + 1]),
                    torch.tensor([0]),
                    boxes[prompt],
                    points[prompt],
                    None if masks is None else masks[prompt],
                )
                assert_close(together[prompt], alone, 1e-4)
            masks = together


@pytest.mark.parametrize("kind", ["sam", "hq", "mlsam"])
def test_folded_positions_give_the_same_embedding(kind: str) -> None:
    """In windows, in global attention, and for grids of more than one size."""
    net = seeded(small(kind)).requires_grad_(False)
    pictures = torch.rand(2, 3, SIDE, SIDE)
    kept = net.state_dict().keys()
    with torch.inference_mode():
        plain = net.embed(pictures)
        net.fold()
        folded = net.embed(pictures)
        net.half()
        in_half = net.embed(pictures.half())
    for one, other, half in zip(plain, folded, in_half, strict=True):
        assert_close(other, one, 1e-4)
        assert_close(half.float(), one, 0.05)
    assert net.state_dict().keys() == kept


@pytest.mark.parametrize("kind", ["sam", "hq", "tiny", "mlsam"])
def test_every_parameter_belongs_to_one_part(kind: str) -> None:
    net = small(kind)
    parts = net.parts()
    assert sum(map(len, parts.values())) == len(list(net.parameters()))
    encoder: Any = net.image_encoder
    assert sum(p.numel() for p in parts["image_encoder"]) == sum(p.numel() for p in encoder.parameters())
    assert bool(parts["additions"]) == (kind != "sam")
    in_sam = {"mask_decoder." + name for name, _ in small("sam").mask_decoder.named_parameters()}
    assert {name for name, _ in net.named_parameters() if net.part_of(name) == "mask_decoder"} == in_sam


def test_an_embedding_needs_only_the_parameters_of_the_image_encoder() -> None:
    net = small("mlsam").train()
    torch.stack([features.float().mean() for features in net.embed(torch.rand(1, 3, SIDE, SIDE))]).sum().backward()
    touched = {id(weight) for weight in net.parameters() if weight.grad is not None}
    assert touched <= {id(weight) for weight in net.parts()["image_encoder"]}


def test_hq_sam_starts_only_from_weights_of_sam() -> None:
    plain = seeded(SamNet(SMALL, SamPicture(SIDE)))
    net = HqSamNet(HqVit(SMALL, SIDE), SamPicture(SIDE))
    net.start_from(plain.state_dict())
    assert torch.equal(net.image_encoder.pos_embed, plain.image_encoder.pos_embed)
    with pytest.raises(RuntimeError, match="another network's weights"):
        net.start_from({name: weight for name, weight in plain.state_dict().items() if "prompt" not in name})
    with pytest.raises(RuntimeError, match="unknown here"):
        net.start_from({**plain.state_dict(), "head.weight": torch.zeros(1)})


def test_importing_the_segmenters_does_not_replace_the_tiny_vit_of_timm() -> None:
    made = timm.create_model("tiny_vit_5m_224")
    assert type(made).__module__ == "timm.models.tiny_vit"


@pytest.mark.parametrize("module", [hq_sam, mlsam])
def test_wrong_settings_are_refused_with_the_valid_ones(module: object) -> None:
    with pytest.raises(ValueError, match="sam or medsam"):
        module.load({}, Runner(CPU), variant="tiny", picture="ct")  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="middle_bloc"):
        module.load({}, Runner(CPU), variant="tiny", middle_bloc=2)  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="Missing key"):
        module.load({}, Runner(CPU), variant="tiny")  # type: ignore[attr-defined]


def test_mlsam_without_any_branch_is_refused() -> None:
    with pytest.raises(ValueError, match="turn one on"):
        Branches(early=False, middle=False, final=False, mask_features=False)
    with pytest.raises(ValueError, match="give 1 to 3"):
        MlsamNet(HqVit(SMALL, SIDE), SamPicture(SIDE), Branches(middle_block=4))


@pytest.mark.parametrize("kind", ["sam", "hq", "tiny", "mlsam"])
@pytest.mark.parametrize("shown", ["crop", "whole"])
def test_every_network_segments_crops_and_whole_images(kind: str, shown: str) -> None:
    settings = Settings(shown=shown, prompt="box+point", passes=3, context=2, smallest_crop_px=64)
    segmenter = PromptedSegmenter(seeded(small(kind)), Runner(CPU), settings)
    image = Mammogram(photograph((600, 400)).astype(np.float32) / 255, (0.2, 0.2))
    boxes = [Box(10, 20, 60, 80), Box(400, 250, 520, 380), Box(590, 390, 600, 400)]
    [by_box] = segmenter.outlines_by_pass([ToOutline(image, [(box, FindingKind.MASS) for box in boxes])])
    for masks in by_box:
        assert len(masks) == 3
        for mask in masks:
            assert mask is None or (mask.box.bottom <= 600 and mask.box.right <= 400 and mask.area_px > 0)


@pytest.mark.parametrize("make", [hq_sam.untrained, mlsam.untrained])
def test_weights_of_tinyvit_fit_every_side_of_the_input(make: Any) -> None:
    small, _ = make("tiny", side=64)
    large, _ = make("tiny", side=128)
    small.load_state_dict(large.state_dict())
    embedded = small.eval().embed(torch.zeros(1, 3, 64, 64))
    drawn = small.decode(embedded, torch.tensor([0]), boxes=torch.tensor([[8.0, 8.0, 40.0, 40.0]]))
    assert drawn.shape == (1, 16, 16)
    with pytest.raises(ValueError, match="multiple of 16"):
        make("tiny", side=100)
