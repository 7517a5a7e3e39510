"""Optimizers against their formulas in NumPy and against optax's own aliases; schedules; optimizers by optax name."""

from __future__ import annotations

import bisect
import inspect
import math
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
import optax.contrib
import pytest

from sweep import optimizers, spec, trial
from sweep.optimizers import from_optax
from sweep.optimizers.oracle import Oracle
from sweep.optimizers.schedules import Constant, Cosine, Milestones, Power, StepDecay, Warmup
from tests.contracts.parts import Example, named, of
from tests.training_cases import quick

STEPS, SHAPE = 20, (4, 3)
RNG = np.random.default_rng(0)
START, GRADS = RNG.normal(size=SHAPE), RNG.normal(size=(STEPS, *SHAPE))

pytestmark = pytest.mark.usefixtures("float64")


CURVATURE = RNG.normal(size=SHAPE)


def oracle(weights: jax.Array, grads: jax.Array, key: int = 0) -> Oracle:
    """A quadratic around weights, with the given gradient there and a diagonal Hessian."""
    return Oracle(
        value=lambda weights: pytest.fail("no rule here asks for values"),
        gradient=lambda there: grads + CURVATURE * (there - weights),
        norm=optax.tree.norm,
        hvp=lambda there, vector: CURVATURE * vector,
        key=jax.random.key(key),
    )


def run(make: Callable[[], Any]) -> np.ndarray:
    """Weights after each of the steps, from gradients that do not depend on them."""
    transform = optax.with_extra_args_support(make())

    def step(carry: tuple[Any, Any], grads: jax.Array) -> tuple[tuple[Any, Any], jax.Array]:
        w, state = carry
        updates, state = transform.update(grads, state, w, oracle=oracle(w, grads))
        w = optax.apply_updates(w, updates)
        return (w, state), w

    w = jnp.asarray(START)
    return jax.lax.scan(step, (w, transform.init(w)), jnp.asarray(GRADS))[1]


ours = quick(lambda part: run(part.transform))
"""Weights after each step of a part whose numbers are traced, as in a lane."""


def gd(lr: float) -> Iterator[np.ndarray]:
    w = START.copy()
    for g in GRADS:
        yield (w := w - lr * g)


def heavy_ball(lr: float, momentum: float, nesterov: bool) -> Iterator[np.ndarray]:
    w, u = START.copy(), np.zeros(SHAPE)
    for g in GRADS:
        u = momentum * u + g
        yield (w := w - lr * (g + momentum * u if nesterov else u))


def signs(lr: float, momentum: float) -> Iterator[np.ndarray]:
    w, m = START.copy(), np.zeros(SHAPE)
    for g in GRADS:
        m = momentum * m + (1 - momentum) * g
        yield (w := w - lr * np.sign(m))


