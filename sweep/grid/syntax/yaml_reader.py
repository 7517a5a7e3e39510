"""A grid file as YAML: plain values, and where in the file each of them stands. Nothing in a file is ever run.

Only text, numbers, true/false, null, lists and mappings exist; numbers are written as anywhere else (`1e-3`, `1_000`).
"""

from __future__ import annotations

import contextlib
import re
from typing import Any, NoReturn

import yaml

from sweep.errors import Problem

MAX_BYTES, MAX_NODES, MAX_DEPTH = 1 << 20, 100_000, 24
MAX_PROBLEMS, MAX_WORK_NS = 1_000, 2_000_000_000
"""Most things that are told of one file, and the nanoseconds of work after which it is given up, as they are estimated
before the work is done: what a file costs depends on nothing but the file."""

Path = tuple[str | int, ...]
"""Keys and list positions that lead from the top of a file to a value."""

_TAG = "tag:yaml.org,2002:"
_PLAIN = "Write plain text, numbers, true or false, null, lists and mappings"


class Stopped(Exception):
    """The end of looking at a file; why stands in the problems of the document."""


class Document:
    """Values of a file with their places, and what was found to be wrong with it so far.

    `value` is None and `broken` true where the file could not be read to its end.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.value: Any = None
        self.broken = False
        self.problems: list[Problem] = []
        self.charged_ns = 0
        self.positions: dict[Path, tuple[int, int]] = {}
        self.key_positions: dict[Path, tuple[int, int]] = {}

    def add_error(self, path: Path, what: str, cure: str, *, key: bool = False) -> None:
        """Note a problem at a value, or at its key; at the nearest value around it where the file has none."""
        self.add_error_at(self.position(path, key=key), path, what, cure)

    def add_error_at(self, place: tuple[int, int], path: Path, what: str, cure: str) -> None:
        """Note a problem at a line and column. Raises Stopped where there are too many."""
        self.problems.append(
            Problem(
                self.file,
                *place,
                plain_value(dotted(path), 200),
                plain_value(what),
                plain_value(cure),
            )
        )
        if len(self.problems) == MAX_PROBLEMS:
            self._stop(
                (),
                f"{MAX_PROBLEMS} things are wrong, and the rest was not looked at",
                "Mend these first",
            )

    def charge(self, effort: float, path: Path = ()) -> None:
        """Account for work, in nanoseconds, that is about to be done. Raises Stopped where a file asks for too much."""
        self.charged_ns += int(effort)
        if self.charged_ns > MAX_WORK_NS:
            cure = "Give fewer values, conditions or members of unions, or let expressions depend on fewer fields"
            self._stop(path, "up to here the grid takes too long to check", cure)

    def _stop(self, path: Path, what: str, cure: str) -> NoReturn:
        self.broken = True
        self.problems.append(
            Problem(self.file, *self.position(path), plain_value(dotted(path), 200), what, cure)
        )
        raise Stopped

    def position(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """Line and column of a value (or of its key), counted from 1."""
        if key and path in self.key_positions:
            return self.key_positions[path]
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, (1, 1))


def dotted(path: Path) -> str:
    """A path as a reader writes it: `optimizer[1].lr`."""
    return "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in path
    ).removeprefix(".")


def plain_value(text: str, limit: int = 2_500) -> str:
    """A text of a file as it may stand in a message: in one line, without what a terminal would obey, not endless."""
    text = text if len(text) <= limit else text[: limit - 3] + "..."
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def read_yaml(text: str | bytes, file: str) -> Document:
    """The values of a file; what is wrong with it as YAML stands in the document's problems."""
    document = Document(file)
    with contextlib.suppress(Stopped):
        try:
            root = _compose(_decoded(text))
            document.value = None if root is None else _Builder(document).value(root, ())
        except _Unreadable as unreadable:
            document.broken = True
            document.add_error_at(
                unreadable.place, (), plain_value(unreadable.what, 200), unreadable.cure
            )
    document.broken |= document.value is None
    if document.value is None and not document.problems:
        document.add_error(
            (), "the file is empty", "Write at least name, data, model and optimizer"
        )
    return document


class _Unreadable(Exception):
    """The end of reading: what is wrong, with line and column."""

    def __init__(self, place: tuple[int, int], what: str, cure: str) -> None:
        super().__init__(what)
        self.place, self.what, self.cure = place, what, cure


def _decoded(text: str | bytes) -> str:
    size = len(text if isinstance(text, bytes) else text.encode("utf-8", "surrogatepass"))
    if size > MAX_BYTES:
        raise _Unreadable(
            (1, 1),
            f"the file has more than {MAX_BYTES} bytes",
            "Write long lists as log, lin or range",
        )
    if isinstance(text, str):
        return text.removeprefix("\ufeff")
    try:
        return text.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        position = _end_position(text[: error.start].decode("utf-8", "replace"))
        what = f"the byte {text[error.start]:#04x} is not UTF-8 text"
        raise _Unreadable(position, what, "Save the file as UTF-8") from None


