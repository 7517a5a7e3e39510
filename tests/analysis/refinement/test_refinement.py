"""Refinement: points at the crossing, grids of exactly those points, rounds of a real sweep."""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from analysis.refinement import rounds
from analysis.refinement.grid_edit import grid_with_cells
from analysis.refinement.proposal import MIN_SEEDS, Refinement
from analysis.refinement.rounds import refine
from analysis.stats.boundary import Boundary
from sweep import grid
from sweep.errors import SweepError
from sweep.store import recorded_plugins
from tests.shell import command, environment, table, write_grid

pytestmark = pytest.mark.thorough

Y = np.array([10, 20, 40, 80, 160, 320])
X = np.geomspace(0.1, 10, 9)
AT = 2 * (Y / 10) ** -0.5
BOUNDARY = Boundary("snr", "n", level=0.3, facet="optimizer", resamples=200)

TEXT = """
# A comment that may go.
name: planted
seed: {range: [0, 4]}
data: {kind: signal_noise, n: [10, 20, 40], d: 100, snr: {log: [0.25, 4, 5]}, flip: 1e-1}
model: {kind: cnn, width: 4, init_scale: "=d**-0.5"}
optimizer: [{kind: gd, lr: 0.1}, {kind: adam, lr: 1e-3}]
train: {steps: 20}
where: "n <= d"
record: {points: 0}
"""

TINY = """
name: tiny
seed: {range: [0, 4]}
data: {kind: signal_noise, n: 20, d: [100, 1000], signal: {log: [0.5, 16, 6]}, noise: 1, flip: 0.1, flip_test: true}
model: {kind: linear, init_scale: "=1/sqrt(3*d)"}
optimizer: {kind: gd, lr: 0.1}
train: {steps: 60}
test_points: 200
record: {points: 0}
coordinates: gram
"""


def runs_at(points: pd.DataFrame, width: float = 0.5, spread: float = 0.2) -> pd.DataFrame:
    """Runs whose error falls from 1/2 to 0.1 around AT, each seed off by an amount of its own in all cells."""
    own = np.random.default_rng(1).normal(0, spread, 10_000)[points["seed"]]
    at = np.log(AT[np.searchsorted(Y, points["n"])]) + own
    value = 0.1 + 0.4 / (1 + np.exp((np.log(points["snr"]) - at) / width))
    return points.assign(test_error=value, optimizer="gd")


def plane(seeds: int = 4, x: np.ndarray = X) -> pd.DataFrame:
    s, i, j = (
        each.ravel() for each in np.meshgrid(np.arange(seeds), np.arange(len(Y)), np.arange(len(x)))
    )
    return runs_at(pd.DataFrame({"n": Y[i], "snr": x[j], "seed": s}))


def more(runs: pd.DataFrame, points: pd.DataFrame) -> pd.DataFrame:
    return pd.concat([runs, runs_at(points)], ignore_index=True)


def test_new_seeds_go_to_both_sides_of_each_crossing() -> None:
    runs = plane()
    points = Refinement(BOUNDARY, 120)(runs)
    found = BOUNDARY(runs).set_index("n")["at"]
    assert set(points["n"]) == set(Y) and len(points) <= 120
    for n, own in points.groupby("n"):
        left, right = sorted(own["snr"].unique())
        at = np.searchsorted(X, found[n])
        assert (left, right) == (X[at - 1], X[at])
    assert points["seed"].min() == 4
    assert points.groupby(["n", "snr"])["seed"].agg(tuple).nunique() == 1


def test_rounds_need_far_fewer_runs_than_seeds_everywhere() -> None:
    """Six rows at 40 seeds beside their crossings err less than at 10 seeds in all 64 cells of a row."""
    runs = plane()
    for _ in range(3):
        runs = more(runs, Refinement(BOUNDARY, 144)(runs))
    dense = plane(10, np.geomspace(0.1, 10, 64))
    error, dense_error = (
        np.sqrt(np.mean(np.log(BOUNDARY(each)["at"] / AT) ** 2)) for each in (runs, dense)
    )
    assert len(runs) < 0.17 * len(dense)
    assert error < dense_error


def test_a_gap_is_parted_by_few_seeds_until_seeds_are_what_limits() -> None:
    runs = plane()
    runs["test_error"] = np.where(runs["snr"] < AT[np.searchsorted(Y, runs["n"])], 0.5, 0.1)
    points = Refinement(BOUNDARY, 1000)(runs)
    assert points["seed"].nunique() == MIN_SEEDS
    for n, own in points.groupby("n"):
        right = np.searchsorted(X, AT[np.searchsorted(Y, n)])
        np.testing.assert_allclose(
            sorted(own["snr"].unique()), np.geomspace(*X[right - 1 : right + 1], 4)[1:3]
        )


