"""Changes of a grid on the command line (`--set data.n=100`), read by the rules of grid files."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import yaml

from sweep.grid.syntax import yaml_reader
from sweep.grid.syntax.yaml_reader import MAX_BYTES, Document, Path, dotted, plain_value

_PATH = re.compile(r"[A-Za-z_][\w-]*(?:\.[A-Za-z_][\w-]*|\[\d{1,6}\])*")
_STEP = re.compile(r"([A-Za-z_][\w-]*)|\[(\d+)\]")
_CURE = "Write --set data.n=100, or --set 'optimizer[0].lr=[1e-3, 1e-2]'"


class _Misplaced(Exception):
    """A change that has no place in the grid: what is wrong, and a cure."""

    def __init__(self, what: str, cure: str) -> None:
        super().__init__(what)
        self.what, self.cure = what, cure


def change_text(path: str, value: Any) -> str:
    """A change as it stands after `--set`, from a value of Python."""
    text = yaml.dump(value, Dumper=_Dumper, default_flow_style=True, width=1 << 30)
    # PyYAML ends a single value by a line of dots.
    return f"{path}={text.strip().removesuffix('...').strip()}"


def apply_changes(document: Document, changes: Iterable[str]) -> None:
    """Set values of a document, in order; errors name the option.

    Args:
        document: a grid that was read; nothing happens to one that is broken.
        changes: texts such as `data.n=100` or `optimizer[1].lr=[1e-3, 1e-2]`.
    """
    given: set[Path] = set()
    for change in changes:
        if document.broken or not isinstance(document.value, dict):
            return
        option = f"--set {plain_value(change, 80)}"
        name, equals, text = change.partition("=")
        path = _steps(name.strip())
        if not equals or not path:
            what = f"{plain_value(repr(name.strip()), 80)} names no value of a grid"
            document.add_option_error(option, what if equals else "there is no =", _CURE)
        elif path in given:
            document.add_option_error(option, f"{dotted(path)} is set twice", "Keep one of the two")
        else:
            given.add(path)
            _apply(document, option, path, text)


def _steps(name: str) -> Path:
    """The keys and indices of a dotted name, none for a text that is no such name."""
    if not _PATH.fullmatch(name):
        return ()
    return tuple(key or int(index) for key, index in _STEP.findall(name))


def _apply(document: Document, option: str, path: Path, text: str) -> None:
    """Put the value of an option in its place, or report why it has none."""
    try:
        holder: Any = document.value
        for depth, step in enumerate(path[:-1], start=1):
            holder = _member(document, holder, path[:depth], step, option)
        _check_step(holder, path)
    except _Misplaced as error:
        document.add_option_error(option, error.what, error.cure)
        return
    document.forget(path)
    document.options[path] = option
    holder[path[-1]] = yaml_reader.read_value(document, text, path, option)


def _member(document: Document, holder: Any, path: Path, step: str | int, option: str) -> Any:
    """What the last step of a path leads to: a list, or a mapping, made where there is none."""
    _check_step(holder, path)
    value = holder.get(step) if isinstance(holder, dict) else holder[step]
    if value is None:
        document.options[path] = option
        value = {}
    elif isinstance(value, str) and not value.startswith("="):
        # A kind may stand for a mapping: `model: cnn` is `model: {kind: cnn}`.
        value = {"kind": value}
    elif not isinstance(value, dict | list):
        raise _Misplaced(f"{dotted(path)} is a single value", f"Set {dotted(path)} itself")
    holder[step] = value
    return value


def _check_step(holder: Any, path: Path) -> None:
    """Raise _Misplaced if what `path` goes through last has no such member."""
    above, step = dotted(path[:-1]), path[-1]
    if isinstance(holder, list):
        if not holder or isinstance(step, str):
            what = f"{above} is a list of {len(holder)}" if holder else f"{above} is an empty list"
            cure = f"Say which one is meant, such as {above}[0].{step}" if holder else _CURE
            raise _Misplaced(what, cure)
        if step >= len(holder):
            last = f"{above}[{len(holder) - 1}]"
            raise _Misplaced(f"the last one of {above} is {last}", "Count from 0")
    elif isinstance(step, int):
        raise _Misplaced(f"{above} is no list", f"Leave [{step}] out")


class _Dumper(yaml.SafeDumper):
    """Writes what `read_yaml` reads: its numbers and words, without aliases."""

    def ignore_aliases(self, data: Any) -> bool:
        """True, since every alias was expanded in reading."""
        return True


# Quotes are put around the texts that the reader would take for a number, or the like.
_Dumper.yaml_implicit_resolvers = yaml_reader.RESOLVERS


def write_yaml(document: Document) -> str:
    """The text of a document, which reads as the same values; too long a text is reported."""
    text = yaml.dump(
        document.value,
        Dumper=_Dumper,
        sort_keys=False,
        allow_unicode=True,
        default_flow_style=None,
        width=120,
    )
    if len(text.encode()) > MAX_BYTES:
        what = f"with its aliases written out the grid has more than {MAX_BYTES} bytes"
        document.add_error((), what, "Write a shorter grid, or leave --set out")
    return text
