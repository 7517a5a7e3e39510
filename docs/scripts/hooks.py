"""What MkDocs generates at every build: field reference, API, import graph, notebook."""

from __future__ import annotations

import importlib
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nbconvert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
# `mkdocs` is a program of its own and has neither the repository nor this folder on its path.
sys.path[:0] = [str(ROOT), str(Path(__file__).parent)]

import imports  # noqa: E402

NOTEBOOK = ROOT / "docs" / "notebook" / "phase_diagram.ipynb"

SWEEP_API = {
    "Running a grid": {"sweep.run": ["sweep"]},
    "Reading a grid": {"sweep.grid": ["load_grid", "parse_grid", "Grid", "Block"]},
    "Declaring a part": {
        "sweep.spec": ["part", "static", "lane", "nested", "Field", "Alternative", "Check"]
    },
    "Base classes of parts": {
        "sweep.data.base": ["AbstractData", "AbstractGaussian"],
        "sweep.models.base": ["AbstractModel", "AbstractFiltered"],
        "sweep.objectives.base": ["AbstractObjective"],
        "sweep.optimizers.base": ["AbstractOptimizer"],
        "sweep.optimizers.schedules": ["AbstractSchedule"],
    },
    "Errors": {
        "sweep.errors": ["SweepError", "GridError", "StoreError", "StoreConflict", "Interrupted"]
    },
}


def on_files(files: Files, config: Any) -> Files:
    """Add the generated files."""
    body, resources = nbconvert.MarkdownExporter().from_filename(str(NOTEBOOK))
    files.append(File.generated(config, "architecture.svg", content=imports.architecture_svg()))
    files.append(File.generated(config, "notebook/phase_diagram.md", content=body))
    for name, content in resources["outputs"].items():
        files.append(File.generated(config, f"notebook/{name}", content=content))
    return files


def on_page_markdown(markdown: str, **context: Any) -> str:
    """Replace the placeholders of pages by what is generated."""
    for placeholder, generate in GENERATORS.items():
        if placeholder in markdown:
            markdown = markdown.replace(placeholder, generate())
    return markdown


def field_pages() -> str:
    """The field reference of all registered kinds and of the optimizers of optax."""
    from sweep import trial
    from sweep.commands import kinds

    pages = [
        f"## {family}\n\n" + "\n\n".join(_kind_section(family, kind) for kind in registry)
        for family, registry in trial.FAMILIES.items()
    ]
    optax = "\n\n".join(_kind_section("optimizer", kind) for kind in kinds.optax_kinds())
    return "\n\n".join([*pages, "## optimizers of optax", optax])


def _kind_section(family: str, kind: str) -> str:
    from sweep.commands import kinds

    return f"### {kind}\n\n{escape_html(kinds.field_reference(family, kind))}"


def escape_html(markdown: str) -> str:
    """`<` as an entity outside of code spans, so that `<w, x>` is no tag."""
    pieces = re.split(r"(`[^`\n]*`)", markdown)
    return "".join(
        piece if piece.startswith("`") else piece.replace("<", "&lt;") for piece in pieces
    )


def analysis_api() -> str:
    """Directives of mkdocstrings for the public names of `analysis`."""
    import analysis

    return _directives("analysis", analysis.__all__)


def sweep_api() -> str:
    """Directives of mkdocstrings for what users and plugins take from `sweep`."""
    sections = []
    for title, modules in SWEEP_API.items():
        directives = "\n\n".join(_directives(module, names) for module, names in modules.items())
        sections.append(f"## {title}\n\n{directives}")
    return "\n\n".join(sections)


def _directives(module: str, names: Iterable[str]) -> str:
    return "\n\n".join(f"::: {_home(module, name)}.{name}" for name in names)


def _home(module: str, name: str) -> str:
    """The module that defines what `module` exports, since mkdocstrings follows no lazy exports."""
    exported = getattr(importlib.import_module(module), name)
    home = getattr(exported, "__module__", None)
    if (
        isinstance(home, str)
        and home in sys.modules
        and hasattr(sys.modules[home], "__file__")
        and callable(exported)
    ):
        return home
    package = module.split(".")[0]
    candidates = [
        candidate
        for candidate, loaded in sorted(sys.modules.items())
        if candidate.startswith(f"{package}.") and _assigns(loaded, name)
    ]
    return candidates[0] if candidates else module


def _assigns(module: Any, name: str) -> bool:
    path = getattr(module, "__file__", None)
    return bool(path) and bool(
        re.search(rf"^{name}\b.*=", Path(path).read_text(encoding="utf-8"), re.M)
    )


GENERATORS = {
    "<!-- generated: field reference -->": field_pages,
    "<!-- generated: analysis API -->": analysis_api,
    "<!-- generated: sweep API -->": sweep_api,
}
