"""Every promise has a test that shows it and a mutant that its test catches; see docs/promises.md."""

from __future__ import annotations

import ast
from collections.abc import Iterable, Iterator

from tests import ROOT

PROMISES = range(1, 25)
TESTS = ROOT / "tests"


def marks(code: str) -> Iterator[tuple[int, bool]]:
    """Number and `mutant` of each promise that tests in some code are marked with; slow tests do not count."""
    tests = (
        node
        for node in ast.walk(ast.parse(code))
        if isinstance(node, ast.FunctionDef | ast.ClassDef)
    )
    for test in tests:
        if not test.name.lower().startswith("test") or any(map(_is_slow, test.decorator_list)):
            continue
        for mark in test.decorator_list:
            if isinstance(mark, ast.Call) and ast.unparse(mark.func) == "pytest.mark.promise":
                more = {word.arg: ast.literal_eval(word.value) for word in mark.keywords}
                yield ast.literal_eval(mark.args[0]), bool(more.get("mutant", False))


def _is_slow(mark: ast.expr) -> bool:
    return ast.unparse(mark) == "pytest.mark.slow"


def missing(found: Iterable[tuple[int, bool]]) -> list[str]:
    """A sentence for each promise without a test or without a mutant, and for each number that is no promise."""
    found = set(found)
    strange = sorted({number for number, _ in found} - set(PROMISES))
    return [
        *(f"There is no promise {number}." for number in strange),
        *(f"Promise {number} has no test." for number in PROMISES if (number, False) not in found),
        *(f"Promise {number} has no mutant." for number in PROMISES if (number, True) not in found),
    ]


def test_every_promise_has_a_test_and_a_mutant() -> None:
    found = (
        mark
        for path in TESTS.rglob("test_*.py")
        for mark in marks(path.read_text(encoding="utf-8"))
    )
    assert missing(found) == []


def test_a_promise_that_nobody_shows_would_be_seen() -> None:
    code = """
@pytest.mark.promise(1)
@pytest.mark.parametrize("x", [1])
def test_one(x): ...
@pytest.mark.promise(1, mutant=True)
class TestOne: ...
@pytest.mark.slow
@pytest.mark.promise(2)
def test_slowly(): ...
@pytest.mark.promise(2, mutant=True)
def test_two(): ...
@pytest.mark.promise(3, mutant=False)
@pytest.mark.promise(25)
def test_many(): ...
@pytest.mark.promise(4)
def helper(): ...
"""
    assert set(marks(code)) == {(1, False), (1, True), (2, True), (3, False), (25, False)}
    told = missing(marks(code))
    assert told[:3] == [
        "There is no promise 25.",
        "Promise 2 has no test.",
        "Promise 4 has no test.",
    ]
    assert len(told) == 1 + 22 + 22
