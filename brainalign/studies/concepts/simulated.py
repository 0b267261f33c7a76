"""The testbed of concepts: listeners in whom consistency, selectivity and signal are planted.

The response of a voxel to a stimulus is

    gain x snr x (sqrt(c) shared(concept) + sqrt(1 - c) specific(paradigm, concept)) + noise

where *c* is its planted consistency and the codes `shared` and `specific` have unit variance and
are exactly uncorrelated over the concepts. So *c* is the correlation of the noise-free responses of
any two paradigms, whatever the signal-to-noise ratio (snr). The shared code is a linear function of
what there is to know of a concept in the testbed's world (`world.concept_latents`), the specific
codes follow nothing that the words tell.
"""

from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Literal

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.errors import InputError
from brainalign.files import digest, source_digest
from brainalign.studies.concepts.responses import PARADIGMS, ConceptResponses
from brainalign.studies.concepts.world import (
    N_STIMULI,
    concept_latents,
    concept_table,
    stimulus_table,
)
from brainalign.studies.options import make_config
from brainalign.studies.testbed.brain import AFFINE, brain_mask, voxel_table
from brainalign.study import voxel_coordinates, voxel_size

NAME = "concepts-testbed"
SOURCES = (
    "study",
    *(f"studies/concepts/{name}" for name in ("responses", "simulated", "world")),
    *(f"studies/testbed/{name}" for name in ("brain", "config", "languages", "sentence", "story")),
)

#: Whether consistency, selectivity and snr of a region are high (1) or low (-1) on the left: every
#: combination once, so that over regions the three are uncorrelated.
REGIONS = MappingProxyType(
    {
        "pSTS": (1, 1, 1),
        "BA45": (1, 1, -1),
        "BA47": (1, -1, 1),
        "AG_TPJ": (1, -1, -1),
        "aSTS": (-1, 1, 1),
        "BA44": (-1, 1, -1),
        "A1": (-1, -1, 1),
        "TP": (-1, -1, -1),
    }
)
MAPS = ("consistency", "selectivity", "snr")
#: Latents of the codes of one paradigm.
N_SPECIFIC = 30


@dataclass(frozen=True)
class ConceptsConfig:
    """The generated study.

    Attributes
    ----------
    seed : int
        Of all choices but the stimuli's.
    n_listeners : int
        Individual listeners.
    consistency, consistency_spread : float
        Planted consistency at the middle level, and how far it is from there to a region's high or
        low level; kept between 0 and .95. A spread of 0 gives every voxel the same.
    snr, snr_spread : float
        Standard deviation of the signal, over concepts, where that of the noise of a single
        response is 1: at the middle level, and the natural logarithm of the step to a region's
        high or low level.
    codes : str
        "world": shared codes follow what there is to know of a concept. "unrelated": they are
        random, so that nothing learned of some concepts holds for others.
    gain_spread : float
        Standard deviation of the logarithm of a listener's gain.
    shared_code, shared_noise : float
        Part of the codes' preferences and of the noise's standard deviation that the voxels of a
        parcel share.
    selectivity_noise : float
        Standard deviation of the noise in a listener's contrast of sentences and nonwords, where
        its planted map goes from about -1 to 1.
    variation, smoothness : float
        Standard deviation of a map's level within a region, where regions are 2 apart, and the
        width (FWHM, mm) of its patches.
    """

    seed: int = 0
    n_listeners: int = 8
    consistency: float = 0.4
    consistency_spread: float = 0.3
    snr: float = 0.35
    snr_spread: float = 0.4
    codes: Literal["world", "unrelated"] = "world"
    gain_spread: float = 0.2
    shared_code: float = 0.6
    shared_noise: float = 0.6
    selectivity_noise: float = 0.5
    variation: float = 0.6
    smoothness: float = 10.0

    def __post_init__(self):
        if self.n_listeners < 1:
            raise InputError(f"n_listeners is {self.n_listeners}; at least 1 is expected.")
        for name in ("consistency", "shared_code", "shared_noise"):
            if not 0 <= getattr(self, name) <= 0.95:
                raise InputError(
                    f"{name} is {getattr(self, name)}; a number from 0 to .95 is expected."
                )
        for name in ("snr", "smoothness"):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} is {getattr(self, name)}; it must be positive.")


def configure(**options) -> ConceptsConfig:
    """Configuration with some values changed.

    Raises
    ------
    InputError
        For an option that the study does not have, or a value out of range.
    """
    return make_config(ConceptsConfig, NAME, options)


def fingerprint(**options) -> str:
    """Identity of the study that `load` would make, without making it."""
    return digest([NAME, asdict(configure(**options)), source_digest(SOURCES)])


