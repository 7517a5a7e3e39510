"""Parts of a plugin that do not give one number a point are refused by a sentence, before anything is trained."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from sweep import grid, models, objectives
from sweep.errors import SweepError
from sweep.models.base import AbstractModel
from sweep.objectives.base import AbstractMarginLoss
from sweep.planning import plan
from sweep.planning.plan import Host, Plan
from sweep.spec import Scalar, lane, part, static

TEXT = """
name: outputs
data: {kind: signal_noise, n: [6, 7], d: 5, snr: 1}
model: MODEL
objective: OBJECTIVE
optimizer: {kind: gd, lr: 0.1}
train: {steps: 1000000000}
"""


class Head(nnx.Module):
    """A dense layer on the patches laid side by side."""

    def __init__(self, inputs: int, outputs: int, shape: str, rngs: nnx.Rngs) -> None:
        self.layer = nnx.Linear(inputs, outputs, rngs=rngs)
        self.shape = shape

    def __call__(self, patches: Any) -> Any:
        outputs = self.layer(patches.reshape(patches.shape[0], -1))
        return (
            jnp.sum(outputs)
            if self.shape == "none"
            else outputs[..., 0]
            if self.shape == "points"
            else outputs
        )


@part
class Wide(AbstractModel):
    """A network of several outputs."""

    outputs: int = static(3, at_least=1, doc="outputs")
    shape: str = static("all", doc="what it returns")

    def head(self, patches: int, d: Any, rngs: nnx.Rngs) -> nnx.Module:
        return Head(patches * d, self.outputs, self.shape, rngs)


@part
class Mean(AbstractMarginLoss):
    """An objective that takes the mean itself."""

    l2: Scalar = lane(0.0, doc="weight of the squared norm")

    def loss(self, margin: Any) -> Any:
        return jnp.mean(jax.nn.softplus(-margin))


@pytest.fixture(autouse=True)
def _registered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(models.KINDS, "wide", Wide)
    monkeypatch.setitem(objectives.KINDS, "mean", Mean)


def make(model: str, objective: str = "logistic") -> Plan:
    text = TEXT.replace("MODEL", model).replace("OBJECTIVE", objective)
    return plan.make_plan(grid.parse_grid(text), Host("cpu", 1))


@pytest.mark.parametrize(
    ("model", "shape"),
    [
        ("wide", r"\(6, 3\)"),
        # One output a point, but with an axis of its own: labels would be broadcast to (6, 6).
        ("{kind: wide, outputs: 1}", r"\(6, 1\)"),
        ("{kind: wide, shape: none}", r"\(\)"),
    ],
)
def test_a_model_that_does_not_give_one_number_a_point_is_named(model: str, shape: str) -> None:
    with pytest.raises(
        SweepError, match=rf"^The model wide gives outputs of shape {shape} for 6 points"
    ) as error:
        make(model)
    assert "expected is (6,): one number a point" in str(error.value)
    assert "\n" not in str(error.value)


def test_a_model_of_one_number_a_point_is_planned() -> None:
    assert make("{kind: wide, shape: points}").planned == 2


def test_an_objective_that_takes_the_mean_itself_is_named() -> None:
    with pytest.raises(
        SweepError, match=r"^The objective mean gives losses of shape \(\) for 6 points"
    ):
        make("cnn", "mean")
