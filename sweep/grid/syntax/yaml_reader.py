"""Reads a grid file as YAML: plain values and their positions. Nothing in a file is executed.

Only text, numbers, true/false, null, lists and mappings are supported, with anchors, aliases and
merge keys (`<<: *base`). Numbers use the usual notation (`1e-3`, `1_000`), which the number syntax
of YAML 1.1 does not fully cover.
"""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterator
from typing import Any, NoReturn

import yaml

from sweep.errors import Problem

# Grid files are untrusted input. The limit on nodes counts an alias at every use, merged ones too,
# since nested aliases can expand a short file exponentially; the limit on depth bounds the recursion.
MAX_BYTES, MAX_NODES, MAX_DEPTH = 1 << 20, 100_000, 24
MAX_PROBLEMS = 1_000
"""The most problems that are reported for a file."""

# What a file asks for is counted before it is done, and not timed, so that a file is accepted or
# rejected regardless of how fast the machine is.
MAX_NUMBERS = 2**28
"""The most numbers that a file may list or compute: 16 at each of 16 million points.

Every operation of an expression counts at each point that it is computed for, every table once for
each of its points; `Document.count_rounded` and `Document.count_sorted` count those that take more.
The slowest file that is let through takes about six seconds on a busy machine of two cores.
"""

MAX_WORDS = 2**18
"""The most words that a file may ask to look at: names, numbers and signs.

Those of an expression, a condition or a zip count when they are read, aliases each time, and again
in each block; the fields of a member count for the member, and for each pair of members compared.
The slowest file that is let through, of conditions as short as `n>1`, takes about six seconds.
"""

Path = tuple[str | int, ...]
"""The keys and list indices that lead from the top of a file to a value."""

_TAG = "tag:yaml.org,2002:"
_PLAIN = "Write plain text, numbers, true or false, null, lists and mappings"


class Stopped(Exception):
    """Stops the checking of a file; the reason is among the problems of the document."""


class Document:
    """The values of a file, their positions, and the problems detected so far.

    If the file could not be read to the end, `value` is None and `broken` is true. `options` has
    the values that do not stand in the file but in an option of the command, with that option.
    With `rounds`, formulas of whole numbers are rounded and not refused.
    """

    def __init__(self, file: str) -> None:
        self.file = file
        self.value: Any = None
        self.broken = False
        self.problems: list[Problem] = []
        self.numbers = 0
        self.words = 0
        self.positions: dict[Path, tuple[int, int]] = {}
        self.key_positions: dict[Path, tuple[int, int]] = {}
        self.options: dict[Path, str] = {}
        self.rounds = False

    def add_error(self, path: Path, what: str, cure: str, *, key: bool = False) -> None:
        """Report a problem at a value or its key.

        Args:
            path: the value; if the file does not contain it, its nearest parent is used.
            what: what is wrong.
            cure: what the user can do about it.
            key: report at the key of the value rather than at the value.

        Raises:
            Stopped: there are too many problems.
        """
        self.add_error_at(self.position(path, key=key), path, what, cure)

    def add_error_at(self, position: tuple[int, int], path: Path, what: str, cure: str) -> None:
        """Report a problem at a position.

        Args:
            position: line and column, counted from 1.
            path: the value that the message refers to.
            what: what is wrong.
            cure: what the user can do about it.

        Raises:
            Stopped: there are too many problems.
        """
        self.problems.append(self._problem(position, path, plain_value(what), plain_value(cure)))
        if len(self.problems) == MAX_PROBLEMS:
            self._stop(
                (),
                f"{MAX_PROBLEMS} things are wrong, and the rest was not looked at",
                "Mend these first",
            )

    def count_numbers(self, count: int, path: Path = ()) -> None:
        """Count numbers before they are computed.

        Args:
            count: how many numbers there are.
            path: the value that asks for them, for the error message.

        Raises:
            Stopped: the file asks for more than `MAX_NUMBERS` in total.
        """
        self.numbers += count
        if self.numbers > MAX_NUMBERS:
            cure = "Give fewer values, or let expressions and conditions depend on fewer fields"
            self.stop_slow(path, f"more than {MAX_NUMBERS} numbers have to be computed", cure)

    def count_rounded(self, count: int, path: Path = ()) -> None:
        """Count values of fields that are computed and rounded, which takes several arrays."""
        self.count_numbers(5 * count, path)

    def count_sorted(self, count: int, path: Path = ()) -> None:
        """Count values that are sorted, hashed or rounded as text, as much work as 50 others."""
        self.count_numbers(50 * count, path)

    def count_words(self, count: int, path: Path = ()) -> None:
        """Count words before they are looked at.

        Args:
            count: how many words there are.
            path: the value that asks for them, for the error message.

        Raises:
            Stopped: the file asks for more than `MAX_WORDS` in total.
        """
        self.words += count
        if self.words > MAX_WORDS:
            what = f"more than {MAX_WORDS} words of conditions, expressions, zips and members"
            cure = "Give fewer or shorter conditions and expressions, or fewer members of unions"
            self.stop_slow(path, f"{what} have to be looked at, those of each block again", cure)

    def stop_slow(self, path: Path, reason: str, cure: str) -> NoReturn:
        """Report that checking the file takes too long, and stop. Raises Stopped."""
        self._stop(path, f"up to here the grid takes too long to check: {reason}", cure)

    def _stop(self, path: Path, what: str, cure: str) -> NoReturn:
        """Report a last problem and end the reading."""
        self.broken = True
        # Not by add_error, which may call _stop again at the limit on problems.
        self.problems.append(self._problem(self.position(path), path, what, cure))
        raise Stopped

    def _problem(self, position: tuple[int, int], path: Path, what: str, cure: str) -> Problem:
        """A problem of a value in the file, or in the option that sets it."""
        field, option = plain_value(dotted(path), 200), self.option_of(path)
        if option:
            return Problem(option, 0, 0, field, what, cure)
        return Problem(self.file, *position, field, what, cure)

    def add_option_error(self, option: str, what: str, cure: str) -> None:
        """Report a problem of an option itself."""
        self.problems.append(Problem(option, 0, 0, "", plain_value(what), plain_value(cure)))

    def option_of(self, path: Path) -> str:
        """The option that sets a value or what it is part of, "" for a value of the file."""
        while path and path not in self.options:
            path = path[:-1]
        return self.options.get(path, "")

    def forget(self, path: Path) -> None:
        """Forget where a value and its parts stood, before another one takes its place."""
        for places in (self.positions, self.key_positions, self.options):
            for place in [place for place in places if place[: len(path)] == path]:
                del places[place]

    def place(self, path: Path) -> str:
        """Where a value stands, for a message: `in line 4`, or `of` an option."""
        option = self.option_of(path)
        return f"of {option}" if option else f"in line {self.position(path)[0]}"

    def position(self, path: Path, *, key: bool = False) -> tuple[int, int]:
        """The line and column of a value or its key, counted from 1."""
        if key and path in self.key_positions:
            return self.key_positions[path]
        while path and path not in self.positions:
            path = path[:-1]
        return self.positions.get(path, (1, 1))


