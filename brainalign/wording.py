"""Numbers, names and sources as they are written in figures, tables and alt text."""

import numpy as np

from brainalign.study import SIMULATED


def format_count(n: float) -> str:
    """Number of parameters for a tick or a sentence: 6.5k, 124M, 14B."""
    for size, unit in [(1e9, "B"), (1e6, "M"), (1e3, "k")]:
        if n >= 0.9995 * size:
            return f"{n / size:.3g}{unit}"
    return f"{n:.0f}"


def number(value: float, digits: int = 3) -> str:
    """Number for text and alt text, with a real minus sign and no minus zero."""
    text = f"{value:.{digits}f}"
    return text.lstrip("-") if float(text) == 0 else text.replace("-", "−")


def interval(edges: tuple[float, float], digits: int = 4) -> str:
    """Interval as text: "0.0239 to 0.0302"; a dash where there is none.

    On which side of zero an edge lies stays visible, with up to three more digits.
    """
    low, high = edges
    if not np.isfinite(low + high):
        return "–"
    return f"{_edge(low, digits)} to {_edge(high, digits)}"


def _edge(value: float, digits: int) -> str:
    texts = [number(value, more) for more in range(digits, digits + 4)]
    return next((text for text in texts if float(text.replace("−", "-"))), texts[0])


def voxel_name(voxels: str) -> str:
    """Name of a set of voxels on an axis or in a sentence."""
    return {"all": "whole brain", "reliable": "reliable voxels"}[voxels]


def short_name(model: str) -> str:
    """Name of a model without the folder or the owner before it."""
    return model.rstrip("/").rsplit("/", 1)[-1]


def opening(source: str) -> str:
    """First sentence of an alt text: whose responses the figure shows."""
    if source == SIMULATED:
        return "Simulated listeners, not people."
    return f"{source[0].upper()}{source[1:]}."
