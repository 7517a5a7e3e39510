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

from sweep.jax_settings import pinned_settings
from sweep.optimizers.base import AbstractOptimizer
from sweep.optimizers.gradient import LR, SCHEDULE
from sweep.optimizers.schedules import AbstractSchedule, Constant, Warmup
from sweep.spec import Scalar, lane, nested, part, static

PREFIX = "optax."

TORCH_NOTES = {
    "optax.nadam": (
        "torch.optim.NAdam is another rule: its momentum grows over the training, from b1 / 2 to "
        "b1. By the defaults its first step is 1.06 lr, that of optax 1.47 lr."
    ),
    "optax.amsgrad": (
        "torch's Adam with amsgrad=True is another rule: it takes the largest v and corrects its "
        "bias afterwards, optax takes the largest corrected v. Where the first gradient is the "
        "largest, torch divides by a number that falls with the step, by default to 1 / 9.76 of "
        "that of optax after 100 steps."
    ),
    "optax.rprop": (
        "torch.optim.Rprop is another rule: optax makes each step one update later. Under "
        "gradients of one sign torch has moved 7.44 lr after 5 steps, optax 5.37 lr."
    ),
}
"""Where a rule of optax is not that of torch under the same name, by kind, with a number."""


@functools.cache
def from_optax(kind: str) -> type[AbstractOptimizer] | None:
    """The optimizer class for a function of optax with a learning rate; None where there is none.

    Arguments with a float default become lane fields under optax's names, except `learning_rate`:
    it is `lr` and takes a schedule. Booleans, integers and strings become static fields; arguments
    of other types keep their defaults. A rule that needs more than gradients, weights and the loss
    is refused.
    """
    make = _function(kind)
    if make is None or "learning_rate" not in inspect.signature(make).parameters:
        return None
    declared: dict[str, tuple[Any, Any]] = {"lr": (Scalar, lane(above=0, doc=LR, label=LR))}
    for name, default in _defaults(make):
        field = _field(name, default, kind)
        if field is not None:
            declared[name] = field
    declared["schedule"] = (AbstractSchedule, nested("schedule", Constant(), doc=SCHEDULE))
    optimizer: Any = _optimizer_class(kind, make, declared)
    if not _can_train(optimizer(lr=0.1)):
        return None
    # Some rules of optax calculate with the step size itself, which a function does not allow.
    optimizer.scheduled = _can_train(optimizer(lr=0.1, schedule=Warmup(warmup=1)))
    return optimizer


def _can_train(optimizer: AbstractOptimizer) -> bool:
    """True for a rule that needs gradients, weights and the loss alone, not a function or a key."""

    def step(optimizer: AbstractOptimizer, weights: jax.Array) -> Any:
        transform = optax.with_extra_args_support(optimizer.transform())
        return transform.update(
            weights, transform.init(weights), weights, value=jnp.sum(weights), grad=weights
        )

    try:
        with warnings.catch_warnings(), pinned_settings():
            warnings.simplefilter("error")
            jax.eval_shape(step, optimizer, jax.ShapeDtypeStruct((3, 2), jnp.float32))
    except Exception:  # optax has no common error for this; a warning counts as one
        return False
    return True


def _function(kind: str) -> Callable[..., Any] | None:
    """The function of optax of that name, None where it makes no optimizer."""
    member: Any = optax
    path = kind.removeprefix(PREFIX).split(".")
    # optax also exports building blocks (scale_by_*) and modules of helpers.
    is_optimizer = path[-1].islower() and not path[-1].startswith(("_", "scale_by"))
    if not kind.startswith(PREFIX) or path[:-1] not in ([], ["contrib"]) or not is_optimizer:
        return None
    for name in path:
        member = getattr(member, name, None)
    return member if callable(member) and not inspect.isclass(member) else None


def _defaults(make: Callable[..., Any]) -> list[tuple[str, Any]]:
    """Arguments of a function of optax and their defaults, but for learning rate and seed."""
    parameters = inspect.signature(make).parameters.values()
    return [
        (parameter.name, parameter.default)
        for parameter in parameters
        if parameter.name not in ("learning_rate", "seed")
    ]


def _field(name: str, default: Any, kind: str) -> tuple[Any, Any] | None:
    """Type and declaration of the field for an argument, None for arguments of other types."""
    doc = f"{name} of {kind}"
    if isinstance(default, float):
        return Scalar, lane(default, doc=doc)
    if isinstance(default, bool | int | str):
        return type(default), static(default, doc=doc)
    return None


def _optimizer_class(
    kind: str, make: Callable[..., Any], declared: dict[str, tuple[Any, Any]]
) -> type[AbstractOptimizer]:
    """A class of optimizers that calls `make`; `declared` maps its fields to (type, default)."""
    names = [name for name in declared if name not in ("lr", "schedule")]

    def transform(self: Any) -> optax.GradientTransformation:
        options = {name: getattr(self, name) for name in names}
        return make(learning_rate=self.schedule.of(self.lr), **options)

    summary = (inspect.getdoc(make) or "").splitlines()[0] if make.__doc__ else kind
    note = f"\n\n{TORCH_NOTES[kind]}" if kind in TORCH_NOTES else ""
    body = {
        "__doc__": f"{kind}: {summary}{note}",
        "__module__": __name__,
        "__annotations__": {name: hint for name, (hint, _) in declared.items()},
        "transform": transform,
        **{name: field for name, (_, field) in declared.items()},
    }
    return part(type(kind.replace(".", "_"), (AbstractOptimizer,), body))