def dotted(path: Path) -> str:
    """A path in dotted notation, such as `optimizer[1].lr`."""
    return "".join(
        f"[{step}]" if isinstance(step, int) else f".{step}" for step in path
    ).removeprefix(".")


def plain_value(text: str, limit: int = 2_500) -> str:
    """Text from a file, made safe for a message: one line, bounded, without control characters."""
    # Cut before escaping, so that no escape sequence is cut in half.
    text = text if len(text) <= limit else text[: limit - 3] + "..."
    if text.isprintable():
        return text
    return "".join(
        character if character.isprintable() else character.encode("unicode_escape").decode()
        for character in text
    )


def read_yaml(text: str | bytes, file: str) -> Document:
    """Read a file. YAML errors are reported as problems of the document."""
    document = Document(file)
    with contextlib.suppress(Stopped):
        try:
            root = _compose(_decoded(text))
            document.value = None if root is None else _Builder(document).value(root, ())
        except _Unreadable as unreadable:
            document.broken = True
            document.add_error_at(
                unreadable.position, (), plain_value(unreadable.what, 200), unreadable.cure
            )
    document.broken |= document.value is None
    if document.value is None and not document.problems:
        document.add_error(
            (), "the file is empty", "Write at least name, data, model and optimizer"
        )
    return document


def read_value(document: Document, text: str, path: Path, option: str) -> Any:
    """A value that an option gives to a path of a document, None after reporting that it is none.

    Args:
        document: the document, which takes the errors.
        text: the value as YAML.
        path: where it will stand.
        option: the option, for messages.
    """
    try:
        root = _compose(_decoded(text))
        return None if root is None else _Builder(document).value(root, path)
    except _Unreadable as unreadable:
        document.broken = True
        document.add_option_error(option, plain_value(unreadable.what, 200), unreadable.cure)
    return None


class _Unreadable(Exception):
    """Stops the reading of a file: what is wrong, with line and column."""

    def __init__(self, position: tuple[int, int], what: str, cure: str) -> None:
        super().__init__(what)
        self.position, self.what, self.cure = position, what, cure


