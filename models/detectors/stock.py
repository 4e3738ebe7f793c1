"""The parts of ultralytics that are used; the only module that imports it.

Importing ultralytics writes a settings file, tests the internet connection, sets OMP_NUM_THREADS and replaces
torch.save and torch.load. Environment variables control the first three, so they are set here before the import;
torch.save and torch.load are restored after it.
"""

from __future__ import annotations

import os
import tempfile

import torch

_SAVE, _LOAD = torch.save, torch.load
with tempfile.TemporaryDirectory(prefix="mammo-node-yolo-") as _folder:
    os.environ.setdefault("OMP_NUM_THREADS", str(torch.get_num_threads()))
    os.environ |= {"YOLO_CONFIG_DIR": _folder, "YOLO_AUTOINSTALL": "false", "YOLO_OFFLINE": "true"}
    os.environ |= {"YOLO_VERBOSE": "false"}
    from ultralytics.nn.modules.block import C2f
    from ultralytics.nn.tasks import DetectionModel
    from ultralytics.utils.loss import BboxLoss, v8DetectionLoss
torch.save, torch.load = _SAVE, _LOAD

__all__ = ["BboxLoss", "C2f", "DetectionModel", "v8DetectionLoss"]
