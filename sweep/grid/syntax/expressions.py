"""Arithmetic and conditions in a grid (`sqrt(d) / n**2`, `sparsity <= d`), evaluated column-wise.

`a if condition else b` chooses at each point.

An expression is parsed but never executed: the evaluator walks its syntax tree, which may only
contain a short list of node types. All numbers are float64, so integer powers cannot grow without
bound.
"""

from __future__ import annotations

import ast
import functools
import itertools
import operator
import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

# Expressions come from untrusted files: the depth bounds the recursion of the evaluator, and the
# length bounds the number of operations at each point.
MAX_LENGTH, MAX_DEPTH = 2_000, 60

_UNARY_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sqrt": np.sqrt,
    "log": np.log,
    "log10": np.log10,
    "exp": np.exp,
    "floor": np.floor,
    "ceil": np.ceil,
    "abs": np.abs,
    "round": np.rint,
}
_REDUCTIONS: dict[str, Callable[[Any, Any], Any]] = {"min": np.minimum, "max": np.maximum}
_BINARY: dict[type, Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: np.true_divide,
    ast.FloorDiv: np.floor_divide,
    ast.Mod: np.mod,
    ast.Pow: np.power,
}
_COMPARE: dict[type, Callable[[Any, Any], Any]] = {
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
}
# Operators and name contexts are nodes of the syntax tree too, so a walk over it meets them.
_OPERATORS = (ast.Load, ast.And, ast.Or, ast.Not, ast.USub, ast.UAdd, *_BINARY, *_COMPARE)
_NODES = (ast.Name, ast.BinOp, ast.UnaryOp, ast.BoolOp, ast.Compare, ast.IfExp)
_LITERALS = {"true": True, "false": False}

FUNCTIONS = (*_UNARY_FUNCTIONS, *_REDUCTIONS)
_ALLOWED_SYNTAX = (
    "Use numbers, field names, + - * / // % **, comparisons, and, or, not, "
    f"a if condition else b, and {', '.join(FUNCTIONS)}"
)
_OPERATOR_CURES = {
    ast.BitXor: "Write ** for a power",
    ast.BitAnd: "Write and",
    ast.BitOr: "Write or",
    ast.Invert: "Write not",
}


class ExpressionError(Exception):
    """An error in an expression: what is wrong and how to fix it."""

    def __init__(self, what: str, cure: str = _ALLOWED_SYNTAX) -> None:
        super().__init__(what)
        self.what, self.cure = what, cure


@dataclass(frozen=True)
class Expression:
    """A validated expression: its text and its syntax tree."""

    text: str
    tree: ast.expr

    @functools.cached_property
    def names(self) -> tuple[str, ...]:
        """The names of the fields it uses, in order of appearance."""
        identifiers = (node.id for node in _walk(self.tree) if isinstance(node, ast.Name))
        return tuple(dict.fromkeys(name for name in identifiers if name not in _LITERALS))

    @functools.cached_property
    def words(self) -> int:
        """The number of names, numbers and signs in its text."""
        return count_words(self.text)

    def compared_words(self) -> Iterator[tuple[str, str]]:
        """(name, text) for each comparison of a name with a text, to detect misspelled words."""
        for node in _walk(self.tree):
            if isinstance(node, ast.Compare):
                sides = [node.left, *node.comparators]
                pairs = list(itertools.pairwise(sides))
                for first, second in (*pairs, *(pair[::-1] for pair in pairs)):
                    if (
                        isinstance(first, ast.Name)
                        and isinstance(second, ast.Constant)
                        and isinstance(second.value, str)
                    ):
                        yield first.id, second.value


def parse_expression(text: str) -> Expression:
    """Parse and validate an expression. Raises ExpressionError for unsupported syntax."""
    text = " ".join(text.split())
    if len(text) > MAX_LENGTH:
        raise ExpressionError(
            f"an expression of {len(text)} characters is too long", f"Keep it below {MAX_LENGTH}"
        )
    tree = _tree(text)
    for node in _walk(tree):
        _allow(node)
    return Expression(text, tree)