def _decoded(text: str | bytes) -> str:
    """The text of a file. Raises _Unreadable if it is too long or not UTF-8."""
    # Text that was passed in may hold lone surrogates, which strict encoding rejects; a later check
    # reports them with their position.
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
    """Line and column of the character after a text, counted from 1."""
    return prefix.count("\n") + 1, len(prefix) - (prefix.rfind("\n") + 1) + 1


class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader with the numbers of YAML 1.2, bounded in size and depth."""

    nodes = depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """As in PyYAML, but rejects a file before it exhausts the memory or the stack."""
        self.nodes += 1
        self.depth += 1
        if self.nodes > MAX_NODES or self.depth > MAX_DEPTH:
            raise _too_large(_mark_position(self.peek_event().start_mark), self.depth)
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


# PyYAML follows YAML 1.1, where `no` is false, `010` is 8, `1:30` is 90 and `1e-3` is text.
_Loader.yaml_implicit_resolvers = {}


def _resolve(tag: str, pattern: str, first: str) -> None:
    """Read plain scalars that match a pattern as a tag; `first` are their first characters."""
    _Loader.add_implicit_resolver(_TAG + tag, re.compile(rf"(?:{pattern})\Z"), list(first))


_resolve("null", "~|null|Null|NULL|", "~nN")
_Loader.add_implicit_resolver(_TAG + "null", re.compile(r"\Z"), [""])
_resolve("bool", "true|True|TRUE|false|False|FALSE", "tTfF")
# The order matters: a resolver of int comes before that of float, which also matches integers.
_resolve("int", r"[-+]?[0-9]+(_[0-9]+)*", "-+0123456789")
_resolve("float", r"[-+]?(\.[0-9]+|[0-9]+(_[0-9]+)*(\.[0-9]*)?)([eE][-+]?[0-9]+)?", "-+.0123456789")
_resolve("float", r"[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)", "-+.")
_resolve("merge", "<<", "<")
RESOLVERS = _Loader.yaml_implicit_resolvers
"""How PyYAML tells the type of a plain word, by its first character."""


def _mark_position(mark: Any) -> tuple[int, int]:
    """Line and column of a mark of PyYAML, counted from 1."""
    return (1, 1) if mark is None else (mark.line + 1, mark.column + 1)


def _too_large(position: tuple[int, int], depth: int) -> _Unreadable:
    """The error for too many values, or too many levels."""
    if depth > MAX_DEPTH:
        return _Unreadable(
            position, f"values lie more than {MAX_DEPTH} levels deep here", "Write the grid flatter"
        )
    what = f"the file has more than {MAX_NODES} values, aliases counted each time"
    return _Unreadable(position, what, "Write long lists as log, lin or range")


def _compose(text: str) -> yaml.Node | None:
    """The root node of a YAML text, None if it is empty. Raises _Unreadable."""
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
    except (ValueError, OverflowError):  # PyYAML leaks these from escapes such as "\UFFFFFFFF"
        what, cure = (
            "this is not a character or a number",
            "Correct the escape sequence or the number",
        )
        raise _Unreadable(_mark_position(loader.get_mark()), what, cure) from None
    finally:
        loader.dispose()


def _syntax(error: yaml.MarkedYAMLError) -> _Unreadable:
    """A syntax error of PyYAML in plain words."""
    position, problem = (
        _mark_position(error.problem_mark or error.context_mark),
        error.problem or "something is wrong",
    )
    if "single document" in (error.context or ""):
        return _Unreadable(
            position,
            "a second document begins here",
            "Write one grid a file, without a line of ---",
        )
    if "\\t" in problem:
        return _Unreadable(position, "a tab stands where YAML wants spaces", "Indent with spaces")
    what = f"this is not YAML: {error.context + ': ' if error.context else ''}{problem}"
    return _Unreadable(
        position,
        what,
        "Look at indentation, colons, quotes and brackets here and in the line before",
    )


_Entry = tuple[yaml.Node, yaml.Node]
"""A key and a value of a mapping."""

_MERGE = "Write <<: *name, where &name stands before the mapping that is meant"
_MERGE_LIST = "Write one list, <<: [*first, *second], in which the first one wins"


class _Builder:
    """Turns nodes into values, expands aliases and records positions in the document."""

    def __init__(self, document: Document) -> None:
        self.document = document
        self.nodes = 0

    def value(self, node: yaml.Node, path: Path) -> Any:
        """The value of a node, or None if it is not allowed."""
        self.document.positions[path] = _mark_position(node.start_mark)
        self._count(node, len(path))
        if isinstance(node, yaml.MappingNode) and node.tag == _TAG + "map":
            return self._mapping(node, path)
        if isinstance(node, yaml.SequenceNode) and node.tag == _TAG + "seq":
            return [self.value(child, (*path, index)) for index, child in enumerate(node.value)]
        return self._scalar(node, path)

    def _count(self, node: yaml.Node, depth: int) -> None:
        """Count a node at this depth. Raises _Unreadable beyond the bounds of a file."""
        # The loader counts an alias once; here its whole subtree counts at every use.
        self.nodes += 1
        if self.nodes > MAX_NODES or depth > MAX_DEPTH:
            raise _too_large(_mark_position(node.start_mark), depth)

    def _mapping(self, node: yaml.MappingNode, path: Path) -> dict[str, Any]:
        """The values of a mapping by key; repeated keys are reported."""
        mapping: dict[str, Any] = {}
        for key, (key_node, value_node) in self._entries(node, path, 0).items():
            inner = (*path, key)
            self.document.key_positions[inner] = _mark_position(key_node.start_mark)
            mapping[key] = self.value(value_node, inner)
        return mapping

    def _entries(self, node: yaml.MappingNode, path: Path, level: int) -> dict[str, _Entry]:
        """The nodes of a mapping by key, `level` merges away from where its keys are to stand.

        What it merges comes first. Its own keys win over merged ones, and among those the first.
        """
        own: dict[str, _Entry] = {}
        merged: dict[str, _Entry] = {}
        merge_lines: list[int] = []
        for key_node, value_node in node.value:
            line = key_node.start_mark.line + 1
            if level:
                self._count(key_node, level)
            if key_node.tag == _TAG + "merge":
                merge_lines.append(line)
                for source in self._merge_sources(value_node, path, level + 1):
                    for key, entry in self._entries(source, path, level + 1).items():
                        merged.setdefault(key, entry)
                continue
            key = self._key(key_node, path)
            if key in own:
                self._report_repeat(key_node, (*path, key), own[key][0].start_mark.line + 1)
            elif key is not None:
                own[key] = key_node, value_node
        if len(merge_lines) > 1:
            what = f"<< is given twice, first in line {merge_lines[0]}"
            self._break(node, path, f"{what} and again in line {merge_lines[1]}", _MERGE_LIST)
        return merged | own

    def _merge_sources(self, node: yaml.Node, path: Path, level: int) -> Iterator[yaml.MappingNode]:
        """The mappings under a merge key; anything else is reported."""
        listed = isinstance(node, yaml.SequenceNode)
        for source in node.value if listed else [node]:
            self._count(source, level)
            if isinstance(source, yaml.MappingNode):
                yield source
            else:
                self._break(source, path, "<< merges mappings only", _MERGE)

    def _report_repeat(self, node: yaml.Node, path: Path, first: int) -> None:
        """Report a key that stands in line `first` too."""
        line, column = _mark_position(node.start_mark)
        what = f"is given twice, first in line {first} and again in line {line}"
        self.document.add_error_at((line, column), path, what, "Keep one of the two")

    def _key(self, node: yaml.Node, path: Path) -> str | None:
        """A key; None after reporting one that is not a word."""
        if isinstance(node, yaml.ScalarNode) and node.tag == _TAG + "str":
            return str(node.value)
        self._break(node, path, "a key has to be a word", "Write `name: value`")
        return None

    def _break(self, node: yaml.Node, path: Path, what: str, cure: str) -> None:
        """Report a node without which the file has no value."""
        self.document.add_error_at(_mark_position(node.start_mark), path, what, cure)
        self.document.broken = True

    def _scalar(self, node: yaml.Node, path: Path) -> Any:
        """A value of the type of its tag; None after reporting one that has none."""
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
    """A text in quotes and ASCII, cut to 40 characters."""
    return ascii(value if len(value) <= 40 else value[:37] + "...")


def _text(value: str) -> str:
    """The text. Raises ValueError if it has lone surrogates."""
    value.encode()  # raises for lone surrogates, which could not be written to a results table
    return value


def _bool(value: str) -> bool:
    """True or false. Raises ValueError on anything else, such as a tagged word."""
    if value.lower() not in ("true", "false"):
        raise ValueError(value)
    return value.lower() == "true"


def _int(value: str) -> int:
    """An integer. Raises ValueError beyond 64 bits."""
    number = int(value)
    if not -(2**63) <= number < 2**63:
        raise ValueError(value)
    return number


def _float(value: str) -> float:
    """A float; YAML writes infinity and NaN with a leading dot."""
    return float(value.lower().replace(".inf", "inf").replace(".nan", "nan"))


_SCALARS = {"str": _text, "null": lambda _: None, "bool": _bool, "int": _int, "float": _float}
