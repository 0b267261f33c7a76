"""Does the testbed do what it is for? Its acceptance table, measured from scratch.

The simulated listeners follow planted latents, never a language model; so whether larger models
predict them better, and the left better still, is a finding about the models. This module measures
that finding for several simulated brains, beside everything that must come out as nothing.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.activations import extract
from brainalign.decoding import latent_scores
from brainalign.encoding import encode
from brainalign.fitting import EncodingSettings, load_responses, study_regressors
from brainalign.lateralization import hemisphere_table
from brainalign.layer_choice import brain_scores
from brainalign.models import describe, zoo_names
from brainalign.parallel import progress
from brainalign.regions import roi_table
from brainalign.reliability import leave_one_out_isc, reliable_voxels
from brainalign.ridge import leave_one_run_out
from brainalign.scaling import matching
from brainalign.statistics import fit_line, partial_correlation, pearson
from brainalign.studies import load_study
from brainalign.studies.testbed.recipes import LADDER
from brainalign.studies.testbed.zoo import zoo_table
from brainalign.study import Study, select_voxels
from brainalign.training_curves import CHECKPOINT_MODEL, checkpoint_names, half_way
from brainalign.wording import format_count

#: Regions whose asymmetry must grow at least .4 and at most a third as fast as in AG/TPJ.
GROWING, FLAT = ("aSTS", "pSTS", "BA45", "BA47"), ("BA44", "A1")
GUARD_MODEL = "nano-gpt2-32x6"
SHIFT = 100


def acceptance_table(
    seeds: Sequence[int] = range(5), null_seeds: Sequence[int] = range(20)
) -> pd.DataFrame:
    """Measure every criterion of the testbed.

    Parameters
    ----------
    seeds
        Of the simulated brains with planted asymmetry.
    null_seeds
        Of the simulated brains whose hemispheres are alike.

    Returns
    -------
    pandas.DataFrame
        Columns criterion, measured, wanted, holds. Scores are means over the reliable voxels,
        region rows over the regions' voxels; slopes are per decade of parameters.
    """
    names = zoo_names()
    decoded = discourse_decoding([*names, f"{names[-1]}:untrained-0"])
    checkpoints = checkpoint_names(CHECKPOINT_MODEL)
    trained, regions, untrained, random, curves = [], [], [], [], []
    for seed in progress(seeds, desc="simulated brains"):
        study, reliable = _narrowed(seed=seed)
        blank = [f"{name}:untrained-{seed}" for name in names]
        embeddings = [f"random-embeddings-{describe(name).n_hidden}:seed-{seed}" for name in names]
        scores = _scores(study, [*names, *blank, *embeddings, *checkpoints.values()])
        trained.append(_sides(scores, reliable, names))
        regions.append(_region_slopes(scores, names))
        untrained.append(_sides(scores, reliable, blank))
        random.append(_sides(scores, reliable, embeddings, names))
        curves.append(_sides(scores, reliable, [*checkpoints.values()]).set_axis([*checkpoints]))
    alike = []
    for seed in progress(null_seeds, desc="brains alike on both sides"):
        study, reliable = _narrowed(seed=seed, asymmetry=0.0)
        alike.append(_sides(_scores(study, names), reliable, names))
    rows = [
        *_learning_rows(decoded, trained, seeds),
        *_scaling_rows(trained, seeds),
        *_region_rows(pd.DataFrame(regions)),
        *_checkpoint_rows(curves, seeds),
        *_null_rows(trained, untrained, random, alike, seeds),
        _shift_row(names[-1]),
        _swap_row(*_narrowed(), names),
    ]
    return pd.DataFrame(rows, columns=["criterion", "measured", "wanted", "holds"])


def _narrowed(**options) -> tuple[Study, np.ndarray]:
    """Testbed of the reliable voxels and the regions only, and which of them are reliable."""
    study = load_study("testbed", **options)
    reliable = reliable_voxels(leave_one_out_isc(study)).to_numpy()
    keep = reliable | (study.voxels["roi"] != "").to_numpy()
    return select_voxels(study, keep), reliable[keep]


def _scores(study: Study, names: list[str]) -> xr.DataArray:
    # Models of one width share their random embeddings.
    unique = list(dict.fromkeys(names))
    return brain_scores(encode(study, unique, EncodingSettings()), "nested")


def _sides(
    scores: xr.DataArray, reliable: np.ndarray, names: list[str], sized: list[str] | None = None
) -> pd.DataFrame:
    """Mean score of reliable voxels: columns L, R, L-R; index: log10 size of the models `sized`."""
    table = hemisphere_table(scores.sel(model=list(dict.fromkeys(names))), reliable)
    rows = table[(table["voxels"] == "reliable") & (table["statistic"] == "mean")]
    sides = rows.pivot(index="model", columns="hemisphere", values="score").loc[names]
    sides.index = np.log10([describe(name).n_parameters for name in sized or names])
    return sides


def _slope(sides: pd.DataFrame) -> float:
    return fit_line(sides.index.to_numpy(), sides["L-R"].to_numpy()).slope


def _region_slopes(scores: xr.DataArray, names: list[str]) -> dict[str, float]:
    table = roi_table(scores.sel(model=names))
    x = np.log10([describe(name).n_parameters for name in names])
    slopes = {}
    for roi, rows in table.groupby("roi"):
        sides = rows.pivot(index="model", columns="hemisphere", values="score").loc[names]
        slopes[roi] = fit_line(x, (sides["L"] - sides["R"]).to_numpy()).slope
    return slopes


def discourse_decoding(names: Sequence[str]) -> pd.DataFrame:
    """How well the discourse of the story can be predicted from a model, as if it were a brain.

    Parameters
    ----------
    names
        Language models.

    Returns
    -------
    pandas.DataFrame
        Index: model; columns scene, goal, protagonist, past (the tense) and discourse (all of
        them): r of the best layer, mean over the latents of the slot.
    """
    table = matching(latent_scores(load_study("testbed"), names), latents="discourse")
    slot = table["latent"].str.removeprefix("discourse: ").str.split().str[0]
    by_layer = table.assign(slot=slot).groupby(["model", "layer", "slot"])["r"].mean().unstack()
    by_layer["discourse"] = table.groupby(["model", "layer"])["r"].mean()
    return by_layer.groupby("model").max().loc[[*names]]


def _learning_rows(
    decoded: pd.DataFrame, trained: list[pd.DataFrame], seeds: Sequence[int]
) -> list[tuple]:
    largest = zoo_names()[-1]
    twin = decoded.loc[f"{largest}:untrained-0"]
    guard = decoded.loc[GUARD_MODEL, "scene"]
    words = format_count(LADDER[GUARD_MODEL].words)
    what = f"{GUARD_MODEL} decodes the scene after {words} words"
    rows = [(what, guard, "at least .4", guard >= 0.4)]
    for slot in ("scene", "goal"):
        found, control = decoded.loc[largest, slot], twin[slot]
        rows.append((f"{largest} decodes the {slot}", found, "at least .6", found >= 0.6))
        rows.append((f"its untrained twin, {slot}", control, "at most half", control <= found / 2))
    discourse = decoded.loc[zoo_names(), "discourse"].to_numpy()
    for seed, sides in zip(seeds, trained, strict=True):
        size = sides.index.to_numpy()
        partial = partial_correlation(size, sides["L-R"].to_numpy(), discourse)[0]
        rows.append(
            (f"brain {seed}: partial r(log N, L−R | discourse)", partial, "|r| < .5",
             abs(partial) < 0.5)
        )  # fmt: skip
    return rows


def _scaling_rows(trained: list[pd.DataFrame], seeds: Sequence[int]) -> list[tuple]:
    loss = zoo_table().loc[zoo_names(), "validation_loss"].to_numpy()
    rows = []
    for seed, sides in zip(seeds, trained, strict=True):
        size = sides.index.to_numpy()
        for column, least in (("L", 0.9), ("R", 0.85), ("L-R", 0.8)):
            r = float(pearson(size, sides[column].to_numpy()))
            rows.append((f"brain {seed}: r(log N, {column})", r, f"at least {least}", r >= least))
        slope = _slope(sides)
        rows.append((f"brain {seed}: slope of L−R", slope, ".012 to .045", 0.012 <= slope <= 0.045))
        r = float(pearson(loss, sides["L-R"].to_numpy()))
        rows.append((f"brain {seed}: r(validation loss, L−R)", r, "at most -.7", r <= -0.7))
    return rows


def _region_rows(slopes: pd.DataFrame) -> list[tuple]:
    mean = slopes.mean()
    reference = mean["AG_TPJ"]
    rows = [("slope of L−R, AG_TPJ", reference, "the largest", reference == mean.max())]
    for roi in GROWING:
        share = mean[roi] / reference
        rows.append((f"slope of L−R, {roi} / AG_TPJ", share, "at least .4", share >= 0.4))
    for roi in FLAT:
        share = mean[roi] / reference
        rows.append((f"slope of L−R, {roi} / AG_TPJ", share, "under a third", share < 1 / 3))
    rows.append(("slope of L−R, TP / AG_TPJ", mean["TP"] / reference, "no bar", True))
    return rows


def _checkpoint_rows(curves: list[pd.DataFrame], seeds: Sequence[int]) -> list[tuple]:
    """Left must rise before left minus right; index of each curve: training step."""
    rows = []
    for seed, curve in zip(seeds, curves, strict=True):
        steps, differences = curve.index.to_numpy(float), curve["L-R"].to_numpy()
        early, last = differences[steps <= steps[-1] / 10].max(), differences[-1]
        wait = half_way(steps, differences) - half_way(steps, curve["L"].to_numpy())
        name = f"brain {seed}: {CHECKPOINT_MODEL}"
        rows.append((f"{name}, L−R in the first tenth of training", early, "at most .005",
                     early <= 0.005))  # fmt: skip
        rows.append((f"{name}, L−R at the end", last, "at least .02", last >= 0.02))
        rows.append((f"{name}, steps from half of L to half of L−R", wait, "above 0", wait > 0))
    return rows


def _null_rows(trained, untrained, random, alike, seeds) -> list[tuple]:
    reference = np.mean([_slope(sides) for sides in trained])
    rows = []
    for seed, real, blank in zip(seeds, trained, untrained, strict=True):
        slope, share = _slope(blank), abs(_slope(blank) / _slope(real))
        rows.append((f"brain {seed}: slope of L−R, untrained", slope, "under .006",
                     abs(slope) < 0.006))  # fmt: skip
        rows.append((f"brain {seed}: untrained / trained", share, "under a third", share < 1 / 3))
    share = np.mean([_slope(sides) for sides in random]) / reference
    rows.append(("random embeddings of matched width / trained", share, "under a third",
                 abs(share) < 1 / 3))  # fmt: skip
    slopes = np.array([_slope(sides) for sides in alike])
    mean, within = slopes.mean() / reference, (np.abs(slopes) < 0.4 * reference).mean()
    rows.append((f"alike brains ({len(slopes)}): mean slope / trained", mean, "under a tenth",
                 abs(mean) < 0.1))  # fmt: skip
    rows.append(("alike brains: part with slope under .4 of trained", within, "at least .95",
                 within >= 0.95))  # fmt: skip
    return rows


def _shift_row(name: str) -> tuple:
    """Activations that are 100 scans late must predict nothing."""
    study, _ = _narrowed()
    activations = extract(study, name)
    features = [run[:, -1] for run in activations]
    regressors = study_regressors(study, features, EncodingSettings())
    shifted = [np.roll(run, SHIFT, axis=0) for run in regressors]
    r = float(np.nanmean(leave_one_run_out(shifted, load_responses(study)).r))
    return (f"{name}, activations {SHIFT} scans late", r, "|r| < .01", abs(r) < 0.01)


def _swap_row(study: Study, reliable: np.ndarray, names: list[str]) -> tuple:
    """Left for right and right for left must change the sign of every difference, exactly."""
    scores = _scores(study, names)
    swapped = pd.Series(scores["hemisphere"].to_numpy()).replace({"L": "R", "R": "L"})
    mirrored = scores.assign_coords(hemisphere=("voxel", swapped.to_numpy()))
    there, back = (
        table.loc[table["hemisphere"] == "L-R", "score"].to_numpy()
        for table in (hemisphere_table(part, reliable) for part in (scores, mirrored))
    )
    largest = float(np.abs(there + back).max())
    return ("L−R with hemispheres swapped, plus L−R: largest", largest, "0", largest == 0)
