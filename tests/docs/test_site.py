"""Links of the documents, the import graph, the notebook, the site."""

from __future__ import annotations

import graphlib
import importlib.util
import json
import os
import re
import subprocess
import sys
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

import pytest

from tests import ROOT
from tests.docs.blocks import DOCUMENTS, FENCE

NOTEBOOK = ROOT / "docs" / "notebook" / "phase_diagram.ipynb"
GENERATED = {"architecture.svg", "phase_diagram.md"}
"""Files that exist only in the built site."""


def script(name: str) -> ModuleType:
    """A script of `docs/scripts` as a module."""
    spec = importlib.util.spec_from_file_location(
        f"docs_{name}", ROOT / "docs" / "scripts" / f"{name}.py"
    )
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize(
    "path", [*DOCUMENTS, ROOT / "CHANGELOG.md"], ids=lambda path: path.relative_to(ROOT).as_posix()
)
def test_links_lead_to_files(path: Path):
    prose = FENCE.sub("", path.read_text(encoding="utf-8"))
    targets = re.findall(r"\]\(([^)#\s]+)[^)]*\)", prose)
    relative = [target for target in targets if not target.startswith("http")]
    missing = [target for target in relative if not (path.parent / target).exists()]
    assert [target for target in missing if Path(target).name not in GENERATED] == []


def test_every_page_is_in_the_navigation():
    navigation = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in (ROOT / "docs").rglob("*.md")]
    assert [
        page for page in pages if not re.search(rf"\s{re.escape(page)}$", navigation, re.M)
    ] == []


def test_the_readme_is_short_and_has_the_lines_of_ci():
    lines = (ROOT / "README.md").read_text(encoding="utf-8").splitlines()
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    assert len(lines) <= 150
    for line in [line for line in lines if line.startswith("pip install -c constraints.txt")]:
        assert line.removeprefix("pip install ") in ci


def test_the_import_graph_has_all_folders_and_no_circle():
    imports = script("imports")
    graph = imports.only_modules(imports.import_graph())
    levels = imports.layers(graph)
    heights = {node: level for level, nodes in enumerate(levels) for node in nodes}
    assert all(
        heights[target] < heights[node] for node, targets in graph.items() for target in targets
    )
    folders = {f"sweep.{path.parent.name}" for path in (ROOT / "sweep").glob("*/__init__.py")}
    assert folders <= set(heights)


def test_the_picture_shows_what_does_not_follow_from_other_imports():
    imports = script("imports")
    graph = {"sweep.a": {"sweep.b", "sweep.c"}, "sweep.b": {"sweep.c"}, "sweep.c": set()}
    assert imports.reduce_graph(graph) == {
        "sweep.a": {"sweep.b"},
        "sweep.b": {"sweep.c"},
        "sweep.c": set(),
    }
    image = ElementTree.fromstring(imports.draw_graph(graph))
    texts = [element.text for element in image.iter() if element.tag.endswith("text")]
    assert texts == ["sweep.a", "sweep.b", "sweep.c"]
    assert sum(element.tag.endswith("path") for element in image.iter()) == 2
    with pytest.raises(graphlib.CycleError):
        imports.layers({"sweep.a": {"sweep.b"}, "sweep.b": {"sweep.a"}})


def test_the_architecture_page_names_all_folders():
    page = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    for package in ("sweep", "analysis"):
        for path in (ROOT / package).glob("*/__init__.py"):
            assert f"`{path.parent.name}`" in page


def test_the_notebook_is_executed_without_errors_and_shows_a_figure():
    notebook = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    outputs = [output for cell in cells for output in cell["outputs"]]
    assert all(cell["execution_count"] for cell in cells)
    assert not [output for output in outputs if output["output_type"] == "error"]
    assert [output for output in outputs if "image/png" in output.get("data", {})]


def test_the_notebook_is_the_one_of_its_script():
    pytest.importorskip("nbclient")
    committed = json.loads(NOTEBOOK.read_text(encoding="utf-8"))["cells"]
    sources = [(cell["cell_type"], "".join(cell["source"])) for cell in committed]
    assert sources == script("notebook").CELLS


def run_tool(*arguments: str, cwd: Path = ROOT, seconds: float = 600) -> None:
    """A tool as a process of its own, whose output is shown where it fails."""
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "JAX_PLATFORMS": "cpu"}
    command = [sys.executable, *arguments]
    done = subprocess.run(
        command,
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=seconds,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_notebook_executes(tmp_path: Path):
    """In CI, by `pytest -m slow tests/docs`: half a minute for a kernel, imports and trainings."""
    pytest.importorskip("nbclient")
    code = (
        "import pathlib, runpy; script = runpy.run_path('docs/scripts/notebook.py'); "
        "notebook = script['unexecuted_notebook'](); "
        f"script['execute_notebook'](notebook, pathlib.Path({str(tmp_path)!r}))"
    )
    run_tool("-c", code)


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path: Path):
    pytest.importorskip("mkdocstrings")
    run_tool("-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path))
