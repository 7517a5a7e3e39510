"""Gram coordinates: span coordinates whose inner products are drawn from their law, so that no vector of d is made.

Exact in law for Gaussian noise and Gaussian first weights; the draws are others than those of the other coordinates.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep.data.base import AbstractGaussian, feature_count
from sweep.filters import span
from sweep.filters.ambient import written
from sweep.filters.base import Source, TrainingInputs
from sweep.models.base import AbstractFiltered
from sweep.padding import actual_size, mask_padding, valid_mask
from sweep.prng import Purpose, each_row, stream
from sweep.spec import Scalar


def gram_inputs(source: Source) -> TrainingInputs:
    """Training vectors and first weights up to a rotation, in as many dimensions as they span.

    The feature directions are the first K axes. What Gaussian vectors have orthogonally to them is a matrix of
    independent Gaussians, of which Q R = Z keeps R: Bartlett's triangle, with chi-distributed diagonal entries.
    """
    data, model = source.data, source.model
    assert isinstance(data, AbstractGaussian) and isinstance(model, AbstractFiltered)
    K, N = feature_count(data), data.noise_vectors
    noise, first = gram_filters(source)
    noise = noise.reshape(data.n, N, -1)
    rows = jnp.arange(data.n)
    luck = each_row(lambda key, _: data.luck(jax.random.split(key)[1]), stream(source.seed, Purpose.DATA), rows)
    made = jax.vmap(lambda luck, row, g: data.make(luck, row, g[:, :K], False))(luck, rows, noise)
    axes = jnp.eye(K, noise.shape[-1])
    vectors = made.scale[..., None] * noise.at[..., :K].set(made.along)
    kept = valid_mask(data.n)
    vectors = vectors if kept is None else jnp.where(kept[:, None, None], vectors, 0.0)
    tokens = jnp.concatenate([axes, vectors.reshape(data.n * N, -1)])
    scale = model.first_scale()
    assert scale is not None
    drawn = TrainingInputs(written(tokens), mask_padding(made.truth, kept), mask_padding(made.label, kept), None)
    return span.of(drawn, mask_padding(scale * first.T, valid_mask(model.units())))


def gram_filters(source: Source) -> tuple[Float[Array, "nN D"], Float[Array, "units D"]]:
    """Standard Gaussian vectors in d dimensions, n N for the noise and one for each filter, up to a rotation.

    Vector c of all has K Gaussians along the features, then Gaussians in c dimensions and a chi-distributed number in
    the next one, of d - K - c degrees of freedom (Bartlett 1933); nothing where d has no more dimensions.
    """
    data, units = source.data, source.units
    K, count = feature_count(data), data.n * data.noise_vectors
    beyond = min(int(data.d) - K, count + units)

    def vector(name: Array, place: Scalar) -> Float[Array, " D"]:
        gaussian, diagonal = jax.random.split(jax.random.fold_in(stream(source.seed, Purpose.LAW), name))
        g = jax.random.normal(gaussian, (K + beyond,))
        room = jnp.asarray(actual_size(data.d), g.dtype) - K
        chi = jnp.sqrt(2 * jax.random.gamma(diagonal, jnp.maximum(room - place, 1.0) / 2))
        axis = jnp.arange(K + beyond) - K
        inner = jnp.where(axis == place, chi, jnp.where(axis < place, g, 0.0))
        return jnp.where(axis < room, inner, 0.0)

    own = actual_size(data.n) * data.noise_vectors
    noise = jax.vmap(lambda i: vector(2 * i, i))(jnp.arange(count))
    first = jax.vmap(lambda j: vector(2 * j + 1, own + j))(jnp.arange(units))
    return noise, first


def gram_draws(source: Source) -> int:
    """Random numbers that make the triangle; a chi-distributed one costs about as much as thirty others."""
    vectors = source.token_count + source.units
    return vectors * (vectors + 30)
