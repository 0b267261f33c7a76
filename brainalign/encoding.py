"""Brain scores: how well each layer of a language model predicts each voxel of a study.

One labelled file per study, model and settings, found again by its key. An interrupted run
continues with the first layer that is not on disk.
"""

import json
import shutil
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict, replace
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from filelock import FileLock, Timeout

from brainalign import activations
from brainalign.activations import ActivationSettings, effective_settings, extract, run_paths
from brainalign.errors import InputError
from brainalign.files import atomic_path, cache_folder, digest, output_folder, source_digest
from brainalign.fitting import EncodingSettings, LayerFit, layer_fitter
from brainalign.models import check_name, describe, fingerprint
from brainalign.parallel import chosen_device, cpu_count, map_processes, progress
from brainalign.study import AVERAGE, Study, voxel_coordinates

if TYPE_CHECKING:
    import zarr

# Modules whose source decides what the scores are.
SOURCES = (
    *activations.SOURCES,
    *("drift", "regressors", "ridge", "fitting", "encoding"),
)
# Larger models are extracted one after the other, on all cores and with one copy in memory.
PARALLEL_PARAMETERS = 200_000_000


def score_key(study_fingerprint: str, model: str, settings: EncodingSettings) -> str:
    """Key under which scores are kept: data, model, settings and the code that made them.

    Parameters
    ----------
    study_fingerprint
        `Study.fingerprint`.
    model
        Name of a model.
    settings
        All of them; those that have no effect on the result do not count.

    Returns
    -------
    str
    """
    chosen = asdict(settings)
    chosen["activations"] = effective_settings(model, settings.activations)
    chosen["alphas"] = settings.alpha_grid.tolist()
    if settings.hrf != "fir":
        chosen.pop("delays")
    if not settings.nuisance:
        chosen.pop("nuisance_columns")
    return digest([study_fingerprint, model, fingerprint(model), chosen, source_digest(SOURCES)])


def score_file(key: str, folder: Path | str | None = None) -> Path:
    """File of the scores with a key, by default in `scores` in the cache."""
    return (Path(folder) if folder is not None else cache_folder() / "scores") / f"{key}.nc"


def encode(
    study: Study,
    models: Iterable[str],
    settings: EncodingSettings | None = None,
    folder: Path | str | None = None,
    device: str = "auto",
    jobs: int | None = None,
) -> list[xr.Dataset]:
    """Scores of language models on a study: found, or computed and kept.

    Text is read into several models at once by other processes, so that a script must call this
    below `if __name__ == "__main__":`, or with `jobs=1`.

    Parameters
    ----------
    study
        Words and responses.
    models
        Names, see `brainalign.models`.
    settings
        By default `EncodingSettings()`.
    folder
        Folder of the score files, by default `scores` in the cache.
    device
        "cpu", "cuda", or "auto" for a GPU where there is one.
    jobs
        Processes that read text into models; by default one per core.

    Returns
    -------
    list of xarray.Dataset
        One per model, float32. `r` (model, layer, voxel) is the mean over folds of the Pearson
        correlations `r_fold` (fold, layer, voxel);
        `r_inner` (fold, layer, voxel) the scores of the inner validation runs; `alpha` (fold,
        layer), with (voxel) where each has its own. With nuisance features these are the scores
        of both bands together, `band_ratio` (fold, layer, voxel) the ratio of their penalties,
        and `r_nuisance` (fold, voxel) the score of the nuisance features alone; `r_unique` (model,
        layer, voxel) is the mean of `r_fold - r_nuisance`. The attribute `settings` is JSON: how it
        was made, and the warnings.

    Raises
    ------
    InputError
        For unknown models, subjects and settings, and for data that cannot be fitted.
    """
    files = encode_files(study, models, settings, folder, device, jobs)
    # Read once, not from every file: names of voxels take longer to read than their scores.
    voxels = voxel_coordinates(study.voxels)
    return [load_scores(path, leave_out=voxels).assign_coords(voxels) for path in files]


def load_scores(path: Path, leave_out: Iterable[str] = ()) -> xr.Dataset:
    """Scores of one model from the file that `encode_files` names, without some of its arrays."""
    return xr.load_dataset(path, engine="h5netcdf", drop_variables=list(leave_out))