def _tree(text: str) -> ast.expr:
    """The syntax tree of an expression, not checked but for its depth."""
    try:
        # Python warns about syntax such as `1 is 1`, which is rejected below with a better message.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = ast.parse(text, mode="eval").body
    except SyntaxError as error:
        raise ExpressionError(
            f"{_short(text)} is not an expression ({error.msg.rstrip('.')})"
        ) from None
    except (ValueError, MemoryError, RecursionError):
        raise ExpressionError(f"{_short(text)} is not an expression") from None
    # Level by level, since a recursive measure of the depth could itself overflow the stack.
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
    if level:
        raise ExpressionError(
            "the expression is nested too deeply", f"Keep it below {MAX_DEPTH} levels"
        )
    return tree


def _walk(tree: ast.AST) -> Iterator[ast.AST]:
    """All nodes from left to right, except the names of functions, which are not fields."""
    if not (isinstance(tree, ast.Call) and isinstance(tree.func, ast.Name)):
        yield tree
        for child in ast.iter_child_nodes(tree):
            yield from _walk(child)
        return
    yield tree
    for child in (*tree.args, *tree.keywords):
        yield from _walk(child)


def _short(text: str) -> str:
    """A text in backquotes, cut to 60 characters."""
    return f"`{text if len(text) <= 60 else text[:57] + '...'}`"


def _allow(node: ast.AST) -> None:
    """Raise ExpressionError if a node is none that expressions may have."""
    if isinstance(node, ast.Call):
        _allow_call(node)
    elif isinstance(node, ast.Constant):
        _allow_constant(node)
    elif type(node) in _OPERATOR_CURES:
        raise ExpressionError(
            f"the operator of {type(node).__name__} is not known here", _OPERATOR_CURES[type(node)]
        )
    elif not isinstance(node, _NODES + _OPERATORS):
        what = _short(ast.unparse(node)) if isinstance(node, ast.expr) else type(node).__name__
        raise ExpressionError(f"{what} may not stand in an expression")


def _allow_call(node: ast.Call) -> None:
    """Raise ExpressionError on unknown functions and wrong numbers of arguments."""
    name = node.func.id if isinstance(node.func, ast.Name) else ""
    if name not in FUNCTIONS:
        raise ExpressionError(f"{_short(ast.unparse(node.func))} is not a function of expressions")
    fits = len(node.args) == 1 if name in _UNARY_FUNCTIONS else len(node.args) >= 2
    if node.keywords or not fits:
        raise ExpressionError(
            f"{name} takes {'one value' if name in _UNARY_FUNCTIONS else 'two values or more'}"
        )


def _allow_constant(node: ast.Constant) -> None:
    """Raise ExpressionError on constants of other types, or beyond float64."""
    if not isinstance(node.value, bool | int | float | str):
        raise ExpressionError(f"{_short(ast.unparse(node))} may not stand in an expression")
    # An integer literal may have hundreds of digits, and numbers are evaluated as float64.
    try:
        float(0 if isinstance(node.value, str) else node.value)
    except OverflowError:
        raise ExpressionError(f"{_short(str(node.value))} is too large") from None


def count_words(text: str) -> int:
    """The number of names, numbers and signs in a text, before it is parsed."""
    # A long word or gap, which takes time to read too, counts once for each 16 characters.
    return len(re.findall(r"\w{1,16}|[^\w\s]|\s{16}", text))


def count_operations(expression: Expression) -> int:
    """The number of operations that evaluating an expression takes at each point."""
    total = 0
    for node in _walk(expression.tree):
        match node:
            case ast.BinOp() | ast.UnaryOp() | ast.IfExp():
                total += 1
            case (
                ast.Call(args=operands)
                | ast.Compare(comparators=operands)
                | ast.BoolOp(values=operands)
            ):
                total += len(operands)
    return total


