"""Formulas of a page: set by matplotlib, as outlines that take the colour of the text."""

from __future__ import annotations

import functools
import re

from markupsafe import Markup, escape
from matplotlib.font_manager import FontProperties
from matplotlib.mathtext import MathTextParser
from matplotlib.path import Path
from matplotlib.textpath import TextPath

EM = 100
"""Units of the outlines per height of the font."""

FONT = FontProperties(family="serif", size=EM, math_fontfamily="stix")

MAX_FORMULA = 200
"""Characters of the longest formula; longer ones stay as they are written."""

POWER = re.compile(r"(?<=[\w)])\^(-?\w+(?:[./]\w+)*|\([^()]{1,40}\))")
"""A power in a sentence, such as `n^0.5`."""

COMMANDS = {
    Path.MOVETO: "M",
    Path.LINETO: "L",
    Path.CURVE3: "Q",
    Path.CURVE4: "C",
    Path.CLOSEPOLY: "Z",
}
"""Commands of the outlines of SVG."""


def typeset(text: str) -> Markup:
    """A text for a page: formulas in `$`, as matplotlib reads them, and powers are typeset.

    Everything else stays as it is, and so does what is no formula: manifests may hold anything.
    """
    pieces = text.split("$")
    # Without an even number of signs, there is no telling which of them belong together.
    if len(pieces) % 2 == 0:
        return _with_powers(text)
    return Markup("").join(
        _formula(piece) if index % 2 else _with_powers(piece) for index, piece in enumerate(pieces)
    )


def breakable(name: str) -> Markup:
    """A name of a column that may be broken after its underscores."""
    return Markup("_<wbr>").join(map(escape, name.split("_")))


def _with_powers(text: str) -> Markup:
    """The text with `n^2` as n with a superscript."""
    parts = POWER.split(text)
    return Markup("").join(
        Markup("<sup>{}</sup>").format(part.strip("()")) if index % 2 else escape(part)
        for index, part in enumerate(parts)
    )


@functools.lru_cache(maxsize=256)
def _formula(source: str) -> Markup:
    """The outlines of a formula as inline SVG on the baseline of its line."""
    text = f"${source}$"
    if not source or len(source) > MAX_FORMULA:
        return escape(text)
    try:
        width, height, depth, *_ = MathTextParser("path").parse(text, dpi=72, prop=FONT)
        outline = TextPath((0, 0), text, prop=FONT)
    except (ValueError, RecursionError):
        return escape(text)
    return Markup(
        '<svg class="formula" role="img" aria-label="{label}" viewBox="0 {top} {width} {height}" '
        'style="width:{wide:.2f}em;height:{high:.2f}em;vertical-align:{below:.2f}em">'
        '<path transform="scale(1,-1)" d="{path}"/></svg>'
    ).format(
        label=source,
        top=round(depth - height),
        width=round(width),
        height=round(height),
        wide=width / EM,
        high=height / EM,
        below=-depth / EM,
        path=_commands(outline),
    )


def _commands(outline: Path) -> str:
    """Outlines as the commands of an SVG path, in whole units."""
    segments = outline.iter_segments(simplify=False)
    return "".join(
        "Z" if code == Path.CLOSEPOLY else COMMANDS[code] + " ".join(f"{x:.0f}" for x in points)
        for points, code in segments
    )
