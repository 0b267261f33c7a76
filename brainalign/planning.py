"""What a study will cost before anything runs: download, disk, memory, operations, hours.

Counts come from `costs`, speeds from `calibration`; every number is said to be counted, measured
or assumed.
"""

import math
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from brainalign.calibration import (
    CHIPS,
    DECOMPOSITION_UTILISATION,
    UTILISATION,
    Speeds,
    assumed,
    measure,
    time_resampling,
)
from brainalign.costs import CANDIDATES, TOKENS_PER_WORD, Cost, Material, cost, material
from brainalign.devices import free_memory
from brainalign.errors import InputError
from brainalign.files import atomic_path, cache_folder
from brainalign.fitting import EncodingSettings, encoding_settings
from brainalign.model_sizes import find_model
from brainalign.parallel import chosen_device, cpu_count
from brainalign.scores import chosen_models, study_settings
from brainalign.studies.grid import Grid
from brainalign.studies.registry import (
    DataFile,
    data_files,
    local_path,
    optional_files,
    response_files,
    subject_names,
)

#: Name of the last row, which sums up.
TOTAL = "total"
#: Assumed: bits/s of the network, bytes/s from a disk.
NETWORK, DISK = 100e6, 500e6
#: Workers of a cluster that the plan shows.
WORKERS = (4, 16, 64)
_HALF = "bfloat16-weights"


def cost_table(costs: Sequence[Cost], speeds: Speeds | None, memory: float) -> pd.DataFrame:
    """Costs of each model and of all together.

    Parameters
    ----------
    costs
        From `costs.cost`.
    speeds
        Of this machine; None leaves its hours out.
    memory
        Bytes that are free here.

    Returns
    -------
    pandas.DataFrame
        One row per model and the row `TOTAL`, indexed by model. Bytes, operations and seconds; of
        memory the largest counts. `fits` says whether the model fits into the memory that is free.
    """
    rows = {}
    for one in costs:
        rows[one.model.name] = {
            "parameters": one.model.n_parameters,
            "layers": one.n_fits,
            "download_bytes": one.model.download,
            "activation_bytes": one.activations,
            "score_bytes": one.scores,
            "memory_bytes": one.memory,
            "tokens_read": one.n_tokens,
            "reading_flop": one.forward,
            "fitting_flop": one.fitting,
            "reading_seconds": reading_seconds(one, speeds) if speeds else float("nan"),
            "fitting_seconds": fitting_seconds(one, speeds) if speeds else float("nan"),
            "fits": one.memory <= memory,
        }
    table = pd.DataFrame.from_dict(rows, orient="index")
    together = table.drop(columns="fits").sum(skipna=False).to_dict()
    largest = {"memory_bytes": table["memory_bytes"].max(), "fits": table["fits"].all()}
    table = pd.concat([table, pd.DataFrame(together | largest, index=[TOTAL])])
    whole = [name for name in table if name.endswith(("parameters", "layers", "_bytes", "_read"))]
    return table.astype(dict.fromkeys(whole, "int64")).rename_axis("model")


def reading_seconds(one: Cost, speeds: Speeds) -> float:
    """Seconds in which a machine reads the text into a model, loading its weights included."""
    model = one.model
    if not model.n_layers:
        return 0.0
    steps = one.n_tokens * model.n_layers * model.recurrent
    seconds = one.forward / speeds.forward_at(model.n_hidden) + steps * speeds.step
    return seconds + one.weights / DISK


def fitting_seconds(one: Cost, speeds: Speeds) -> float:
    """Seconds in which a machine fits all layers of a model."""
    ridge = one.ridge
    layer = speeds.fit + one.regressors / speeds.bandwidth
    layer += ridge.products / speeds.products + ridge.decompositions / speeds.decompositions
    return one.n_fits * layer


def elsewhere_table(costs: Sequence[Cost], precision: str, table: pd.DataFrame) -> pd.DataFrame:
    """Seconds of all models on graphics cards, and on clusters of machines like this one.

    Parameters
    ----------
    costs
        As for `cost_table`.
    precision
        Of the models.
    table
        From `cost_table`.

    Returns
    -------
    pandas.DataFrame
        Indexed by place: seconds of `reading` and `fitting`, and the models that do not fit. On a
        cluster a model is read by one worker; layers are fitted by any.
    """
    rows = {}
    for chip in CHIPS:
        speeds = assumed(chip, precision)
        rows[chip.name] = {
            "reading": sum(reading_seconds(one, speeds) for one in costs),
            "fitting": sum(fitting_seconds(one, speeds) for one in costs),
            "too_large": " ".join(o.model.name for o in costs if o.memory > chip.memory),
        }
    models, together = table.drop(TOTAL), table.loc[TOTAL]
    for n in WORKERS:
        rows[f"{n} machines like this one"] = {
            "reading": max(together["reading_seconds"] / n, models["reading_seconds"].max()),
            "fitting": together["fitting_seconds"] / n,
            "too_large": " ".join(models.index[~models["fits"]]),
        }
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("place")


