"""Steps of an analysis as commands: activations and scores of language models on a study."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from brainalign.companion.targets import check_writable
from brainalign.companion.yaml_files import parse_yaml, split_assignments
from brainalign.errors import InputError
from brainalign.files import atomic_path

if TYPE_CHECKING:
    import pandas as pd
    import xarray as xr

#: Name in tables of all voxels together.
ALL = "all"


def study_options(texts: Sequence[str]) -> dict[str, Any]:
    """Options of a study from `name=value` texts, values in YAML.

    Raises
    ------
    InputError
        For a text without "=", a name given twice, or a value that is not YAML.
    """
    written = split_assignments(texts)
    return {name: parse_yaml(value, f"option {name}") for name, value in written.items()}


def extract_table(
    study: str,
    models: Sequence[str],
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
    device: str = "cpu",
    scheduler: str | None = None,
    workers: int | None = None,
) -> "pd.DataFrame":
    """Read a study's text into language models and keep their activations.

    Parameters
    ----------
    study, options
        Name of a study and what to load it with.
    models
        Names, see `brainalign.models`; "paper" stands for the paper's of the study's language.
    settings
        Fields of `ActivationSettings` that differ from the study's own (`scores.study_settings`).
    device
        "cpu", "cuda", or "auto" for a GPU where there is one.
    scheduler, workers
        See `distributed.distribute`; None computes in this process.

    Returns
    -------
    pandas.DataFrame
        One row per model: layers, units, words, size (MB) and folder of its activations.

    Raises
    ------
    InputError
        For an unknown study, model or option, and where something is not at hand.
    """
    import pandas as pd

    from brainalign.activations import extract
    from brainalign.fitting import encoding_settings
    from brainalign.models import check_name
    from brainalign.parallel import chosen_device
    from brainalign.scores import chosen_models, study_settings
    from brainalign.studies import load_study

    names = [check_name(name) for name in chosen_models(study, models)]
    # Those of the study's page, so that the page finds these activations again.
    chosen = encoding_settings(**study_settings(study, **settings))
    if scheduler is None:
        device = chosen_device(device)
    else:
        from brainalign.distributed import distribute

        distribute(scheduler, study, options, names, chosen, device, workers, fit=False)
    loaded = load_study(study, **options)
    rows = []
    for name in names:
        runs = extract(loaded, name, chosen.activations, device=device)
        _, n_layers, n_units = runs[0].shape
        row = {"model": name, "layers": n_layers, "units": n_units}
        row |= {"words": sum(run.shape[0] for run in runs)}
        row |= {"MB": sum(run.nbytes for run in runs) / 1e6}
        rows.append(row | {"folder": str(Path(runs[0].store.root).parent)})
    return pd.DataFrame(rows)


def encode_table(
    study: str,
    models: Sequence[str],
    options: Mapping[str, Any],
    settings: Mapping[str, Any],
    device: str = "cpu",
    output: Path | None = None,
    scheduler: str | None = None,
    workers: int | None = None,
) -> "pd.DataFrame":
    """Scores of language models on a study, layers chosen by the nested rule.

    Parameters
    ----------
    study, options, models, device, scheduler, workers
        As for `extract_table`.
    settings
        Fields of `EncodingSettings` or `ActivationSettings` that differ from the study's own
        (`scores.study_settings`), which are those of its pages.
    output
        CSV file that the table is written to.

    Returns
    -------
    pandas.DataFrame
        One row per model, region and hemisphere, see `regions.roi_table`; `ALL` is every voxel.

    Raises
    ------
    InputError
        As `extract_table`, and for an output file that cannot be written.
    """
    import xarray as xr

    from brainalign.encoding import encode_files, load_scores
    from brainalign.fitting import encoding_settings
    from brainalign.layer_choice import brain_scores
    from brainalign.models import check_name
    from brainalign.parallel import chosen_device
    from brainalign.scores import chosen_models, study_settings
    from brainalign.studies import load_study

    names = [check_name(name) for name in chosen_models(study, models)]
    if output is not None:
        _check_file(output)
    chosen = encoding_settings(**study_settings(study, **settings))
    if scheduler is None:
        device = chosen_device(device)
    else:
        from brainalign.distributed import distribute

        distribute(scheduler, study, options, names, chosen, device, workers)
    files = encode_files(load_study(study, **options), names, chosen, device=device)
    # One model's layers in memory at a time.
    table = score_table(xr.concat([brain_scores([load_scores(file)]) for file in files], "model"))
    if output is not None:
        with atomic_path(output) as temporary:
            table.to_csv(temporary, index=False)
    return table


def _check_file(path: Path) -> None:
    if path.is_dir():
        raise InputError(f"Output file {str(path)!r} is a folder; name a file such as scores.csv.")
    check_writable(path.parent)


def score_table(scores: "xr.DataArray") -> "pd.DataFrame":
    """Mean scores over all voxels and over each region, by hemisphere.

    Parameters
    ----------
    scores
        Dims (model, voxel), from `layer_choice.brain_scores`.
    """
    import pandas as pd

    from brainalign.regions import roi_table

    together = scores.assign_coords(roi=("voxel", [ALL] * scores.sizes["voxel"]))
    parts = [roi_table(together)]
    if (scores["roi"] != "").any():
        parts.append(roi_table(scores))
    return pd.concat(parts, ignore_index=True)
