"""What a page says of boundaries, endings and flips, on stores in which they are planted."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

import analysis
from analysis.reporting.section import Section
from analysis.reporting.sections import report_sections
from analysis.reporting.view import make_view

SNRS, SIZES = [float(x) for x in np.geomspace(0.1, 10, 13)], (10, 40, 160, 640)


def fallen(make: Any, power: int = 3, first: int = 0, **more: Any) -> list[dict[str, Any]]:
    """Errors that fall from 1/2 to 0: of gd where n snr^power = 40, of adam at snr = 3; 3 seeds."""
    rows = []
    for problem, (snr, n, seed) in enumerate(
        (x, n, s) for x in SNRS for n in SIZES for s in range(3)
    ):
        for k, (name, at) in enumerate([("gd", (40 / n) ** (1 / power)), ("adam", 3.0)]):
            error = 0.5 / (1 + (snr / at) ** 4) + 0.04 * ((seed + SIZES.index(n)) % 3 - 1)
            own = {
                "snr": snr,
                "n": n,
                "seed": seed,
                "test_error": error,
                "power": power,
                "batch_size": n,
                **more,
            }
            rows.append(make.row(first + 10 * problem + k, first + problem, name, **own))
    return rows


def shown(folder: Path, **more: Any) -> dict[str, Section]:
    return {
        each.name: each
        for each in report_sections(folder, make_view(analysis.load(folder)), 0.95, **more)
    }


def test_boundary_exponent_and_theory_stand_on_the_page(make: Any, tmp_path: Path):
    found = shown(make.write_store(tmp_path / "s", fallen(make)))
    boundary, slopes = found["boundary"].table, found["exponents"].table.set_index("optimizer")
    gd = boundary[boundary["optimizer"] == "gd"].set_index("n")["at"]
    for n in SIZES:
        assert gd[n] == pytest.approx((40 / n) ** (1 / 3), rel=0.05)
    assert (
        slopes.loc["gd", "slope"] == pytest.approx(-1 / 3, abs=0.02)
        and slopes.loc["adam", "rows"] == 4
    )
    theory = found["theory-gd_feature_noise"]
    assert set(theory.table["optimizer"]) == {"gd"} and not theory.table["fails"].any()
    assert "theory -0.333" in theory.sentences[0]
    assert set(found["theory-adam_feature_noise"].table["optimizer"]) == {"adam"}
    figure = found["phase-test_error"].figure
    assert figure is not None
    caption = " ".join(text.get_text() for text in figure.texts).replace("\xa0", " ")
    assert "n snr^q = const" in caption and "test error = 0.25" in caption
    assert [line.split(":")[0] for line in found["boundary"].sentences] == [
        "Adam",
        "Gradient descent",
    ]
    assert all("collapse in snr n^" in line for line in found["collapse"].sentences)
    scaling = found["collapse"].table.set_index("optimizer")["exponent"]
    assert scaling["gd"] == pytest.approx(1 / 3, abs=0.03) and scaling["adam"] == pytest.approx(
        0, abs=0.03
    )


def test_the_level_is_the_readers(make: Any, tmp_path: Path):
    folder = make.write_store(tmp_path / "s", fallen(make))
    low, high = (shown(folder, level=level)["boundary"].table["at"] for level in (0.1, 0.4))
    assert (low > high).all()


def test_exponents_at_other_values_of_what_is_kept_at_one(make: Any, tmp_path: Path):
    rows = fallen(make, 2) + fallen(make, 3, 10_000) + fallen(make, 4, 20_000)
    found = shown(make.write_store(tmp_path / "s", rows))["exponents-power"]
    table, (said,) = found.table, found.sentences
    gd = table[table["optimizer"] == "gd"].set_index("power")
    for q in (2, 3, 4):
        assert f"power = {q}: " in said and f"theory {-1 / q:.3g}".rstrip("0") in said
        assert gd.loc[q, "slope"] == pytest.approx(-1 / q, abs=0.03)
        assert gd.loc[q, "theory"] == pytest.approx(-1 / q) and not gd.loc[q, "fails"]


def test_a_plane_without_a_crossing_says_so(make: Any, tmp_path: Path):
    found = shown(make.write_store(tmp_path / "s", make.plane(lambda *_: 0.5)))
    for said in found["boundary"].sentences:
        assert "nowhere within the grid. 2 of 2 rows lie above 0.25 everywhere." in said
    assert "exponents" not in found


def ridged(make: Any) -> list[dict[str, Any]]:
    """Errors of adam that rise from 0 to 1 at snr = 0.4 and fall at 3, but at n = 10; gd as above."""
    rows = fallen(make)
    for row in rows:
        if row["optimizer"] == "adam":
            rise = 1 / (1 + (row["snr"] / 0.4) ** -4) if row["n"] > 10 else 1.0
            row["test_error"] = rise / (1 + (row["snr"] / 3) ** 8) + 0.01 * (row["seed"] - 1)
    return rows


def test_both_branches_stand_on_the_page(make: Any, tmp_path: Path):
    """And which of them the exponent and the theory are about."""
    found = shown(make.write_store(tmp_path / "s", ridged(make)), level=0.5)
    adam, gd = found["boundary"].sentences
    assert adam.startswith("Adam: the test error crosses 0.5 falling at snr = ")
    assert "; and rising at snr = 0." in adam and "at n = 640, in 3 of 4 rows" in adam
    assert "(the first branch is the one that exponents and theories follow)" in adam
    assert "3 of 4 rows cross 0.5 twice. 3 of 4 rows are not monotone" in adam
    assert "rising" not in gd and "twice" not in gd
    table = found["boundary"].table
    adam_rows = table[table["optimizer"] == "adam"]
    rising = adam_rows[adam_rows["branch"] == "rising"]
    assert rising["at"].to_numpy() == pytest.approx(0.4, rel=0.05) and len(rising) == 3
    assert adam_rows[adam_rows["followed"]]["at"].to_numpy() == pytest.approx(3, rel=0.05)
    slopes = found["exponents"].table.set_index("optimizer")
    assert slopes.loc["adam", "branch"] == "falling"
    assert slopes.loc["adam", "slope"] == pytest.approx(0, abs=0.03)
    theory = found["theory-adam_feature_noise"].table
    assert len(theory) == 4 and set(theory["branch"]) == {"falling"}
    figure = found["phase-test_error"].figure
    assert figure is not None
    caption = " ".join(text.get_text() for text in figure.texts).replace("\n", " ")
    assert "open circles: where it rises along the horizontal axis" in caption


def test_rows_on_one_side_are_told_by_their_side(make: Any, tmp_path: Path):
    rows = fallen(make)
    for row in rows:
        if row["optimizer"] == "gd" and row["n"] < 100:
            row["test_error"] = 0.5 if row["n"] == 10 else 0.0
    said = shown(make.write_store(tmp_path / "s", rows))["boundary"].sentences[1]
    assert "in 2 of 4 rows" in said
    assert "1 of 4 rows lies above 0.25 everywhere. 1 of 4 rows lies below 0.25 everywhere." in said


def test_runs_that_do_not_fit_are_counted_and_dotted(make: Any, tmp_path: Path):
    rows = fallen(make)
    for row in rows:
        late = row["optimizer"] == "adam" and row["snr"] < 0.2
        row |= {"fit_step": None if late else 10, "train_error": 0.5 if late else 0.0}
    rows[0] |= {"status": "nonfinite", "fit_step": None}
    found = shown(make.write_store(tmp_path / "s", rows))["fit-step"]
    assert found.table["capped"].sum() == sum(
        row["optimizer"] == "adam" and row["snr"] < 0.2 for row in rows
    )
    assert "1 diverged" in " ".join(found.sentences) and found.figure is not None
    assert "..." in {each.get_hatch() for each in found.figure.axes[0].collections}


def test_a_flip_is_told_with_its_step(make: Any, tmp_path: Path):
    rows = [
        make.row(2 * s + k, s, name, seed=s, test_error=0.1)
        for s in range(5)
        for k, name in enumerate(("gd", "adam"))
    ]
    curves = [
        {
            "trial": row["trial"],
            "step": step,
            "feature": value if row["optimizer"] == "adam" else 1.0,
            "noise_min": 0.1,
        }
        for row in rows
        for step, value in ((0, 0.1), (10, 0.3), (50, -0.2), (100, -0.4))
    ]
    found = shown(make.write_store(tmp_path / "s", rows, curves))["flips"]
    (said,) = found.sentences
    adam, gd = said.split("; ")
    assert (
        adam.startswith("Feature learning turns negative in 5 of 5 runs of Adam")
        and "at step 50" in adam
    )
    assert gd.startswith("in 0 of 5 runs of gradient descent")
    assert pd.isna(found.table.set_index("optimizer").loc["gd", "after"]) or np.isinf(
        found.table.set_index("optimizer").loc["gd", "after"]
    )


def test_curves_that_do_not_collapse_give_no_exponent(make: Any, tmp_path: Path):
    """Errors that fall at a different snr and height for each n, and hardly differ by seed."""
    rows = fallen(make)
    for row in rows:
        row["test_error"] = (
            row["test_error"] * (0.4 + 0.6 * SIZES.index(row["n"]) / 3) + 0.001 * row["seed"]
        )
    said = " ".join(shown(make.write_store(tmp_path / "s", rows))["collapse"].sentences)
    assert (
        "no power of n makes the curves of all n collapse" in said and "reports no exponent" in said
    )


def test_an_exponent_of_rows_without_ends_is_not_told(make: Any, tmp_path: Path):
    """Two seeds that disagree in every row: each interval extends beyond the grid."""
    rows = [row for row in fallen(make) if row["seed"] < 2]
    for row in rows:
        row["test_error"] = (
            0.02 if row["seed"] == 0 and row["optimizer"] == "gd" else row["test_error"]
        )
    said = shown(make.write_store(tmp_path / "s", rows))["boundary"].sentences[1]
    assert (
        said.startswith("Gradient descent: ")
        and "no exponent, because the interval extends beyond the grid in" in said
    )


def test_the_best_possible_error_is_that_of_flipped_labels(make: Any, tmp_path: Path):
    """A tenth of the test labels is flipped: 0.12 is near the best there is, 0.2 is not."""
    rows = fallen(make, flip=0.1, flip_test=True)
    for row in rows:
        row["test_error"] = 0.12 if row["optimizer"] == "gd" else 0.2
    (said,) = shown(make.write_store(tmp_path / "s", rows))["phase-test_error"].sentences
    assert (
        "within 0.05 of the best possible, 0.1" in said
        and "Adam in 0, gradient descent in 52" in said
    )


def test_a_flip_names_the_cell_it_was_looked_for_in(make: Any, tmp_path: Path):
    rows = fallen(make)
    curves = [
        {"trial": row["trial"], "step": step, "feature": value, "noise_min": 0.1}
        for row in rows
        for step, value in ((0, 0.1), (10, 0.3), (50, -0.2))
    ]
    (said,) = shown(make.write_store(tmp_path / "s", rows, curves))["flips"].sentences
    assert (
        said.startswith("At snr = ")
        and "the cell with the largest paired difference, Adam minus gradient descent: feature"
        in said
    )
