"""Imports timm and torchvision without torch's compiler (torch._dynamo), which costs as much as torch itself.

Both ask it at their import for a decorator and a question, which mean something only for models that are compiled.
While they are imported, two small modules answer in its place; afterwards it can be imported as ever.
"""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable
from types import ModuleType
from typing import Any

_LIBRARIES = ("torchvision", "timm")
_COMPILER, _QUESTIONS = "torch._dynamo", "torch._dynamo.utils"


def import_libraries() -> None:
    """Imports both; does nothing special where the compiler, or one of them, is imported already."""
    if any(name in sys.modules for name in (_COMPILER, *_LIBRARIES)):
        return
    compiler, questions = ModuleType(_COMPILER), ModuleType(_QUESTIONS)
    vars(compiler).update(disable=_unchanged, utils=questions, __path__=[])
    vars(questions).update(is_compile_supported=lambda _device: False)
    sys.modules.update({_COMPILER: compiler, _QUESTIONS: questions})
    try:
        for library in _LIBRARIES:
            importlib.import_module(library)
    finally:
        del sys.modules[_COMPILER], sys.modules[_QUESTIONS]


def _unchanged(function: Callable[..., Any] | None = None, *_: Any, **__: Any) -> Any:
    """In place of torch._dynamo.disable, as a decorator with or without arguments."""
    return (lambda decorated: decorated) if function is None else function