def encode_files(
    study: Study,
    models: Iterable[str],
    settings: EncodingSettings | None = None,
    folder: Path | str | None = None,
    device: str = "auto",
    jobs: int | None = None,
) -> list[Path]:
    """Files of the scores that `encode` gives, so that not all need be in memory at once.

    Parameters
    ----------
    study, models, settings, folder, device, jobs
        As for `encode`.

    Returns
    -------
    list of pathlib.Path
        One per model, for `load_scores`.

    Raises
    ------
    InputError
        As `encode`.
    """
    settings = settings or EncodingSettings()
    names = [models] if isinstance(models, str) else list(models)
    keys = {name: score_key(study.fingerprint, check_name(name), settings) for name in names}
    paths = {name: score_file(key, folder) for name, key in keys.items()}
    missing = [name for name, path in paths.items() if not path.is_file()]
    if missing:
        # What cannot be fitted is refused before the text goes through the models.
        device = chosen_device(device)
        check_subject(study, settings.subject)
        study.folds()
        paths[missing[0]].parent.mkdir(parents=True, exist_ok=True)
        _extract_all(study, missing, settings.activations, device, jobs)
    fit = layer_fitter(study, settings, device)
    locks = {name: FileLock(paths[name].with_suffix(".lock")) for name in missing}
    for _ in progress(missing, desc="encoding"):
        name = _acquire_one(locks)
        try:
            if not paths[name].is_file():
                _encode_model(study, name, settings, keys[name], paths[name], fit, device)
        finally:
            locks.pop(name).release()
    for name, key in keys.items():
        _record_use(study, name, settings, key)
    return [paths[name] for name in names]


def _acquire_one(locks: dict[str, FileLock]) -> str:
    """Name of a lock that is held from now on: of the first one that is free, if any is.

    Pages that are executed side by side ask for the same models; each fits others meanwhile.
    """
    for name, lock in locks.items():
        with suppress(Timeout):
            lock.acquire(blocking=False)
            return name
    name = next(iter(locks))
    locks[name].acquire()
    return name


def check_subject(study: Study, subject: str) -> None:
    """Raise InputError for a subject that a study does not have."""
    if subject not in (*study.subjects, AVERAGE):
        raise InputError(
            f"Study {study.name!r} has no subject {subject!r}; it has "
            f"{', '.join((*study.subjects, AVERAGE))}."
        )


def _extract_all(
    study: Study,
    names: list[str],
    settings: ActivationSettings,
    device: str,
    jobs: int | None,
) -> None:
    """Make sure that the models' activations are on disk."""
    words = without_responses(study)
    infos = sorted((describe(name) for name in names), key=lambda info: -info.n_parameters)
    # Baselines have no parameters; they are drawn faster than a process starts.
    models = [info.name for info in infos if info.n_parameters]
    # Those that are there already are not worth the start of a process.
    models = [name for name in models if not _extracted(words, name, settings)]
    large = any(info.n_parameters > PARALLEL_PARAMETERS for info in infos)
    jobs = 1 if large or device != "cpu" else jobs or cpu_count()
    items = [(words, name, settings, device) for name in models]
    map_processes(_extract_one, items, jobs, title="reading text into models")
    for info in infos:
        if not info.n_parameters:
            extract(study, info.name, settings)


def _extracted(study: Study, name: str, settings: ActivationSettings) -> bool:
    return all(path.exists() for path in run_paths(study, name, settings))


def without_responses(study: Study) -> Study:
    """Words and text of a study only: loaders of responses need not survive pickling."""
    runs = tuple(replace(run, load=_no_responses) for run in study.runs)
    return replace(study, runs=runs, mask=None, truth=None)


def _no_responses(subject: str) -> np.ndarray:
    raise InputError(f"Responses of {subject!r} are not at hand where activations are extracted.")


def _extract_one(item: tuple[Study, str, ActivationSettings, str]) -> None:
    study, name, settings, device = item
    extract(study, name, settings, device=device)


