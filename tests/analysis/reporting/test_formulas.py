"""Formulas of a page: what is typeset, and what stays as it was written."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from analysis.reporting.definitions import REGULARIZED, TESTED
from analysis.reporting.formulas import breakable, typeset
from sweep import data, models, objectives, observables, spec

KINDS = [cls for family in (data, models, objectives) for cls in family.KINDS.values()]


@pytest.mark.parametrize("text", [*map(spec.definition, KINDS), REGULARIZED, TESTED])
def test_every_formula_of_ours_can_be_set(text: str):
    """None is left with its dollar signs, and none of its words is lost."""
    markup = typeset(text)
    assert "$" not in markup and "\\" not in re.sub(r'aria-label="[^"]*"', "", markup)
    words = re.sub(r"<svg.*?</svg>", "", markup)
    assert words == "".join(str(typeset(piece)) for piece in text.split("$")[::2])


def test_formulas_of_observables_can_be_set():
    formulas = [info.formula for info in observables.observable_columns().values() if info.formula]
    assert formulas and not any("$" in typeset(formula) for formula in formulas)


def test_a_formula_stands_on_the_baseline_in_the_colour_of_the_text():
    """y F(x) has a descender of a fifth to a third of the height of the font, x alone has none."""
    low, flat = (
        re.search(r"vertical-align:(-?[\d.]+)em", typeset(text)) for text in ("$y F(x)$", "$x$")
    )
    assert low is not None and flat is not None
    assert -0.35 < float(low[1]) < -0.15 and abs(float(flat[1])) < 0.03
    assert "fill" not in typeset("$x$")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("in snr n^0.5 [0.4, 0.6].", "in snr n<sup>0.5</sup> [0.4, 0.6]."),
        ("n snr^2 = const", "n snr<sup>2</sup> = const"),
        ("n^(1/3)", "n<sup>1/3</sup>"),
        ("n^-0.5.", "n<sup>-0.5</sup>."),
        ("costs $5", "costs $5"),
        ("$\\nonsense{$ <b>", "$\\nonsense{$ &lt;b&gt;"),
        ("$" + "x" * 300 + "$", "$" + "x" * 300 + "$"),
        ("$" + "{" * 190 + "$", "$" + "{" * 190 + "$"),
        ("$$", "$$"),
    ],
)
def test_powers_are_raised_and_what_is_no_formula_stays(text: str, expected: str):
    assert typeset(text) == expected


@pytest.mark.parametrize("text", ['$"><script>alert(1)</script>$', '$x"onload="alert(1)$', "a^<i>"])
def test_a_hostile_manifest_adds_no_element(text: str):
    found = []

    class Tags(HTMLParser):
        def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
            found.append((tag, {name for name, _ in attrs}))

    Tags().feed(typeset(text))
    known = {"class", "role", "aria-label", "viewbox", "style", "transform", "d"}
    assert all(tag in ("svg", "path", "sup") and names <= known for tag, names in found)


def test_names_of_columns_may_be_broken():
    assert breakable("residual_low<") == "residual_<wbr>low&lt;"
