"""Terms that the report explains."""

from __future__ import annotations

import pandas as pd

GLOSSARY = {
    "test_error": (
        "Test error",
        "Share of fresh points that a network classifies wrongly. Guessing gives 0.5; more than "
        "that means that the network has learned the opposite of the feature.",
    ),
    "generalization_gap": (
        "Generalization gap",
        "Test error minus training error: how much worse the network does on fresh points.",
    ),
    "snr": (
        "Signal-to-noise ratio (snr)",
        "Norm of the feature, which all points of a class share, divided by the typical norm of "
        "the noise of a point.",
    ),
    "feature_noise": (
        "Feature noise α",
        "How much of the feature the noise patch cancels: it contains minus α times the feature.",
    ),
    "margin_l2": (
        "l2 and l-infinity margin",
        "The smallest y F(x) over the training points, divided by the Euclidean norm of the "
        "weights or by the largest absolute weight. Gradient descent is known to converge to the "
        "maximum l2 margin, Adam without eps to the maximum l-infinity margin.",
    ),
    "feature": (
        "Feature learning",
        "How strongly the filters align with the true feature, in the weaker class. Below 0 they "
        "point against it.",
    ),
    "noise_min": (
        "Noise memorization",
        "How strongly the filters align with the noise of the training points, at the point "
        "where the alignment is weakest.",
    ),
}
"""Column of the runs -> its term and what the term means."""


def glossary_terms(runs: pd.DataFrame) -> dict[str, str]:
    """The terms for columns that have values in these runs, with their meanings."""
    columns = [name for name in GLOSSARY if name in runs and runs[name].notna().any()]
    return dict(GLOSSARY[name] for name in columns)
