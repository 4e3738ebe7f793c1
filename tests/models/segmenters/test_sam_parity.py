"""SAM, MedSAM, HQ-SAM and MLSAM draw what their reference code draws.

The networks have seeded, arbitrary weights and are small: an input of 256 pixels, encoders of four narrow blocks (the
TinyViT is whole). Tolerances are of the logits' standard deviation.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any, TypeVar

import numpy as np
import pytest
import timm
import torch
from numpy.typing import NDArray
from segment_anything import SamPredictor  # type: ignore[import-untyped]
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer  # type: ignore[import-untyped]
from skimage import transform
from torch import Tensor, nn
from torch.nn import functional

from models.segmenters import hq_sam, mlsam, sam
from models.segmenters.hq_encoders import HqTinyVit, HqVit
from models.segmenters.hq_sam import HqSamNet
from models.segmenters.mlsam import Branches, MlsamNet
from models.segmenters.network import PromptedNet
from models.segmenters.pictures import MedSamPicture, SamPicture
from models.segmenters.prompted import PromptedSegmenter
from models.segmenters.prompts import Settings
from models.segmenters.sam import SamNet
from models.segmenters.vit import Vit
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind
from models.types.region import Box

pytestmark = pytest.mark.slow

CPU = torch.device("cpu")
Net = TypeVar("Net", bound=nn.Module)
SIDE = 256
SMALL = Vit(width=48, depth=4, heads=2, global_blocks=(0, 1, 2, 3))
WINDOWED = replace(SMALL, global_blocks=(1, 3))
BOX = (60.0, 90.0, 140.0, 170.0)
POINT = (100.0, 120.0)
SHAPES = [(256, 256), (256, 150), (700, 300), (90, 120)]
"""The last two are resized: the reference rounds its picture to 8 bits then, we do not."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def seeded(net: Net) -> Net:
    """With weights, buffers and batch statistics of its own, none of them zero."""
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for name, weight in net.state_dict().items():
            if weight.dtype.is_floating_point:
                drawn = torch.randn(weight.shape, generator=draw)
                scale = name.endswith((".weight", "running_var"))
                if weight.ndim > 1:
                    weight.copy_(drawn * weight[0].numel() ** -0.5)
                else:
                    weight.copy_(drawn.abs() / 2 + 0.5 if scale else drawn / 5)
    return net.eval()