def load(**options) -> ConceptResponses:
    """Plant the maps and tell the sentences; listeners are simulated when they are asked for.

    Parameters
    ----------
    **options
        Fields of `ConceptsConfig`. `consistency_spread=0` keeps consistency constant while the
        signal-to-noise ratio varies; `codes="unrelated"` leaves nothing to generalise.

    Returns
    -------
    ConceptResponses
        Its `truth` has `consistency`, `selectivity` and `snr` (voxel), `latents` (concept, latent)
        with the coordinate `family`, and `shared_code` (concept, code): the axes, uncorrelated and
        of unit variance, of which the shared code of every voxel is a combination.
    """
    config = configure(**options)
    table = concept_table()
    latents = concept_latents(table)
    mask = brain_mask()
    voxels = voxel_table(mask)
    maps = planted_maps(voxels, mask, config)
    shared, specific = codes(latents, config)
    subjects = tuple(f"listener-{number + 1:02d}" for number in range(config.n_listeners))
    parcels = pd.factorize(voxels["parcel"])[0]
    signal = _signals(shared, specific, maps, parcels, config)
    return ConceptResponses(
        name=NAME,
        subjects=subjects,
        concepts=tuple(table["concept"]),
        voxels=voxels,
        load=_loader(signal, parcels, subjects, len(table), config),
        fingerprint=fingerprint(**options),
        halves=_halves(len(table)),
        stimuli=stimulus_table(table, np.random.default_rng(0)),
        selectivity=_contrast_loader(maps["selectivity"].to_numpy(), subjects, config),
        mask=mask,
        simulated=True,
        truth=_truth(maps, shared, latents, table["concept"]),
        options=options,
        licence="BSD-3-Clause (generated by brainalign)",
        citation="brainalign, simulated study",
    )


def planted_maps(voxels: pd.DataFrame, mask, config: ConceptsConfig) -> xr.Dataset:
    """Planted consistency, language selectivity and signal-to-noise ratio of every voxel.

    Parameters
    ----------
    voxels, mask
        Of the testbed.
    config
        Numbers of the study.

    Returns
    -------
    xarray.Dataset
        `consistency`, `selectivity`, `snr` (voxel). Consistency, selectivity and the logarithm of
        snr are uncorrelated over the voxels of every region on either side, over those of no
        region, and nearly so over the whole brain. Consistency is low outside of the regions; on
        the right, the homologues of regions where it is high have a middle level.
    """
    fields, regional = _fields(mask, config), _regional(voxels)
    groups = voxels.groupby(["roi", "hemisphere"]).indices.values()
    level = regional[:, 0] + config.variation * _uncorrelated(fields[:, :1], groups)[:, 0]
    consistency = np.clip(config.consistency + config.consistency_spread * level, 0, 0.95)
    others = _uncorrelated(fields[:, 1:], groups, consistency)
    selectivity, log_snr = (regional[:, 1:] + config.variation * others).T
    values = {
        "consistency": consistency,
        "selectivity": selectivity,
        "snr": config.snr * np.exp(config.snr_spread * log_snr),
    }
    return xr.Dataset(
        {name: ("voxel", values[name]) for name in MAPS}, coords=voxel_coordinates(voxels)
    )


def _regional(voxels: pd.DataFrame) -> np.ndarray:
    """Level of every region, (voxels, maps)."""
    levels = np.array([REGIONS.get(roi, (-1, 0, 0)) for roi in voxels["roi"]], dtype=float)
    # Right homologues of consistent regions are half way between high and low.
    levels[(voxels["hemisphere"] == "R") & (levels[:, 0] > 0), 0] = 0
    return levels


def _fields(mask, config: ConceptsConfig) -> np.ndarray:
    """Smooth random fields, (voxels, maps)."""
    from scipy.ndimage import gaussian_filter

    rng = np.random.default_rng([config.seed, 0])
    sigma = config.smoothness / voxel_size(AFFINE) / np.sqrt(8 * np.log(2))
    inside = mask.get_fdata() > 0
    fields = [gaussian_filter(rng.standard_normal(mask.shape), sigma)[inside] for _ in MAPS]
    return np.column_stack(fields)


def _uncorrelated(
    fields: np.ndarray, groups: Iterable[np.ndarray], other: np.ndarray | None = None
) -> np.ndarray:
    """Fields of mean 0, variance 1 and no correlation with each other, or the other, in any group."""
    found = np.empty_like(fields)
    for rows in groups:
        known = np.ones((len(rows), 1))
        if other is not None:
            known = np.column_stack([known, other[rows]])
        found[rows] = _orthonormal(fields[rows], known)
    return found


def _orthonormal(columns: np.ndarray, known: np.ndarray) -> np.ndarray:
    """Columns, of variance 1, without what the known ones and those before them explain."""
    columns = columns - known @ np.linalg.lstsq(known, columns)[0]
    basis, coefficients = np.linalg.qr(columns)
    return basis * np.sign(np.diag(coefficients)) * np.sqrt(len(columns))


