"""Gram coordinates: span coordinates whose inner products are drawn from their law.

No vector of d numbers is made. Exact in law for Gaussian noise and Gaussian initial weights; the
draws differ from those of all other coordinates.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from sweep.data.base import AbstractGaussian, Dense, NoiseParams, Points, feature_count
from sweep.filters.ambient import dense_tokens
from sweep.filters.base import Source, TrainingInputs
from sweep.filters.span import inner_product_inputs
from sweep.padding import actual_size, mask_padding, valid_mask
from sweep.prng import Purpose, each_row, stream
from sweep.spec import Scalar


def gram_inputs(source: Source) -> TrainingInputs:
    """Training vectors and initial weights up to a rotation, in as many dimensions as they span.

    The feature directions are the first K axes. Orthogonally to them, Gaussian vectors are a matrix
    Z = Q R of independent Gaussians, of which R is enough: Bartlett's triangle, whose diagonal
    entries are chi-distributed.
    """
    data, model = source.data, source.filtered
    scale = model.first_scale()
    # `incompatibility` has refused all else.
    assert isinstance(data, AbstractGaussian) and scale is not None
    noise, filters = gram_vectors(source)
    points = _gram_points(source, data, noise.reshape(data.n, data.noise_vectors, -1))
    # The feature directions are orthonormal, so in rotated coordinates they are axes.
    axes = jnp.eye(feature_count(data), noise.shape[-1])
    tokens = jnp.concatenate([axes, points.noise.value.reshape(noise.shape)])
    inputs = TrainingInputs(dense_tokens(tokens), points.true_label, points.label, None)
    return inner_product_inputs(inputs, mask_padding(scale * filters.T, valid_mask(model.units())))


def _gram_points(source: Source, data: AbstractGaussian, noise: Float[Array, "n N D"]) -> Points:
    """The training points whose Gaussian vectors are `noise`, in D dimensions instead of d."""
    K, rows = feature_count(data), jnp.arange(data.n)

    def draw_uniforms(key: Array, row: Array) -> Array:
        # The key that `draw` uses, so that labels are those of the other coordinates.
        return data.draw_uniforms(jax.random.split(key)[1])

    def params_of(uniforms: Array, row: Array, g: Array) -> NoiseParams:
        return data.make(uniforms, row, g[:, :K], False)

    uniforms = each_row(draw_uniforms, stream(source.seed, Purpose.DATA), rows)
    params = jax.vmap(params_of)(uniforms, rows, noise)
    vectors = params.scale[..., None] * noise.at[..., :K].set(params.components)
    return Points(Dense(vectors), params.true_label, params.label).masked(data.n)


def gram_vectors(source: Source) -> tuple[Float[Array, "nN D"], Float[Array, "units D"]]:
    """Standard Gaussian vectors in d dimensions up to a rotation: n N for noise, one a filter.

    Vector number c (from 0) has K Gaussians along the features, then Gaussians in c dimensions and
    a chi-distributed number of d - K - c degrees of freedom in the next one (Bartlett 1933), cut
    off after d dimensions.
    """
    data, units = source.data, source.units
    K, count = feature_count(data), data.n * data.noise_vectors
    extra = min(int(data.d) - K, count + units)

    def draw_vector(seed: Scalar, number: Array, position: Scalar) -> Float[Array, " D"]:
        key = jax.random.fold_in(stream(seed, Purpose.LAW), number)
        gaussian_key, chi_key = jax.random.split(key)
        g = jax.random.normal(gaussian_key, (K + extra,))
        dimensions = jnp.asarray(actual_size(data.d), g.dtype) - K
        # chi^2 of k degrees of freedom is twice a gamma variable of shape k / 2.
        shape = jnp.maximum(dimensions - position, 1.0) / 2
        chi = jnp.sqrt(2 * jax.random.gamma(chi_key, shape))
        axis = jnp.arange(K + extra) - K
        entries = jnp.where(axis == position, chi, jnp.where(axis < position, g, 0.0))
        return jnp.where(axis < dimensions, entries, 0.0)

    actual_count = actual_size(data.n) * data.noise_vectors
    # Even keys for noise, odd ones for filters: neither count changes the draws of the other.
    noise = jax.vmap(lambda i: draw_vector(source.seed, 2 * i, i))(jnp.arange(count))
    filters = jax.vmap(lambda j: draw_vector(source.weight_seed, 2 * j + 1, actual_count + j))(
        jnp.arange(units)
    )
    return noise, filters


def gram_draws(source: Source) -> int:
    """The number of random numbers; a chi-distributed one costs as much as about thirty."""
    vectors = source.token_count + source.units
    return vectors * (vectors + 30)
