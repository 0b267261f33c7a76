"""What readouts are fitted to: contexts and responses of every fold, and their null counterparts."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import numpy as np
import pandas as pd

from brainalign.attribution.contexts import Context, run_contexts
from brainalign.attribution.reading import Reading
from brainalign.errors import InputError
from brainalign.files import atomic_path, cache_folder, digest, source_digest
from brainalign.fitting import load_responses
from brainalign.parallel import map_threads
from brainalign.study import AVERAGE, Study, hemispheres, select_voxels, standardise

#: Scans in a block that is moved or drawn as a whole.
BLOCK = 20
# Of two or three blocks too many would stay where they are.
FEWEST_BLOCKS = 6


@dataclass(frozen=True)
class AttributionSettings:
    """What attributions are made of.

    Attributes
    ----------
    n_context : int
        Words before those that the readout pools.
    region, side : str
        Of `pred_roi`: the region of interest, and "L", "R" or "both".
    other_region : str
        A region to compare with.
    n_folds : int
        Folds whose scans get attributions, at most; heads are fitted in all.
    every : int
        One of so many scans gets attributions. Contexts of neighbouring scans are almost copies of
        each other.
    n_random : int
        Readouts fitted to shuffled responses.
    scrambled : bool
        Whether the words before the pooled ones come in random order.
    seed : int
        Of everything that is drawn.
    """

    n_context: int = 64
    region: str = "AG_TPJ"
    side: str = "L"
    other_region: str = "A1"
    n_folds: int = 9
    every: int = 6
    n_random: int = 8
    scrambled: bool = False
    seed: int = 0

    def __post_init__(self):
        least = {"n_context": 1, "n_folds": 1, "every": 1, "n_random": 0}
        for name, low in least.items():
            if getattr(self, name) < low:
                raise InputError(f"{name} is {getattr(self, name)}; {low} or more is expected.")


#: Region, side and other region of a study, where nobody says which.
REGIONS = {"testbed": ("AG_TPJ", "L", "A1"), "alice": ("PTL", "L", "PreM")}


def chosen_regions(
    study: str, region: str | None, side: str | None, other_region: str | None
) -> dict[str, str]:
    """Fields region, side and other_region of the settings; None takes what is usual for a study.

    Raises
    ------
    InputError
        Where something lacks and nothing is usual.
    """
    given = {"region": region, "side": side, "other_region": other_region}
    usual = dict(zip(given, REGIONS.get(study, (None, "both", None)), strict=True))
    chosen = {name: usual[name] if value is None else value for name, value in given.items()}
    if missing := [name for name, value in chosen.items() if value is None]:
        raise InputError(f"{missing[0]} is not given; a region of study {study!r} is expected.")
    return chosen


@dataclass(frozen=True)
class Material:
    """What heads are fitted to: one entry per fold.

    Attributes
    ----------
    contexts : list of list of Context
        Of the scans of every fold.
    responses : list of numpy.ndarray
        Average of the listeners, (scan, voxel), standardised.
    halves : list of list of numpy.ndarray
        The same of either half of the listeners.
    voxels : pandas.DataFrame
        Their table.
    """

    contexts: list[list[Context]] = field(repr=False)
    responses: list[np.ndarray] = field(repr=False)
    halves: list[list[np.ndarray]] = field(repr=False)
    voxels: pd.DataFrame = field(repr=False)


def material(study: Study, read: Reading, settings: AttributionSettings) -> Material:
    """Contexts and responses of all folds.

    Parameters
    ----------
    study
        With at least two listeners; voxels outside of all regions are left out where there are
        regions of interest.
    read
        Model and layer, for the tokenizer and the positions.
    settings
        Context and seed.

    Raises
    ------
    InputError
        For a study with fewer than two listeners, and as `contexts.run_contexts`.
    """
    if len(study.subjects) < 2:
        raise InputError(
            f"Study {study.name!r} has {len(study.subjects)} listeners; two or more are expected, "
            "since one half of them is the ceiling of the other."
        )
    named = (study.voxels["roi"] != "").to_numpy()
    study = study if named.all() or not named.any() else select_voxels(study, named)
    tokenizer, limit = read.language_model.tokenizer, read.reader.max_tokens
    by_run = [
        run_contexts(study, run, tokenizer, settings.n_context, limit)
        for run in range(len(study.runs))
    ]
    if settings.scrambled:
        rng = np.random.default_rng([settings.seed, 1])
        by_run = [[scramble(one, rng) for one in contexts] for contexts in by_run]
    contexts = [by_run[run][scans] for run, scans in study.folds()]
    average, *halves = (
        parts if study.simulated else _without_word_rate(parts, contexts)
        for parts in _kept_responses(study)
    )
    return Material(contexts, average, halves, study.voxels)


def _kept_responses(study: Study) -> list[list[np.ndarray]]:
    """Responses in every fold of the average listener and of either half; kept, as all are read."""
    source = source_digest(["study", "fitting", "attribution/material"])
    key = digest([study.fingerprint, source])
    path = cache_folder() / "attributions" / f"responses-{key}.npz"
    if not path.is_file():
        halves = (study.subjects[0::2], study.subjects[1::2])
        made = [load_responses(study, AVERAGE), *(_mean_responses(study, half) for half in halves)]
        with atomic_path(path) as temporary:
            np.savez(temporary, *(part for responses in made for part in responses))
    with np.load(path, allow_pickle=False) as kept:
        parts = [kept[name] for name in kept.files]
    n_folds = len(parts) // 3
    return [parts[k * n_folds : (k + 1) * n_folds] for k in range(3)]


def _mean_responses(study: Study, subjects: Sequence[str]) -> list[np.ndarray]:
    each = map_threads(lambda subject: load_responses(study, subject), subjects)
    return [standardise(np.mean(fold, axis=0)) for fold in zip(*each, strict=True)]


def scramble(one: Context, rng: np.random.Generator) -> Context:
    """The same context with the words before the pooled ones in random order."""
    first = one.word_of_token[one.pooling.any(0)].min(initial=len(one.words))
    order = np.append(rng.permutation(first), np.arange(first, len(one.words) + 1))
    tokens = np.concatenate([np.flatnonzero(one.word_of_token == word) for word in order])
    lengths = np.bincount(one.word_of_token, minlength=len(one.words) + 1)[order]
    return replace(
        one,
        words=one.words[order[:-1]],
        ids=one.ids[tokens],
        word_of_token=np.repeat(np.arange(len(order)), lengths),
    )


def word_rates(contexts: Sequence[Context]) -> np.ndarray:
    """Words heard in each of the scans that a readout looks back to, (scan, delay)."""
    return np.array(
        [
            [len(np.unique(one.word_of_token[weights > 0])) for weights in one.pooling]
            for one in contexts
        ],
        dtype=float,
    )


def _without_word_rate(
    responses: list[np.ndarray], contexts: list[list[Context]]
) -> list[np.ndarray]:
    """Responses of every fold without what the rate of words explains.

    Word rate alone predicts real responses so well (r .3 to .45 in the mean of Alice's listeners)
    that it would get most of the attribution.
    """
    cleaned = []
    for values, fold in zip(responses, contexts, strict=True):
        rates = np.column_stack([np.ones(len(fold)), word_rates(fold)])
        cleaned.append(standardise(values - rates @ np.linalg.lstsq(rates, values)[0]))
    return cleaned


def shuffle_blocks(values: np.ndarray, rng: np.random.Generator, size: int = BLOCK) -> np.ndarray:
    """Scans in another order, moved in blocks that keep what neighbours share.

    Parameters
    ----------
    values
        Shape (scan, voxel).
    rng
        Seeded generator.
    size
        Scans in a block, about.
    """
    blocks = np.array_split(np.arange(len(values)), max(len(values) // size, FEWEST_BLOCKS))
    return values[np.concatenate([blocks[k] for k in rng.permutation(len(blocks))])]


def region_mask(voxels: pd.DataFrame, region: str, side: str) -> np.ndarray:
    """Voxels of a region on one side or both.

    Raises
    ------
    InputError
        For a region without voxels there.
    """
    keep = (voxels["roi"] == region).to_numpy()
    if side != "both":
        keep = keep & (hemispheres(voxels) == side)
    if not keep.any():
        known = ", ".join(sorted(set(voxels["roi"]) - {""}))
        raise InputError(
            f"Region {region!r} has no voxels on side {side!r} of this study; it has {known}."
        )
    return keep
