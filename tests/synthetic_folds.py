"""Scores per fold with known slopes and known noise, for tests of inference and of power."""

import numpy as np
import xarray as xr

FAMILIES = ("one", "two", "three", "four")


def fold_scores(
    slope: float = 0.0,
    models: int = 12,
    folds: int = 9,
    brains: int | None = None,
    listeners: int | None = None,
    noise: tuple[float, float, float] = (0.01, 0.01, 0.01),
    seed: int = 0,
) -> xr.DataArray:
    """One region in the shape of `inference.fold_table`; L − R grows by `slope` per decade.

    `noise` are standard deviations: of a model, of a run's slope, and of everything else.
    """
    rng = np.random.default_rng(seed)
    size = np.linspace(4, 6, models)
    outer = {"brain": brains, "listener": listeners}
    shape = {name: n for name, n in outer.items() if n} | {"model": models, "fold": folds}
    values = slope * size[:, None] + noise[2] * rng.standard_normal(tuple(shape.values()))
    first = () if brains is None else (brains, *([1] if listeners else []))
    values = values + noise[0] * rng.standard_normal((*first, models, 1))
    of_runs = noise[1] * rng.standard_normal((*first, 1, folds))
    values = values + of_runs * (size - size.mean())[:, None]
    coords = {
        "model": [f"m{number}" for number in range(models)],
        "n_parameters": ("model", 10**size),
        "family": ("model", [FAMILIES[number % len(FAMILIES)] for number in range(models)]),
        "fold": np.arange(folds),
    }
    difference = xr.DataArray(values, coords, tuple(shape))
    sides = xr.concat([difference + 0.3, xr.full_like(difference, 0.3), difference], "side")
    sides = sides.assign_coords(side=["L", "R", "L-R"]).expand_dims(region=["X"])
    return sides.transpose(..., "region", "side")