def photograph(shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Smooth greys with a bright blob; its darkest and brightest pixel are 3 and 250."""
    y, x = np.mgrid[: shape[0], : shape[1]].astype(np.float64)
    rows, columns = shape
    waves = np.sin(9 * y / rows) * np.cos(7 * x / columns) + np.cos(23 * (x / columns + y / rows)) / 3
    blob = 3 * np.exp(-(((y / rows - 0.5) / 0.1) ** 2 + ((x / columns - 0.4) / 0.12) ** 2))
    grey = waves + blob
    return np.round(3 + 247 * (grey - grey.min()) / (grey.max() - grey.min())).astype(np.uint8)


def reference_sam(vit: Vit) -> Sam:
    return seeded(
        Sam(
            image_encoder=ImageEncoderViT(
                img_size=SIDE,
                embed_dim=vit.width,
                depth=vit.depth,
                num_heads=vit.heads,
                norm_layer=lambda width: nn.LayerNorm(width, eps=1e-6),
                use_rel_pos=True,
                window_size=14,
                global_attn_indexes=vit.global_blocks,
            ),
            prompt_encoder=PromptEncoder(256, (16, 16), (SIDE, SIDE), mask_in_chans=16),
            mask_decoder=MaskDecoder(
                transformer_dim=256,
                transformer=TwoWayTransformer(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048),
            ),
            pixel_mean=[123.675, 116.28, 103.53],
            pixel_std=[58.395, 57.12, 57.375],
        )
    )


def reference_hq(encoder: str) -> nn.Module:
    """segment_anything_hq's own network, built of its own classes."""
    # Imported by our own module first, which keeps it out of timm's registry.
    from segment_anything_hq.modeling import ImageEncoderViT, MaskDecoderHQ, PromptEncoder, Sam, TinyViT  # type: ignore[import-untyped]
    from segment_anything_hq.modeling import TwoWayTransformer as TwoWay

    if encoder == "tiny":
        image_encoder = TinyViT(
            img_size=1024,
            embed_dims=[64, 128, 160, 320],
            depths=[2, 2, 6, 2],
            num_heads=[2, 4, 5, 10],
            window_sizes=[7, 7, 14, 7],
            drop_path_rate=0.0,
        )
    else:
        image_encoder = ImageEncoderViT(
            img_size=SIDE,
            embed_dim=SMALL.width,
            depth=SMALL.depth,
            num_heads=SMALL.heads,
            norm_layer=lambda width: nn.LayerNorm(width, eps=1e-6),
            use_rel_pos=True,
            window_size=14,
            global_attn_indexes=SMALL.global_blocks,
        )
    side = image_encoder.img_size
    network = Sam(
        image_encoder=image_encoder,
        prompt_encoder=PromptEncoder(256, (side // 16, side // 16), (side, side), mask_in_chans=16),
        mask_decoder=MaskDecoderHQ(
            transformer_dim=256,
            transformer=TwoWay(depth=2, embedding_dim=256, num_heads=8, mlp_dim=2048),
            vit_dim=160 if encoder == "tiny" else SMALL.width,
        ),
    )
    return seeded(network)


def our_hq(encoder: str, weights: dict[str, Tensor]) -> HqSamNet:
    made = HqTinyVit(1024) if encoder == "tiny" else HqVit(SMALL, SIDE)
    net = HqSamNet(made, SamPicture(made.img_size))
    net.load_state_dict(hq_sam.from_official(weights))
    return net.eval()


def ours(
    net: PromptedNet,
    photo: NDArray[np.uint8],
    box: tuple[float, ...] | None,
    point: tuple[float, float] | None = None,
    mask: Tensor | None = None,
) -> tuple[Tensor, Tensor]:
    """Logits as drawn, and at the photograph's size; prompts in the photograph's pixels (x, y)."""
    down, across = net.picture.scale(photo.shape)
    with torch.inference_mode():
        embedded = net.embed(net.picture.prepare(photo.astype(np.float32) / 255)[None])
        logits = net.decode(
            embedded,
            torch.tensor([0]),
            boxes=None if box is None else torch.tensor([box]) * torch.tensor([across, down, across, down]),
            points=None if point is None else torch.tensor([point]) * torch.tensor([across, down]),
            masks=mask,
        )
        return logits, net.picture.restore(logits[0], photo.shape)


def assert_close(one: Tensor, other: NDArray[np.float32] | Tensor, tolerance: float) -> None:
    other = torch.as_tensor(other)
    assert one.shape == other.shape
    spread = float(other.std())
    assert spread > 1e-3, "nothing is compared"
    assert float((one - other).abs().max()) <= tolerance * spread


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("vit", [SMALL, WINDOWED])
def test_sam_draws_what_segment_anything_draws(vit: Vit, shape: tuple[int, int]) -> None:
    reference = reference_sam(vit)
    net = SamNet(vit, SamPicture(SIDE))
    net.load_state_dict(sam.from_official(reference.state_dict()))
    photo = photograph(shape)
    predictor = SamPredictor(reference)
    predictor.set_image(np.repeat(photo[:, :, None], 3, axis=2))
    tolerance = 1e-4 if max(shape) == SIDE else 0.05
    asked = {"point_coords": np.array([POINT]), "point_labels": np.array([1])}
    mask: NDArray[np.float32] | None = None
    for box, point, told in [
        (BOX, None, {"box": np.array(BOX)}),
        (BOX, POINT, {"box": np.array(BOX), **asked}),
        (None, POINT, asked),
    ]:
        for _ in range(2):  # the second time with the mask of the first
            wanted, _, low = predictor.predict(mask_input=mask, multimask_output=False, return_logits=True, **told)
            drawn, large = ours(net.eval(), photo, box, point, None if mask is None else torch.from_numpy(mask))
            assert_close(drawn, low, tolerance)
            assert_close(large, wanted[0], tolerance)
            mask = low if mask is None else None


@pytest.mark.parametrize("shape", SHAPES)
def test_medsam_draws_what_its_published_steps_draw(shape: tuple[int, int]) -> None:
    """The steps of MedSAM's inference script, with SIDE for 1024."""
    reference = reference_sam(WINDOWED)
    net = SamNet(WINDOWED, MedSamPicture(SIDE))
    net.load_state_dict(sam.from_official(reference.state_dict()))
    photo = photograph(shape)
    height, width = shape
    colour = np.repeat(photo[:, :, None], 3, axis=-1)
    small = transform.resize(colour, (SIDE, SIDE), order=3, preserve_range=True, anti_aliasing=True).astype(np.uint8)
    small = (small - small.min()) / np.clip(small.max() - small.min(), a_min=1e-8, a_max=None)
    box = np.array([BOX]) / np.array([width, height, width, height]) * SIDE
    with torch.inference_mode():
        embedded = reference.image_encoder(torch.tensor(small).float().permute(2, 0, 1)[None])
        sparse, dense = reference.prompt_encoder(
            points=None, boxes=torch.as_tensor(box, dtype=torch.float)[:, None, :], masks=None
        )
        low, _ = reference.mask_decoder(
            image_embeddings=embedded,
            image_pe=reference.prompt_encoder.get_dense_pe(),
            sparse_prompt_embeddings=sparse,
            dense_prompt_embeddings=dense,
            multimask_output=False,
        )
        wanted = functional.interpolate(torch.sigmoid(low), size=shape, mode="bilinear", align_corners=False)
    drawn, large = ours(net.eval(), photo, BOX)
    assert_close(drawn, low[0], 1e-4 if shape == (SIDE, SIDE) else 0.05)
    # The script enlarges probabilities where we enlarge logits: the outlines differ by less than a pixel.
    different = (wanted[0, 0] > 0.5) != (large > 0)
    assert float(different.float().mean()) < 0.01


def test_medsams_picture_is_the_published_one_to_a_grey_or_two() -> None:
    for shape in [(256, 256), (700, 300), (1400, 1100), (90, 120)]:
        photo = photograph(shape)
        small = transform.resize(photo, (SIDE, SIDE), order=3, preserve_range=True, anti_aliasing=True).astype(np.uint8)
        wanted = (small - small.min()) / np.clip(small.max() - small.min(), a_min=1e-8, a_max=None)
        mine = MedSamPicture(SIDE).prepare(photo.astype(np.float32) / 255)
        assert mine.shape == (3, SIDE, SIDE)
        assert float((mine[0] - torch.from_numpy(wanted)).abs().mean()) < 2 / 255


@pytest.mark.parametrize("shape", SHAPES)
def test_hq_sam_draws_what_segment_anything_hq_draws(shape: tuple[int, int]) -> None:
    assert_same_as_hq_predictor("vit", photograph(shape), 1e-4 if max(shape) == SIDE else 0.05)


def test_hq_sam_tiny_draws_what_segment_anything_hq_draws() -> None:
    """At 1024 pixels: the library's TinyViT knows no other grid."""
    assert_same_as_hq_predictor("tiny", photograph((1024, 300)), 1e-4)


def assert_same_as_hq_predictor(encoder: str, photo: NDArray[np.uint8], tolerance: float) -> None:
    from segment_anything_hq import SamPredictor as HqPredictor  # type: ignore[import-untyped]

    reference = reference_hq(encoder)
    net = our_hq(encoder, reference.state_dict())
    predictor = HqPredictor(reference)
    predictor.set_image(np.repeat(photo[:, :, None], 3, axis=2))
    told = {"box": np.array(BOX), "point_coords": np.array([POINT]), "point_labels": np.array([1])}
    mask: NDArray[np.float32] | None = None
    for net.hq_token_only in (False, True):  # the second time with the mask of the first
        wanted, _, low = predictor.predict(
            mask_input=mask, multimask_output=False, return_logits=True, hq_token_only=net.hq_token_only, **told
        )
        drawn, large = ours(net, photo, BOX, POINT, None if mask is None else torch.from_numpy(mask))
        assert_close(drawn, low, tolerance)
        assert_close(large, wanted[0], tolerance)
        mask = low


@pytest.mark.parametrize("encoder", ["vit", "tiny"])
@pytest.mark.parametrize("last_block", [False, True])
def test_mlsam_with_hq_sams_weights_draws_exactly_what_hq_sam_draws(encoder: str, last_block: bool) -> None:
    hq = seeded(HqSamNet(hq_encoder(encoder), SamPicture(SIDE)))
    net = MlsamNet(hq_encoder(encoder), SamPicture(SIDE), Branches(last_block=last_block))
    net.start_from(hq.state_dict())
    photo = photograph((256, 200))
    drawn, _ = ours(net.eval(), photo, BOX, POINT)
    wanted, _ = ours(hq, photo, BOX, POINT)
    assert torch.equal(drawn, wanted)


def hq_encoder(name: str) -> HqVit | HqTinyVit:
    return HqTinyVit(SIDE) if name == "tiny" else HqVit(SMALL, SIDE)


def test_each_branch_of_mlsam_matters_and_trains_once_it_has_weights() -> None:
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


def test_table_3s_hq_sam_is_mlsam_without_the_middle() -> None:
    full = seeded(MlsamNet(HqVit(SMALL, SIDE), SamPicture(SIDE), Branches(middle=False)))
    hq = HqSamNet(HqVit(SMALL, SIDE), SamPicture(SIDE))
    hq.load_state_dict({name: full.state_dict()[name] for name in hq.state_dict()})
    photo = photograph((256, 256))
    assert torch.equal(ours(full, photo, BOX)[0], ours(hq.eval(), photo, BOX)[0])


def test_a_new_branch_learns_although_it_starts_at_zero() -> None:
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
def test_many_prompts_over_several_pictures_are_drawn_as_one_at_a_time(kind: str, index: list[int]) -> None:
    """As many prompts as pictures too: no prompt is paired with another's picture."""
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
                one = slice(n, n + 1)
                alone = net.decode(
                    net.embed(pictures[picture : picture + 1]),
                    torch.tensor([0]),
                    boxes[one],
                    points[one],
                    None if masks is None else masks[one],
                )
                assert_close(together[one], alone, 1e-4)
            masks = together


def small(kind: str) -> PromptedNet:
    match kind:
        case "sam":
            return SamNet(WINDOWED, SamPicture(SIDE))
        case "hq" | "tiny":
            return HqSamNet(hq_encoder(kind), SamPicture(SIDE))
    return MlsamNet(HqVit(SMALL, SIDE), SamPicture(SIDE), Branches())


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


def test_an_embedding_needs_nothing_but_the_image_encoders_parameters() -> None:
    net = small("mlsam").train()
    torch.stack([one.float().mean() for one in net.embed(torch.rand(1, 3, SIDE, SIDE))]).sum().backward()
    touched = {id(weight) for weight in net.parameters() if weight.grad is not None}
    assert touched <= {id(weight) for weight in net.parts()["image_encoder"]}


def test_hq_sam_starts_from_sam_and_from_nothing_else() -> None:
    plain = seeded(SamNet(SMALL, SamPicture(SIDE)))
    net = HqSamNet(HqVit(SMALL, SIDE), SamPicture(SIDE))
    net.start_from(plain.state_dict())
    assert torch.equal(net.image_encoder.pos_embed, plain.image_encoder.pos_embed)
    with pytest.raises(RuntimeError, match="another network's weights"):
        net.start_from({name: weight for name, weight in plain.state_dict().items() if "prompt" not in name})
    with pytest.raises(RuntimeError, match="no place here"):
        net.start_from({**plain.state_dict(), "head.weight": torch.zeros(1)})


def test_a_published_tiny_checkpoint_loses_only_its_classifier() -> None:
    state = reference_hq("tiny").state_dict()
    kept = hq_sam.from_official(state)
    assert set(state) - set(kept) == {
        f"image_encoder.{layer}.{kind}" for layer in ("norm_head", "head") for kind in ("weight", "bias")
    }


def test_timm_still_knows_its_own_tiny_vit() -> None:
    made = timm.create_model("tiny_vit_5m_224")
    assert type(made).__module__ == "timm.models.tiny_vit"


@pytest.mark.parametrize("module", [hq_sam, mlsam])
def test_wrong_settings_are_refused_and_the_right_ones_named(module: object) -> None:
    with pytest.raises(ValueError, match="sam or medsam"):
        module.load({}, CPU, False, variant="tiny", picture="ct")  # type: ignore[attr-defined]
    with pytest.raises(TypeError, match="middle_bloc"):
        module.load({}, CPU, False, variant="tiny", middle_bloc=2)  # type: ignore[attr-defined]
    with pytest.raises(RuntimeError, match="Missing key"):
        module.load({}, CPU, False, variant="tiny")  # type: ignore[attr-defined]


def test_nothing_to_draw_on_is_no_mlsam() -> None:
    with pytest.raises(ValueError, match="turn one on"):
        Branches(early=False, middle=False, final=False, mask_features=False)
    with pytest.raises(ValueError, match="give 1 to 3"):
        MlsamNet(HqVit(SMALL, SIDE), SamPicture(SIDE), Branches(middle_block=4))


@pytest.mark.parametrize("kind", ["sam", "hq", "tiny", "mlsam"])
@pytest.mark.parametrize("shown", ["crop", "whole"])
def test_every_network_segments_crops_and_whole_images(kind: str, shown: str) -> None:
    settings = Settings(shown=shown, prompt="box+point", passes=3, context=2, smallest_crop_px=64)
    segmenter = PromptedSegmenter(seeded(small(kind)), CPU, False, settings)
    image = Mammogram(photograph((600, 400)).astype(np.float32) / 255, (0.2, 0.2))
    boxes = [Box(10, 20, 60, 80), Box(400, 250, 520, 380), Box(590, 390, 600, 400)]
    for masks in segmenter.outlines_by_pass(image, boxes, [FindingKind.MASS] * len(boxes)):
        assert len(masks) == 3
        for mask in masks:
            assert mask is None or (mask.box.bottom <= 600 and mask.box.right <= 400 and mask.area_px > 0)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("variant", ["vit-b", "vit-l", "vit-h"])
def test_whole_sized_networks_draw_what_their_references_draw_on_cuda(variant: str) -> None:
    from segment_anything import sam_model_registry
    from segment_anything_hq import SamPredictor as HqPredictor
    from segment_anything_hq import sam_model_registry as hq_registry

    cuda, photo = torch.device("cuda"), photograph((1024, 700))
    key = variant.replace("-", "_")
    for registry, predictor_of, build in (
        (sam_model_registry, SamPredictor, sam.build),
        (hq_registry, HqPredictor, hq_sam.build),
        (hq_registry, HqPredictor, mlsam.build),
    ):
        reference = seeded(registry[key]())
        net = build(variant)
        net.start_from(reference.state_dict())
        predictor = predictor_of(reference.to(cuda))
        predictor.set_image(np.repeat(photo[:, :, None], 3, axis=2))
        _, _, low = predictor.predict(box=np.array(BOX), multimask_output=False, return_logits=True)
        net = net.to(cuda).eval()
        with torch.inference_mode():
            pictures = net.picture.prepare(photo.astype(np.float32) / 255)[None].to(cuda)
            drawn = net.decode(net.embed(pictures), torch.tensor([0], device=cuda), torch.tensor([BOX], device=cuda))
        assert_close(drawn.cpu(), low, 0.02)
