"""The command `python -m analysis`, and what importing the package costs."""

from __future__ import annotations

import ast
import subprocess
import sys
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from typer.testing import CliRunner

import analysis
from analysis.__main__ import app, main
from sweep.grid import load_grid


def call(capsys: pytest.CaptureFixture[str], *arguments: object) -> tuple[int, str, str]:
    with pytest.raises(SystemExit) as ended:
        main(list(map(str, arguments)))
    out, err = capsys.readouterr()
    return int(ended.value.code or 0), out, err


def test_gap_says_what_it_found_and_wrote(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    code, out, err = call(capsys, "gap", store, "--out", tmp_path / "gap.png")
    assert (code, err) == (0, "") and "Complete: all 48 trials have finished." in out
    assert "Adam's test error exceeds gradient descent's by more than 0.4 in 4 of 6 cells" in out
    assert f"Wrote {tmp_path / 'gap.png'}." in out and (tmp_path / "gap.png").stat().st_size > 1000


@pytest.fixture(scope="module")
def objectives(make: Any, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two losses and two optimizers at two batch sizes: square adds 0.3, Adam 0.1, a batch of 20 0.05."""
    kinds = [(name, loss) for loss in ("logistic", "square") for name in ("adam", "gd")]
    rows = [
        make.row(
            100 * seed + 10 * place + k,
            10 * seed + (loss == "square"),
            name,
            seed=seed,
            objective=loss,
            batch_size=batch,
            test_error=0.3 * (loss == "square") + 0.1 * (name == "adam") + 0.05 * k + 0.001 * seed,
        )
        for seed in range(3)
        for place, (name, loss) in enumerate(kinds)
        for k, batch in enumerate((5, 20))
    ]
    return make.write_store(tmp_path_factory.mktemp("objectives") / "s", rows, trials=len(rows))


def means(folder: Path) -> dict[Any, float]:
    """The means of a table of cells by its keys."""
    cells = pd.read_csv(folder)
    keys = list(cells.columns[: list(cells.columns).index("mean")])
    indexed = cells.set_index(keys) if keys else cells
    return indexed["mean"].round(6).to_dict()


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        (("--pair", "objective", "--facet", "optimizer"), 0.3),
        (("--pair", "batch_size", "--facet", "optimizer"), 0.05),
        (("--pair", "batch_size", "--a", "5", "--b", "20"), -0.05),
        (("--pair", "optimizer", "--facet", "objective"), 0.1),
        (("--y", "objective"), 0.1),
    ],
)
def test_any_column_is_paired_and_any_other_a_facet(
    objectives: Path,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    options: tuple[str, ...],
    expected: float,
):
    out = tmp_path / "gap.csv"
    code, said, err = call(capsys, "gap", objectives, *options, "--out", out)
    assert (code, err) == (0, "")
    found = means(out)
    assert set(found.values()) == {expected}
    names = {key for keys in found for key in (keys if isinstance(keys, tuple) else (keys,))}
    split = {"optimizer": {"adam", "gd"}, "objective": {"logistic", "square"}}
    wanted = split.get(options[-1], set())
    assert wanted <= names
    # What is neither paired nor an axis is held, and said to be.
    assert ("Shown at objective = " in said) == ("objective" not in options)


@pytest.mark.parametrize("option", ["--facet", "--y"])
def test_phase_over_objectives(
    objectives: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], option: str
):
    out = tmp_path / "cells.csv"
    code, said, err = call(capsys, "phase", objectives, option, "objective", "--out", out)
    assert (code, err) == (0, "")
    cells = pd.read_csv(out)
    by_loss = cells.groupby(
        ["optimizer", "objective", "batch_size"] if option == "--y" else "objective"
    )
    assert {"logistic", "square"} == set(cells["objective"])
    assert ("Shown at optimizer = gd, one of 2 values" in said) == (option == "--facet")
    assert (by_loss.size() == (1 if option == "--y" else 2)).all()
    code, _, err = call(
        capsys, "phase", objectives, option, "objective", "--out", tmp_path / "p.png"
    )
    assert (code, err) == (0, "")


def test_a_value_that_is_not_there_is_named(objectives: Path, capsys: pytest.CaptureFixture[str]):
    code, _, err = call(capsys, "gap", objectives, "--pair", "batch_size", "--a", "7")
    assert code == 1 and "The runs have 5, 20; name two of them" in err
    code, _, err = call(capsys, "gap", objectives, "--tune-over", "batchsize")
    assert code == 1 and "Did you mean batch_size" in err
    code, _, err = call(capsys, "gap", objectives, "--tune-over", "batch_size", "--tune-per", "x")
    assert code == 1 and "Choose cell or seed" in err


def test_phase_writes_the_table(store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    code, out, _ = call(
        capsys, "phase", store, "--value", "train_loss", "--out", tmp_path / "cells.csv"
    )
    cells = pd.read_csv(tmp_path / "cells.csv")
    assert (
        code == 0 and len(cells) == 12 and cells["mean"].unique().tolist() == pytest.approx([0.01])
    )
    assert "optimizer" in out


def test_phase_over_one_axis_and_another_facet(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    arguments = (
        "--where",
        "optimizer == 'adam'",
        "--facet",
        "feature_noise",
        "--out",
        tmp_path / "p.svg",
    )
    code, out, _ = call(capsys, "phase", store, *arguments)
    assert "snr" in out and code == 0 and (tmp_path / "p.svg").is_file() and "feature_noise" in out


def test_modes_are_written_with_their_shares(
    make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Adam fails in one of four seeds of one cell; nothing splits in the shared store."""
    rows = make.plane(lambda *_: 0.0)
    rows[6]["test_error"] = 0.5
    folder = make.write_store(tmp_path / "s", rows)
    code, out, _ = call(capsys, "modes", folder, "--out", tmp_path / "modes.csv")
    assert code == 0 and "In 1 cell the seeds of Adam split into modes" in out
    table = pd.read_csv(tmp_path / "modes.csv")
    assert table["seeds"].tolist() == [3, 1] and table["center"].tolist() == [0.0, 0.5]
    code, out, _ = call(
        capsys, "modes", folder, "--where", "snr > 0.2", "--out", tmp_path / "m.svg"
    )
    assert code == 0 and "In no cell do seeds split into modes." in out


def test_curves_choose_the_telling_cell(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    code, out, _ = call(
        capsys, "curves", store, "--value", "feature", "--out", tmp_path / "curves.pdf"
    )
    assert (
        code == 0
        and "the cell with the largest paired difference" in out
        and (tmp_path / "curves.pdf").is_file()
    )


def test_report_writes_the_page(make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    folder = make.write_store(tmp_path / "s", make.plane(make.planted, snrs=(0.1,), alphas=(0.1,)))
    code, out, _ = call(capsys, "report", folder)
    assert code == 0 and f"Wrote {folder / 'report' / 'index.html'}" in out
    code, out, _ = call(capsys, "gap", folder)
    assert code == 0 and "differs by +0.5030 [0.4989, 0.5071]" in out and "Wrote" not in out


def test_errors_are_one_sentence_and_an_exit_code(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    cases = {
        "is not a folder": ("report", tmp_path / "nowhere"),
        f"Give the folder of the sweep, such as {store}.": ("phase", store / "manifest.json"),
        "must not be chosen by 'test_error'": ("gap", store, "--tune", "test_error"),
        "No run has the optimizer 'lion'": ("gap", store, "--a", "lion", "--b", "gd"),
        "No pair of optimizers matches": ("gap", store, "--where", "optimizer == 'gd'"),
        "Give them different columns": ("phase", store, "--x", "snr", "--facet", "snr"),
        "cannot be evaluated": ("phase", store, "--where", "snr =="),
        "no column 'snrr'": ("phase", store, "--x", "snrr"),
        "to x.doc. Use one of the suffixes .pdf, .svg, .png, .csv.": (
            *("phase", store, "--out", tmp_path / "x.doc"),
        ),
        "to x.png. Use the suffix .csv.": ("boundary", store, "--out", tmp_path / "x.png"),
        "x, y and facet are snr, snr": ("refine", store, "--x", "snr", "--y", "snr"),
        "are optimizer, optimizer": ("refine", store, "--x", "optimizer"),
        "model is not numeric": (
            *("refine", store, "--x", "model"),
            *("--where", "snr == 0.3 and feature_noise == 0.2"),
        ),
        "trial is an id": ("phase", store, "--value", "trial"),
        "problem is an id": ("boundary", store, "--value", "problem"),
        "adam and gd have no value of lr in common": ("gap", store, "--x", "snr", "--y", "lr"),
        "no values of 'margin_l2'": ("curves", store, "--value", "margin_l2"),
        "Write 'snr == 0.1 and n >= 2'.": ("phase", store, "--where", "snr = 0.1 and n >= 2"),
        "'status' is not a condition": ("phase", store, "--where", "status"),
        "'seed' is not a condition": ("phase", store, "--where", "seed"),
        "'1' is not a condition": ("phase", store, "--where", "1"),
        "No run has a value of flip_test": ("phase", store, "--y", "flip_test"),
        "cannot be written: No such file": ("phase", store, "--out", "/proc/x.pdf"),
        "1 run is too few for a single row": ("refine", store, "--runs", 1),
        "7 runs are too few for a single row and 4 seeds. Give at least 16": (
            *("refine", store, "--runs", 7),
        ),
    }
    for what, arguments in cases.items():
        code, out, err = call(capsys, *arguments)
        assert code == 1 and what in err and err.count("\n") == 1, arguments
        assert "suffix" not in what or out == ""
    assert call(capsys, "phase")[0] == 2


@pytest.mark.parametrize("command", ["phase", "gap", "boundary", "curves", "watch"])
def test_a_value_of_text_is_a_sentence(
    store: Path, command: str, capsys: pytest.CaptureFixture[str]
):
    for column in ("status", "optimizer"):
        code, _, err = call(capsys, command, store, "--value", column)
        assert code == 1 and f"{column} does not hold numbers. Choose" in err


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "utf-8"])
def test_terminals_of_any_encoding(store: Path, encoding: str):
    """The arrows of the axes, the sign of infinity, Greek letters."""
    runner = CliRunner(charset=encoding)
    for arguments in (["watch", str(store)], ["boundary", str(store), "--level", "0.9"]):
        result = runner.invoke(app, arguments)
        assert result.exit_code == 0, result.exception
        signs = ("→", "-∞") if encoding == "utf-8" else ("->", "-inf")
        assert signs[arguments[0] == "boundary"] in result.output
        assert result.output.endswith("\n")


def test_words_of_a_table_are_printed_as_they_stand(make: Any, tmp_path: Path):
    """Neither a terminal nor rich obeys them."""
    name = "[red]\x1b]0;title\x07[/nothing]"
    folder = make.write_store(
        tmp_path / "s", make.plane(make.planted, optimizers=[name, "gd"], seeds=2), trials=24
    )
    for command in ("phase", "gap", "boundary", "watch"):
        output = CliRunner().invoke(app, [command, str(folder)]).output
        assert "[red]\\x1b]0;title\\x07[/nothing]" in output and "\x1b]" not in output, command


def test_home_in_quotes(store: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("HOME", str(store.parent))
    monkeypatch.chdir(tmp_path)
    assert len(analysis.load(f"~/{store.name}")) == 48
    result = CliRunner().invoke(app, ["phase", f"~/{store.name}", "--out", "~/cells.csv"])
    assert result.exit_code == 0 and (store.parent / "cells.csv").is_file()
    (store.parent / "cells.csv").unlink()
    assert list(tmp_path.iterdir()) == []
    # A folder that is called ~ is read where it is given with its place.
    (tmp_path / "~").symlink_to(store)
    monkeypatch.setenv("HOME", "/nowhere")
    assert len(analysis.load(tmp_path / "~")) == 48


def test_importing_is_light_and_needs_no_jax():
    heavy = {"jax", "pandas", "scipy", "matplotlib", "seaborn", "jinja2"}
    code = f"import sys, analysis, analysis.__main__; print(sorted({heavy} & set(sys.modules)))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_names_are_imported_on_first_use():
    """`import analysis` needs no pandas, and `analysis.load` no figures."""
    heavy = {"jax", "matplotlib", "seaborn", "jinja2", "rich", "scipy"}
    code = (
        "import sys, analysis\nassert 'pandas' not in sys.modules\nassert 'load' in dir(analysis)\n"
        f"analysis.load\nprint(sorted({heavy} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_lazy_names_are_those_of_their_modules():
    assert set(analysis._MODULES) == set(analysis.__all__) <= set(dir(analysis))
    for name, module in analysis._MODULES.items():
        assert getattr(analysis, name) is getattr(sys.modules[module], name)
    assert analysis.Cells.__module__ == analysis._MODULES["Cells"]
    with pytest.raises(AttributeError, match="has no attribute 'cells'"):
        analysis.cells  # type: ignore[attr-defined]  # noqa: B018


def test_type_checkers_see_the_names_that_the_table_has():
    tree = ast.parse(Path(analysis.__file__).read_text(encoding="utf-8"))
    (block,) = (node for node in tree.body if isinstance(node, ast.If))
    imports = [node for node in block.body if isinstance(node, ast.ImportFrom)]
    assert {
        alias.name: node.module for node in imports for alias in node.names
    } == analysis._MODULES


def test_figures_compute_no_statistics():
    """They import nothing of `stats`, nor of scipy: a number in a figure is one of its table."""
    for path in (Path(analysis.__file__).parent / "figures").glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            assert not any(name.startswith(("analysis.stats", "scipy")) for name in names), path


def test_a_whole_report_needs_no_jax(store: Path, tmp_path: Path):
    code = (
        "import sys, analysis\nruns = analysis.load(sys.argv[1])\n"
        "cells = analysis.Cells('snr', 'feature_noise', 'difference')"
        "(analysis.PairedGap('adam', 'gd')(runs))\nanalysis.phase_diagram(cells)\n"
        "print([name for name in sys.modules if name.split('.')[0] in ('jax', 'jaxlib')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, store], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"


def test_of_sweep_only_names_are_known():
    allowed = {"sweep.schema", "sweep.status", "sweep.errors", "sweep.cli", "sweep.store", "sweep"}
    # draws the points of a sweep again, computes the ids of a grid
    drawn = {
        "margins.py": {"sweep.data", "sweep.data.base", "sweep.jax_settings"},
        "grids.py": {"sweep.grid"},
    }
    allowed |= {"sweep.terminal_text", "sweep.user_paths", "sweep.import_path", "sweep.wording"}
    # commands: signals, and the command of a round
    allowed |= {"sweep.early_signals", "sweep.start_command"}
    drawn["provenance.py"] = drawn["grid_edit.py"] = {"sweep.grid.syntax.yaml_reader"}
    for path in Path(analysis.__file__).parent.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            names = [node.module] if isinstance(node, ast.ImportFrom) else []
            names += [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
            used = {name for name in names if name and name.split(".")[0] == "sweep"}
            assert used <= allowed | drawn.get(path.name, set()), path


def test_the_public_names():
    assert analysis.__all__ == [
        *(
            "THEORIES",
            "Bands",
            "Boundary",
            "Cells",
            "Collapse",
            "Correlation",
            "CriticalBatch",
            "FitTime",
            "LossMatched",
            "Margins",
            "Modes",
            "Overlay",
            "PairedGap",
        ),
        *(
            "Refinement",
            "SignFlips",
            "Theory",
            "Tuning",
            "Within",
            "best_margins",
            "collapse_figure",
            "correlation_figure",
            "curves_figure",
        ),
        *(
            "gap_figure",
            "labelled",
            "load",
            "load_curves",
            "matched_figure",
            "max_margin_l2",
            "max_margin_linf",
            "pairs",
        ),
        *(
            "phase_diagram",
            "picture",
            "plane",
            "problem_axes",
            "refine",
            "report",
            "save",
            "survival_figure",
            "swept",
        ),
        *("training_axes", "tuned"),
    ]
    assert all(callable(getattr(analysis, name)) for name in analysis.__all__ if name != "THEORIES")


def test_boundary_collapse_and_refine_say_what_they_found(
    store: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    code, said, _ = call(capsys, "boundary", store, "--level", 0.25, "--out", tmp_path / "b.csv")
    assert (
        code == 0
        and "crossed at this snr" in said
        and (tmp_path / "b.csv").read_text().count("adam") == 2
    )
    code, said, _ = call(
        capsys, "collapse", store, "--size", "feature_noise", "--out", tmp_path / "c.csv"
    )
    assert (
        code == 0
        and "a quality near 1 is a collapse" in said
        and "scaled" in (tmp_path / "c.csv").read_text()
    )
    code, _, said = call(capsys, "refine", store, "--out", tmp_path / "r")
    assert code == 1 and "grid" in said  # that of the planted store gives no axes


def test_boundary_names_branches_and_sides(
    make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """The error is 0.9 at one snr of adam only, and 0 for gd."""

    def peak(name: str, snr: float, *_: float) -> float:
        return 0.9 if name == "adam" and snr == 0.3 else 0.0

    folder = make.write_store(tmp_path / "s", make.plane(peak))
    code, said, _ = call(capsys, "boundary", folder, "--out", tmp_path / "all.csv")
    found = pd.read_csv(tmp_path / "all.csv")
    assert code == 0 and found[found["optimizer"] == "adam"]["branch"].tolist() == [
        *("rising", "falling"),
        *("rising", "falling"),
    ]
    assert set(found[found["optimizer"] == "gd"]["side"]) == {"below"}
    assert "2 of 4 rows cross 0.25 twice." in said
    assert "2 of 4 rows lie below 0.25 everywhere." in said and "An infinite place" in said
    arguments = ("boundary", folder, "--branch", "rising", "--out", tmp_path / "rising.csv")
    assert call(capsys, *arguments)[0] == 0
    rising = pd.read_csv(tmp_path / "rising.csv")
    assert set(rising[rising["followed"]]["branch"]) == {"rising"}
    _, said, _ = call(capsys, "refine", folder, "--out", tmp_path / "r")
    assert "the branch falling is refined; rows also cross on rising." in said
    code, said, _ = call(capsys, "boundary", folder, "--fit", "logistic")
    assert code == 0 and "A logistic curve crosses once by its definition" in said
    for branch, cure in (("falling 2", "on no branch 'falling 2'"), ("up", "Name falling or")):
        code, _, err = call(capsys, "boundary", folder, "--branch", branch)
        assert code == 1 and cure in err


TUNED_GRID = """
name: planted
seed: {range: [0, 4]}
data: {kind: feature_noise, n: 20, d: 100, sparsity: 10, snr: [0.1, 0.3, 1], feature_noise: [0.1, 0.2]}
model: {kind: cnn}
optimizer: [{kind: gd, lr: [0.1, 0.5]}, {kind: adam, lr: [0.1, 0.5]}]
"""


def write_tuned_store(make: Any, folder: Path) -> Path:
    """A store in which the larger step size fits better, and the other one never fails."""
    rows = [
        {**row, "trial": 2 * row["trial"] + k, "lr": lr, "train_loss": loss, "test_error": error}
        for row in make.plane(make.planted)
        for k, (lr, loss, error) in enumerate([(0.1, 0.02, 0.0), (0.5, 0.01, row["test_error"])])
    ]
    make.write_store(folder, rows, trials=len(rows))
    (folder / "grid.yaml").write_text(TUNED_GRID)
    return folder


def test_refine_tunes_as_boundary_does(
    make: Any, tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """New points have all step sizes, so that the best of them can be chosen there as well."""
    folder, out = write_tuned_store(make, tmp_path / "s"), tmp_path / "r"
    code, said, err = call(capsys, "refine", folder, "--runs", 64, "--out", out)
    assert (code, err) == (0, "") and "the smallest mean over its seeds of the train loss" in said
    (gd, adam) = load_grid(out / "round-1.yaml").blocks
    for block in (gd, adam):
        columns = block.columns(next(block.rows()))
        assert set(columns["lr"]) == {0.1, 0.5} and set(columns["seed"]) == {4, 5, 6, 7}
        assert 0.3 < min(columns["snr"]) < max(columns["snr"]) < 1
    assert gd.size + adam.size == 64
    code, _, err = call(capsys, "refine", folder, "--tune", "test_error")
    assert code == 1 and "must not be chosen by" in err


def test_refine_names_a_condition_that_works(store: Path, capsys: pytest.CaptureFixture[str]):
    code, _, err = call(capsys, "refine", store, "--x", "snr", "--y", "sparsity")
    assert code == 1 and "--where 'feature_noise == 0.2'" in err
