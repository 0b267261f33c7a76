"""Every readout that a claim about the brain needs, and every one that it could be due to.

Beside the readouts of the average listener stand those of other listeners, of refits, of responses
in another order, and of nothing but chance.
"""

import numpy as np

from brainalign.attribution.heads import (
    Head,
    fit_head,
    region_cotangent,
    squared_error_cotangents,
)
from brainalign.attribution.material import (
    BLOCK,
    AttributionSettings,
    Material,
    region_mask,
    shuffle_blocks,
)

#: Scans by which responses are late where they must say nothing.
SHIFT = 100


def readouts(
    made: Material,
    features: list[np.ndarray],
    head: Head,
    fold: int,
    settings: AttributionSettings,
) -> dict[str, np.ndarray]:
    """Cotangents of the brain's readouts of one fold, and of what they could be due to.

    Parameters
    ----------
    made
        From `material`.
    features
        One array (scan, feature) per fold.
    head
        Of the fold, from `heads.fit_heads`; all others take its penalty.
    fold
        The one that is read.
    settings
        Region, number of random readouts, seed.

    Returns
    -------
    dict
        Name -> (scan, feature). "error" is the squared error of the paper, "region" the mean
        prediction of a region, "other" that of another one. Behind a colon: "half 1" and "half 2"
        of the listeners, "refit" to a bootstrap sample, "shuffled" responses, "random 1" and so on
        (fitted to shuffled responses), "shifted" (responses that are 100 scans late), "mixture" (a
        random mixture of the voxels' readouts), "white" (no readout at all).
    """
    rng = np.random.default_rng([settings.seed, 2, fold])
    x, y = features, made.responses
    region = region_mask(made.voxels, settings.region, settings.side)
    other = region_mask(made.voxels, settings.other_region, "both")
    found = _error_readouts(made, head, x[fold], fold, rng)

    def mean_of(responses: list[np.ndarray], keep: np.ndarray, scans=None) -> np.ndarray:
        fitted = fit_head(x, [part[:, keep] for part in responses], fold, head.alpha, scans)
        return region_cotangent(fitted, np.ones(keep.sum(), dtype=bool))

    n_training = sum(len(part) for number, part in enumerate(x) if number != fold)
    found |= {
        "region": region_cotangent(head, region),
        "region: half 1": mean_of(made.halves[0], region),
        "region: half 2": mean_of(made.halves[1], region),
        "region: refit": mean_of(y, region, _drawn_blocks(n_training, rng)),
        "region: shifted": mean_of(_late(y), region),
        "other": region_cotangent(head, other),
    }
    for number in range(1, settings.n_random + 1):
        found[f"region: random {number}"] = mean_of([shuffle_blocks(k, rng) for k in y], region)
    return {name: np.broadcast_to(c, x[fold].shape) for name, c in found.items()}


def paired_readouts(
    made: Material,
    features: list[np.ndarray],
    head: Head,
    fold: int,
    settings: AttributionSettings,
) -> dict[str, np.ndarray]:
    """Cotangents of single voxels, fitted to one half of the listeners and to the other.

    What is noise in one half is not in the other, so that the product of a word's attributions in
    both, mean over voxels, is its squared attribution without the noise, 0 where there is none.

    Parameters
    ----------
    made, features, head, fold, settings
        As for `readouts`.

    Returns
    -------
    dict
        "region", "other", "region: shuffled", "region: shifted" -> (half, voxel, feature).
    """
    rng = np.random.default_rng([settings.seed, 3, fold])
    region = _spread(region_mask(made.voxels, settings.region, settings.side), settings.n_voxels)
    other = _spread(region_mask(made.voxels, settings.other_region, "both"), settings.n_voxels)
    shuffled = [[shuffle_blocks(fold, rng) for fold in half] for half in made.halves]
    wanted = {
        "region": (made.halves, region),
        "other": (made.halves, other),
        "region: shuffled": (shuffled, region),
        "region: shifted": ([_late(half) for half in made.halves], region),
    }
    return {
        name: np.stack(
            [
                fit_head(features, [part[:, voxels] for part in half], fold, head.alpha).weights.T
                for half in halves
            ]
        )
        for name, (halves, voxels) in wanted.items()
    }


def _spread(mask: np.ndarray, n: int) -> np.ndarray:
    """Places of so many voxels of a region, evenly spaced in their order; all of a smaller one."""
    places = np.flatnonzero(mask)
    return places[np.linspace(0, len(places) - 1, min(n, len(places))).round().astype(int)]


def _late(responses: list[np.ndarray]) -> list[np.ndarray]:
    return [np.roll(part, SHIFT, axis=0) for part in responses]


def _error_readouts(
    made: Material, head: Head, features: np.ndarray, fold: int, rng: np.random.Generator
) -> dict[str, np.ndarray]:
    """The paper's scalar, with responses of halves and of other times, and readouts of nothing."""
    y = made.responses[fold]
    measured = {
        "error": y,
        "error: half 1": made.halves[0][fold],
        "error: half 2": made.halves[1][fold],
        "error: shuffled": shuffle_blocks(y, rng),
    }
    found = {
        name: squared_error_cotangents(head, features, values) for name, values in measured.items()
    }
    found["error: mixture"] = rng.standard_normal(y.shape) @ head.weights.T
    # Of standardised features, so that no feature weighs more because it varies more.
    spread = features.std(0)
    found["error: white"] = rng.standard_normal(features.shape) / np.where(
        spread > 0, spread, np.inf
    )
    return found


def _drawn_blocks(n_scans: int, rng: np.random.Generator) -> np.ndarray:
    """Bootstrap sample of training scans, in blocks."""
    blocks = np.array_split(np.arange(n_scans), max(n_scans // BLOCK, 2))
    return np.concatenate([blocks[k] for k in rng.integers(len(blocks), size=len(blocks))])
