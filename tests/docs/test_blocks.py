"""Every fenced block of the documentation runs, parses or is compared.

A block of a language without a check fails."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import matplotlib as mpl
import pandas as pd
import pytest
import yaml

import analysis
from sweep import observables, trial
from sweep.commands.kinds import describe_kind
from sweep.errors import GridError
from sweep.grid import parse_grid
from sweep.run import sweep
from tests import ROOT
from tests.analysis.conftest import Helpers
from tests.docs.blocks import DOCUMENTS, CodeBlock, code_blocks
from tests.docs.shell_lines import command_error, shell_commands
from tests.shell import jax_as_it_was, write_grid

Names = dict[str, Any]

WITH_BLOCKS = [path for path in DOCUMENTS if code_blocks(path)]


class Session:
    """The blocks of one document in order: names, registered kinds and files stay."""

    def __init__(self) -> None:
        self.names: Names = {}
        self.errors = ""

    def run(self, block: CodeBlock) -> None:
        """Check one block. Raises whatever its check raises."""
        checks: dict[str, Callable[[CodeBlock], None]] = {
            "python": self.run_python,
            "yaml": self.parse_yaml,
            "text": self.compare_text,
            "bash": self.check_bash,
        }
        assert block.language in checks, f"{block}: no check for a block of {block.language!r}"
        checks[block.language](block)

    def run_python(self, block: CodeBlock) -> None:
        """Execute it, with the line numbers of the document and no future imports of this file."""
        code = "\n" * block.line + block.text
        exec(compile(code, block.document, "exec", dont_inherit=True), self.names)

    def parse_yaml(self, block: CodeBlock) -> None:
        """Parse a grid; keys that an excerpt leaves out are those of the quickstart.

        Only a block titled `grid.yaml` may be wrong; the text that follows shows its errors.
        """
        text = block.text
        if "name" not in yaml.safe_load(text):
            quickstart = yaml.safe_load(
                (ROOT / "configs" / "quickstart.yaml").read_text(encoding="utf-8")
            )
            text = yaml.safe_dump({**quickstart, **yaml.safe_load(text)})
        try:
            assert parse_grid(text, block.title or str(block)).size > 0, (
                f"{block}: a grid without trials"
            )
        except GridError as error:
            if block.title != "grid.yaml":
                raise
            self.errors = str(error)

    def compare_text(self, block: CodeBlock) -> None:
        """Each line has to be in the output of what the title names."""
        command, _, kind = block.title.rpartition(" ")
        assert command == "sweep kinds" or block.title == "grid.yaml", (
            f"{block}: no title= says what prints it"
        )
        output = self.errors if block.title == "grid.yaml" else describe_kind(kind)
        missing = [line for line in block.text.splitlines() if line not in output]
        assert not missing, f"{block}: {missing} is not in\n{output}"

    def check_bash(self, block: CodeBlock) -> None:
        """Commands, options, modules, configs and extras exist."""
        errors = {" ".join(words): command_error(words) for words in shell_commands(block.text)}
        assert not any(errors.values()), f"{block}: {errors}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A working directory with a planted store at `results/quickstart`."""
    folder = tmp_path_factory.mktemp("documents")
    rows = Helpers.plane(Helpers.planted)
    Helpers.write_store(
        folder / "results" / "quickstart", rows, Helpers.bend(rows), trials=len(rows)
    )
    return folder


@pytest.fixture
def session(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Session]:
    """A session in that directory, after which the registries are as before."""
    monkeypatch.chdir(folder)
    every: list[Any] = [*trial.FAMILIES.values(), observables.KINDS]
    registries = [(registry, dict(registry)) for registry in every]
    with mpl.rc_context():
        yield Session()
    for registry, kinds in registries:
        registry.clear()
        registry.update(kinds)


def run_document(session: Session, path: Path) -> Names:
    """All blocks of a document."""
    for block in code_blocks(path):
        session.run(block)
    return session.names


@pytest.mark.parametrize(
    "path", WITH_BLOCKS, ids=[path.relative_to(ROOT).as_posix() for path in WITH_BLOCKS]
)
def test_blocks_of_a_document(path: Path, session: Session):
    run_document(session, path)


@pytest.mark.slow
def test_the_kinds_of_the_plugin_page_train(session: Session, tmp_path: Path):
    page = ROOT / "docs" / "plugins.md"
    run_document(session, page)
    (grid,) = [block for block in code_blocks(page) if block.title == "mine.yaml"]
    path = write_grid(tmp_path, grid.text, grid.title)
    with jax_as_it_was():
        runs = analysis.load(sweep(path, tmp_path / "store", workers=1, quiet=True))
    easy = runs[runs["separation"] == 4.0]
    assert set(runs["optimizer"]) == {"normalized_gd", "adam"}
    assert (easy.loc[easy["optimizer"] == "normalized_gd", "test_error"] < 0.25).all()


def test_a_block_of_an_unknown_language_fails(session: Session):
    with pytest.raises(AssertionError, match="no check for a block of 'rust'"):
        session.run(CodeBlock("page.md", 1, "rust", "", "fn main() {}"))


@pytest.mark.parametrize(
    ("language", "title", "text"),
    [
        ("bash", "", "sweep statos results/quickstart"),
        ("bash", "", "python -m sweep.run configs/quickstart.yaml --dtypo float64"),
        ("bash", "", "python -m sweep.run configs/missing.yaml"),
        ("bash", "", "pip install '.[nothing]'"),
        ("bash", "", "python -m tests.missing"),
        ("bash", "", "make everything"),
        ("yaml", "", "train: {stops: 3}"),
        ("text", "", "a line"),
        ("text", "sweep kinds lion", "a line that it does not print"),
        ("python", "", "import analysis\nanalysis.missing"),
    ],
)
def test_a_wrong_block_fails(language: str, title: str, text: str, session: Session):
    with pytest.raises((AssertionError, GridError, AttributeError)):
        session.run(CodeBlock("page.md", 1, language, title, text))


def test_pandas_duckdb_polars_and_xarray_find_the_same_gap(session: Session):
    names = run_document(session, ROOT / "docs" / "running.md")
    loaded = analysis.load("results/quickstart")
    cells = analysis.Cells("snr", "feature_noise", "difference")(
        analysis.PairedGap("adam", "gd")(loaded)
    )
    expected = cells.set_index(["snr", "feature_noise"])["mean"]
    by_pandas = names["gap"].groupby(["snr", "feature_noise"]).mean()
    by_duckdb = names["by_duckdb"].set_index(["snr", "feature_noise"])["gap"]
    by_polars = names["by_polars"].to_pandas().set_index(["snr", "feature_noise"])["gap"]
    by_xarray = names["by_xarray"].test_error.to_series()
    for gap in (by_pandas, by_duckdb, by_polars, by_xarray):
        pd.testing.assert_series_equal(gap.sort_index(), expected, check_names=False)


def test_the_figure_is_the_paired_map(session: Session):
    names = run_document(session, ROOT / "docs" / "analysis.md")
    assert len(names["cells"]) == 6
    assert len(names["figure"].axes) == 2