def evaluate(expression: Expression, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """Evaluate an expression at every point.

    The result is float64 for numbers, bool for conditions and object for text. Division by zero
    and the like give inf and nan.

    Args:
        expression: the expression.
        columns: an array for each name that it uses; the arrays must broadcast together.

    Raises:
        ExpressionError: arithmetic on text or conditions.
    """
    with np.errstate(all="ignore"):
        return np.asarray(_value(expression.tree, columns))


def _value(node: ast.expr, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The value of a node: float64, bool or text, broadcast over the columns it uses."""
    match node:
        case ast.Name(id=name):
            return columns[name] if name not in _LITERALS else np.asarray(_LITERALS[name])
        case ast.Constant(value=bool() as truth):
            return np.asarray(truth)
        case ast.Constant(value=str() as text):
            return np.asarray(text, object)
        case ast.Constant(value=int() | float() as number):
            return np.asarray(float(number))
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return np.logical_not(_truth(operand, columns))
        case ast.UnaryOp(op=sign, operand=operand):
            return (
                -_number(operand, columns)
                if isinstance(sign, ast.USub)
                else _number(operand, columns)
            )
        case ast.BinOp(left=left, op=op, right=right):
            return _BINARY[type(op)](_number(left, columns), _number(right, columns))
        case ast.BoolOp(op=op, values=values):
            join = np.logical_and if isinstance(op, ast.And) else np.logical_or
            return functools.reduce(join, (_truth(value, columns) for value in values))
        case ast.Compare():
            return _compare(node, columns)
        case ast.IfExp():
            return _choose(node, columns)
        case ast.Call(func=ast.Name(id=name), args=args):
            numbers = (_number(arg, columns) for arg in args)
            return (
                _UNARY_FUNCTIONS[name](*numbers)
                if name in _UNARY_FUNCTIONS
                else functools.reduce(_REDUCTIONS[name], numbers)
            )
    raise AssertionError(f"{ast.dump(node)} passed the check")


def _choose(node: ast.IfExp, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The value of `a if condition else b` at each point.

    Both sides are computed everywhere, and what the other side is where it is not taken, such as
    the logarithm of 0, does not matter.
    """
    condition = _truth(node.test, columns)
    taken, other = _value(node.body, columns), _value(node.orelse, columns)
    if _sort(taken) != _sort(other):
        sides = f"{_short(ast.unparse(node.body))} and {_short(ast.unparse(node.orelse))}"
        raise ExpressionError(
            f"{sides} are not of one kind",
            "Choose between two numbers, two texts or two conditions",
        )
    return np.where(condition, taken, other)


def _sort(value: np.ndarray) -> str:
    """The kind of a value: `n` for numbers, `b` for conditions, `O` for text."""
    return "n" if value.dtype.kind in "iuf" else value.dtype.kind


def _number(node: ast.expr, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The value of a node as float64. Raises ExpressionError if it is no number."""
    value = _value(node, columns)
    if value.dtype.kind not in "iuf":
        raise ExpressionError(
            f"{_short(ast.unparse(node))} is not a number", "Compute with numbers only"
        )
    return value.astype(np.float64, copy=False)


def _truth(node: ast.expr, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The value of a node as bool. Raises ExpressionError if it is no condition."""
    value = _value(node, columns)
    if value.dtype.kind != "b":
        cure = "Join conditions only, such as n > 10 and d < 100"
        raise ExpressionError(f"{_short(ast.unparse(node))} is not a condition", cure)
    return value


def _compare(node: ast.Compare, columns: Mapping[str, np.ndarray]) -> np.ndarray:
    """The value of a comparison; `a < b < c` holds where all its links do."""
    sides = [node.left, *node.comparators]
    links = (_link(*link, columns) for link in zip(sides, node.ops, sides[1:], strict=False))
    return functools.reduce(np.logical_and, links)


def _link(
    left: ast.expr, op: ast.cmpop, right: ast.expr, columns: Mapping[str, np.ndarray]
) -> np.ndarray:
    """The value of one comparison of two sides of the same type."""
    left_value, right_value = _value(left, columns), _value(right, columns)
    kinds = {_sort(left_value), _sort(right_value)}
    if len(kinds) > 1 or (kinds != {"n"} and not isinstance(op, ast.Eq | ast.NotEq)):
        what = f"{_short(ast.unparse(left))} and {_short(ast.unparse(right))} cannot be compared so"
        raise ExpressionError(
            what, "Compare numbers with numbers; text and true or false only with == and !="
        )
    return np.asarray(_COMPARE[type(op)](left_value, right_value), bool)


def conjuncts(expression: Expression) -> list[Expression]:
    """Conditions whose conjunction is equivalent to the expression.

    Separate conditions depend on fewer fields each, which keeps their tables small.
    """
    tree = expression.tree
    if isinstance(tree, ast.BoolOp) and isinstance(tree.op, ast.And):
        return [
            condition
            for value in tree.values
            for condition in conjuncts(Expression(expression.text, value))
        ]
    return [expression]


def simplify(expression: Expression, kind_names: Mapping[str, str]) -> Expression:
    """Substitute the kinds of a block and fold what becomes constant.

    `model == 'linear' or width > 4` is then decided for linear models, which need not have a
    `width`; so is `1 if model == 'linear' else width`.
    """
    return Expression(expression.text, _simplify_node(expression.tree, kind_names))


def _simplify_node(node: ast.expr, kind_names: Mapping[str, str]) -> ast.expr:
    """The node with the comparisons of kinds decided."""
    match node:
        case ast.Compare(left=left, ops=ops, comparators=comparators):
            sides = [_word(side, kind_names) for side in (left, *comparators)]
            if None not in sides and all(isinstance(op, ast.Eq | ast.NotEq) for op in ops):
                links = zip(ops, itertools.pairwise(sides), strict=True)
                return ast.Constant(all(_COMPARE[type(op)](*pair) for op, pair in links))
        case ast.UnaryOp(op=ast.Not() as op, operand=operand):
            inner = _simplify_node(operand, kind_names)
            decided = _decided(inner)
            return ast.UnaryOp(op, inner) if decided is None else ast.Constant(not decided)
        case ast.BoolOp(op=op, values=values):
            return _join(op, [_simplify_node(value, kind_names) for value in values])
        case ast.IfExp(test=test, body=body, orelse=orelse):
            return _simplify_choice(_simplify_node(test, kind_names), body, orelse, kind_names)
        case ast.UnaryOp(op=op, operand=operand):
            return ast.UnaryOp(op, _simplify_node(operand, kind_names))
        case ast.BinOp(left=left, op=op, right=right):
            return ast.BinOp(
                _simplify_node(left, kind_names), op, _simplify_node(right, kind_names)
            )
        case ast.Call(func=function, args=args):
            return ast.Call(function, [_simplify_node(arg, kind_names) for arg in args], [])
    return node


def _simplify_choice(
    test: ast.expr, body: ast.expr, orelse: ast.expr, kind_names: Mapping[str, str]
) -> ast.expr:
    """`body if test else orelse`, or the side that is taken where the kinds decide it."""
    decided = _decided(test)
    if decided is not None:
        return _simplify_node(body if decided else orelse, kind_names)
    return ast.IfExp(test, _simplify_node(body, kind_names), _simplify_node(orelse, kind_names))


def _join(op: ast.boolop, values: list[ast.expr]) -> ast.expr:
    """`and` or `or` of values, some of which may be decided."""
    # The value that decides the whole operation: true for `or`, false for `and`.
    ends = isinstance(op, ast.Or)
    if any(_decided(value) is ends for value in values):
        return ast.Constant(ends)
    undecided = [value for value in values if _decided(value) is None]
    if len(undecided) < 2:
        return undecided[0] if undecided else ast.Constant(not ends)
    return ast.BoolOp(op, undecided)


def _word(node: ast.expr, kind_names: Mapping[str, str]) -> str | None:
    """The kind or the text that a node is, None for any other node."""
    if isinstance(node, ast.Name):
        return kind_names.get(node.id)
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _decided(node: ast.expr) -> bool | None:
    """The truth value of a constant condition, None for any other node."""
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, bool) else None
