"""Any optimizer of optax by its name: `kind: optax.nadam` or `kind: optax.contrib.muon`."""

from __future__ import annotations

import functools
import inspect
import warnings
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib

from sweep.optimizers.base import AbstractOptimizer
from sweep.optimizers.gradient import LR, SCHEDULE
from sweep.optimizers.schedules import AbstractSchedule, Constant
from sweep.spec import Scalar, lane, nested, part, static

PREFIX = "optax."


@functools.cache
def from_optax(kind: str) -> type[AbstractOptimizer] | None:
    """The part for an optax function that takes a learning rate, or None where optax has none that can train alone.

    Its numbers with a default are lanes under optax's names, except `learning_rate`: it is `lr` and takes a schedule;
    booleans, integers and words are static; arguments of other types keep their defaults.
    """
    make = _function(kind)
    if make is None or "learning_rate" not in inspect.signature(make).parameters:
        return None
    declared: dict[str, tuple[Any, Any]] = {"lr": (Scalar, lane(above=0, doc=LR))}
    declared |= {name: field for name, default in _defaults(make) if (field := _field(name, default, kind))}
    declared["schedule"] = (AbstractSchedule, nested("schedule", Constant(), doc=SCHEDULE))
    made = _part(kind, make, declared)
    return made if _trains(made) else None


def _trains(cls: Any) -> bool:
    """Can it make a step from gradients, weights and the loss? Some of optax want more: a function, a key."""

    def step(optimizer: AbstractOptimizer, weights: jax.Array) -> Any:
        transform = optax.with_extra_args_support(optimizer.transform())
        return transform.update(weights, transform.init(weights), weights, value=jnp.sum(weights), grad=weights)

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            jax.eval_shape(step, cls(lr=0.1), jax.ShapeDtypeStruct((3, 2), jnp.float32))
    except Exception:  # whatever optax raises or warns of, the answer is no
        return False
    return True


def _function(kind: str) -> Callable[..., Any] | None:
    home: Any = optax
    path = kind.removeprefix(PREFIX).split(".")
    is_optimizer = path[-1].islower() and not path[-1].startswith(("_", "scale_by"))
    if not kind.startswith(PREFIX) or path[:-1] not in ([], ["contrib"]) or not is_optimizer:
        return None
    for name in path:
        home = getattr(home, name, None)
    return home if callable(home) and not inspect.isclass(home) else None


def _defaults(make: Callable[..., Any]) -> list[tuple[str, Any]]:
    parameters = inspect.signature(make).parameters.values()
    return [(each.name, each.default) for each in parameters if each.name not in ("learning_rate", "seed")]


def _field(name: str, default: Any, kind: str) -> tuple[Any, Any] | None:
    doc = f"{name} of {kind}"
    if isinstance(default, float):
        return Scalar, lane(default, doc=doc)
    if isinstance(default, bool | int | str):
        return type(default), static(default, doc=doc)
    return None


def _part(kind: str, make: Callable[..., Any], declared: dict[str, tuple[Any, Any]]) -> type[AbstractOptimizer]:
    names = [name for name in declared if name not in ("lr", "schedule")]

    def transform(self: Any) -> optax.GradientTransformation:
        return make(learning_rate=self.schedule.of(self.lr), **{name: getattr(self, name) for name in names})

    body = {
        "__doc__": f"{kind}: {(inspect.getdoc(make) or '').splitlines()[0] if make.__doc__ else kind}",
        "__module__": __name__,
        "__annotations__": {name: hint for name, (hint, _) in declared.items()},
        "transform": transform,
        **{name: field for name, (_, field) in declared.items()},
    }
    return part(type(kind.replace(".", "_"), (AbstractOptimizer,), body))
