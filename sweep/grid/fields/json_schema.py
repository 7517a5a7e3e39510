"""Grid files as a pydantic model, for editors and other programs.

The model leaves out the checks that need the points of the grid.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, create_model
from pydantic import Field as Declared

from sweep.grid.fields import validation
from sweep.grid.fields.settings import (
    NAME,
    POINTS,
    SYSTEM,
    TEST,
    TEST_POINTS,
    VALIDATION_POINTS,
    WORDS,
)


def json_schema() -> dict[str, Any]:
    """The JSON Schema of grid files, with the kinds that are currently registered."""
    return file_model().model_json_schema()


def file_model() -> type[BaseModel]:
    """The pydantic model of grid files, without the checks that need the points."""
    condition, names = Annotated[str, Declared(description="a condition on fields")], list[str]
    parts = {
        "name": (
            Annotated[str, Declared(pattern=f"^{NAME}$")],
            Declared(description="names the folder of the results"),
        ),
        "description": (str, Declared("", description="what the grid is for")),
        "seed": (
            validation.as_written(validation.seed_fields()["seed"]),
            Declared(0, description=validation.seed_fields()["seed"].doc),
        ),
        "init_seed": (
            validation.as_written(validation.seed_fields()["init_seed"]),
            Declared(None, description=validation.seed_fields()["init_seed"].doc),
        ),
        "data": (
            validation.family_model("data"),
            Declared(description="distribution of the points"),
        ),
        "model": (validation.family_model("model"), Declared(description="network")),
        "objective": (
            validation.family_model("objective"),
            Declared({"kind": "logistic"}, description="loss and l2 term"),
        ),
        "optimizer": (
            validation.family_model("optimizer"),
            Declared(description="rule of the updates"),
        ),
        "train": (
            validation.family_model("train"),
            Declared({}, description="how long and on what batches"),
        ),
        "where": (
            condition | list[condition],
            Declared([], description="keeps the points where it holds"),
        ),
        "zip": (names | list[names], Declared([], description="fields that vary together")),
        "coordinates": (Literal[WORDS], Declared("auto", description=SYSTEM.doc)),
        "record": (
            validation.settings_model("Record", (POINTS, TEST)),
            Declared({}, description="recorded curves"),
        ),
        "test_points": (int, Declared(2000, ge=0, description=TEST_POINTS.doc)),
        "validation_points": (int, Declared(0, ge=0, description=VALIDATION_POINTS.doc)),
    }
    # Typed as Any, since the overloads of `create_model` reject a mapping of pairs.
    attributes: dict[str, Any] = parts
    return create_model(
        "Grid", __config__=ConfigDict(extra="forbid", protected_namespaces=()), **attributes
    )
