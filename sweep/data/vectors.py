"""Vectors of data sets, written out or sparse, and their inner products with weights."""

from __future__ import annotations

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int


class Dense(NamedTuple):
    """Vectors written out: `value` (..., d)."""

    value: Float[Array, "*rows d"]

    def dense(self, d: int) -> Float[Array, "*rows d"]:
        """The vectors themselves."""
        return self.value

    def project(self, weights: Float[Array, "d units"]) -> Float[Array, "*rows units"]:
        """Inner products with the columns of `weights`."""
        return self.value @ weights

    def replace(
        self, vectors: Float[Array, "n d"], components: Float[Array, "n K"]
    ) -> Float[Array, "n d"]:
        """`vectors` with new components along these K orthonormal directions (K, d)."""
        return vectors + (components - vectors @ self.value.T) @ self.value


class Sparse(NamedTuple):
    """Vectors with s nonzero coordinates: `value` (..., s) at the distinct `index` (..., s)."""

    index: Int[Array, "*rows s"]
    value: Float[Array, "*rows s"]

    def dense(self, d: int) -> Float[Array, "*rows d"]:
        """The vectors written out; indices of d and above are dropped."""
        rows, s = self.index.shape[:-1], self.index.shape[-1]

        def scatter(index: Array, value: Array) -> Array:
            return jnp.zeros(d, value.dtype).at[index].set(value)

        flat = jax.vmap(scatter)(self.index.reshape(-1, s), self.value.reshape(-1, s))
        return flat.reshape(*rows, d)

    def project(self, weights: Float[Array, "d units"]) -> Float[Array, "*rows units"]:
        """Inner products with the columns of `weights`; each vector touches s rows of it."""
        return jnp.einsum("...s,...su->...u", self.value, weights[self.index])

    def replace(
        self, vectors: Float[Array, "n d"], components: Float[Array, "n K"]
    ) -> Float[Array, "n d"]:
        """`vectors` with new components along these K orthonormal directions (K, s)."""
        if self.index.shape[-1] > 1:
            return Dense(self.dense(vectors.shape[-1])).replace(vectors, components)
        # Along axes (s = 1) a component is an entry: setting it is exact to the last bit.
        return vectors.at[:, self.index[:, 0]].set(components * self.value[:, 0])


Vectors = Dense | Sparse


def axis_direction(index: int) -> Sparse:
    """The unit vector of one coordinate, as K = 1 feature direction."""
    return Sparse(jnp.full((1, 1), index), jnp.ones((1, 1)))


@jax.custom_vjp
def outer_product(
    rows: Float[Array, " points"], columns: Float[Array, " units"]
) -> Float[Array, "points units"]:
    """rows columns^T, whose gradient in `columns` is a product with `rows`."""
    # XLA's own gradient is a sum, which takes up to twenty times as long on a CPU.
    return rows[:, None] * columns


def _outer_forward(rows: Array, columns: Array) -> tuple[Array, Array]:
    """The product, and the rows for its gradient."""
    return outer_product(rows, columns), rows


def _outer_backward(rows: Array, cotangent: Array) -> tuple[None, Array]:
    """No gradient in `rows`, which are labels, and that in `columns`."""
    return None, rows @ cotangent


outer_product.defvjp(_outer_forward, _outer_backward)
