"""A network in an ONNX file is used like the node's own, and a file that does not fit is refused with the reason."""

from __future__ import annotations

import hashlib
import shutil
import tomllib
from pathlib import Path

import numpy as np
import onnx
import pytest
import tomli_w
import torch
from onnx import TensorProto, helper, numpy_helper

from models.bundles.bundle import BundleError, read_bundle
from models.catalog import adapter_of, load_pipeline
from models.detectors.yolov8 import build
from models.detectors.yolov8 import load as load_yolov8
from models.protocols import NotFinite, ToOutline, ToScore
from models.runner import Runner
from models.types.mammogram import Mammogram
from models.types.reading import FindingKind
from models.types.region import Box

CPU = torch.device("cpu")
SPOT = Box(150, 60, 170, 80)


def with_a_spot(grey: float = 0.9) -> Mammogram:
    """A breast with a bright square."""
    pixels = np.zeros((300, 200), dtype=np.float32)
    pixels[40:260, :150] = 0.3
    pixels[SPOT.slices] = grey
    return Mammogram(pixels, spacing_mm=(0.4, 0.4))


def save(path: Path, nodes: list[object], takes: list[object], gives: list[object], **constants: object) -> Path:
    """A file of some operators from "pictures" to "found"."""
    graph = helper.make_graph(
        nodes, "made", [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, takes)],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, gives)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8), path)
    return path


@pytest.fixture
def outliner(tmp_path: Path) -> Path:
    """Outlines what is brighter than 0.5, one crop at a time."""
    half = {"half": np.float32(0.5)}
    return save(
        tmp_path / "outline.onnx", [helper.make_node("Sub", ["pictures", "half"], ["found"])],
        [1, 1, 64, 64], [1, 1, 64, 64], **half,
    )  # fmt: skip


