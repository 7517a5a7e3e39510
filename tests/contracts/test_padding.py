"""Padded sizes: a trial in arrays that are larger than it is the trial in its own arrays, and the rest is zero."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import yaml
from jaxtyping import Array, Float, Int, Key

from sweep import data, grid, spec
from sweep.data.base import (
    AbstractData,
    AbstractGaussian,
    NoiseParams,
    PointInfo,
    Points,
    Sparse,
    Vectors,
    axis_direction,
    random_label,
)
from sweep.models.base import AbstractFiltered
from sweep.padding import Size
from sweep.planning.packing import packed_groups
from sweep.prng import sample_distinct
from sweep.spec import Scalar, lane, part, static
from sweep.trial import Trial
from tests.contracts.parts import Example, named, of, trial
from tests.training_cases import Trained, same, told, train, weights

pytestmark = [pytest.mark.usefixtures("float64"), pytest.mark.thorough]

UPDATES = 30
MOST = {"n": 9, "d": 20, "sparsity": 5, "width": 3}
"""More than the small trial of the table has: n = 6, d = 12, sparsity = 3, width = 2."""


def declared(one: Trial) -> tuple[str, ...]:
    """Sizes of a trial that may be padded; without filters the dimension makes another network."""
    return tuple(
        name
        for part in (one.data, one.model)
        for name, field in spec.fields(type(part)).items()
        if field.padded and (name != "d" or isinstance(one.model, AbstractFiltered))
    )


def padded(one: Trial, *names: str) -> Trial:
    """The trial in larger arrays."""

    def sized(part: Any) -> Any:
        mine = [name for name in names if name in spec.fields(type(part))]
        return part.replace(**{name: Size(MOST[name], int(getattr(part, name))) for name in mine})

    return one.replace(data=sized(one.data), model=sized(one.model))


def make(row: Example, coordinates: str, optimizer: str) -> Trial:
    """The trial of a row, trained in some way; adaptive steps without l2, as support needs it."""
    kinds = {**row.kinds, "optimizer": optimizer}
    adaptive = {"l2": 0.0, "eps": 1e-6, "lr": 0.01} if optimizer == "adam" else {}
    return trial(kinds, **{**row.values, "coordinates": coordinates, "steps": 10**6, **adaptive})


def embedded(found: Any, expected: Any, name: str = "") -> None:
    """The corner of an array is another one, and all else is exactly zero. Places that are only numbered are left."""
    found, expected = np.array(found), np.asarray(expected)
    if found.dtype.kind == "i" and found.ndim:
        return
    corner = tuple(slice(size) for size in expected.shape)
    np.testing.assert_allclose(found[corner], expected, rtol=1e-10, atol=1e-12, err_msg=name)
    found[corner] = 0
    assert not found.any(), name


def all_embedded(found: Any, expected: Any) -> None:
    """Every array of a tree is embedded in that of another one."""
    ours, theirs = jax.tree.leaves_with_path(found), jax.tree.leaves(expected)
    for (path, large), small in zip(ours, theirs, strict=True):
        embedded(large, small, jax.tree_util.keystr(path))


def trained(
    row: Example, coordinates: str, optimizer: str, *names: str, points: int = 50
) -> tuple[Trained, Trained]:
    """The training in its own arrays and in those that are padded in some sizes, or in all of them."""
    one = make(row, coordinates, optimizer)
    return train(one, UPDATES, points), train(
        padded(one, *(names or declared(one))), UPDATES, points
    )


def fresh(row: Example) -> int:
    """Fresh points: they cost another program, so they are looked at once for each way to draw them."""
    return 50 if row in (SPARSE, ORTHOGONAL, TEACHER) else 0


def row(id: str) -> Example:
    """A row of the table of parts."""
    (found,) = (each for each in of("data", "model") if each.id == id)
    return found


SPARSE, RELEASED, LINEAR = (
    row("data-feature_noise"),
    row("model-cnn_released_code"),
    row("model-linear"),
)
ORTHOGONAL = row("data-signal_noise_orthogonal")
TEACHER, FREE = row("data-separable_teacher"), row("data-separable_free")


def test_the_table_declares_them() -> None:
    """All sizes of all kinds that come from a field."""
    found = {each.kind: declared(each.trial()) for each in of("data")}
    assert found == {
        "feature_noise": ("n", "d", "sparsity", "width"),
        "signal_noise": ("n", "d", "width"),
        "separable": ("n", "d", "width"),
        "spurious": ("n", "d", "width"),
        "orthonormal": ("width",),
    }


ROWS = [
    pytest.param(
        each,
        id=named(each),
        marks=[pytest.mark.slow] if each.kind in ("orthonormal", "mlp") else [],
    )
    for each in of("data", "model")
]
"""Kinds with few sizes to pad are left to `-m slow`."""


class TestAmbient:
    """The weights themselves: rows of coordinates and columns of filters that do not exist are zero."""

    @pytest.mark.parametrize("row", ROWS)
    def test_everything_padded(self, row: Example) -> None:
        own, found = trained(row, "ambient", "gd", points=fresh(row))
        same(found, own)
        all_embedded(found.state.params, own.state.params)
        all_embedded(found.inputs, own.inputs)

    @pytest.mark.parametrize("row", [SPARSE, RELEASED, TEACHER], ids=named)
    @pytest.mark.parametrize("optimizer", ["momentum", "adam"])
    def test_moments_are_padded_too(self, row: Example, optimizer: str) -> None:
        own, found = trained(row, "ambient", optimizer, points=fresh(row))
        same(found, own)
        all_embedded(
            (found.state.params, found.state.moments), (own.state.params, own.state.moments)
        )
        assert sum(np.any(each) for each in jax.tree.leaves(own.state.moments)) >= (
            2 if optimizer == "adam" else 1
        )

    @pytest.mark.parametrize("name", ["n", "d", "sparsity", "width"])
    def test_one_size_padded(self, name: str) -> None:
        own, found = trained(RELEASED, "ambient", "gd", name, points=0)
        same(found, own)
        all_embedded(found.state.params, own.state.params)

    def test_batches_see_padded_coordinates_and_filters(self) -> None:
        one = make(RELEASED, "ambient", "momentum")
        one = one.replace(train=one.train.replace(batch_size=4))
        own, found = (
            train(each, UPDATES, 0) for each in (one, padded(one, "d", "sparsity", "width"))
        )
        same(found, own)


class TestPoints:
    """Points that do not exist have margin 0, which would be an error, a least margin and a least response."""

    @pytest.mark.parametrize("lr", [0.2, -0.2])
    def test_they_count_nowhere(self, lr: float) -> None:
        """All margins and responses are positive after a descent from zero weights, and negative after an ascent."""
        one = trial(
            {"model": "linear"}, init_scale=0.0, l2=0.0, feature_noise=0.0, lr=lr, noise=2.0
        )
        own, found = (train(each, UPDATES, 0) for each in (one, padded(one, "n")))
        same(found, own)
        seen = told(found)
        signed = [
            seen[name] * lr
            for name in ("noise_min", "noise_mean", "noise_max", "margin_l2", "margin_linf")
        ]
        assert min(signed) > 0
        assert seen["train_wrong"] == (0 if lr > 0 else 6)


class TestSpan:
    """A number for each token: those of points that do not exist stay zero. The truth is the ambient training."""

    @pytest.mark.parametrize("row", [RELEASED, TEACHER], ids=named)
    def test_everything_padded(self, row: Example) -> None:
        one, points = make(row, "span", "momentum"), fresh(row)
        ambient = train(make(row, "ambient", "momentum"), UPDATES, points)
        found = train(padded(one, *declared(one)), UPDATES, points)
        same(found, ambient)
        embedded(weights(found), weights(ambient))
        tokens, units = one.source.token_count, one.source.units
        for each in jax.tree.leaves((found.state.params, found.state.moments)):
            if each.ndim == 2:
                assert not np.any(each[tokens:]) and not np.any(each[:, units:]) and np.any(each)

    @pytest.mark.parametrize("name", ["n", "d"])
    def test_one_size_padded(self, name: str) -> None:
        ambient = train(make(RELEASED, "ambient", "gd"), UPDATES, 0)
        same(train(padded(make(RELEASED, "span", "gd"), name), UPDATES, 0), ambient)


class TestSupport:
    """Rows that data touches: those of coordinates that do not exist are zero. The truth is the ambient training."""

    @staticmethod
    def check(row: Example, optimizer: str, *names: str, points: int = 50) -> None:
        """Everything that is told, all weights, and zeros in what does not exist."""
        ambient, one = (
            train(make(row, "ambient", optimizer), UPDATES, points),
            make(row, "support", optimizer),
        )
        larger = padded(one, *(names or declared(one)))
        found = train(larger, UPDATES, points)
        same(found, ambient)
        start = np.zeros((int(larger.data.d), int(larger.model.units())))
        start[: one.data.d, : one.model.units()] = ambient.first["filters"]["weights"][...].T
        embedded(weights(found, start), weights(ambient))
        absent = np.asarray(found.inputs.context.rows) >= int(one.data.d)
        for each in jax.tree.leaves((found.state.params, found.state.moments)):
            if each.ndim == 2:
                assert (
                    not np.any(each[:, absent])
                    and not np.any(each[int(one.model.units()) :])
                    and np.any(each)
                )

    @pytest.mark.parametrize("optimizer", ["adam", "momentum"])
    def test_everything_padded(self, optimizer: str) -> None:
        self.check(SPARSE, optimizer)

    @pytest.mark.parametrize("name", ["n", "d", "sparsity"])
    def test_one_size_padded(self, name: str) -> None:
        self.check(RELEASED, "adam", name, points=0)


class TestGram:
    """The law of inner products: other sizes of arrays change no draw."""

    @pytest.mark.parametrize("row", [ORTHOGONAL, FREE], ids=named)
    def test_everything_padded(self, row: Example) -> None:
        own, found = trained(row, "gram", "gd", points=fresh(row))
        same(found, own)
        all_embedded(found.inputs, own.inputs)
        all_embedded(found.state.params, own.state.params)

    @pytest.mark.parametrize("name", ["n", "d", "width"])
    def test_one_size_padded(self, name: str) -> None:
        own, found = trained(ORTHOGONAL, "gram", "momentum", name, points=0)
        same(found, own)
        all_embedded(found.inputs, own.inputs)
        all_embedded(
            (found.state.params, found.state.moments), (own.state.params, own.state.moments)
        )


@part
class PlainSparse(AbstractData):
    """Sparse noise beside a feature, by an author who knows nothing of padding."""

    n: int = static(6, doc="points")
    d: int = static(12, doc="dimension")
    sparsity: int = static(3, doc="nonzero coordinates")
    noise: Scalar = lane(0.1, doc="standard deviation")

    def features(self, key: Key[Array, ""]) -> Vectors:
        return axis_direction(0)

    def draw(self, key: Key[Array, ""]) -> tuple[Sparse, Float[Array, ""]]:
        index_key, value_key, label_key = jax.random.split(key, 3)
        index = sample_distinct(index_key, self.sparsity, 1, self.d)
        value = jax.random.normal(value_key, (self.sparsity,))
        return Sparse(index[None], value[None]), jax.random.uniform(label_key)

    def point(self, draws: Any, row: Int[Array, ""], features: Vectors, fresh: bool) -> Points:
        y = random_label(draws[1], row, False)
        return Points(Sparse(draws[0].index, self.noise * draws[0].value), PointInfo(y, y))

    def assemble(self, on_features: Array, on_noise: Array, info: PointInfo) -> Array:
        return jnp.stack([info.true_label[:, None] * on_features[0], on_noise[:, 0]], axis=1)


@part
class PlainGaussian(AbstractGaussian):
    """Gaussian noise beside a signal, by an author who knows nothing of padding."""

    n: int = static(6, doc="points")
    d: int = static(12, doc="dimension")
    noise: Scalar = lane(1.0, doc="standard deviation")

    def features(self, key: Key[Array, ""]) -> Vectors:
        return axis_direction(0)

    def make(self, uniforms: Array, row: Array, components: Array, fresh: bool) -> NoiseParams:
        y = random_label(uniforms[0], row, False)
        return NoiseParams(jnp.full(1, self.noise, components.dtype), components, PointInfo(y, y))

    def assemble(self, on_features: Array, on_noise: Array, info: PointInfo) -> Array:
        return jnp.stack([info.true_label[:, None] * on_features[0], on_noise[:, 0]], axis=1)


class TestPlainCounts:
    """A data model needs no padding calls: without `padded=True` it only loses the sharing of programs."""

    @pytest.fixture(autouse=True)
    def kinds(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(data.KINDS, "plain_sparse", PlainSparse)
        monkeypatch.setitem(data.KINDS, "plain_gaussian", PlainGaussian)

    @pytest.mark.parametrize(
        ("kind", "twin", "coordinates"),
        [
            ("plain_sparse", "feature_noise", "ambient"),
            ("plain_sparse", "feature_noise", "span"),
            ("plain_sparse", "feature_noise", "support"),
            ("plain_gaussian", "signal_noise", "ambient"),
            ("plain_gaussian", "signal_noise", "gram"),
        ],
    )
    def test_a_row_is_that_of_the_same_model_with_padding(
        self, kind: str, twin: str, coordinates: str
    ) -> None:
        values = {"coordinates": coordinates, "steps": 10**6}
        plain = trial({"data": kind}, **values)
        builtin = trial({"data": twin}, balanced=False, feature_noise=0.0, signal=1.0, **values)
        assert declared(plain) == ("width",)
        found = train(padded(plain, "width"), UPDATES, 0)
        same(found, train(padded(builtin, *declared(builtin)), UPDATES, 0))

    def test_trials_share_a_program_across_widths_alone(self) -> None:
        parts = {
            "data": {"kind": "plain_gaussian", "n": [6, 8], "d": 12},
            "model": {"kind": "cnn", "width": [2, 3]},
            "optimizer": {"kind": "gd", "lr": 0.1},
        }
        parsed = grid.parse_grid(yaml.safe_dump({"name": "plain", **parts, "train": {"steps": 50}}))
        groups = [
            group for block in parsed.blocks for group in packed_groups(block, parsed.settings)
        ]
        assert {group.sizes for group in groups} == {("width",)}
        assert sorted(group.statics["n"] for group in groups) == [6, 8]