def test_a_row_whose_boundary_lies_outside_gets_nothing() -> None:
    runs = plane()
    runs.loc[runs["n"] == 10, "test_error"] = 0.5
    runs.loc[runs["n"] == 20, "test_error"] = 0.1
    assert set(Refinement(BOUNDARY, 200)(runs)["n"]) == set(Y[2:])
    assert Refinement(BOUNDARY, 200)(runs.assign(test_error=0.5)).empty


def test_two_seeds_that_agree_by_chance_do_not_end_a_row() -> None:
    runs = plane()
    one = runs["n"] == 10
    runs.loc[one, "test_error"] = runs[one].groupby("snr")["test_error"].transform("mean")
    runs.loc[one & (runs["seed"] == 0), "test_error"] += 1e-6
    assert 10 in set(Refinement(BOUNDARY, 200)(runs)["n"])


def test_whole_numbers_stay_whole_and_facets_share_their_points() -> None:
    steps = np.array([1, 2, 5, 9])
    found = [
        (x, seed, name, 0.5 if x < cut else 0.1)
        for x in steps
        for seed in range(4)
        for name, cut in (("gd", 3), ("adam", 9))
    ]
    runs = pd.DataFrame(found, columns=["width", "seed", "optimizer", "test_error"])
    points = Refinement(Boundary("width", level=0.3, facet="optimizer"), 200)(runs)
    assert points["width"].dtype.kind == "i" and set(points["width"]) == {3, 4, 6, 7}
    assert len(points) * 2 <= 200


def test_too_few_runs_for_a_row_say_how_many_it_takes() -> None:
    with pytest.raises(SweepError, match="Give at least 8"):
        Refinement(BOUNDARY, 7)(plane())


def test_rows_that_were_refined_keep_intervals_seeds_and_direction() -> None:
    """Rows have few x in common then, and some rows few of the seeds."""
    runs = plane()
    points = pd.DataFrame(
        [
            (n, x * (1 + k / 100), 4 + s)
            for k, n in enumerate(Y[1:])
            for x in (0.5, 1)
            for s in range(60)
        ]
    )
    both = more(runs, points.set_axis(["n", "snr", "seed"], axis=1))
    found = BOUNDARY(both)
    assert found["seeds"].tolist() == [4, *[64] * 5]
    assert np.isfinite(found[["at", "low", "high"]]).all().all()
    assert found["low"][0] < BOUNDARY(runs)["at"][0] < found["high"][0]
    rise = BOUNDARY(both.assign(test_error=0.6 - both["test_error"]))
    np.testing.assert_allclose(rise["at"], found["at"])


def enumerated(text: str) -> set[tuple[object, ...]]:
    """The points of a grid: optimizer, n, snr and seed."""
    found = set()
    for block in grid.parse_grid(text).blocks:
        for rows in block.rows(1000):
            columns = block.columns(rows)
            names = np.broadcast_to(columns["optimizer"], len(rows))
            found |= set(zip(names, columns["n"], columns["snr"], columns["seed"], strict=True))
    return found


def test_a_written_grid_has_exactly_the_points_and_keeps_everything_else() -> None:
    cells, seeds = {"snr": [0.7071067812, 1e-05, 2.0], "n": [10, 10, 40]}, [4, 5, 6]
    text = grid_with_cells(TEXT, "planted-refined", cells, seeds, "n < 30")
    expected = {
        (name, n, snr, seed)
        for name in ("gd", "adam")
        for snr, n in zip(*cells.values(), strict=True)
        for seed in seeds
        if n < 30
    }
    assert enumerated(text) == expected
    for kept in ("flip: 1e-1", '"=d**-0.5"', "lr: 1e-3", "n <= d", "{points: 0}"):
        assert kept in text


def test_a_new_grid_makes_the_very_trials_of_the_old_one_where_they_meet() -> None:
    def trials(text: str) -> set[int]:
        return {
            trial
            for block in grid.parse_grid(text).blocks
            for rows in block.rows(1000)
            for trial in block.ids(rows)[0].tolist()
        }

    xs = np.geomspace(0.25, 4, 5).tolist()
    cells = {"n": [10, 20, 40] * 5, "snr": [x for x in xs for _ in range(3)]}
    assert trials(grid_with_cells(TEXT, "other", cells, range(4))) == trials(TEXT)


