"""Comparison of two manifests, key by key."""

from __future__ import annotations

import json
from collections.abc import Mapping
from itertools import pairwise
from typing import Any

INFO = "info"
"""Values under this key of a manifest are recorded and never compared."""
GROWING = ("columns", "defaults", "plugins")
"""Keys of a manifest that may gain entries: an extended grid may use parts with other columns."""

PLUGINS = "plugins"
"""Entry of `info`: the list of all plugins that rows of the store were trained with."""

DESCRIPTIONS = ("meanings", "definitions", "labels")
"""Entries of `info` that grow with the columns: what these and the kinds of parts mean, and names for readers."""


def describe_changes(old: Mapping[str, Any], new: Mapping[str, Any]) -> str:
    """All incompatible differences, such as `plan.lanes 8 -> 4`; "" if there are none."""
    old_leaves, new_leaves = _flatten(old), _flatten(json.loads(json.dumps(new)))
    changes = []
    for key in sorted(old_leaves | new_leaves):
        in_both = key in old_leaves and key in new_leaves
        differs = not in_both or old_leaves[key] != new_leaves[key]
        may_differ = not in_both and key.split(".")[0] in GROWING
        if differs and not may_differ:
            changes.append(f"{key} {_show(old_leaves, key)} -> {_show(new_leaves, key)}")
    return ", ".join(changes)


def merge_growing(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of both manifests under the keys that may grow."""
    keys = [key for key in GROWING if key in old or key in new]
    return {key: {**to_dict(new.get(key)), **to_dict(old.get(key))} for key in keys}


def merge_descriptions(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    """The recorded information of an old manifest, with descriptions that only the new one has."""
    old_info, new_info = to_dict(old.get(INFO)), to_dict(new.get(INFO))
    keys = [key for key in DESCRIPTIONS if key in new_info]
    added: dict[str, Any] = {
        key: {**to_dict(new_info[key]), **to_dict(old_info.get(key))} for key in keys
    }
    plugins = [*to_list(old_info.get(PLUGINS)), *to_list(new_info.get(PLUGINS))]
    if plugins:
        added[PLUGINS] = list(dict.fromkeys(map(str, plugins)))
    return {**old_info, **added}


def recorded_plugins(manifest: Mapping[str, Any]) -> list[str]:
    """The plugins of a sweep, from its recorded command where the manifest does not list them."""
    info = to_dict(manifest.get(INFO))
    if isinstance(info.get(PLUGINS), list):
        return list(map(str, info[PLUGINS]))
    arguments = list(map(str, to_list(info.get("command"))))
    apart = [name for option, name in pairwise(arguments) if option == "--plugin"]
    joined = [each.partition("=")[2] for each in arguments if each.startswith("--plugin=")]
    return [*apart, *joined]


def to_dict(value: Any) -> dict[str, Any]:
    """A mapping as a dict, anything else as an empty one."""
    return dict(value) if isinstance(value, Mapping) else {}


def to_list(value: Any) -> list[Any]:
    """A list as it is, anything else as an empty one."""
    return value if isinstance(value, list) else []


def _flatten(value: Any, path: str = "") -> dict[str, Any]:
    """The leaves of nested mappings by dotted path, without `info` at the top level."""
    if not isinstance(value, Mapping) or (path and not value):
        return {path: value}
    leaves: dict[str, Any] = {}
    for key, child in value.items():
        if path or key != INFO:
            leaves |= _flatten(child, f"{path}.{key}" if path else key)
    return leaves


def _show(leaves: Mapping[str, Any], path: str) -> str:
    return json.dumps(leaves[path]) if path in leaves else "nothing"