def _end_position(prefix: str) -> tuple[int, int]:
    return prefix.count("\n") + 1, len(prefix) - (prefix.rfind("\n") + 1) + 1


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the numbers of YAML 1.2, bounded in size and depth."""

    nodes = depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As in PyYAML, but stops a file before it fills the memory or the stack."""
        self.nodes += 1
        self.depth += 1
        if self.nodes > MAX_NODES or self.depth > MAX_DEPTH:
            raise _too_large(_place(self.peek_event().start_mark), self.depth)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_Loader.yaml_implicit_resolvers = {}


def _resolve(tag: str, pattern: str, first: str) -> None:
    _Loader.add_implicit_resolver(_TAG + tag, re.compile(rf"(?:{pattern})\Z"), list(first))


_resolve("null", "~|null|Null|NULL|", "~nN")
_Loader.add_implicit_resolver(_TAG + "null", re.compile(r"\Z"), [""])
_resolve("bool", "true|True|TRUE|false|False|FALSE", "tTfF")
_resolve("int", r"[-+]?[0-9]+(_[0-9]+)*", "-+0123456789")
_resolve("float", r"[-+]?(\.[0-9]+|[0-9]+(_[0-9]+)*(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789")
_resolve("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+.")
_resolve("merge", "<<", "<")


def _place(mark: Any) -> tuple[int, int]:
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


def _too_large(place: tuple[int, int], depth: int) -> _Unreadable:
    if depth > MAX_DEPTH:
        return _Unreadable(
            place, f"values lie more than {MAX_DEPTH} levels deep here", "Write the grid flatter"
        )
    what = f"the file has more than {MAX_NODES} values, aliases counted each time"
    return _Unreadable(place, what, "Write long lists as log, lin or range")


def _compose(text: str) -> yaml.Node | None:
    try:
        loader = _Loader(text)
    except yaml.reader.ReaderError as error:
        position = _end_position(text[: error.position])
        raise _Unreadable(
            position, f"the character {error.character:#06x} cannot stand in YAML", "Remove it"
        ) from None
    try:
        return loader.get_single_node()
    except yaml.MarkedYAMLError as error:
        raise _syntax(error) from None
    except (ValueError, OverflowError):
        what, cure = (
            "this is not a character or a number",
            "Correct the escape sequence or the number",
        )
        raise _Unreadable(_place(loader.get_mark()), what, cure) from None
    finally:
        loader.dispose()


def _syntax(error: yaml.MarkedYAMLError) -> _Unreadable:
    place, problem = (
        _place(error.problem_mark or error.context_mark),
        error.problem or "something is wrong",
    )
    if "single document" in (error.context or ""):
        return _Unreadable(
            place, "a second document begins here", "Write one grid a file, without a line of ---"
        )
    if "\\t" in problem:
        return _Unreadable(place, "a tab stands where YAML wants spaces", "Indent with spaces")
    what = f"this is not YAML: {error.context + ': ' if error.context else ''}{problem}"
    return _Unreadable(
        place, what, "Look at indentation, colons, quotes and brackets here and in the line before"
    )


class _Builder:
    """Turns nodes into values, aliases written out, and notes their places in the document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.nodes = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        """The value of a node, or None where it is not allowed."""
        self.nodes += 1
        place = self.document.positions[path] = _place(node.start_mark)
        if self.nodes > MAX_NODES or len(path) > MAX_DEPTH:
            raise _too_large(place, len(path))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        mapping: dict[str, Any] = {}
        for key_node, value_node in node.value:
            key = self._key(key_node, path)
            if key is None:
                continue
            inner = (*path, key)
            if key in mapping:
                first, (line, column) = (
                    self.document.key_positions[inner][0],
                    _place(key_node.start_mark),
                )
                what = f"is given twice, first in line {first} and again in line {line}"
                self.document.add_error_at((line, column), inner, what, "Keep one of the two")
                continue
            self.document.key_positions[inner] = _place(key_node.start_mark)
            mapping[key] = self.value(value_node, inner)
        return mapping

    def _key(self, node: yaml.Node, path: Path) -> str | None:
        place = _place(node.start_mark)
        if node.tag == _TAG + "merge":
            what, cure = "merge keys (<<) are not read", "Write the fields out"
        elif isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "str":
            return str(node.value)
        else:
            what, cure = "a key has to be a word", "Write `name: value`"
        self.document.add_error_at(place, path, what, cure)
        self.document.broken = True
        return None

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        tag = node.tag.removeprefix(_TAG)
        make = _SCALARS.get(tag) if isinstance(node, yaml.ScalarNode) else None
        try:
            if make is not None:
                return make(node.value)
            tag = plain_value(node.tag.replace(_TAG, "!!"), 60)
            what = f"the tag {tag} is not read" if node.tag != f"{_TAG}merge" else "<< is not read"
        except (ValueError, UnicodeError):
            what = f"{_short(node.value)} is not a value of 64 bits or valid text"
        self.document.add_error(path, what, _PLAIN)
        self.document.broken = True
        return None


def _short(value: str) -> str:
    return ascii(value if len(value) <= 40 else value[:37] + "...")


def _text(value: str) -> str:
    value.encode()
    return value


def _bool(value: str) -> bool:
    if value.lower() not in ("true", "false"):
        raise ValueError(value)
    return value.lower() == "true"


def _int(value: str) -> int:
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError(value)
    return number


def _float(value: str) -> float:
    return float(value.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS = {"str": _text, "null": lambda _: None, "bool": _bool, "int": _int, "float": _float}