def _encode_model(
    study: Study,
    name: str,
    settings: EncodingSettings,
    key: str,
    path: Path,
    fit: LayerFit,
    device: str,
) -> None:
    """Fit layer by layer, each kept until all are there, and write the model's scores."""
    arrays = extract(study, name, settings.activations, device=device)
    layer_names = list(arrays[0].attrs["layers"])
    for layer in progress(range(len(layer_names)), desc=name, leave=False):
        fit_layer(arrays, layer, path, fit)
    layers = [load_scores(_layer_file(path, k)) for k in range(len(layer_names))]
    _save(_assemble(study, name, settings, key, layers, layer_names), path)
    shutil.rmtree(_layer_file(path, 0).parent)


def fit_layer(arrays: "Sequence[zarr.Array]", layer: int, path: Path, fit: LayerFit) -> None:
    """Fit one layer of a model and keep its scores, unless they are there.

    Parameters
    ----------
    arrays
        The model's activations, from `activations.extract`.
    layer
        Index of the layer.
    path
        File that all layers of the model will make (`score_file`); the layer's lies beside it.
    fit
        From `fitting.layer_fitter`.
    """
    part = _layer_file(path, layer)
    if not part.is_file():
        _save(fit([np.asarray(array[:, layer], dtype=np.float32) for array in arrays]), part)


def _layer_file(path: Path, layer: int) -> Path:
    return path.with_suffix(".layers") / f"{layer}.nc"


def _assemble(
    study: Study,
    name: str,
    settings: EncodingSettings,
    key: str,
    layers: list[xr.Dataset],
    layer_names: list[str],
) -> xr.Dataset:
    """All layers of a model as one labelled dataset."""
    joint = xr.concat(layers, "layer", data_vars="all", combine_attrs="drop")
    if settings.nuisance:
        joint["r_nuisance"] = joint["r_nuisance"].isel(layer=0)
    joint = joint.transpose("fold", "layer", ...)
    mean = joint["r_fold"].mean("fold", skipna=False)
    joint["r"] = mean.expand_dims(model=[name])
    if settings.nuisance:
        unique = (joint["r_fold"] - joint["r_nuisance"]).mean("fold", skipna=False)
        joint["r_unique"] = unique.expand_dims(model=[name])
    at_edge = float(np.mean([layer.attrs["alphas_at_edge"] for layer in layers]))
    how = {
        "study": _about(study),
        "model": asdict(describe(name)),
        "encoding": asdict(settings),
        "key": key,
        "alphas_at_edge": at_edge,
        "warnings": _warnings(settings, at_edge),
        "versions": _versions(),
    }
    return joint.assign_coords(
        fold=np.arange(len(study.folds())),
        layer=np.arange(len(layer_names)),
        layer_name=("layer", layer_names),
        **voxel_coordinates(study.voxels),
    ).assign_attrs(settings=json.dumps(how))


def _warnings(settings: EncodingSettings, at_edge: float) -> list[str]:
    if not at_edge:
        return []
    low, high, _ = settings.alphas
    return [
        f"{at_edge:.0%} of the chosen alphas lie at an end of the grid, 1e{low:g} or 1e{high:g}; "
        "a better one may lie beyond."
    ]


def _about(study: Study) -> dict:
    fields = ("name", "language", "fingerprint", "simulated", "tr", "trim", "licence", "citation")
    fields += ("high_pass", "n_folds", "gap")
    return {name: getattr(study, name) for name in fields} | {"n_subjects": len(study.subjects)}


def _versions() -> dict[str, str]:
    found = {}
    packages = ("brainalign", "numpy", "torch", "transformers", "tokenizers", "himalaya", "scipy")
    for name in packages:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "not installed"
    return found


def _save(dataset: xr.Dataset, path: Path) -> None:
    with atomic_path(path) as temporary:
        dataset.to_netcdf(temporary, engine="h5netcdf")


def _record_use(study: Study, name: str, settings: EncodingSettings, key: str) -> None:
    """Note that the running notebook has read these scores."""
    folder = output_folder()
    if folder is None:
        return
    about = {"name": study.name, "options": study.options}
    line = {"study": about, "model": name, "settings": asdict(settings), "key": key}
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "scores.jsonl", "a", encoding="utf-8") as stream:
        stream.write(json.dumps(line) + "\n")
