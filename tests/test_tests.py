"""Rules for the tests, checked in their source."""

from __future__ import annotations

import ast
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

TESTS = Path(__file__).parent
JUDGES = {"pytest.raises", "pytest.warns", "pytest.fail"}


def functions() -> Iterator[tuple[str, ast.FunctionDef]]:
    for path in TESTS.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.FunctionDef):
                yield path.relative_to(TESTS).as_posix(), node


def judges(test: ast.FunctionDef) -> bool:
    """Whether the test contains an assertion, or calls a function named as one."""
    calls = [ast.unparse(node.func) for node in ast.walk(test) if isinstance(node, ast.Call)]
    return any(isinstance(node, ast.Assert) for node in ast.walk(test)) or any(
        called in JUDGES or called.rsplit(".")[-1].lstrip("_").startswith("assert_") for called in calls
    )


def test_every_test_asserts_something() -> None:
    tests = [(file, function) for file, function in functions() if function.name.startswith("test_")]
    assert len(tests) > 1000
    assert [f"{file}:{test.lineno} {test.name}" for file, test in tests if not judges(test)] == []


def test_no_two_test_files_have_the_same_name() -> None:
    """pytest imports them by their names alone: of two it collects neither surely."""
    names = Counter(path.name for path in TESTS.rglob("test_*.py"))
    assert [name for name, count in names.items() if count > 1] == []