@pytest.mark.parametrize(
    ("old", "new", "column", "said"),
    [
        ("", "", "noise", "does not set noise"),
        ("d: 100", 'd: "=10*n"', "d", "computes d"),
        (
            "data: {",
            "data: [{kind: signal_noise, n: 5, d: 10, snr: 1}, {",
            "snr",
            "union of mappings",
        ),
        ("record:", "zip: [n, snr]\nrecord:", "snr", "n and snr together"),
    ],
)
def test_a_grid_that_cannot_be_given_other_cells_says_why(
    old: str, new: str, column: str, said: str
) -> None:
    text = TEXT.replace(old, new).replace("flip: 1e-1}", "flip: 1e-1}" + "]" * ("data: [" in new))
    with pytest.raises(SweepError, match=said):
        grid_with_cells(text, "other", {column: [1.0]}, [0])


LAUGHS = "\n".join(
    f"x{k}: &a{k} [{', '.join([f'*a{k - 1}' if k else 'z'] * 9)}]" for k in range(10)
)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: [", "not YAML"),
        ("name: x\ndata: &a [*a]\n", "levels deep"),
        ("\ufffd\ufffda\0", "cannot stand in YAML"),
        (f"data: {'[' * 3000}{']' * 3000}", "levels deep"),
        (f"{LAUGHS}\ndata: *a9\n", "more than 100000 values"),
        ("? {a: b}\n: c\ndata: {snr: 1}\n", "a key has to be a word"),
        ("", "the file is empty"),
        ("snr", "not a mapping"),
    ],
)
def test_a_hostile_grid_is_refused_soon(text: str, said: str) -> None:
    start = time.perf_counter()
    with pytest.raises(SweepError, match=said):
        grid_with_cells(text, "other", {"snr": [1.0]}, [0])
    assert time.perf_counter() - start < 20


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A tiny sweep, in an environment that later rounds share."""
    folder = tmp_path_factory.mktemp("refine")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in environment(XLA_FLAGS="--xla_backend_optimization_level=0").items():
            patch.setenv(name, value)
        assert command(write_grid(folder, TINY), "--out", folder / "tiny", "--quiet").code == 0
        yield folder / "tiny"


SMALL = Refinement(Boundary("signal", "d", level=0.3, facet="optimizer", resamples=100), 32)


def test_a_sweep_is_refined_in_a_store_of_its_own(store: Path, tmp_path: Path) -> None:
    before, out = table(store), tmp_path / "more"
    said = list(refine(store, SMALL, 0, out))
    assert len(said) == 2 and "round-1.yaml --out" in said[1] and not (out / "runs").exists()
    said = list(refine(store, SMALL, 1, out))
    planned = grid.load_grid(out / "round-1.yaml")
    rows = table(out)
    assert len(rows) == planned.size <= 32 and rows["seed"].min() == 4
    assert f"{48 + len(rows):,} runs: 2 of 2 rows" in said[-1]
    assert table(store).equals(before)


def test_a_round_that_fails_is_a_sentence_with_its_command(store: Path, tmp_path: Path) -> None:
    tmp_path.joinpath("manifest.json").write_text('{"name": "another"}')
    with pytest.raises(SweepError, match=r"round-1.yaml ended with exit code 3.*sweep.run"):
        list(refine(store, SMALL, 1, tmp_path))


def refined_sizes(
    monkeypatch: pytest.MonkeyPatch,
    folder: Path,
    loaded: list[pd.DataFrame],
    budget: int,
    text: str = TEXT,
) -> list[int]:
    """The sizes of the grids of rounds that read these runs in turn, none of which is trained."""
    (folder / "grid.yaml").write_text(text)
    (folder / "manifest.json").write_text("{}")
    states = iter(loaded)
    monkeypatch.setattr(rounds, "_load", lambda *_: next(states))
    monkeypatch.setattr(rounds, "_run", lambda *_: None)
    list(refine(folder, Refinement(BOUNDARY, budget), len(loaded) - 1, folder / "out"))
    paths = sorted((folder / "out").glob("round-*.yaml"))
    return [grid.load_grid(path).size for path in paths]


def both_optimizers(runs: pd.DataFrame) -> pd.DataFrame:
    """The runs, and the same of another optimizer: the grid has two."""
    return pd.concat([runs, runs.assign(optimizer="adam")], ignore_index=True)


def test_a_round_does_not_use_what_an_earlier_one_left(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Gaps leave most of the first budget, and the next round would have use for it."""
    smooth = both_optimizers(plane())
    smooth = smooth[smooth["n"] <= 40]
    at = AT[np.searchsorted(Y, smooth["n"])]
    steps = smooth.assign(test_error=np.where(smooth["snr"] < at, 0.5, 0.1))
    sizes = refined_sizes(monkeypatch, tmp_path, [steps, smooth, smooth, smooth], 100)
    assert sizes[0] == 2 * 6 * MIN_SEEDS and all(80 < size <= 100 for size in sizes[1:])


