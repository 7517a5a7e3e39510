"""What manifests say about columns and kinds."""

from __future__ import annotations

from typing import Any

import pytest

from analysis.figures.style import facet_label
from analysis.tables import columns
from analysis.tables.columns import kind_label, read_descriptions


@pytest.fixture(autouse=True)
def _labels(monkeypatch: pytest.MonkeyPatch) -> None:
    """Labels are kept for the whole process."""
    monkeypatch.setattr(columns, "_LABELS", {})


def test_a_kind_has_its_label_and_a_plugins_its_name():
    read_descriptions({"info": {"labels": {"optimizer adam": "Adam"}}})
    assert kind_label("optimizer", "adam") == "Adam"
    assert kind_label("optimizer", "mine") == "mine" and kind_label("model", "adam") == "adam"


@pytest.mark.parametrize("labels", [None, [], "adam", {"optimizer adam": ""}])
def test_a_manifest_edited_by_hand_labels_nothing(labels: Any):
    read_descriptions({"info": {"labels": labels}})
    assert kind_label("optimizer", "adam") == "adam"


def test_facets_in_a_legend():
    read_descriptions({"info": {"labels": {"optimizer adam": "Adam"}}})
    assert facet_label("optimizer", "adam") == "Adam"
    assert facet_label("batch_size", 2) == "batch size = 2" and facet_label(None, None) == ""
    assert "\x1b" not in facet_label("optimizer", "\x1b[31m")
