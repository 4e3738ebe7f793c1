"""The parts of segment_anything_hq that HQ-SAM and MLSAM use; the only module that imports it.

On import it registers its own old TinyViT in timm's registry, in place of timm's. Here `register_model` is disabled
during the import, so that timm is not changed.
"""

from __future__ import annotations

import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # the library uses timm's old module names
    import timm.models.registry

    _registry: Any = timm.models.registry
    _register = _registry.register_model
    try:
        _registry.register_model = lambda made: made
        from segment_anything_hq.modeling import (  # type: ignore[import-untyped]
            ImageEncoderViT,
            MaskDecoderHQ,
            PromptEncoder,
            TinyViT,
            TwoWayTransformer,
        )
        from segment_anything_hq.modeling.common import LayerNorm2d  # type: ignore[import-untyped]
    finally:
        _registry.register_model = _register

__all__ = ["ImageEncoderViT", "LayerNorm2d", "MaskDecoderHQ", "PromptEncoder", "TinyViT", "TwoWayTransformer"]