def adam(
    lr: float, b1: float, b2: float, eps: float, weight_decay: float = 0.0
) -> Iterator[np.ndarray]:
    w, m, v = START.copy(), np.zeros(SHAPE), np.zeros(SHAPE)
    for t, g in enumerate(GRADS, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        step = (m / (1 - b1**t)) / (np.sqrt(v / (1 - b2**t)) + eps)
        yield (w := w - lr * (step + weight_decay * w))


def rmsprop(lr: float, decay: float, eps: float) -> Iterator[np.ndarray]:
    w, v = START.copy(), np.zeros(SHAPE)
    for g in GRADS:
        v = decay * v + (1 - decay) * g**2
        yield (w := w - lr * g / np.sqrt(v + eps))


def adagrad(lr: float, initial_accumulator: float, eps: float) -> Iterator[np.ndarray]:
    w, v = START.copy(), np.full(SHAPE, initial_accumulator)
    for g in GRADS:
        v = v + g**2
        yield (w := w - lr * g / np.sqrt(v + eps))


def lion(lr: float, b1: float, b2: float, weight_decay: float) -> Iterator[np.ndarray]:
    w, m = START.copy(), np.zeros(SHAPE)
    for g in GRADS:
        step, m = np.sign(b1 * m + (1 - b1) * g), b2 * m + (1 - b2) * g
        yield (w := w - lr * (step + weight_decay * w))


def gen_sign_sgd(lr: float, b1: float, b2: float, eps: float) -> Iterator[np.ndarray]:
    w, m, v = START.copy(), np.zeros(SHAPE), np.zeros(SHAPE)
    for g in GRADS:
        m = b1 * m + (1 - b1) * g
        v = b2 * v + (1 - b2) * m**2
        yield (w := w - lr * m / (np.sqrt(v) + eps))


def miadam(
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    order: int,
    kappa: float,
    switch: int,
    lr_power: float | None = None,
) -> Iterator[np.ndarray]:
    w, m, v = START.copy(), np.zeros(SHAPE), np.zeros(SHAPE)
    sums = [np.zeros(SHAPE) for _ in range(order)]
    for t, g in enumerate(GRADS, start=1):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g**2
        scale = (1 - b1**t) * (np.sqrt(v / (1 - b2**t)) + eps)
        for i in range(order):
            sums[i] = kappa * sums[i] + (sums[i - 1] if i else m)
        power = order + 1 if lr_power is None else lr_power
        yield (w := w - (lr**power * sums[-1] if t <= switch else lr * m) / scale)


def k_adam(lr: float, k: int, b1: float, b2: float, eps: float) -> Iterator[np.ndarray]:
    w = START.copy()
    m, v = np.zeros((k, *SHAPE)), np.zeros((k, *SHAPE))
    for t, u in enumerate(GRADS, start=1):
        for i in range(k):
            m[i], v[i] = b1 * m[i] + (1 - b1) * u, b2 * v[i] + (1 - b2) * u**2
            u = m[i] / (1 - b1**t) / (np.sqrt(v[i] / (1 - b2**t)) + eps)
        yield (w := w - lr * u)


def critical_momenta(
    lr: float,
    b1: float,
    b2: float,
    eps: float,
    slots: int,
    decay: float,
    weight_decay: float,
) -> Iterator[np.ndarray]:
    """A list of pairs (priority, momentum) in place of arrays of a fixed size."""
    w, m, v = START.copy(), np.zeros(SHAPE), np.zeros(SHAPE)
    buffer: list[tuple[float, np.ndarray]] = []
    for t, g in enumerate(GRADS, start=1):
        along = np.zeros(SHAPE)
        if t > 1:
            m = b1 * m + (1 - b1) * g
            along = m + (sum(kept for _, kept in buffer) / len(buffer) if buffer else 0.0)
        norm, least = np.linalg.norm(g), min((p for p, _ in buffer), default=0.0)
        if slots and len(buffer) == slots and norm > least:
            buffer = [pair for pair in buffer if pair[0] != least]
        if len(buffer) < slots:
            buffer.append((float(norm), g if t == 1 else m))
        buffer = [(decay * priority, kept) for priority, kept in buffer]
        v = b2 * v + (1 - b2) * along**2
        step = along / (1 - b1**t) / (np.sqrt(v / (1 - b2**t)) + eps)
        yield (w := w - lr * (step + weight_decay * w))


def delta_clip(lr: float, gamma: float, delta: float, weight_decay: float) -> Iterator[np.ndarray]:
    w = START.copy()
    for g in GRADS:
        factor = min(1, max(delta, gamma / np.linalg.norm(g)))
        yield (w := w - lr * factor * (g + weight_decay * w))


def ascended(g: np.ndarray, rho: float) -> np.ndarray:
    """The gradient at w + rho g / ||g||."""
    return g + CURVATURE * rho * g / np.linalg.norm(g)


def sam(lr: float, rho: float, momentum: float) -> Iterator[np.ndarray]:
    w, u = START.copy(), np.zeros(SHAPE)
    for g in GRADS:
        u = momentum * u + ascended(g, rho)
        yield (w := w - lr * u)


def sassha(
    lr: float, rho: float, lazy: int, b1: float, b2: float, eps: float, weight_decay: float
) -> Iterator[np.ndarray]:
    w, m, d, last = START.copy(), np.zeros(SHAPE), np.zeros(SHAPE), 0
    for t, g in enumerate(GRADS, start=1):
        m = b1 * m + (1 - b1) * ascended(g, rho)
        if t % lazy == 1:
            d, last = b2 * d + (1 - b2) * np.abs(CURVATURE), t
        step = m / (1 - b1**t) / (np.sqrt(d / (1 - b2**last)) + eps)
        yield (w := w - lr * (step + weight_decay * w))


FORMULAS: dict[str, Callable[..., Iterator[np.ndarray]]] = {
    "gd": gd,
    "sgd": gd,
    "momentum": lambda lr, momentum: heavy_ball(lr, momentum, nesterov=False),
    "nesterov": lambda lr, momentum: heavy_ball(lr, momentum, nesterov=True),
    "sign_sgd": lambda lr: signs(lr, 0.0),
    "signum": signs,
    "adam": adam,
    "adamw": adam,
    "rmsprop": rmsprop,
    "adagrad": adagrad,
    "lion": lion,
    "gen_sign_sgd": gen_sign_sgd,
    "miadam": miadam,
    "k_adam": k_adam,
    "critical_momenta": critical_momenta,
    "delta_clip": delta_clip,
    "sam": sam,
    "sassha": sassha,
}
"""The docstring of each kind as a loop. Arguments are the fields' names."""

ALIASES: dict[str, Callable[..., optax.GradientTransformation]] = {
    "gd": optax.sgd,
    "sgd": optax.sgd,
    "momentum": optax.sgd,
    "nesterov": lambda learning_rate, momentum: optax.sgd(learning_rate, momentum, nesterov=True),
    "sign_sgd": optax.sign_sgd,
    "signum": lambda learning_rate, momentum: optax.signum(learning_rate, beta=momentum),
    "adam": optax.adam,
    "adamw": optax.adamw,
    "rmsprop": optax.rmsprop,
    "adagrad": lambda learning_rate, initial_accumulator, eps: optax.adagrad(
        learning_rate, initial_accumulator, eps
    ),
    "lion": optax.lion,
    "optax.nadam": optax.nadam,
    "optax.lamb": optax.lamb,
    "optax.adafactor": optax.adafactor,
    "optax.contrib.muon": optax.contrib.muon,
}


def numbers(example: Example) -> dict[str, Any]:
    """What the row gives, with the step size."""
    return {"lr": 0.05, **example.values}


def test_every_kind_has_a_formula_and_every_row_an_alias() -> None:
    assert set(FORMULAS) == set(optimizers.KINDS)
    kinds = {each.kind for each in of("optimizer")}
    assert set(ALIASES) <= kinds and kinds - set(ALIASES) <= set(FORMULAS)


@pytest.mark.parametrize(
    "example", [each for each in of("optimizer") if each.kind in FORMULAS], ids=named
)
def test_an_optimizer_is_its_formula(example: Example) -> None:
    """Twenty steps of the NumPy loop; a sign of a sum that rounds to the other side of 0 would show as 2 lr."""
    expected = list(FORMULAS[example.kind](**numbers(example)))
    np.testing.assert_allclose(ours(example.part()), expected, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(
    "example", [each for each in of("optimizer") if each.kind in ALIASES], ids=named
)
def test_an_optimizer_is_optax_with_plain_numbers(example: Example) -> None:
    """Numbers that are traced give what Python numbers give, over the whole path."""
    given = {name: value for name, value in numbers(example).items() if name != "lr"}
    plain = quick(lambda: run(lambda: ALIASES[example.kind](learning_rate=0.05, **given)))()
    np.testing.assert_allclose(ours(example.part()), plain, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("example", of("optimizer"), ids=named)
def test_every_number_counts(example: Example) -> None:
    """Another value of any given number, or of the step size, is another path: none is dropped on the way to optax."""
    fields = {name: value for name, value in numbers(example).items() if isinstance(value, float)}
    base = np.asarray(ours(example.part()))
    for name, value in fields.items():
        changed = np.asarray(ours(example.part(**{name: value * 0.7})))
        assert np.abs(changed - base).max() > 1e-9, name


@quick
def path(part: Any, start: Any, grads: Any) -> jax.Array:
    """Weights after each step from any start and gradients."""
    transform = optax.with_extra_args_support(part.transform())

    def step(carry: tuple[Any, Any], grad: jax.Array) -> tuple[tuple[Any, Any], jax.Array]:
        asked = oracle(carry[0], grad)
        updates, state = transform.update(grad, carry[1], carry[0], oracle=asked)
        w = optax.apply_updates(carry[0], updates)
        return (w, state), w

    return jax.lax.scan(step, (start, transform.init(start)), grads)[1]


DECAYED = [
    pytest.param(optimizers.KINDS[kind](lr=0.05, weight_decay=0.3, **more), id=f"{kind}-decayed")
    for kind, more in (("gd", {}), ("momentum", {"momentum": 0.8}), ("nesterov", {"momentum": 0.8}))
]
ALL = [pytest.param(example.part(), id=example.id) for example in of("optimizer")] + DECAYED


class TestDeclarations:
    """What an optimizer declares of itself is true: coordinates and padding rely on it."""

    @pytest.mark.parametrize("part", ALL)
    def test_linear_optimizers_are_linear(self, part: Any) -> None:
        """In gradients and weights together: a path of sums is the sum of paths."""
        rng = np.random.default_rng(1)
        start, grads = rng.normal(size=SHAPE), rng.normal(size=GRADS.shape)
        one, other = path(part, START, GRADS), path(part, start, grads)
        both = path(part, 2.0 * START - 3.0 * start, 2.0 * GRADS - 3.0 * grads)
        assert np.allclose(both, 2.0 * one - 3.0 * other, rtol=1e-10, atol=1e-10) == part.linear

    @pytest.mark.parametrize("part", ALL)
    def test_elementwise_optimizers_move_each_weight_by_its_own_gradients(self, part: Any) -> None:
        start, grads = START.copy(), GRADS.copy()
        start[:, 1:] *= 3.0
        grads[:, :, 1:] *= np.linspace(-5.0, 5.0, STEPS)[:, None, None]
        same = np.allclose(
            path(part, start, grads)[:, :, 0], path(part, START, GRADS)[:, :, 0], rtol=1e-12, atol=0
        )
        assert same or not part.elementwise

    @pytest.mark.parametrize("part", ALL)
    def test_where_zeros_rest_a_weight_without_gradients_stays_at_zero(self, part: Any) -> None:
        start, grads = START.copy(), GRADS.copy()
        start[1:], grads[:, 1:] = 0.0, 0.0
        found = np.asarray(path(part, start, grads))
        assert not part.resting() or not found[:, 1:].any()
        assert np.all(np.any(found[:, 0] != start[0], axis=0))

    @pytest.mark.parametrize("kind", ["adam", "adamw", "rmsprop", "adagrad"])
    def test_zeros_do_not_rest_where_nothing_is_added_to_the_denominator(self, kind: str) -> None:
        (part,) = [each.part(eps=0.0) for each in of("optimizer") if each.kind == kind]
        found = np.asarray(path(part, np.zeros(SHAPE), np.zeros(GRADS.shape)))
        assert not part.resting() or not found.any(), found


@pytest.mark.parametrize(("momentum", "kind"), [(0.0, "gd"), (0.8, "momentum"), (0.8, "nesterov")])
def test_decay_of_gradient_methods_is_seen_by_no_average(momentum: float, kind: str) -> None:
    """w <- w - lr (direction + weight_decay w), in a loop."""
    w, u, expected = START.copy(), np.zeros(SHAPE), []
    for g in GRADS:
        u = momentum * u + g
        direction = g + momentum * u if kind == "nesterov" else u
        expected.append(w := w - 0.05 * (direction + 0.3 * w))
    more = {} if kind == "gd" else {"momentum": momentum}
    found = ours(optimizers.KINDS[kind](lr=0.05, weight_decay=0.3, **more))
    np.testing.assert_allclose(found, np.array(expected), rtol=1e-12, atol=1e-12)


class TestFirstStep:
    """The first update from zero moments, in closed form."""

    @staticmethod
    def step(kind: str, **values: Any) -> np.ndarray:
        cls = optimizers.KINDS[kind]
        return np.asarray(ours(cls(**values)))[0] - START

    def test_of_adam_is_nearly_a_sign_step(self) -> None:
        """Both bias corrections cancel: lr g / (|g| + eps), whatever b1 and b2."""
        g = GRADS[0]
        for b1, b2, eps in ((0.9, 0.999, 1e-8), (0.0, 0.5, 0.1), (0.99, 0.0, 10.0)):
            expected = -0.3 * g / (np.abs(g) + eps)
            np.testing.assert_allclose(
                self.step("adam", lr=0.3, b1=b1, b2=b2, eps=eps), expected, rtol=1e-9
            )

    def test_of_adamw_decays_the_weights_apart_from_the_gradient(self) -> None:
        """The decay is lr weight_decay w, neither normalized nor seen by the moments."""
        adam = self.step("adam", lr=0.3, eps=1e-3)
        decayed = self.step("adamw", lr=0.3, eps=1e-3, weight_decay=0.2)
        np.testing.assert_allclose(decayed - adam, -0.3 * 0.2 * START, rtol=1e-9)

    def test_of_sign_methods_has_one_length(self) -> None:
        for kind in ("sign_sgd", "signum", "lion"):
            np.testing.assert_allclose(self.step(kind, lr=0.3), -0.3 * np.sign(GRADS[0]), rtol=1e-9)

    def test_of_momentum_is_that_of_gradient_descent_and_nesterov_looks_ahead(self) -> None:
        np.testing.assert_allclose(
            self.step("momentum", lr=0.3, momentum=0.8), -0.3 * GRADS[0], rtol=1e-9
        )
        np.testing.assert_allclose(
            self.step("nesterov", lr=0.3, momentum=0.8), -0.3 * 1.8 * GRADS[0], rtol=1e-9
        )


class TestSchedules:
    """Step sizes by update number t = 0, 1, 2, ... against their formulas."""

    t = np.arange(30)

    def factors(self, schedule: Any) -> list[float]:
        """The factors of the step size, in the types that they have in a lane: optax counts updates in int32."""
        lane = jax.tree.map(
            lambda leaf: np.asarray(leaf, np.int32 if isinstance(leaf, int) else np.float64),
            schedule,
        )
        sizes = quick(lambda schedule, t: jax.vmap(schedule.of(0.5))(t) / 0.5)(
            lane, self.t.astype(np.int32)
        )
        return np.asarray(sizes).tolist()

    def test_constant_is_the_number_itself(self) -> None:
        """Not a function of t: optax then keeps no count, and the bits are those of a plain step size."""
        assert Constant().of(0.5) == 0.5

    @pytest.mark.parametrize("warmup", [0, 1, 4, 100])
    def test_warmup_rises_linearly_and_stays(self, warmup: int) -> None:
        expected = [min(1.0, (t + 1) / warmup) if warmup else 1.0 for t in self.t]
        np.testing.assert_allclose(self.factors(Warmup(warmup=warmup)), expected, rtol=1e-14)

    @pytest.mark.parametrize(
        ("exponent", "shift", "warmup"),
        [(0.5, 2.0, 0), (1.0, 1.0, 0), (0.0, 1.0, 0), (0.7, 3.0, 4)],
    )
    def test_power_falls_like_a_power_of_t(
        self, exponent: float, shift: float, warmup: int
    ) -> None:
        expected = [
            (t + shift) ** -exponent * (min(1, (t + 1) / warmup) if warmup else 1) for t in self.t
        ]
        np.testing.assert_allclose(
            self.factors(Power(exponent=exponent, shift=shift, warmup=warmup)), expected, rtol=1e-14
        )

    @pytest.mark.parametrize(
        ("decay_steps", "final", "warmup"), [(20, 0.0, 0), (12, 0.3, 0), (20, 0.1, 5)]
    )
    def test_cosine_falls_from_one_to_its_final_share(
        self, decay_steps: int, final: float, warmup: int
    ) -> None:
        fall = [0.5 * (1 + math.cos(math.pi * min(t / decay_steps, 1))) for t in self.t]
        ramp = [min(1, (t + 1) / warmup) if warmup else 1 for t in self.t]
        expected = [r * (final + (1 - final) * f) for r, f in zip(ramp, fall, strict=True)]
        found = self.factors(Cosine(decay_steps=decay_steps, final=final, warmup=warmup))
        np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-16)
        assert found[-1] == pytest.approx(final, abs=1e-15)

    @pytest.mark.parametrize(
        ("every", "factor", "warmup"), [(1, 0.9, 0), (7, 0.1, 0), (10, 0.5, 4), (100, 0.1, 0)]
    )
    def test_step_decay_is_the_closed_form_of_torch(
        self, every: int, factor: float, warmup: int
    ) -> None:
        """StepLR: every `step_size` epochs the learning rate is multiplied with gamma."""
        expected, size = [], 1.0
        for t in self.t:
            size *= factor if t and t % every == 0 else 1.0
            expected.append(size * (min(1, (t + 1) / warmup) if warmup else 1))
        found = self.factors(StepDecay(every=every, factor=factor, warmup=warmup))
        np.testing.assert_allclose(found, expected, rtol=1e-13)

    @pytest.mark.parametrize(
        ("milestones", "factor"),
        [((10,), 0.1), ((0,), 0.5), ((5, 20), 0.1), ((3, 3, 17), 0.5), ((12, 4, 8), 2.0)],
    )
    def test_milestones_are_those_of_torch_and_of_optax(
        self, milestones: tuple[int, ...], factor: float
    ) -> None:
        """MultiStepLR: gamma to the number of milestones that are not above t."""
        names = ("milestone", "milestone_2", "milestone_3")
        schedule = Milestones(**dict(zip(names, milestones, strict=False)), factor=factor)
        found = self.factors(schedule)
        passed = [bisect.bisect_right(sorted(milestones), t) for t in self.t]
        np.testing.assert_allclose(found, [factor**k for k in passed], rtol=1e-13)
        scales = {each: factor ** milestones.count(each) for each in milestones}
        piecewise = optax.piecewise_constant_schedule(1.0, scales)
        np.testing.assert_allclose(found, [float(piecewise(t)) for t in self.t], rtol=1e-13)

    def test_falls_are_exact_far_into_a_training(self) -> None:
        """Whole numbers above 2^24 have no exact float32."""
        t = jnp.int32(2**30 + 1)
        for schedule in (
            StepDecay(every=np.int32(2**30 + 1), factor=0.5),
            Milestones(milestone=np.int32(2**30 + 1), factor=0.5),
        ):
            of: Any = schedule.of(1.0)
            assert [float(of(t - 1)), float(of(t))] == [1.0, 0.5]

    @pytest.mark.parametrize("example", of("schedule"), ids=named)
    def test_update_t_uses_the_factor_of_t(self, example: Example) -> None:
        """Gradient descent's update number t is lr(t) g, t = 0 first."""
        schedule = example.part()
        path = np.asarray(ours(optimizers.KINDS["gd"](lr=0.5, schedule=schedule)))
        updates = np.diff(np.concatenate([START[None], path]), axis=0)
        of = schedule.of(0.5)
        sizes = np.array([float(of(float(t)) if callable(of) else of) for t in range(STEPS)])
        np.testing.assert_allclose(updates, -sizes[:, None, None] * GRADS, rtol=1e-10, atol=1e-14)

    @pytest.mark.parametrize("kind", ["adam", "momentum", "lion"])
    def test_every_optimizer_obeys_its_schedule(self, kind: str) -> None:
        """A schedule that makes all step sizes tiny makes the whole path tiny."""
        cls = optimizers.KINDS[kind]
        constant, tiny = cls(lr=0.5), cls(lr=0.5, schedule=Power(exponent=1.0, shift=1e15))
        assert np.abs(np.asarray(ours(constant)) - START).max() > 0.1
        assert np.abs(np.asarray(ours(tiny)) - START).max() < 1e-12


def _takes_a_step(part: Any) -> Any:
    """What a training does with an optimizer, on abstract arrays."""

    def step(part: Any, w: jax.Array) -> Any:
        transform = optax.with_extra_args_support(part.transform())
        return transform.update(w, transform.init(w), w, value=jnp.sum(w), grad=w)

    return jax.eval_shape(step, part, jnp.zeros(SHAPE))


class TestAliases:
    """`kind: optax.NAME`."""

    names = [f"optax.{name}" for name in dir(optax)] + [
        f"optax.contrib.{name}" for name in dir(optax.contrib)
    ]
    known = (
        "adabelief",
        "adadelta",
        "adan",
        "lars",
        "lion",
        "novograd",
        "radam",
        "rprop",
        "sm3",
        "yogi",
    )

    @pytest.mark.parametrize(
        "name", [*(f"optax.{name}" for name in known), "optax.contrib.ademamix"]
    )
    def test_optimizers_of_optax_are_there(self, name: str) -> None:
        assert from_optax(name) is not None
        assert trial.find_kind("optimizer", name) is from_optax(name)

    @pytest.mark.parametrize(
        "name",
        [
            *("optax", "optax.", "adam", "optax.nope", "optax.contrib", "optax.contrib.nope", "torch.adam"),
            *("optax.chain", "optax.scale_by_adam", "optax.apply_updates", "optax.clip", "optax.cosine_decay_schedule"),
            *("optax.inject_hyperparams", "optax.GradientTransformation", "optax.losses.l2_loss",
            "optax._src.alias.adam"),
            *("optax.__init__", "optax.scale_by_learning_rate", "optax.tree.norm", "optax.adam.adam", "optax..adam"),
        ],
    )  # fmt: skip
    def test_other_names_are_not(self, name: str) -> None:
        assert from_optax(name) is None

    def test_a_name_of_our_own_is_no_optax_name(self) -> None:
        assert trial.find_kind("optimizer", "adam") is optimizers.KINDS["adam"]
        assert trial.find_kind("optimizer", "optax.nope") is None
        assert trial.find_kind("model", "optax.adam") is None

    @pytest.mark.parametrize("name", [name for name in names if from_optax(name)])
    def test_an_optimizer_that_a_grid_may_name_can_train(self, name: str) -> None:
        """With traced numbers and what the trainer hands over. What optax wants more of must be refused in the grid."""
        cls: Any = from_optax(name)
        jax.tree.map(lambda leaf: leaf.shape, _takes_a_step(cls(lr=0.1)))

    def test_numbers_are_lanes_and_words_are_compiled_in(self) -> None:
        cls: Any = from_optax("optax.adamw")
        found = {name: field.role for name, field in spec.fields(cls).items()}
        assert found.pop("schedule") == "nested"
        lanes = {"lr", "b1", "b2", "eps", "eps_root", "weight_decay"}
        assert {name for name, role in found.items() if role == "lane"} == lanes
        assert {name for name, role in found.items() if role == "static"} == {"nesterov"}

    def test_defaults_are_those_of_optax(self) -> None:
        cls: Any = from_optax("optax.nadam")
        made = cls(lr=0.1)
        for name, parameter in inspect.signature(optax.nadam).parameters.items():
            if hasattr(made, name):
                assert getattr(made, name) == parameter.default

    def test_the_class_of_a_name_is_one(self) -> None:
        """jax compiles once for a type: another class of the same name would be another program."""
        assert from_optax("optax.nadam") is from_optax("optax.nadam")

    @pytest.mark.parametrize("name", [name for name in names if from_optax(name)])
    def test_it_takes_every_schedule_or_says_that_it_takes_none(self, name: str) -> None:
        """The grid refuses what is said to take none; a rule that takes only some schedules would end a sweep."""
        cls: Any = from_optax(name)
        for example in of("schedule"):
            part = cls(lr=0.1, schedule=example.part())
            if cls.scheduled or example.kind == "constant":
                _takes_a_step(part)
            else:
                with pytest.raises(TypeError):
                    _takes_a_step(part)

    def test_two_rules_of_optax_take_no_schedule(self) -> None:
        """Counted by hand; a newer optax may mend one of them, and then the grid takes it."""
        classes = {name: from_optax(name) for name in self.names}
        assert {name for name, cls in classes.items() if cls and not cls.scheduled} == {
            "optax.rprop",
            "optax.sm3",
        }


class TestLimits:
    """Rules that have others as limits are those, to the bit where nothing is rounded in between."""

    def test_miadam_after_the_switch_is_adam(self) -> None:
        numbers = {"lr": 0.05, "b1": 0.8, "b2": 0.95, "eps": 1e-3}
        adam = ours(optimizers.KINDS["adam"](**numbers))
        miadam = ours(optimizers.KINDS["miadam"](**numbers, order=2, switch=0))
        np.testing.assert_array_equal(miadam, adam)
        plain = ours(optimizers.KINDS["miadam"](**numbers, kappa=0.0, lr_power=1.0, switch=STEPS))
        np.testing.assert_allclose(plain, adam, rtol=1e-15)

    def test_one_normalization_of_k_adam_is_adam(self) -> None:
        numbers = {"lr": 0.05, "b1": 0.8, "b2": 0.95, "eps": 1e-3}
        adam = ours(optimizers.KINDS["adam"](**numbers))
        np.testing.assert_array_equal(ours(optimizers.KINDS["k_adam"](**numbers, k=1)), adam)

    @pytest.mark.parametrize(("b1", "b2", "bounded"), [(0.8, 0.9, True), (0.9, 0.5, False)])
    def test_updates_of_adam_are_bounded_where_the_square_of_b1_is_below_b2(
        self, b1: float, b2: float, bounded: bool
    ) -> None:
        """|m| / sqrt(v) <= (1 - b1) / sqrt((1 - b2) (1 - b1^2 / b2)); a falling gradient breaks it."""
        t = np.arange(60)
        falling = (0.5 * (b1 + b2 / b1)) ** t if bounded else (0.9 * b2 / b1) ** t
        grads = np.broadcast_to(falling[:, None, None], (60, *SHAPE))
        part = optimizers.KINDS["k_adam"](lr=1.0, k=1, b1=b1, b2=b2, eps=0.0)
        steps = np.abs(np.diff(np.asarray(path(part, np.zeros(SHAPE), grads)), axis=0)).max()
        if bounded:
            limit = (1 - b1) / np.sqrt((1 - b2) * (1 - b1**2 / b2)) / (1 - b1)
            assert steps <= limit
        else:
            assert steps > 100

    def test_generalized_sign_descent_between_a_sign_and_its_average(self) -> None:
        kind, numbers = optimizers.KINDS["gen_sign_sgd"], {"lr": 0.3, "b1": 0.8, "eps": 1e-12}
        signum = ours(optimizers.KINDS["signum"](lr=0.3, momentum=0.8))
        np.testing.assert_allclose(ours(kind(**numbers, b2=0.0)), signum, atol=1e-9)
        first = np.asarray(ours(kind(**numbers, b2=0.99)))[0] - START
        np.testing.assert_allclose(first, -0.3 / np.sqrt(0.01) * np.sign(GRADS[0]), rtol=1e-9)

    @pytest.mark.parametrize("more", [{"delta": 1.0}, {"gamma": np.inf}])
    def test_a_clip_that_does_not_clip_is_descent(self, more: dict[str, float]) -> None:
        clipped = ours(optimizers.KINDS["delta_clip"](lr=0.05, **more))
        np.testing.assert_array_equal(clipped, ours(optimizers.KINDS["gd"](lr=0.05)))

    def test_a_clip_of_no_gradient_moves_nothing(self) -> None:
        part = optimizers.KINDS["delta_clip"](lr=0.05, weight_decay=0.5)
        found = np.asarray(path(part, START, np.zeros((2, *SHAPE))))
        np.testing.assert_array_equal(found, np.broadcast_to(START, (2, *SHAPE)))

    def test_critical_momenta_without_a_buffer_average_their_own_squares(self) -> None:
        """v averages M^2 = m^2, not g^2: from the second update on, without slots."""
        numbers = {"lr": 0.05, "b1": 0.8, "b2": 0.95, "eps": 1e-3}
        found = np.asarray(ours(optimizers.KINDS["critical_momenta"](**numbers, slots=0)))
        np.testing.assert_array_equal(found[0], START)
        m, v, w, expected = np.zeros(SHAPE), np.zeros(SHAPE), START.copy(), []
        for t, g in enumerate(GRADS[1:], start=2):
            m = 0.8 * m + 0.2 * g
            v = 0.95 * v + 0.05 * m**2
            w = w - 0.05 * m / (1 - 0.8**t) / (np.sqrt(v / (1 - 0.95**t)) + 1e-3)
            expected.append(w)
        np.testing.assert_allclose(found[1:], expected, rtol=1e-12)


def test_each_kind_has_a_name_of_its_own_for_readers() -> None:
    """`sgd` and `gd` are one rule, and may be in one figure."""
    assert set(optimizers.LABELS) == set(optimizers.KINDS)
    assert len(set(optimizers.LABELS.values())) == len(optimizers.LABELS)
