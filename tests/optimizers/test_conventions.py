"""Optimizers beside those of torch: where they agree, and by what number they differ where they do not.

Torch is not installed. Its rules are written here as the algorithms of its documentation state them
(docs.pytorch.org, torch.optim, version 2.9), and each number that the field reference gives for a difference is computed.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import optax
import pytest

from sweep import optimizers
from sweep.commands.kinds import describe_kind
from sweep.optimizers import from_optax
from tests.optimizers.test_optimizers import GRADS, SHAPE, START, ours, path, run
from tests.training_cases import quick

pytestmark = pytest.mark.usefixtures("float64")

Rule = Callable[..., Iterator[np.ndarray]]
LR = 0.05


def torch_sgd(
    w: np.ndarray,
    grads: np.ndarray,
    momentum: float = 0.0,
    weight_decay: float = 0.0,
    nesterov: bool = False,
) -> Iterator[np.ndarray]:
    """SGD without dampening: the decay is part of the gradient, the buffer begins as the first one."""
    buffer = None
    for g in grads:
        g = g + weight_decay * w
        buffer = g if buffer is None else momentum * buffer + g
        yield (w := w - LR * (g + momentum * buffer if nesterov else buffer))


def torch_adam(
    w: np.ndarray,
    grads: np.ndarray,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float = 0.0,
    amsgrad: bool = False,
) -> Iterator[np.ndarray]:
    """AdamW, which decays the weights before the step; without decay it is Adam."""
    m, v, largest = np.zeros_like(w), np.zeros_like(w), np.zeros_like(w)
    for t, g in enumerate(grads, start=1):
        w = w * (1 - LR * weight_decay)
        m, v = betas[0] * m + (1 - betas[0]) * g, betas[1] * v + (1 - betas[1]) * g**2
        largest = np.maximum(largest, v) if amsgrad else v
        denominator = np.sqrt(largest) / np.sqrt(1 - betas[1] ** t) + eps
        yield (w := w - LR / (1 - betas[0] ** t) * m / denominator)


def torch_nadam(w: np.ndarray, grads: np.ndarray) -> Iterator[np.ndarray]:
    """NAdam with its defaults, momentum decay 0.004."""
    m, v, product = np.zeros_like(w), np.zeros_like(w), 1.0
    for t, g in enumerate(grads, start=1):
        mu, after = (0.9 * (1 - 0.5 * 0.96 ** (step * 0.004)) for step in (t, t + 1))
        product *= mu
        m, v = 0.9 * m + 0.1 * g, 0.999 * v + 0.001 * g**2
        ahead = after * m / (1 - product * after) + (1 - mu) * g / (1 - product)
        yield (w := w - LR * ahead / (np.sqrt(v / (1 - 0.999**t)) + 1e-8))


def torch_rmsprop(w: np.ndarray, grads: np.ndarray, alpha: float = 0.99) -> Iterator[np.ndarray]:
    """RMSprop, neither centered nor with momentum, eps 1e-8."""
    v = np.zeros_like(w)
    for g in grads:
        v = alpha * v + (1 - alpha) * g**2
        yield (w := w - LR * g / (np.sqrt(v) + 1e-8))


def torch_adagrad(
    w: np.ndarray, grads: np.ndarray, initial: float = 0.0, eps: float = 1e-10
) -> Iterator[np.ndarray]:
    """Adagrad without decay of its step size."""
    total = np.full_like(w, initial)
    for g in grads:
        total = total + g**2
        yield (w := w - LR * g / (np.sqrt(total) + eps))


def torch_rprop(w: np.ndarray, grads: np.ndarray) -> Iterator[np.ndarray]:
    """Rprop: a step grows by 1.2 while the sign stays; where it turns, it halves and one is left out."""
    previous, size = np.zeros_like(w), np.full_like(w, LR)
    for g in grads:
        turn = np.sign(g * previous)
        factor = np.where(turn > 0, 1.2, np.where(turn < 0, 0.5, 1.0))
        size = np.clip(size * factor, 1e-6, 50.0)
        g = np.where(turn < 0, 0.0, g)
        yield (w := w - size * np.sign(g))
        previous = g


AGREE: dict[str, tuple[str, dict[str, Any], Rule, dict[str, Any]]] = {
    "gd": ("gd", {}, torch_sgd, {}),
    "sgd with decay": ("sgd", {"weight_decay": 0.3}, torch_sgd, {"weight_decay": 0.3}),
    "momentum": ("momentum", {"momentum": 0.8}, torch_sgd, {"momentum": 0.8}),
    "nesterov": ("nesterov", {"momentum": 0.8}, torch_sgd, {"momentum": 0.8, "nesterov": True}),
    "adam": ("adam", {}, torch_adam, {}),
    "adam, other numbers": (
        "adam",
        {"b1": 0.8, "b2": 0.95, "eps": 1e-3},
        torch_adam,
        {"betas": (0.8, 0.95), "eps": 1e-3},
    ),
    "adamw": ("adamw", {}, torch_adam, {"weight_decay": 0.01}),
    "adagrad": (
        "adagrad",
        {"initial_accumulator": 0.2, "eps": 0.0},
        torch_adagrad,
        {"initial": 0.2, "eps": 0.0},
    ),
}


@pytest.mark.parametrize(("kind", "numbers", "rule", "options"), AGREE.values(), ids=AGREE)
def test_where_rules_agree_they_are_those_of_torch(
    kind: str, numbers: dict[str, Any], rule: Rule, options: dict[str, Any]
) -> None:
    found = ours(optimizers.KINDS[kind](lr=LR, **numbers))
    expected = list(rule(START, GRADS, **options))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def other_rule(name: str, **numbers: float) -> Any:
    """An optimizer of optax by its name, with the step size of these tests."""
    cls: Any = from_optax(name)
    return cls(lr=LR, **numbers)


DIFFER: dict[str, tuple[Any, Callable[..., Any], Rule]] = {
    "rmsprop": (optimizers.KINDS["rmsprop"](lr=LR), optax.rmsprop, torch_rmsprop),
    "adagrad": (optimizers.KINDS["adagrad"](lr=LR), optax.adagrad, torch_adagrad),
    "optax.nadam": (other_rule("optax.nadam"), optax.nadam, torch_nadam),
    "optax.amsgrad": (
        other_rule("optax.amsgrad"),
        optax.amsgrad,
        lambda w, grads: torch_adam(w, grads, amsgrad=True),
    ),
    "optax.rprop": (other_rule("optax.rprop"), optax.rprop, torch_rprop),
}


@pytest.mark.parametrize(("part", "alias", "rule"), DIFFER.values(), ids=DIFFER)
def test_where_rules_differ_ours_is_that_of_optax(
    part: Any, alias: Callable[..., Any], rule: Rule
) -> None:
    """And that of torch is another one, by the defaults of all three."""
    found = np.asarray(ours(part))
    plain = quick(lambda: run(lambda: alias(LR)))()
    np.testing.assert_allclose(found, plain, rtol=1e-12, atol=1e-12)
    assert np.abs(found[-1] - list(rule(START, GRADS))[-1]).max() > 1e-3


def moved(part: Any, grads: np.ndarray) -> np.ndarray:
    """How far a single weight has moved down after each step, in step sizes."""
    return -np.asarray(path(part, np.zeros(1), grads[:, None]))[:, 0] / LR


def moved_in_torch(rule: Rule, grads: np.ndarray, **options: Any) -> np.ndarray:
    return -np.array(list(rule(np.zeros(1), grads[:, None], **options)))[:, 0] / LR


def stated(kind: str, *numbers: float, digits: int = 3) -> None:
    """The field reference gives these numbers."""
    text = " ".join(describe_kind(kind).split())
    for number in numbers:
        assert f" {number:.{digits}g} lr" in text, (number, text)


def test_rmsprop_differs_by_its_decay_and_by_the_place_of_eps() -> None:
    rmsprop = optimizers.KINDS["rmsprop"](lr=LR)
    one = np.ones(1)
    first, in_torch = moved(rmsprop, one)[0], moved_in_torch(torch_rmsprop, one)[0]
    assert (first, in_torch) == pytest.approx((0.1**-0.5, 0.01**-0.5), rel=1e-6)
    stated("rmsprop", first, in_torch)
    small = np.full(1, 1e-5)
    first, in_torch = (
        moved(rmsprop, small)[0],
        moved_in_torch(torch_rmsprop, small, alpha=0.9)[0],
    )
    assert first == pytest.approx(1e-5 / np.sqrt(1e-11 + 1e-8), rel=1e-9)
    stated("rmsprop", first, in_torch)
    text = describe_kind("rmsprop")
    assert "decay (alpha) of 0.99" in text and "default 0.9," in text


def test_adagrad_differs_by_what_it_begins_with() -> None:
    one = np.ones(1)
    first = moved(optimizers.KINDS["adagrad"](lr=LR), one)[0]
    in_torch = moved_in_torch(torch_adagrad, one)[0]
    assert (first, in_torch) == pytest.approx((1.1**-0.5, 1.0), rel=1e-6)
    stated("adagrad", first, in_torch)


def test_nadam_differs_by_the_momentum_of_its_first_steps() -> None:
    one = np.ones(1)
    first = moved(other_rule("optax.nadam"), one)[0]
    in_torch = moved_in_torch(torch_nadam, one)[0]
    assert first == pytest.approx(1 + 0.9 / 1.9, rel=1e-6)
    stated("optax.nadam", first, in_torch)


def test_amsgrad_differs_by_what_the_largest_is_taken_of() -> None:
    """Of gradients 1, 0, 0, ...: the numerators are equal, so steps are in the ratio of denominators."""
    grads = np.zeros(100)
    grads[0] = 1.0
    steps = np.diff(moved(other_rule("optax.amsgrad"), grads))
    in_torch = np.diff(moved_in_torch(torch_adam, grads, amsgrad=True))
    ratio = in_torch[-1] / steps[-1]
    assert ratio == pytest.approx(np.sqrt((1 - 0.999**100) / 0.001), rel=1e-6)
    assert f"1 / {ratio:.3g}" in " ".join(describe_kind("optax.amsgrad").split())


def test_rprop_differs_by_one_step() -> None:
    grads = np.ones(5)
    found = moved(other_rule("optax.rprop"), grads)
    in_torch = moved_in_torch(torch_rprop, grads)
    np.testing.assert_allclose(found[1:], in_torch[:-1], rtol=1e-12)
    assert found[0] == 0.0
    assert in_torch[-1] == pytest.approx(sum(1.2**power for power in range(5)))
    stated("optax.rprop", found[-1], in_torch[-1])


@pytest.mark.parametrize("kind", ["momentum", "nesterov"])
@pytest.mark.parametrize("momentum", [0.5, 0.9])
def test_decay_with_momentum_is_decoupled(kind: str, momentum: float) -> None:
    """Without gradients ours is (1 - lr weight_decay)^t, torch's a power of a root of its recursion."""
    decay, steps = 1e-4, 400
    part = optimizers.KINDS[kind](lr=LR, momentum=momentum, weight_decay=decay)
    none = np.zeros((steps, 1))
    found = np.asarray(path(part, np.ones(1), none))[:, 0]
    np.testing.assert_allclose(found, (1 - LR * decay) ** np.arange(1, steps + 1), rtol=1e-12)
    rule = torch_sgd(np.ones(1), none, momentum, decay, kind == "nesterov")
    in_torch = np.array(list(rule))[:, 0]
    late = slice(steps - 2, steps)
    rates = [-np.diff(np.log(weights[late]))[0] for weights in (found, in_torch)]
    assert rates[1] / rates[0] == pytest.approx(1 / (1 - momentum), rel=2e-3)
    text = " ".join(describe_kind(kind).split())
    assert "at momentum 0.9 it shrinks the weights 10 times as fast, 1 / (1 - momentum)" in text


@pytest.mark.parametrize("kind", ["momentum", "nesterov"])
def test_the_l2_term_of_the_objective_is_the_decay_of_torch(kind: str) -> None:
    """The gradient that an optimizer sees then has l2 w in it, here of a loss without other terms."""
    part, l2 = optimizers.KINDS[kind](lr=LR, momentum=0.8), 0.3
    transform, w = part.transform(), START
    state, found = transform.init(w), []
    for g in GRADS[:5]:
        updates, state = transform.update(g + l2 * w, state, w)
        found.append(w := np.asarray(w + updates))
    expected = list(torch_sgd(START, GRADS[:5], 0.8, l2, kind == "nesterov"))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert found[0].shape == SHAPE