def study_files(study: str, subjects: Sequence[str] = ()) -> list[DataFile]:
    """Files of a study that are to be fetched, its average listener and images of others included.

    Parameters
    ----------
    study
        Name of a study.
    subjects
        Listeners whose images are wanted.
    """
    images = [file for subject in subjects for file in response_files(study, subject)]
    files = [*data_files(study), *optional_files(study), *images]
    return [file for file in files if not local_path(file).is_file()]


def chosen_subjects(study: str, wanted: Sequence[str]) -> list[str]:
    """Listeners by name, "all", or so many of them from the first one.

    Raises
    ------
    InputError
        For a study without images of listeners to be fetched, and for an unknown listener.
    """
    if not wanted:
        return []
    known = subject_names(study)
    if not known:
        raise InputError(f"Study {study!r} has no images of single listeners to be fetched.")
    if list(wanted) == ["all"]:
        return known
    if len(wanted) == 1 and wanted[0].isdecimal() and 0 < int(wanted[0]) <= len(known):
        return known[: int(wanted[0])]
    names = [name.removeprefix("sub-") for name in wanted]
    if unknown := [name for name in names if name not in known]:
        raise InputError(
            f"Study {study!r} has no listener {unknown[0]!r}; {', '.join(known)}, 'all' or a "
            f"number up to {len(known)} is expected."
        )
    return names


def plan(
    study: str,
    models: Sequence[str],
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
    device: str = "auto",
    subjects: Sequence[str] = (),
    calibrate: bool = True,
    output: Path | None = None,
) -> str:
    """What language models on a study will cost.

    Parameters
    ----------
    study, options
        Name of a study, or path of a user's own, and what it would be loaded with.
    models
        Names; "paper" stands for the paper's of the study's language.
    settings
        Fields of `EncodingSettings` or `ActivationSettings` that differ from the study's own.
    device
        "cpu", "cuda" or "auto".
    subjects
        Listeners whose images are to be fetched and prepared, see `chosen_subjects`; none takes
        the published average.
    calibrate
        Whether to measure this machine, which takes some ten seconds.
    output
        CSV file for `cost_table`.

    Returns
    -------
    str
        For reading.

    Raises
    ------
    InputError
        For unknown names, options or devices, models whose size cannot be known here, and an
        output that is a folder.
    """
    if output is not None and output.is_dir():
        raise InputError(f"Output file {str(output)!r} is a folder; name a file such as plan.csv.")
    device, listeners = chosen_device(device), chosen_subjects(study, subjects)
    chosen = encoding_settings(**study_settings(study, **settings))
    sizes = [find_model(name) for name in chosen_models(study, models)]
    about = material(study, **options)
    costs = [cost(about, model, chosen) for model in sizes]
    precision, memory = chosen.activations.precision, sum(free_memory(device))
    speeds = measure(device, precision) if calibrate else None
    table = cost_table(costs, speeds, memory)
    if output is not None:
        with atomic_path(output) as temporary:
            table.to_csv(temporary)
    parts = [
        _about(about, chosen, device),
        _downloads(study_files(study, listeners), table, sum(_prepared(about, len(listeners)))),
        _preparation(about, len(listeners), calibrate),
        _models_text(table),
        _lacking(costs, memory, precision),
        _elsewhere_text(costs, precision, table),
        _sources(about, costs, speeds, precision),
    ]
    return "\n\n".join(filter(None, parts))


def _about(about: Material, settings: EncodingSettings, device: str) -> str:
    where = f"{cpu_count()} cores" if device == "cpu" else device
    return (
        f"Study {about.study}: {sum(about.words):,} words in {len(about.words)} run(s), "
        f"{about.n_scans:,} scans, {about.n_voxels:,} voxels, {len(about.folds)} folds "
        f"({about.source}). Models in {settings.activations.precision}, on {where}."
    )


def _downloads(files: Sequence[DataFile], table: pd.DataFrame, prepared: float) -> str:
    known = sum(file.size or 0 for file in files)
    n_unknown = sum(file.size is None for file in files)
    weights = table.loc[TOTAL, "download_bytes"]
    kept = table.loc[TOTAL, ["activation_bytes", "score_bytes"]].sum()
    free = shutil.disk_usage(next(p for p in cache_folder().parents if p.exists())).free
    unknown = f", and {n_unknown} of unknown size" if n_unknown else ""
    verdict = "which is not enough" if known + weights + kept + prepared > free else ""
    return (
        f"To download: {amount(known + weights)}. Study: {len(files)} file(s), {amount(known)}"
        f"{unknown}; weights of models: {amount(weights)}. At 100 Mbit/s (assumed) that takes "
        f"{duration(8 * (known + weights) / NETWORK)}.\n"
        f"Disk: {amount(known + weights)} of downloads, {amount(kept)} of activations and scores"
        f"{f', {amount(prepared)} of prepared images' if prepared else ''}; {amount(free)} are free"
        f"{verdict and f', {verdict}'}."
    )


def _prepared(about: Material, n_listeners: int) -> tuple[float, float]:
    """Bytes of listeners' resampled images, before compression, and of their cleaned responses."""
    volumes = n_listeners * about.n_scans
    return 4.0 * math.prod(Grid().shape) * volumes, 4.0 * about.n_voxels * volumes


