"""Workers that share a store, and devices that are too small."""

from __future__ import annotations

import json
import os
import signal
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import pytest

from sweep.engine import programs
from sweep.engine.programs import Programs
from sweep.run import sweep
from sweep.store import Store, list_parts, read_part, read_part_metadata
from tests.shell import (
    command,
    environment,
    finish,
    jax_as_it_was,
    start,
    stores_differ,
    table,
    wait,
    write_grid,
)

pytestmark = pytest.mark.thorough

GRID = """
name: shared
seed: {range: [0, 12]}
data: {kind: feature_noise, n: 8, d: 16, sparsity: 4, snr: [0.5, 2], feature_noise: 0.2}
model: {kind: cnn, width: 2, init_scale: 0.1}
optimizer: [{kind: adam, lr: 0.01}, {kind: gd, lr: 0.2}]
train: {steps: 30000}
test_points: 32
record: {points: 4}
"""
TRIALS = 48


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The store of one process. Read only."""
    home = tmp_path_factory.mktemp("work")
    write_grid(home, GRID)
    answer = command(home / "grid.yaml", "--out", home / "whole", "--workers", "1")
    assert answer.code == 0, answer.err
    assert len(table(home / "whole")) == TRIALS
    return home / "whole"


def shares(store: Path) -> dict[str, int]:
    """How many trials each process committed."""
    found: dict[str, int] = {}
    for path in list_parts(store, "runs"):
        worker = read_part_metadata(path)["worker"]
        found[worker] = found.get(worker, 0) + len(read_part(path).trials)
    return found


@pytest.mark.promise(5)
def test_commands_on_one_store_share_the_work(whole: Path) -> None:
    """Started together, as on two hosts: each trial once, the bits of one process, and both return at the end."""
    store = whole.parent / "together"
    ask = ("-m", "sweep.run", whole.parent / "grid.yaml", "--out", store, "--workers", "1")
    answers = [finish(process) for process in [start(*ask), start(*ask)]]
    assert [answer.code for answer in answers] == [0, 0], [answer.err for answer in answers]
    assert stores_differ(store, whole) == ""
    assert len(shares(store)) == 2 and sum(shares(store).values()) == TRIALS
    assert not (store / "claims").exists()


CLAIMLESS = """
from sweep.store.claims import Claims
from sweep.run import app
Claims.take = lambda claims, name: True
app()
"""


@pytest.mark.slow
@pytest.mark.promise(5, mutant=True)
def test_without_claims_the_table_is_the_same_and_work_is_done_twice(whole: Path) -> None:
    """Claims save time and nothing else: the mutant trains each trial in both processes, and commits it once."""
    store = whole.parent / "claimless"
    ask = ("-c", CLAIMLESS, whole.parent / "grid.yaml", "--out", store, "--workers", "1")
    answers = [finish(process) for process in [start(*ask), start(*ask)]]
    assert [answer.code for answer in answers] == [0, 0], [answer.err for answer in answers]
    assert stores_differ(store, whole) == ""
    trained = [
        int(answer.err.splitlines()[-1].split(" of ")[0].replace(",", "")) for answer in answers
    ]
    assert sum(trained) > TRIALS


@pytest.mark.promise(14)
@pytest.mark.parametrize(
    "how", [signal.SIGKILL, pytest.param(signal.SIGSTOP, marks=pytest.mark.slow)]
)
def test_the_slices_of_one_that_is_gone_or_asleep_fall_to_the_other(
    whole: Path, how: signal.Signals
) -> None:
    """Gone: at once. Asleep on what looks like another host: after its lease; what it commits later is not doubled."""
    store = whole.parent / how.name
    lease = "from sweep.store import claims; claims.Claims.__init__.__defaults__ = (1.0, False)\n"
    host = "from sweep.store import owners; owners._host = lambda: {!r}\n"
    ask = "{}{}from sweep.run import app; app()"
    options = (whole.parent / "grid.yaml", "--out", store, "--workers", "1")
    first = start("-c", ask.format(lease, host.format("here")), *options)
    wait(lambda: len(list(store.glob("claims/*-0of1-*"))) > 0)
    time.sleep(1)
    first.send_signal(how)
    other = "here" if how == signal.SIGKILL else "there"
    second = finish(start("-c", ask.format(lease, host.format(other)), *options))
    assert second.code == 0, second.err
    assert stores_differ(store, whole) == ""
    first.send_signal(signal.SIGCONT)
    assert finish(first).code == (-signal.SIGKILL if how == signal.SIGKILL else 0)
    assert stores_differ(store, whole) == ""


# Memory


def small(fits: Callable[[int, int], bool]) -> Callable[..., Programs]:
    """Programs of a device on which so many lanes in such blocks fit or not."""
    make = programs.compiled_programs

    def compile_small(block: int, *points: int) -> Programs:
        made = make(block, *points)

        def advance(lanes: Any, steps: Any) -> Any:
            if not fits(len(lanes.states.step), block):
                raise jax.errors.JaxRuntimeError(
                    "RESOURCE_EXHAUSTED: Out of memory while trying to allocate."
                )
            return made.advance(lanes, steps)

        return made._replace(advance=advance)

    return compile_small


@pytest.fixture
def trained(whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    """Trains the grid in this process on a small device."""

    def train(fits: Callable[[int, int], bool], name: str = "store") -> Path:
        with jax_as_it_was(), monkeypatch.context() as patch:
            patch.setattr(programs, "compiled_programs", small(fits))
            patch.setenv("JAX_COMPILATION_CACHE_DIR", environment()["JAX_COMPILATION_CACHE_DIR"])
            return sweep(whole.parent / "grid.yaml", tmp_path / name, workers=1, quiet=True)

    return train


@pytest.mark.promise(11)
def test_where_memory_is_short_the_sweep_goes_on_with_fewer_lanes(
    trained: Callable[..., Path], whole: Path
) -> None:
    """Fewer lanes in the same blocks are the same bits; smaller blocks are not, and the store remembers them."""
    blocks = Store(whole).blocks()
    assert set(blocks.values()) == {16}
    store = trained(lambda lanes, block: lanes <= 16)
    assert stores_differ(store, whole) == ""
    store = trained(lambda lanes, block: lanes <= 2, "halved")
    assert len(table(store)) == TRIALS and table(store)["trial"].is_unique
    assert Store(store).blocks() == dict.fromkeys(blocks, 2)
    assert set(table(store)["status"]) == {"out_of_steps"}


@pytest.mark.promise(11)
def test_lanes_that_will_not_fit_are_never_tried(
    whole: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A device that tells its memory, which here is counted in lanes."""
    tried: list[int] = []
    make = programs.compiled_programs

    def compile_small(block: int, *points: int) -> Programs:
        made = make(block, *points)

        def advance(lanes: Any, steps: Any) -> Any:
            tried.append(len(lanes.states.step))
            return made.advance(lanes, steps)

        return made._replace(advance=advance)

    with jax_as_it_was(), monkeypatch.context() as patch:
        patch.setattr(programs, "compiled_programs", compile_small)
        patch.setattr(programs, "memory_needed", lambda programs, trials, lanes: lanes)
        patch.setattr(programs, "memory_limit", lambda: 5)
        patch.setenv("JAX_COMPILATION_CACHE_DIR", environment()["JAX_COMPILATION_CACHE_DIR"])
        store = sweep(whole.parent / "grid.yaml", tmp_path / "store", workers=1, quiet=True)
    assert set(tried) == {4}
    assert len(table(store)) == TRIALS and set(table(store)["status"]) == {"out_of_steps"}


@pytest.mark.slow
@pytest.mark.promise(11)
def test_a_trial_that_does_not_fit_alone_is_a_row(trained: Callable[..., Path]) -> None:
    store = trained(lambda lanes, block: False)
    found = table(store)
    assert len(found) == TRIALS and set(found["status"]) == {"out_of_memory"}
    assert found["test_error"].isna().all() and (found["steps"] == 0).all()
    before = os.listdir(store / "runs")
    trained(lambda lanes, block: True)
    assert os.listdir(store / "runs") == before


@pytest.mark.promise(11, mutant=True)
def test_other_errors_of_a_device_are_not_taken_for_a_lack_of_memory(
    trained: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sweep.workers.worker.is_out_of_memory", lambda error: False)
    with pytest.raises(jax.errors.JaxRuntimeError, match="RESOURCE_EXHAUSTED"):
        trained(lambda lanes, block: lanes <= 2)


def test_the_manifest_names_the_defaults(whole: Path) -> None:
    defaults = json.loads((whole / "manifest.json").read_text())["defaults"]
    assert (
        defaults["optimizer adam"]["b2"] == 0.999
        and "optimizer gd" in defaults
        and "train train" in defaults
    )
