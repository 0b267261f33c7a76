"""Made-up scores of one model and its controls, for tests of tables and figures."""

import numpy as np
import xarray as xr

from brainalign.controls import BOXCARS, IMPULSES, JOINT, MODEL, RANDOM
from brainalign.study import SIMULATED

FEATURES = (MODEL, BOXCARS, IMPULSES, JOINT, RANDOM)
REGIONS = ("LATL", "RATL", "LPTL")


def control_scores(
    source: str = "9 measured listeners",
    regions: tuple = REGIONS,
    n: int = 9,
    hrf: str = "glover",
) -> xr.Dataset:
    """Scores per region and listener; the average scores twice the mean of the listeners."""
    rng = np.random.default_rng(0)
    shape = (len(FEATURES), n, len(regions))
    level = np.linspace(0.25, 0.1, len(FEATURES))[:, None, None]
    alone = level + 0.05 * rng.standard_normal(shape)
    total = alone.sum(axis=1, keepdims=True)
    both, three = ("features", "region"), ("features", "listener", "region")
    p = np.linspace(0.001, 0.2, len(regions))
    return xr.Dataset(
        {
            "score": (both, 2 * alone.mean(axis=1)),
            "without": (three, 2 * (total - alone) / (n - 1)),
            "alone": (three, alone),
            "shift": (("shift", "region"), 0.1 * rng.standard_normal((100, len(regions)))),
            "shift_word_rate": (
                ("shift", "region"),
                0.05 * rng.standard_normal((100, len(regions))),
            ),
            "p": ("region", p),
            "q": ("region", np.minimum(2 * p, 1)),
            "p_blocks": ("region", p / 10),
            "q_blocks": ("region", p / 5),
            "ceiling": ("region", np.linspace(0.9, 0.7, len(regions))),
            "significant": ("region", np.linspace(1, 0, len(regions))),
        },
        coords={
            "features": list(FEATURES),
            "listener": [f"s{k}" for k in range(n)],
            "region": list(regions),
        },
        attrs={
            "model": "owner/small-model",
            "hrf": hrf,
            "layer_rule": "nested",
            "n_permutations": 1000,
            "source": source,
        },
    )


def simulated_controls() -> xr.Dataset:
    """Ten regions of simulated listeners."""
    regions = ("left", "right", "TP", "aSTS", "pSTS", "AG_TPJ", "BA44", "BA45", "BA47", "A1")
    return control_scores(SIMULATED, regions, 8)


def choice_scores() -> xr.DataArray:
    """Scores under two choices: the model is ahead of boxcars in four comparisons of six.

    It is always ahead of them in LATL only, and of impulses in LATL and LPTL.
    """
    first = [[0.4, 0.5, 0.3], [0.3, 0.3, 0.4], [0.2, 0.6, 0.2]]
    second = [[0.45, 0.2, 0.6], [0.1, 0.3, 0.2], [0.15, 0.1, 0.3]]
    values = [first, second]
    coords = {
        "choice": ["as on this page", "drifts left in"],
        "features": [MODEL, BOXCARS, IMPULSES],
        "region": list(REGIONS),
    }
    return xr.DataArray(values, coords, dims=list(coords))