def _preparation(about: Material, n_listeners: int, calibrate: bool) -> str:
    """Time and disk of images that are resampled and cleaned; nothing without listeners."""
    if not n_listeners:
        return ""
    volumes = n_listeners * about.n_scans
    resampled, cleaned = _prepared(about, n_listeners)
    text = (
        f"Preparing {n_listeners} listener(s), {volumes:,} volumes: {amount(resampled)} of resampled "
        f"images before compression, {amount(cleaned)} of cleaned responses"
    )
    if not calibrate:
        return f"{text}."
    seconds = volumes * time_resampling(Grid()) / cpu_count()
    return f"{text}, {duration(seconds)} (resampling alone)."


def _models_text(table: pd.DataFrame) -> str:
    shown = pd.DataFrame(index=table.index)
    shown["parameters"] = [f"{n / 1e6:,.0f} M" if n else "" for n in table["parameters"]]
    names = {"download": "download_bytes", "activations": "activation_bytes"}
    names |= {"scores": "score_bytes", "memory": "memory_bytes"}
    for name, column in names.items():
        shown[name] = table[column].map(amount)
    for name in ("reading", "fitting"):
        shown[f"{name} FLOP"] = table[f"{name}_flop"].map("{:.1e}".format)
        shown[name] = table[f"{name}_seconds"].map(duration)
    shown["fits here"] = table["fits"].map({True: "yes", False: "NO"})
    return shown.reset_index().to_string(index=False)


def _lacking(costs: Sequence[Cost], memory: float, precision: str) -> str:
    """Which models do not fit into the memory, and what helps."""
    large = [one for one in costs if one.memory > memory]
    if not large:
        return ""
    names = ", ".join(one.model.name for one in large)
    text = f"{amount(memory)} of memory are free; these models do not fit: {names}."
    saved = [one for one in large if precision != _HALF and one.memory - one.weights / 2 <= memory]
    if saved:
        names = ", ".join(one.model.name for one in saved)
        text += f" With `--precision {_HALF}` these do: {names}."
    if len(saved) < len(large):
        text += " A larger machine or graphics cards take the others."
    return text


def _elsewhere_text(costs: Sequence[Cost], precision: str, table: pd.DataFrame) -> str:
    found = elsewhere_table(costs, precision, table)
    for name in ("reading", "fitting"):
        found[name] = found[name].map(duration)
    found["too_large"] = [f"{len(text.split())} model(s)" for text in found["too_large"]]
    for name in ("float32", "bfloat16", "float64"):
        peaks = {chip.name: f"{getattr(chip, name) / 1e12:g}" for chip in CHIPS}
        found[f"{name} TFLOP/s"] = [peaks.get(place, "") for place in found.index]
    found = found.rename(columns={"too_large": "too large for"}).reset_index()
    return (
        "Elsewhere: GPUs by their makers' dense peaks (assumed), of which products reach "
        f"{UTILISATION:.0%} and decompositions {DECOMPOSITION_UTILISATION:.0%} (assumed)\n"
        + found.to_string(index=False)
    )


def _sources(about: Material, costs: Sequence[Cost], speeds: Speeds | None, precision: str) -> str:
    """Which numbers are counted, measured and assumed."""
    measured = "nothing (no calibration)."
    if speeds:
        forward = ", ".join(f"{v / 1e9:,.0f} at {w}" for w, v in speeds.forward.items())
        measured = (
            f"a regression at {speeds.products / 1e9:,.0f} GFLOP/s; blocks of a model ({precision}) "
            f"at GFLOP/s by hidden units: {forward}; memory {speeds.bandwidth / 1e9:,.0f} GB/s. "
            f"Other programs took {speeds.others:.0%} of the cores meanwhile, and take as much then."
        )
    without = [o for o in costs if o.model.n_layers and not (o.model.tokenizer and about.texts)]
    tokens = ", ".join(f"{n} ({name})" for name, n in TOKENS_PER_WORD.items())
    words = f"{tokens} tokens per word where tokenizer or text are not at hand" if without else ""
    lines = [
        "Counted: bytes and operations. A regression of one layer as the package counts its own; "
        "reading two operations per parameter and token, windows' overlap and attention included.",
        f"Measured now: {measured}",
        f"Assumed: {words + '; ' if words else ''}precision of weights in the hub's files; "
        f"{CANDIDATES} alphas left by the sampled search; network 100 Mbit/s, disk 500 MB/s.",
    ]
    return "\n".join(lines)


def amount(n_bytes: float) -> str:
    """Bytes for reading."""
    for unit, size in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6)):
        if n_bytes >= size:
            return f"{n_bytes / size:.1f} {unit}"
    return f"{n_bytes / 1e3:.0f} kB"


def duration(seconds: float) -> str:
    """Seconds for reading; a dash for unknown ones."""
    if seconds != seconds:
        return "-"
    for unit, size in (("h", 3600), ("min", 60)):
        if seconds >= 2 * size:
            return f"{seconds / size:.1f} {unit}"
    return f"{seconds:.1f} s"
