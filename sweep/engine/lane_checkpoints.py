"""Checkpoints of lanes: the columns that hold their states, and the store that keeps them."""

from __future__ import annotations

from typing import Protocol

import jax
import jax.numpy as jnp
import numpy as np

from sweep.training.step import State


class CheckpointStore(Protocol):
    """Stores the states of long trials as columns: arrays with one row per trial."""

    def save(self, trial_indices: np.ndarray, columns: dict[str, np.ndarray], /) -> None:
        """Replace the stored states of the trials with these indices in the queue."""
        ...

    def find(self, trial_indices: np.ndarray, /) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Positions in `trial_indices` of the trials with a stored state, and these states."""
        ...


def state_columns(states: State, lanes: np.ndarray) -> dict[str, np.ndarray]:
    """The states of some lanes as columns `state-0`, `state-1`, ..., one per leaf."""
    leaves = jax.tree.leaves(states)
    return {
        f"state-{number}": np.asarray(_as_numbers(leaf))[lanes]
        for number, leaf in enumerate(leaves)
    }


def record_columns(columns: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Those columns of a checkpoint that are records of a trial: their steps, length and values."""
    # All else is a single number of a lane, or its state.
    return {
        name: values
        for name, values in columns.items()
        if name == "length" or (values.ndim == 2 and not name.startswith("state-"))
    }


def fits(states: State, columns: dict[str, np.ndarray]) -> bool:
    """Whether columns are those of a checkpoint of such states, by names, types and shapes."""
    expected = state_columns(states, np.zeros(0, np.int64))
    found = {name: values for name, values in columns.items() if name.startswith("state-")}
    numbers = [columns.get(name) for name in ("step", "pointer", "over", "length")]
    if found.keys() != expected.keys() or "steps" not in columns:
        return False
    has_states = all(
        values.dtype == expected[name].dtype and values.shape[1:] == expected[name].shape[1:]
        for name, values in found.items()
    )
    has_numbers = all(values is not None and values.ndim == 1 for values in numbers)
    return has_states and has_numbers and columns["steps"].ndim == 2


def states_from_columns(states: State, lanes: np.ndarray, columns: dict[str, np.ndarray]) -> State:
    """States that have the rows of a checkpoint in some lanes and zeros in all others.

    Args:
        states: States of all lanes, which give structure, shapes and types.
        lanes: Index of the lane of each row, shape (rows,).
        columns: The columns of `state_columns`, with `rows` rows.
    """
    leaves, structure = jax.tree.flatten(states)
    restored = [
        _scatter_rows(columns[f"state-{number}"], lanes, leaf) for number, leaf in enumerate(leaves)
    ]
    return jax.tree.unflatten(structure, restored)


def _is_key(leaf: jax.Array) -> bool:
    return jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _as_numbers(leaf: jax.Array) -> jax.Array:
    # Random keys are opaque to NumPy; their data is not.
    return jax.random.key_data(leaf) if _is_key(leaf) else leaf


def _scatter_rows(rows: np.ndarray, lanes: np.ndarray, leaf: jax.Array) -> np.ndarray | jax.Array:
    """An array like `leaf` with the rows in their lanes and zeros elsewhere."""
    numbers = _as_numbers(leaf)
    scattered = np.zeros(numbers.shape, numbers.dtype)
    scattered[lanes] = rows
    if not _is_key(leaf):
        return scattered
    return jax.random.wrap_key_data(jnp.asarray(scattered), impl=jax.random.key_impl(leaf))
