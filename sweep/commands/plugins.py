"""Plugins: modules that add parts of their own to the registries."""

from __future__ import annotations

import importlib
import traceback
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path, PurePath
from typing import Any

from sweep import observables, trial
from sweep.commands.plugin_source import changed_files, digest_plugin
from sweep.errors import GridError, Problem, StoreConflict, SweepError
from sweep.import_path import add_working_directory
from sweep.schema import MANIFEST_FILE
from sweep.store import Store, recorded_plugins

_digests: dict[str, list[str]] = {}
"""The source of each plugin when this process imported it."""


def load_plugins(names: Collection[str]) -> dict[str, list[str]]:
    """Import plugins by module name, also from the working directory.

    Returns:
        The digests of each one's files; see `digest_plugin`.

    Raises:
        SweepError: one cannot be imported, replaces a kind, or was edited after its import.
    """
    for name in names:
        _check_name(name)
    if names:
        add_working_directory()
    for name in names:
        kinds = _registered_kinds()
        _import(name)
        _check_kinds(name, kinds)
    digests = {name: digest_plugin(name) for name in names}
    for name, digest in digests.items():
        if digest != _digests.setdefault(name, digest):
            raise SweepError(
                f"The plugin {name} was edited after this process imported it. "
                "Start a new process, such as another kernel of the notebook."
            )
    return digests


def plugin_changes(manifest: Mapping[str, Any], plugins: Mapping[str, list[str]]) -> str:
    """A sentence on those plugins whose source is not that in a store's manifest, "" if all are.

    Args:
        manifest: the manifest of the store.
        plugins: what `load_plugins` returned.
    """
    known = manifest.get("plugins")
    known = known if isinstance(known, dict) else {}
    sentences = [
        f"The rows of this folder were trained with another source of the plugin {name}: "
        f"{', '.join(changed_files(known[name], lines))} differ. "
        for name, lines in plugins.items()
        if name in known and known[name] != lines
    ]
    cure = "Use another --out, or put the old source back."
    return "".join(sentences) + cure if sentences else ""


def check_same_source(folder: Path, plugins: Mapping[str, list[str]]) -> None:
    """Raise StoreConflict if a store has rows of another source of a plugin.

    Args:
        folder: the folder of the store, which need not exist.
        plugins: what `load_plugins` returned.
    """
    if (folder / MANIFEST_FILE).exists():
        changes = plugin_changes(Store(folder).read_manifest(), plugins)
        if changes:
            raise StoreConflict(f"{folder}: {changes}")


@contextmanager
def naming_plugins(manifest: Mapping[str, Any], plugins: Collection[str]) -> Iterator[None]:
    """Say which plugins a store was trained with where a grid of it cannot be read without them."""
    try:
        yield
    except GridError as error:
        missing = [name for name in recorded_plugins(manifest) if name not in plugins]
        if not missing:
            raise
        cure = f"Add {' '.join(f'--plugin {name}' for name in missing)}"
        what = "the folder was trained with plugins that are not loaded"
        file = error.problems[0].file
        raise GridError([*error.problems, Problem(file, 1, 1, "", what, cure)]) from None


def _check_name(name: str) -> None:
    """Raise SweepError if a name cannot be that of a module."""
    if all(part.isidentifier() for part in name.split(".")) and not name.endswith(".py"):
        return
    path = PurePath(name)
    if path.suffix == ".py" and path.stem.isidentifier():
        folder = (
            "" if path.parent == PurePath() else f" in {path.parent}, or with that on PYTHONPATH"
        )
        start = f" and start the command{folder}" if folder else ""
        raise SweepError(
            f"--plugin takes the name of a module, and {name} is a file. "
            f"Write --plugin {path.stem}{start}."
        )
    raise SweepError(
        f"--plugin takes the name of a module, which {name!r} cannot be. "
        "Write --plugin own for the file own.py."
    )


def _import(name: str) -> None:
    try:
        importlib.import_module(name)
    except SweepError:  # a signal, or a sentence of the plugin's own
        raise
    except ImportError as error:
        raise SweepError(
            f"The plugin {name} cannot be imported: {error}. "
            "Start the command in its folder, or put that on PYTHONPATH."
        ) from error
    # The module is foreign code, which may raise anything, and a script ends by SystemExit.
    except (Exception, SystemExit) as error:
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise SweepError(
            f"The plugin {name} cannot be imported: {type(error).__name__}: {error}, raised at "
            f"{frame.filename}:{frame.lineno}. Correct it there."
        ) from error


def _registered_kinds() -> dict[str, type]:
    families = {**trial.FAMILIES, "observable": observables.KINDS}
    return {
        f"{family} {kind}": cls for family, kinds in families.items() for kind, cls in kinds.items()
    }


def _check_kinds(name: str, before: Mapping[str, type]) -> None:
    """Raise SweepError if a plugin replaced a kind: rows of both would have the same ids."""
    after = _registered_kinds()
    replaced = [kind for kind, cls in before.items() if after.get(kind) is not cls]
    if replaced:
        raise SweepError(
            f"The plugin {name} replaces {', '.join(replaced)}, under whose name other results "
            "are kept. Give its kind a name of its own."
        )