def codes(latents: pd.DataFrame, config: ConceptsConfig) -> tuple[np.ndarray, np.ndarray]:
    """Axes of the code that all paradigms share, and of each paradigm's own.

    Parameters
    ----------
    latents
        From `world.concept_latents`.
    config
        Numbers of the study.

    Returns
    -------
    (numpy.ndarray, numpy.ndarray)
        Shapes (concepts, codes) and (paradigms, concepts, `N_SPECIFIC`). All columns together have
        mean 0, unit variance and no correlation.
    """
    rng = np.random.default_rng([config.seed, 1])
    values = latents.to_numpy() - latents.to_numpy().mean(axis=0)
    values /= values.std(axis=0)
    left, scale, _ = np.linalg.svd(values, full_matrices=False)
    # Indicators of one family sum to one, and leave fewer dimensions than columns.
    shared = left[:, scale > 1e-8 * scale[0]]
    if config.codes == "unrelated":
        shared = rng.standard_normal(shared.shape)
    n_shared, n_concepts = shared.shape[1], len(latents)
    random = rng.standard_normal((n_concepts, len(PARADIGMS) * N_SPECIFIC))
    together = _orthonormal(np.column_stack([shared, random]), np.ones((n_concepts, 1)))
    specific = together[:, n_shared:].reshape(n_concepts, len(PARADIGMS), N_SPECIFIC)
    return together[:, :n_shared], specific.transpose(1, 0, 2)


def _signals(
    shared: np.ndarray,
    specific: np.ndarray,
    maps: xr.Dataset,
    parcels: np.ndarray,
    config: ConceptsConfig,
) -> Callable[[int], np.ndarray]:
    """Function from a paradigm's number to its noise-free responses, (concepts, voxels)."""
    rng = np.random.default_rng([config.seed, 2])
    amount, snr = maps["consistency"].to_numpy(), maps["snr"].to_numpy()
    common = _preferences(shared.shape[1], parcels, rng, config) * (np.sqrt(amount) * snr)
    own = [
        _preferences(N_SPECIFIC, parcels, rng, config) * (np.sqrt(1 - amount) * snr)
        for _ in PARADIGMS
    ]

    def signal(paradigm: int) -> np.ndarray:
        values = shared @ common + specific[paradigm] @ own[paradigm]
        return values.astype(np.float32)

    return signal


def _preferences(
    n_codes: int, parcels: np.ndarray, rng: np.random.Generator, config: ConceptsConfig
) -> np.ndarray:
    """A direction among the codes for every voxel, (codes, voxels), of length 1."""
    part = config.shared_code
    directions = np.sqrt(1 - part**2) * rng.standard_normal((n_codes, len(parcels)))
    directions += part * rng.standard_normal((n_codes, parcels.max() + 1))[:, parcels]
    return directions / np.linalg.norm(directions, axis=0)


def _halves(n_concepts: int) -> np.ndarray:
    """Three stimuli of every concept in either half, drawn anew for each; as for `load`."""
    rng = np.random.default_rng([0, 3])
    both = np.repeat([1, 2], N_STIMULI // 2)[:, None]
    shape = (len(PARADIGMS), N_STIMULI, n_concepts)
    return rng.permuted(np.broadcast_to(both, shape), axis=1)


def _loader(
    signal: Callable[[int], np.ndarray],
    parcels: np.ndarray,
    subjects: tuple[str, ...],
    n_concepts: int,
    config: ConceptsConfig,
) -> Callable[[str, str], np.ndarray]:
    """Function that simulates a listener's responses in a paradigm; the same each time."""
    gains = np.exp(
        config.gain_spread * np.random.default_rng([config.seed, 4]).standard_normal(len(subjects))
    )

    def load(subject: str, paradigm: str) -> np.ndarray:
        listener, number = subjects.index(subject), PARADIGMS.index(paradigm)
        rng = np.random.default_rng([config.seed, 5, listener, number])
        shape = (N_STIMULI, n_concepts)
        values = rng.standard_normal((*shape, len(parcels)), dtype=np.float32)
        values *= np.float32(np.sqrt(1 - config.shared_noise**2))
        common = rng.standard_normal((*shape, parcels.max() + 1), dtype=np.float32)
        common *= np.float32(config.shared_noise)
        noise_free = signal(number) * np.float32(gains[listener])
        for response, part in zip(values, common, strict=True):
            response += part[:, parcels]
            response += noise_free
        # Every concept is shown four to six times, with other stimuli to other listeners.
        order = rng.permuted(np.broadcast_to(np.arange(N_STIMULI)[:, None], shape), axis=0)
        values[order >= rng.integers(4, N_STIMULI + 1)] = np.nan
        return values

    return load


def _contrast_loader(
    planted: np.ndarray, subjects: tuple[str, ...], config: ConceptsConfig
) -> Callable[[str], np.ndarray]:
    def selectivity(subject: str) -> np.ndarray:
        rng = np.random.default_rng([config.seed, 6, subjects.index(subject)])
        noise = config.selectivity_noise * rng.standard_normal(len(planted))
        return (planted + noise).astype(np.float32)

    return selectivity


def _truth(
    maps: xr.Dataset, shared: np.ndarray, latents: pd.DataFrame, concepts: pd.Series
) -> xr.Dataset:
    names = [f"{family}: {name}" for family, name in latents.columns]
    family = latents.columns.get_level_values("family").to_numpy(str)
    return maps.assign(
        shared_code=(("concept", "code"), shared),
        latents=(("concept", "latent"), latents.to_numpy()),
    ).assign_coords(concept=list(concepts), latent=names, family=("latent", family))
