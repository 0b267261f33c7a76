"""What a language model knows of a simulated story, layer by layer.

The latents that the simulated listeners follow (word forms, syntax, events, discourse) take the
place of voxels: the same regressors, the same ridge regression. Nothing here looks at a brain.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from brainalign.activations import extract
from brainalign.errors import InputError
from brainalign.fitting import EncodingSettings, study_regressors
from brainalign.layers import profile_rows
from brainalign.parallel import progress
from brainalign.ridge import leave_one_run_out
from brainalign.scaling import matching
from brainalign.statistics import pearson
from brainalign.study import Study

# Latents have no noise, so that weaker penalties than those of brain scores are best.
ALPHAS = np.logspace(0, 5, 11)


def latent_scores(study: Study, names: Sequence[str]) -> pd.DataFrame:
    """How well every layer of language models predicts each latent behind simulated responses.

    Parameters
    ----------
    study
        A simulated one, which knows its latents.
    names
        Language models.

    Returns
    -------
    pandas.DataFrame
        Columns model, layer, relative_depth (0 to 1), latent, latents (its family) and r:
        correlation over scans, leave one run out, mean over the runs in which the latent varies.

    Raises
    ------
    InputError
        For a study that does not know its latents.
    """
    if study.truth is None or "latents" not in study.truth:
        raise InputError(
            f"Study {study.name!r} does not know what its listeners follow; a simulated study is "
            "expected."
        )
    latents = study.truth["latents"]
    runs = latents["run"].to_numpy()
    values = [latents.to_numpy()[runs == run] for run in np.unique(runs)]
    targets = study_regressors(study, values, EncodingSettings())
    labels = {
        "latent": latents["latent"].to_numpy(),
        "latents": latents["latent_family"].to_numpy(),
    }
    tables = []
    for name in progress(names, desc="decoding latents"):
        arrays = extract(study, name)
        last = arrays[0].shape[1] - 1
        for layer in range(last + 1):
            features = [np.asarray(array[:, layer]) for array in arrays]
            regressors = study_regressors(study, features, EncodingSettings())
            # A latent that is constant in a run (a place where no scene is set) has no r there.
            r = np.nanmean(leave_one_run_out(regressors, targets, alphas=ALPHAS).r, axis=0)
            of_layer = {"model": name, "layer": layer, "relative_depth": layer / max(last, 1)}
            tables.append(pd.DataFrame(of_layer | labels | {"r": r}))
    return pd.concat(tables, ignore_index=True)


def latent_decoding(study: Study, names: Sequence[str]) -> pd.DataFrame:
    """How well every layer of language models predicts each family of latents.

    Parameters
    ----------
    study, names
        As for `latent_scores`.

    Returns
    -------
    pandas.DataFrame
        Columns model, layer, relative_depth (0 to 1), latents (surface, lexical, syntax, event or
        discourse) and r: mean over the family's latents.

    Raises
    ------
    InputError
        As `latent_scores`.
    """
    keys = ["model", "layer", "relative_depth", "latents"]
    return latent_scores(study, names).groupby(keys, sort=False)["r"].mean().reset_index()


def knowledge_table(table: pd.DataFrame, decoded: pd.DataFrame) -> pd.DataFrame:
    """Discourse that every layer knows, beside its score left and right in reliable voxels.

    Parameters
    ----------
    table
        A layer table, from `layers.layer_table`.
    decoded
        From `latent_decoding`.

    Returns
    -------
    pandas.DataFrame
        Columns model, layer, discourse decoded (r), left, right, left − right.
    """
    keys = ["model", "layer"]
    known = matching(decoded, latents="discourse").set_index(keys)["r"]
    result = known.rename("discourse decoded (r)").to_frame()
    for side, name in {"L": "left", "R": "right", "L-R": "left − right"}.items():
        scores = profile_rows(table, "reliable", side).set_index(keys)["score"]
        result[name] = scores.loc[result.index]
    return result.reset_index()


def knowledge_r(known: pd.DataFrame) -> float:
    """Correlation over layers and models of the discourse decoded with left minus right."""
    return float(
        pearson(known["discourse decoded (r)"].to_numpy(), known["left − right"].to_numpy())
    )
