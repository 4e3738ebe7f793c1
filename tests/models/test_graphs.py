"""Recorded calls give what the network gives, for batches of every size; one that does not is not used."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
import torch
from sam_networks import seeded, small
from torch import Tensor, nn

from models.catalog import adapter_of
from models.classifiers.efficient_net import MalignancyNet
from models.detectors.grain_net import GrainNet
from models.detectors.yolov8 import build
from models.detectors.yolov8 import load as load_yolo
from models.graphs import CudaGraphs, Recorded, Replay, Work, call_again
from models.runner import Runner
from models.segmenters.prompted import PromptedSegmenter
from models.segmenters.prompts import Settings

CPU = torch.device("cpu")
NETWORK = nn.Linear(3, 3)


@pytest.fixture(autouse=True)
def one_thread() -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)


class Counted:
    """A capture that counts recordings and replays, and the rows of each replay."""

    def __init__(self) -> None:
        self.recorded = 0
        self.replayed: list[int] = []

    def __call__(self, work: Work, inputs: Sequence[Tensor]) -> Replay:
        self.recorded += 1

        def replay() -> Any:
            self.replayed.append(len(inputs[0]))
            return work(*inputs)

        return replay


def doubled(rows: Tensor, others: Tensor) -> Tensor:
    return 2 * rows + others


def test_a_batch_is_filled_up_to_the_next_size_and_gives_the_rows_that_it_has() -> None:
    capture = Counted()
    recorded = Recorded(doubled, NETWORK, capture)
    for count in (3, 4, 3, 4, 3, 1, 1, 1, 65, 65, 65):
        rows, others = torch.rand(count, 5), torch.rand(count, 5)
        found = recorded(rows, others)
        assert torch.equal(found, doubled(rows, others))
        assert found.data_ptr() != recorded(rows, others).data_ptr()
    assert capture.recorded == 2  # sizes 4 and 1; 65 rows are more than are recorded
    assert set(capture.replayed) == {4, 1}


def test_what_a_batch_left_behind_is_not_in_a_smaller_one() -> None:
    recorded = Recorded(lambda rows: (rows.square(), rows + 1), NETWORK, call_again)
    kept = []
    for count in (4, 4, 4, 3, 4, 3):
        rows = torch.rand(count, 2)
        kept.append((recorded(rows), (rows.square(), rows + 1)))
    for found, wanted in kept:  # also when others came after it
        assert all(torch.equal(*pair) for pair in zip(found, wanted, strict=True))


def failing(work: Work, inputs: Sequence[Tensor]) -> Replay:
    raise RuntimeError("operation not permitted when stream is capturing\nCompile with TORCH_USE_CUDA_DSA")


def frozen(work: Work, inputs: Sequence[Tensor]) -> Replay:
    """As a graph in which a value of the inputs that it was recorded with was baked in."""
    found = work(*inputs)
    return lambda: found


def wrong(work: Work, inputs: Sequence[Tensor]) -> Replay:
    return lambda: work(*inputs) + 0.1


@pytest.mark.parametrize("capture", [failing, frozen, wrong])
def test_a_call_that_cannot_be_recorded_or_gives_something_else_is_computed_as_before_and_said_once(
    capture: Callable[[Work, Sequence[Tensor]], Replay], caplog: pytest.LogCaptureFixture
) -> None:
    recorded = Recorded(doubled, NETWORK, capture)
    for _ in range(8):
        rows, others = torch.rand(3, 5), torch.rand(3, 5)
        assert torch.equal(recorded(rows, others), doubled(rows, others))
    [said] = [record.getMessage() for record in caplog.records]
    assert said.startswith("a network's calls are not recorded, which is slower: Linear: ")
    assert "DSA" not in said


def test_an_output_that_is_not_a_number_stops_no_recording() -> None:
    capture = Counted()
    recorded = Recorded(doubled, NETWORK, capture)
    for _ in range(5):
        recorded(torch.full((1, 2), torch.nan), torch.ones(1, 2))
    assert len(capture.replayed) == 4


class Keeping(nn.Module):
    """Keeps a tensor for the last shape, as the detector's head does."""

    kept = torch.empty(0)

    def forward(self, rows: Tensor) -> Tensor:
        if self.kept.shape != rows.shape:
            self.kept = torch.ones_like(rows)
        return rows + self.kept


def test_tensors_that_a_module_keeps_for_a_shape_live_as_long_as_the_recording() -> None:
    network = Keeping()
    recorded = Recorded(network, network, call_again)
    for _ in range(2):
        recorded(torch.rand(2, 3))
    address = network.kept.data_ptr()
    recorded(torch.rand(2, 4))
    assert network.kept.data_ptr() != address
    assert [tensor.data_ptr() for recording in recorded._recordings.values() for tensor in recording.kept] == [address]


def test_only_what_reads_as_a_gpu_does_is_recorded() -> None:
    network = build("n", "none")
    for runner, is_recorded in (
        (Runner(CPU).recording(), False),
        (Runner(CPU, together=True), False),  # training measures networks that change
        (Runner(CPU, together=True).recording(), True),
    ):
        detector = load_yolo(network.state_dict(), runner, scale="n", attention="none", input_px=64)
        assert isinstance(detector._run, Recorded) == is_recorded
    made = adapter_of("grains", GrainNet().state_dict(), {}, CPU, mixed_precision=False, together=True)
    assert isinstance(made._run, Recorded)


needs_cuda = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device on this machine"),
]


def calls() -> dict[str, tuple[nn.Module, Callable[[Runner, Any], Any], tuple[int, ...]]]:
    """Networks with the call that is recorded, and the shape of an input."""
    return {
        "yolov8": (build("n", "cbam"), lambda _, net: lambda x: net(x[:, None].expand(-1, 3, -1, -1))[0], (96, 64)),
        "grains": (GrainNet(), lambda _, net: net.inner, (2, 128, 128)),
        "efficientnet": (MalignancyNet("whole", "test_efficientnet"), lambda _, net: net.score_images, (64, 64)),
        "sam": (
            small("sam"),
            lambda runner, net: PromptedSegmenter(net, runner, Settings())._embedding,
            (3, 256, 256),
        ),
    }


@pytest.mark.parametrize("where", ["cpu", pytest.param("cuda", marks=needs_cuda)])
@pytest.mark.parametrize("kind", calls())
def test_a_network_s_recorded_call_gives_what_the_network_gives_whatever_else_is_in_the_batch(
    kind: str, where: str, caplog: pytest.LogCaptureFixture
) -> None:
    device = torch.device(where)
    runner = Runner(device, together=True)
    network, call, shape = calls()[kind]
    runner.place(seeded(network))
    work = call(runner, network)
    first = (lambda *x: work(*x)[0]) if kind == "sam" else work
    recorded = Recorded(first, network, CudaGraphs(device) if where == "cuda" else call_again)
    with torch.inference_mode():
        one = torch.rand(1, *shape, device=device)
        wanted = first(one)
        for count in (2, 2, 2, 3, 3, 3, 1, 1, 1):
            batch = torch.cat((torch.rand(count - 1, *shape, device=device), one))
            found = recorded(batch)
            torch.testing.assert_close(found[-1:], wanted, atol=1e-4, rtol=1e-4)
            first(torch.rand(1, *(side + 32 for side in shape), device=device)) if kind == "yolov8" else None
    assert not caplog.records
    assert len(recorded._recordings) == 3
