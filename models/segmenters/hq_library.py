"""The one place where segment_anything_hq is imported, and the parts of it that HQ-SAM and MLSAM are built of.

It brings an old TinyViT of its own and, on import, puts it into timm's registry in place of timm's. Here it finds a
registry that takes nothing, and timm stays as it was.
"""

from __future__ import annotations

import warnings
from typing import Any

with warnings.catch_warnings():
    warnings.simplefilter("ignore")  # of timm's former module names, which the library uses
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
