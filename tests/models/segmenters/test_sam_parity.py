"""SAM, MedSAM, HQ-SAM and MLSAM draw what their reference code draws.

The networks have seeded, arbitrary weights and are small: an input of 256 pixels, encoders of four narrow blocks (the
TinyViT is whole). Tolerances are of the logits' standard deviation.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from sam_networks import BOX, POINT, SIDE, SMALL, WINDOWED, assert_close, hq_encoder, ours, photograph, seeded
from segment_anything import SamPredictor  # type: ignore[import-untyped]
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer  # type: ignore[import-untyped]
from skimage import transform
from torch import Tensor, nn
from torch.nn import functional

from models.segmenters import hq_sam, mlsam, sam
from models.segmenters.hq_encoders import HqTinyVit, HqVit
from models.segmenters.hq_sam import HqSamNet
from models.segmenters.mlsam import Branches, MlsamNet
from models.segmenters.pictures import MedSamPicture, SamPicture
from models.segmenters.sam import SamNet
from models.segmenters.vit import Vit

pytestmark = pytest.mark.slow
SHAPES = [(256, 256), (256, 150), (700, 300), (90, 120)]
"""The last two are resized: the reference then rounds its picture to 8 bits, and the node does not."""


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


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
    """The network of segment_anything_hq, built of its own classes."""
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
    for box, point, prompts in [
        (BOX, None, {"box": np.array(BOX)}),
        (BOX, POINT, {"box": np.array(BOX), **asked}),
        (None, POINT, asked),
    ]:
        for _ in range(2):  # the second time with the mask of the first
            wanted, _, low = predictor.predict(mask_input=mask, multimask_output=False, return_logits=True, **prompts)
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


def test_the_input_picture_of_medsam_equals_the_published_one_within_two_grey_levels() -> None:
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
    """At 1024 pixels: the library's TinyViT supports no other size."""
    assert_same_as_hq_predictor("tiny", photograph((1024, 300)), 1e-4)


def assert_same_as_hq_predictor(encoder: str, photo: NDArray[np.uint8], tolerance: float) -> None:
    from segment_anything_hq import SamPredictor as HqPredictor  # type: ignore[import-untyped]

    reference = reference_hq(encoder)
    net = our_hq(encoder, reference.state_dict())
    predictor = HqPredictor(reference)
    predictor.set_image(np.repeat(photo[:, :, None], 3, axis=2))
    prompts = {"box": np.array(BOX), "point_coords": np.array([POINT]), "point_labels": np.array([1])}
    mask: NDArray[np.float32] | None = None
    for net.hq_token_only in (False, True):  # the second time with the mask of the first
        wanted, _, low = predictor.predict(
            mask_input=mask, multimask_output=False, return_logits=True, hq_token_only=net.hq_token_only, **prompts
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


def test_a_published_tiny_checkpoint_loses_only_its_classifier() -> None:
    state = reference_hq("tiny").state_dict()
    kept = hq_sam.from_official(state)
    assert set(state) - set(kept) == {
        f"image_encoder.{layer}.{kind}" for layer in ("norm_head", "head") for kind in ("weight", "bias")
    }


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
@pytest.mark.parametrize("variant", ["vit-b", "vit-l", "vit-h"])
def test_full_size_networks_draw_what_their_references_draw_on_cuda(variant: str) -> None:
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