def test_a_sweep_that_is_not_complete_is_refined_within_the_budget(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Half of the runs of each point are missing, so that a point seems to be half as expensive."""
    runs = plane()
    runs = runs[runs["n"] <= 40]
    (size,) = refined_sizes(monkeypatch, tmp_path, [runs, runs], 100)
    assert 80 < size <= 100
    one = runs[runs["n"] == 10]
    eight = TEXT.replace("lr: 0.1", "lr: [1, 2, 3, 4, 5, 6, 7, 8]")
    with pytest.raises(SweepError, match="makes 18 runs for each seed"):
        refined_sizes(monkeypatch, tmp_path, [one, one], 15, eight)


def test_a_refinement_follows_the_branch_that_it_is_given() -> None:
    """A ridge of errors between AT and 4 AT."""
    ridge = plane(x=np.geomspace(0.1, 30, 17))
    own = np.random.default_rng(1).normal(0, 0.1, 4)[ridge["seed"]]
    position = np.log(ridge["snr"] / AT[np.searchsorted(Y, ridge["n"])]) + own
    ridge["test_error"] = 0.5 * np.exp(-(((position - np.log(2)) / np.log(2)) ** 2))
    for branch, factor in (("rising", 1.16), ("falling", 3.45)):
        points = Refinement(replace(BOUNDARY, branch=branch), 120)(ridge)
        assert set(points["n"]) == set(Y)
        at = factor * AT[np.searchsorted(Y, points["n"])]
        # Cells next to the crossing, or within the gap between them.
        assert (np.abs(np.log(points["snr"] / at)) < 1.3 * np.log(300) / 16).all()


@pytest.mark.parametrize(
    "info",
    [
        {"plugins": ["own", "other"], "command": ["sweep.run", "--plugin", "forgotten"]},
        {"command": ["sweep.run", "x.yaml", "--plugin=other", "--plugin", "own"]},
        {"command": ["sweep.run", "--plugin", "own", "--plugin=other", "--out", "x"]},
    ],
)
def test_rounds_get_the_plugins_of_the_sweep(info: dict[str, Any]) -> None:
    assert sorted(recorded_plugins({"info": info})) == ["other", "own"]
    assert recorded_plugins({"info": "none"}) == recorded_plugins({}) == []


@pytest.mark.promise(18)
@pytest.mark.parametrize("named", [(), ("own",)])
def test_a_plugin_that_only_the_folder_names_is_not_imported(
    tmp_path: Path, named: tuple[str, ...]
) -> None:
    tmp_path.joinpath("manifest.json").write_text('{"info": {"plugins": ["own", "it is"]}}')
    missing = {"own": "--plugin own ", "it is": "--plugin 'it is'"}
    with pytest.raises(SweepError) as error:
        next(refine(tmp_path, SMALL, 1, tmp_path / "out", plugins=named))
    for name, option in missing.items():
        assert (option in str(error.value)) == (name not in named)
    assert not (tmp_path / "out").exists()


def test_a_round_gets_the_plugins_that_the_user_names(tmp_path: Path) -> None:
    tmp_path.joinpath("manifest.json").write_text('{"info": {"plugins": ["own"]}}')
    arguments = rounds._arguments(tmp_path, Path("g.yaml"), Path("out"), ("more", "own"))
    assert arguments[-4:] == ["--plugin", "more", "--plugin", "own"]


@pytest.mark.promise(18)
def test_a_round_runs_no_code_of_the_working_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    for name in ("sweep/__init__.py", "sweep/run.py", "json.py", "typer.py"):
        tmp_path.joinpath(name).parent.mkdir(exist_ok=True)
        tmp_path.joinpath(name).write_text("raise SystemExit('the wrong module')")
    monkeypatch.chdir(tmp_path)
    with pytest.raises(SweepError, match=r"round-1.yaml ended with exit code 2"):
        rounds._run(["round-1.yaml", "--out", "out"])
    assert "wrong" not in capfd.readouterr().err


def test_the_refined_store_lies_beside_the_store(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "out" / "runs").mkdir(parents=True)
    for place, folder in ((".", "out"), ("out", "."), ("out/runs", ".."), ("out", "./")):
        monkeypatch.chdir(tmp_path / place)
        found = rounds._refined_folder(Path(folder)).resolve()
        assert found == tmp_path / "out-refined"


@pytest.mark.promise(18)
def test_a_link_in_place_of_the_refined_store_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "store").mkdir()
    (tmp_path / "store-refined").symlink_to("victim")
    with pytest.raises(SweepError, match=r"store-refined is a link.* by --out"):
        next(refine(tmp_path / "store", SMALL))
    assert not (tmp_path / "victim").exists()
