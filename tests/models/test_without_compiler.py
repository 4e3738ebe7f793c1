"""Models are loaded without torch's compiler, which is still there for who wants it."""

from __future__ import annotations

import subprocess
import sys

import pytest

pytestmark = pytest.mark.slow

LOADED = """
import sys, torch
from models.bundles.bundle import find_bundle, read_bundle
from models.catalog import load_pipeline

load_pipeline(read_bundle(find_bundle("research-default")), torch.device("cpu"), mixed_precision=True)
print("torch._dynamo" in sys.modules, "timm" in sys.modules, "torchvision" in sys.modules)
compiled = torch.compile(lambda pixels: 2 * pixels, backend="eager")
print(compiled(torch.ones(2)).tolist(), "torch._dynamo" in sys.modules)
"""


def test_models_are_loaded_without_the_compiler_and_it_can_be_used_afterwards() -> None:
    told = subprocess.run([sys.executable, "-c", LOADED], stdout=subprocess.PIPE, check=True, text=True).stdout
    assert told.splitlines() == ["False True True", "[2.0, 2.0] True"]
