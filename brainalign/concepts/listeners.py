"""What the page on concepts needs of every listener, from one pass through their responses.

Every concept's stimuli are dealt into four parts without a trial in common: two give consistency,
the other two what consistency is compared with. Where all four are taken, they count alike. Results
are kept in the cache.
"""

from collections.abc import Sequence

import numpy as np
import xarray as xr

from brainalign.concepts.consistency import Moments, moments, stimulus_parts
from brainalign.concepts.permutations import permutation_test
from brainalign.concepts.probability import significant_voxels
from brainalign.errors import InputError
from brainalign.files import atomic_path, cache_folder, digest, source_digest
from brainalign.parallel import progress
from brainalign.studies.concepts.responses import ConceptResponses, select_voxels
from brainalign.study import voxel_coordinates

N_PARTS = 4
RULES = ("fdr", "published")
SOURCES = (
    *("files", "parallel", "statistics", "studies/concepts/responses"),
    *(f"concepts/{name}" for name in ("consistency", "permutations", "probability", "listeners")),
)


def region_voxels(study: ConceptResponses) -> np.ndarray:
    """Voxels of the regions of the left hemisphere, shape (voxel,), bool."""
    return ((study.voxels["roi"] != "") & (study.voxels["hemisphere"] == "L")).to_numpy()


def listener_data(
    study: ConceptResponses,
    n_permutations: int,
    seed: int = 0,
    paradigms: Sequence[str] | None = None,
) -> xr.Dataset:
    """Results of all listeners: found, or computed and kept.

    Parameters
    ----------
    study
        Responses to single stimuli, at least four for each concept and paradigm.
    n_permutations
        Of the concepts, for the map of consistent voxels; 0 for none, and then there is nothing of
        voxels outside the regions of the left hemisphere.
    seed
        Of parts and permutations.
    paradigms
        Those that are read; None for all. The moments need all of them.

    Returns
    -------
    xarray.Dataset
        `parts` (subject, paradigm, part, concept, inside), mean responses in the voxels of the
        regions on the left; `stimuli` (subject, paradigm, stimulus, concept, region), responses of
        these regions; `selectivity` (subject, inside). With permutations also `moments` (subject,
        moment, voxel), see `as_moments`, and `significant` (subject, rule, voxel): "fdr" from
        all trials, "published" in both halves (parts 1 and 2, 3 and 4).

    Raises
    ------
    InputError
        For a study without regions on the left, and as `consistency.stimulus_parts`.
    """
    if not region_voxels(study).any():
        raise InputError(f"Study {study.name!r} has no regions in the left hemisphere.")
    if not n_permutations:
        study = select_voxels(study, region_voxels(study))
    names = tuple(study.paradigms if paradigms is None else paradigms)
    key = digest([study.fingerprint, n_permutations, seed, names, source_digest(SOURCES)])
    path = cache_folder() / "concepts" / f"{key}.nc"
    if not path.is_file():
        made = [
            _listener(study, subject, names, n_permutations, np.random.default_rng([seed, number]))
            for number, subject in enumerate(progress(study.subjects, desc="listeners"))
        ]
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_path(path) as temporary:
            xr.concat(made, "subject").to_netcdf(temporary, engine="h5netcdf")
    found = xr.load_dataset(path, engine="h5netcdf")
    found = found.assign_coords(subject=list(study.subjects), paradigm=list(names))
    return found.assign_coords(voxel_coordinates(study.voxels)) if n_permutations else found


def _listener(
    study: ConceptResponses,
    subject: str,
    paradigms: Sequence[str],
    n_permutations: int,
    rng: np.random.Generator,
) -> xr.Dataset:
    inside = region_voxels(study)
    region = study.voxels["roi"].to_numpy(str)[inside]
    names = np.unique(region)
    means = (region[:, None] == names) / (region[:, None] == names).sum(axis=0)
    parts, stimuli = [], []
    for paradigm in paradigms:
        responses = study.responses(subject, paradigm).to_numpy()
        stimuli.append((responses[..., inside] @ means).astype(np.float32))
        parts.append(stimulus_parts(responses, N_PARTS, rng))
    every = np.stack(parts)
    found = xr.Dataset(
        {
            "parts": (("paradigm", "part", "concept", "inside"), every[..., inside]),
            "stimuli": (("paradigm", "stimulus", "concept", "region"), np.stack(stimuli)),
            "selectivity": ("inside", study.selectivity(subject)[inside]),
        },
        {"region": names, "concept": list(study.concepts)},
    )
    if not n_permutations:
        return found
    values = moments(every)
    stacked = np.concatenate([values.shared, values.signal, values.total, values.single])
    return found.assign(
        moments=(("moment", "voxel"), stacked.astype(np.float32)),
        significant=(("rule", "voxel"), _significant(every, n_permutations, rng)),
    ).assign_coords(rule=list(RULES))


def _significant(parts: np.ndarray, n_permutations: int, rng: np.random.Generator) -> np.ndarray:
    """Consistent voxels by each of `RULES`, (rule, voxel)."""
    halves = parts[:, :2].mean(axis=1), parts[:, 2:].mean(axis=1)
    tests = [permutation_test(half, n_permutations, rng) for half in halves]
    whole = permutation_test(parts.mean(axis=1), n_permutations, rng)
    return np.stack([significant_voxels([whole], "fdr"), significant_voxels(tests, "published")])


def as_moments(values: xr.DataArray) -> Moments:
    """Moments of `listener_data`, of one listener or their mean: dims (moment, voxel)."""
    # Three pairs of three paradigms; then three paradigms each.
    return Moments(*np.split(values.to_numpy().astype(float), 4))
