"""Every readout that a claim about the brain needs, and every one that it could be due to.

Beside the readouts of the average listener stand those of other listeners, of refits, of responses
in another order, and of nothing but chance.
"""

import numpy as np

from brainalign.attribution.heads import Head, fit_head, squared_error_cotangents
from brainalign.attribution.material import (
    BLOCK,
    AttributionSettings,
    Material,
    region_mask,
    shuffle_blocks,
)

#: Scans by which responses are late where they must say nothing.
SHIFT = 100


def region_weights(
    made: Material,
    features: list[np.ndarray],
    head: Head,
    fold: int,
    settings: AttributionSettings,
) -> dict[str, np.ndarray]:
    """Readouts of single voxels of one fold: of a region, and of what it is held against.

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
        Name -> (feature, voxel). "region" and "other" are two regions. Behind a colon: "half 1" and
        "half 2" of the listeners, "refit" to a bootstrap sample, "shifted" (responses that are
        `SHIFT` scans late), "random 1" and so on (fitted to responses in another order).
    """
    rng = np.random.default_rng([settings.seed, 2, fold])
    region = region_mask(made.voxels, settings.region, settings.side)
    other = region_mask(made.voxels, settings.other_region, "both")

    def fit(responses: list[np.ndarray], scans: np.ndarray | None = None) -> np.ndarray:
        own = [part[:, region] for part in responses]
        return fit_head(features, own, fold, head.alpha, scans).weights

    y = made.responses
    n_training = sum(len(part) for number, part in enumerate(features) if number != fold)
    found = {
        "region": head.weights[:, region],
        "region: half 1": fit(made.halves[0]),
        "region: half 2": fit(made.halves[1]),
        "region: refit": fit(y, _drawn_blocks(n_training, rng)),
        "region: shifted": fit([_late(part) for part in y]),
        "other": head.weights[:, other],
    }
    for number in range(1, settings.n_random + 1):
        found[f"region: random {number}"] = fit([shuffle_blocks(part, rng) for part in y])
    return found


def _late(values: np.ndarray) -> np.ndarray:
    """Responses that are `SHIFT` scans late, or by half of a shorter fold."""
    return np.roll(values, min(SHIFT, len(values) // 2), axis=0)


def error_cotangents(
    made: Material, features: np.ndarray, head: Head, fold: int, settings: AttributionSettings
) -> dict[str, np.ndarray]:
    """Derivatives of the paper's squared error, and of what it could be due to.

    Parameters
    ----------
    made, head, fold, settings
        As for `region_weights`.
    features
        Of the fold, (scan, feature).

    Returns
    -------
    dict
        Name -> (scan, feature). "error" is the squared error over all voxels (Proietti et al.).
        Behind a colon: the error of "half 1" and "half 2" of the listeners, of "shuffled"
        responses; a random "mixture" of the voxels' readouts; "white": no readout at all.
    """
    rng = np.random.default_rng([settings.seed, 3, fold])
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
