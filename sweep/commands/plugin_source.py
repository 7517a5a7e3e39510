"""The source of a plugin: the files that its results depend on, with their digests."""

from __future__ import annotations

import ast
import hashlib
import importlib.machinery
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

from sweep.errors import SweepError

DATA_FILES = "DATA_FILES"
"""The attribute of a plugin that lists the data files that it reads."""

_OTHERS = ("sweep", "analysis")
"""Packages that are no part of a plugin, though they may lie in its folder."""


def digest_plugin(name: str) -> list[str]:
    """Digest and name of each file of an imported plugin, as the lines of `sha256sum`.

    The files are its module, the modules that it imports by name from its own folder (of an
    installed plugin: from its own package), those that they import from there, and those that the
    plugin lists in `DATA_FILES`.

    Args:
        name: the name of the module.

    Raises:
        SweepError: a file cannot be read, or `DATA_FILES` is no list of paths.
    """
    module = sys.modules[name]
    file = getattr(module, "__file__", None)
    # A module of the interpreter and a folder without __init__.py have none.
    if not file:
        return []
    files = {**_source_files(name, Path(file)), **_data_files(name, module)}
    return [f"{_digest(name, path)}  {file}" for file, path in sorted(files.items())]


def changed_files(old: Any, new: Any) -> list[str]:
    """Names of the files in which two results of `digest_plugin` differ, either from a manifest."""
    lines = [value if isinstance(value, list) else [] for value in (old, new)]
    old_lines, new_lines = ({str(line) for line in each} for each in lines)
    return sorted({line.partition("  ")[2] for line in old_lines ^ new_lines})


def _source_files(name: str, file: Path) -> dict[str, Path]:
    """The files of a plugin's modules, by their path in the folder that it is imported from."""
    root = file.absolute().parents[name.count(".") + (file.stem == "__init__")]
    files: dict[str, Path] = {}
    waiting, seen = [name], set[str]()
    while waiting:
        module = waiting.pop()
        if module in seen or not _is_own(module, name, root):
            continue
        seen.add(module)
        # Importing a module imports the packages around it.
        waiting.append(module.rpartition(".")[0])
        for path in _module_files(root, module):
            files[path.relative_to(root).as_posix()] = path
            waiting.extend(_imported_names(module, path))
    return files


def _is_own(module: str, plugin: str, root: Path) -> bool:
    """Whether a module, if it lies in the folder of a plugin, is a part of that."""
    top = module.partition(".")[0]
    # The folder of installed packages has those of other authors, too.
    is_shared = root.name == "site-packages" or str(root) in sysconfig.get_paths().values()
    return top not in ("", *_OTHERS) and (top == plugin.partition(".")[0] or not is_shared)


def _module_files(root: Path, module: str) -> list[Path]:
    """The files that may be a module: a package, source, or compiled."""
    base = root.joinpath(*module.split("."))
    suffixes = importlib.machinery.all_suffixes()
    candidates = [f"{stem}{suffix}" for stem in (base / "__init__", base) for suffix in suffixes]
    return [path for path in map(Path, candidates) if path.is_file()]


def _imported_names(module: str, path: Path) -> Iterator[str]:
    """What a source file imports: modules, and names from modules, which may be modules as well."""
    package = module if path.stem == "__init__" else module.rpartition(".")[0]
    try:
        nodes = list(ast.walk(ast.parse(path.read_bytes()))) if path.suffix == ".py" else []
    except (OSError, SyntaxError, ValueError):
        return
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            # One dot is the package itself, each further one the package around the last.
            around = package.rsplit(".", node.level - 1)[0] if node.level else ""
            origin = ".".join(filter(None, (around, node.module)))
            yield from (f"{origin}.{alias.name}" for alias in node.names)
            yield origin


def _data_files(name: str, module: ModuleType) -> dict[str, Path]:
    """The files that a plugin lists, by the paths in the list, which start in its folder."""
    files = getattr(module, DATA_FILES, ())
    if not isinstance(files, list | tuple) or not all(isinstance(f, str | Path) for f in files):
        raise SweepError(
            f"{DATA_FILES} of the plugin {name} is no list of paths. "
            f'Write {DATA_FILES} = ["table.csv"].'
        )
    folder = Path(module.__file__ or "").parent
    return {str(file): folder / file for file in files}


def _digest(name: str, path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or error
        raise SweepError(
            f"The file {path} of the plugin {name} cannot be read: {reason}. "
            f"Put it there, or take it out of {DATA_FILES}."
        ) from error