@pytest.fixture
def scorer(tmp_path: Path) -> Path:
    """Scores the mean of three equal channels, of pictures of any size."""
    mean = helper.make_node("ReduceMean", ["pictures"], ["found"], axes=[1, 2, 3], keepdims=0)
    return save(tmp_path / "score.onnx", [mean], ["batch", 3, "rows", "columns"], ["batch"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of torch's exporter
@pytest.mark.parametrize("batch", ["fixed", "dynamic"])
def test_an_exported_yolov8_finds_what_the_network_finds(tmp_path: Path, batch: str) -> None:
    torch.manual_seed(3)
    network = build("n", "none").eval()
    axes = {"images": {0: "batch"}, "output0": {0: "batch"}} if batch == "dynamic" else None
    head = network.model[-1]
    head.export = True
    torch.onnx.export(
        network, (torch.zeros(1, 3, 256, 160),), tmp_path / "yolo.onnx", input_names=["images"],
        output_names=["output0"], dynamic_axes=axes, dynamo=False,
    )  # fmt: skip
    head.export = False
    settings = {"input_px": (256, 160), "confidence": 0.001, "most": 20}
    theirs = adapter_of("yolov8-onnx", (tmp_path / "yolo.onnx").read_bytes(), settings, CPU, False, together=True)
    ours = load_yolov8(network.state_dict(), Runner(CPU, together=True), scale="n", attention="none", **settings)
    images = [with_a_spot(), with_a_spot(0.6)]
    for found, expected in zip(theirs.detect(images), ours.detect(images), strict=True):
        assert expected
        assert [(each.box, each.kind) for each in found] == [(each.box, each.kind) for each in expected]
        assert [each.confidence for each in found] == pytest.approx([each.confidence for each in expected], abs=1e-5)


def test_an_outline_is_where_the_network_is_above_0(outliner: Path) -> None:
    segmenter = adapter_of(
        "crops-onnx", outliner.read_bytes(), {"input_px": 64, "smallest_crop_px": 64, "context": 2}, CPU, False
    )
    lesions = [(SPOT, FindingKind.MASS), (Box(60, 20, 80, 40), FindingKind.MASS)]
    ((spot, nothing), none) = segmenter.segment([ToOutline(with_a_spot(), lesions), ToOutline(with_a_spot(), [])])
    assert spot.box == SPOT
    assert spot.crop.mean() > 0.95
    assert nothing is None
    assert none == []


def test_an_image_is_scored_as_the_settings_say(scorer: Path) -> None:
    dark, bright = with_a_spot(0.31), with_a_spot(1.0)
    for output, deviation in (("probability", 1), ("logit", 0.5)):
        settings = {"input_px": 64, "mm_per_px": 0.8, "output": output, "deviation": [deviation] * 3}
        classifier = adapter_of("image-onnx", scorer.read_bytes(), settings, CPU, False)
        assert classifier.scores_images_alone
        scores = classifier.classify([ToScore(dark, []), ToScore(bright, [])])
        assert all(0 < score < 1 and lesions == [] for score, lesions in scores)
        assert scores[0] != scores[1]


def test_of_several_classes_the_last_is_malignant(tmp_path: Path) -> None:
    zeros = helper.make_node("MatMul", ["mean", "weights"], ["found"])
    mean = helper.make_node("ReduceMean", ["pictures"], ["mean"], axes=[2, 3], keepdims=0)
    file = save(
        tmp_path / "two.onnx", [mean, zeros], ["batch", 1, 64, 64], ["batch", 2],
        weights=np.array([[0, np.log(3) / 1e-9]], dtype=np.float32),
    )  # fmt: skip
    settings = {"input_px": 64, "output": "softmax", "mean": 0, "deviation": 1}
    ((score, _),) = adapter_of("image-onnx", file.read_bytes(), settings, CPU, False).classify(
        [ToScore(with_a_spot(), [])]
    )
    assert score == pytest.approx(1)


@pytest.mark.parametrize("gives", [np.nan, np.inf, -np.inf])
@pytest.mark.parametrize("output", ["probability", "logit"])
def test_an_output_that_is_not_finite_is_no_score(tmp_path: Path, gives: float, output: str) -> None:
    nodes = [
        helper.make_node("ReduceMean", ["pictures"], ["mean"], axes=[1, 2, 3], keepdims=0),
        helper.make_node("Mul", ["mean", "zero"], ["nothing"]),
        helper.make_node("Add", ["nothing", "given"], ["found"]),
    ]
    constants = {"zero": np.float32(0), "given": np.float32(gives)}
    file = save(tmp_path / "not_finite.onnx", nodes, ["batch", 1, 64, 64], ["batch"], **constants)
    classifier = adapter_of("image-onnx", file.read_bytes(), {"input_px": 64, "output": output}, CPU, False)
    with pytest.raises(NotFinite, match="nothing is known"):
        classifier.classify([ToScore(with_a_spot(), [])])


@pytest.mark.slow
def test_a_bundle_with_onnx_files_reads_an_image(
    blind_bundle: Path, outliner: Path, scorer: Path, tmp_path: Path
) -> None:
    bundle = tmp_path / "bundle"
    shutil.copytree(blind_bundle, bundle)
    card = tomllib.loads((bundle / "bundle.toml").read_text())
    parts = {
        "segmenter": ("crops-onnx", outliner, {"input_px": 64}),
        "classifier": ("image-onnx", scorer, {"input_px": 64, "output": "probability"}),
    }
    for role, (architecture, file, settings) in parts.items():
        shutil.copy(file, bundle)
        digest = hashlib.sha256(file.read_bytes()).hexdigest()
        card[role] |= {"architecture": architecture, "weights": file.name, "sha256": digest, "settings": settings}
    (bundle / "bundle.toml").write_text(tomli_w.dumps(card))
    (reading,) = load_pipeline(read_bundle(bundle), CPU, False).read([with_a_spot()])
    assert 0 < reading.malignancy < 1
    (bundle / "score.onnx").write_bytes(outliner.read_bytes())
    with pytest.raises(BundleError, match="SHA-256"):
        load_pipeline(read_bundle(bundle), CPU, False)


@pytest.mark.parametrize(
    ("architecture", "settings", "why"),
    [
        ("crops-onnx", {"input_px": 65}, "its input is 64 × 64, the settings ask for 65 × 65"),
        ("crops-onnx", {"input_px": 64, "passes": 2}, "no mask prompt"),
        ("crops-onnx", {"input_px": 64, "mean": [1, 2]}, "2 values for 1 channels"),
        ("image-onnx", {"input_px": 64}, "its output is 1 × 1 × 64 × 64, which is no logit for each image"),
        ("image-onnx", {"input_px": 64, "mm_per_px": 0.2}, "pictures of any size"),
        ("image-onnx", {"input_px": 64, "output": "percent"}, "give one of logit, probability, softmax"),
        ("yolov8-onnx", {"input_px": 64}, "no YOLOv8's with the classes mass, calcification: batch × 6 × cells"),
    ],
)
def test_a_file_that_does_not_fit_its_settings_is_refused(outliner: Path, architecture, settings, why) -> None:
    with pytest.raises(ValueError, match=why):
        adapter_of(architecture, outliner.read_bytes(), settings, CPU, False)


def test_what_is_no_onnx_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no graph")
    with pytest.raises(ValueError, match="onnxruntime cannot load it"):
        adapter_of("image-onnx", (tmp_path / "text.onnx").read_bytes(), {"input_px": 64}, CPU, False)
    with pytest.raises(ValueError, match="this architecture needs a file"):
        adapter_of("image-onnx", {}, {"input_px": 64}, CPU, False)


def test_tensors_beside_the_file_which_no_digest_protects_are_refused(tmp_path: Path, monkeypatch) -> None:
    graph = helper.make_graph(
        [helper.make_node("Add", ["pictures", "bias"], ["found"])], "made",
        [helper.make_tensor_value_info("pictures", TensorProto.FLOAT, [1, 1, 64, 64])],
        [helper.make_tensor_value_info("found", TensorProto.FLOAT, [1, 1, 64, 64])],
        [numpy_helper.from_array(np.ones((64, 64), dtype=np.float32), "bias")],
    )  # fmt: skip
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save(model, tmp_path / "two.onnx", save_as_external_data=True, location="two.bin", size_threshold=0)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ValueError, match="onnxruntime cannot load it"):
        adapter_of("crops-onnx", (tmp_path / "two.onnx").read_bytes(), {"input_px": 64}, CPU, False)


def test_a_gpu_that_onnxruntime_cannot_use_is_named(outliner: Path) -> None:
    from onnxruntime import get_available_providers

    if "CUDAExecutionProvider" in get_available_providers():
        pytest.skip("this onnxruntime can use CUDA")
    with pytest.raises(ValueError, match="install onnxruntime-gpu, or set"):
        adapter_of("crops-onnx", outliner.read_bytes(), {"input_px": 64}, torch.device("cuda"), False)
