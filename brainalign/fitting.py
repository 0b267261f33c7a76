"""One layer of a language model to its scores: regressors, responses, ridge."""

from collections.abc import Callable
from dataclasses import dataclass, field, fields
from functools import cache
from typing import Any

import numpy as np
import xarray as xr

from brainalign.activations import ActivationSettings
from brainalign.errors import InputError
from brainalign.regressors import (
    FIR_DELAYS,
    NUISANCE_COLUMNS,
    Hrf,
    check_hrf,
    nuisance_features,
    stretch_regressors,
)
from brainalign.ridge import (
    Responses,
    RidgeResult,
    Validation,
    banded_leave_one_run_out,
    leave_one_run_out,
    prepare_responses,
    validation_runs,
)
from brainalign.study import AVERAGE, Study, standardise

LayerFit = Callable[[list[np.ndarray]], xr.Dataset]


@dataclass(frozen=True)
class EncodingSettings:
    """How a language model's activations are fitted to responses.

    Attributes
    ----------
    subject : str
        A listener's name, or "average".
    hrf : str
        Haemodynamic response, see `regressors.hrf_operator`.
    delays : tuple of int
        Delays of hrf "fir", in scans.
    alphas : tuple
        The ridge penalties: the exponents of ten of the lowest and the highest one, and their
        number.
    alpha_per_voxel : bool
        Whether every voxel has its own alpha.
    validation : str
        Runs that choose alpha: "all" training runs in turn, or the "first" one only.
    nuisance : bool
        Whether nuisance features enter as a band of their own.
    nuisance_columns : tuple of str
        These features, see `regressors.nuisance_features`.
    activations : ActivationSettings
        How the text goes through the model.
    """

    subject: str = AVERAGE
    hrf: Hrf = "glover"
    delays: tuple[int, ...] = FIR_DELAYS
    alphas: tuple[float, float, int] = (2.0, 7.0, 16)
    alpha_per_voxel: bool = False
    validation: Validation = "all"
    nuisance: bool = False
    nuisance_columns: tuple[str, ...] = NUISANCE_COLUMNS
    activations: ActivationSettings = field(default_factory=ActivationSettings)

    def __post_init__(self):
        validation_runs(3, self.validation)
        check_hrf(self.hrf)
        low, high, n_alphas = self.alphas
        whole = np.isfinite(n_alphas) and n_alphas == int(n_alphas) and n_alphas >= 1
        # Powers beyond these are beyond what numbers of single precision can tell apart.
        if not (whole and -30 <= low <= high <= 30):
            raise InputError(
                f"alphas is {tuple(self.alphas)}; (lowest exponent, highest exponent, number) is "
                "expected, exponents from -30 to 30 and a whole number from 1."
            )

    @property
    def alpha_grid(self) -> np.ndarray:
        """The ridge penalties."""
        low, high, n_alphas = self.alphas
        return np.logspace(low, high, int(n_alphas))


def encoding_settings(**changes: Any) -> EncodingSettings:
    """Settings with some numbers changed, those of the activations included.

    Parameters
    ----------
    **changes
        Fields of `EncodingSettings` or of `ActivationSettings`, such as `hrf` or `window`.

    Returns
    -------
    EncodingSettings

    Raises
    ------
    InputError
        For another name, or a value that does not fit.
    """
    own = {entry.name for entry in fields(EncodingSettings)} - {"activations"}
    reading = {entry.name for entry in fields(ActivationSettings)}
    if unknown := sorted(set(changes) - own - reading):
        raise InputError(
            f"There is no setting {unknown[0]!r}; there are {', '.join(sorted(own | reading))}."
        )
    activations = ActivationSettings(**{k: v for k, v in changes.items() if k in reading})
    given = {k: tuple(v) if isinstance(v, list) else v for k, v in changes.items() if k in own}
    return EncodingSettings(activations=activations, **given)


def load_responses(study: Study, subject: str = AVERAGE) -> list[np.ndarray]:
    """Responses of one subject in every fold, trimmed and standardised.

    Parameters
    ----------
    study
        Words and responses.
    subject
        A listener's name, or "average".

    Returns
    -------
    list of numpy.ndarray
        One per fold, (n_scans, n_voxels), float32.

    Raises
    ------
    InputError
        For too few folds, and for responses that are not finite or constant in a fold.
    """
    runs = [study.responses(run, subject).to_numpy()[0] for run in range(len(study.runs))]
    return [
        standardise(_checked(study.trimmed(runs[run])[scans], study, run, subject))
        for run, scans in study.folds()
    ]


def _checked(values: np.ndarray, study: Study, run: int, subject: str) -> np.ndarray:
    """Responses of one fold that can be correlated: finite, and no voxel constant."""
    where = f"Run {run + 1} of subject {subject!r} of study {study.name!r}"
    finite = np.isfinite(values).all(axis=0)
    if not finite.all():
        voxel = int(np.flatnonzero(~finite)[0])
        raise InputError(
            f"{where} has {values[~np.isfinite(values[:, voxel]), voxel][0]} in {study.label(voxel)}; "
            "finite numbers are expected."
        )
    constant = np.ptp(values, axis=0) <= 1e-6 * np.abs(values).max(axis=0)
    if constant.any():
        voxel = int(np.flatnonzero(constant)[0])
        raise InputError(
            f"{where} is constant in {study.label(voxel)} and {int(constant.sum()) - 1} more; "
            "responses that vary are expected (study.select_voxels leaves voxels out)."
        )
    return values


def layer_fitter(study: Study, settings: EncodingSettings, device: str = "cpu") -> LayerFit:
    """Function that fits one layer after the other to the same responses.

    Parameters
    ----------
    study
        Words and responses.
    settings
        Of the fit.
    device
        "cpu" or "cuda".

    Returns
    -------
    callable
        Takes word features, one array (n_words, n_units) per run; gives `r_fold`, `r_inner`,
        `alpha` and, with nuisance features, `band_ratio` and `r_nuisance`, dims (fold, voxel).
        Responses are read at the first call and kept for the others.
    """
    options = {
        "alphas": settings.alpha_grid,
        "per_voxel_alpha": settings.alpha_per_voxel,
        "validation": settings.validation,
        "device": device,
    }
    responses = cache(lambda: prepare_responses(load_responses(study, settings.subject), device))
    nuisance = cache(lambda: _fit_nuisance(study, settings, responses(), options))

    def fit(features: list[np.ndarray]) -> xr.Dataset:
        regressors = study_regressors(study, features, settings)
        if not settings.nuisance:
            return _as_dataset(leave_one_run_out(regressors, responses(), **options))
        bands = (regressors, nuisance()[0])
        result, ratio = banded_leave_one_run_out(bands, responses(), **options)
        return _as_dataset(result).assign(
            band_ratio=(("fold", "voxel"), ratio.astype(np.float32)),
            r_nuisance=(("fold", "voxel"), nuisance()[1].r),
        )

    return fit


def study_regressors(
    study: Study, features: list[np.ndarray], settings: EncodingSettings
) -> list[np.ndarray]:
    """Regressors of word features in every fold of a study, trimmed and standardised.

    Parameters
    ----------
    study
        Words and timing.
    features
        One array (n_words, n_units) per run.
    settings
        Hemodynamic response and delays.

    Returns
    -------
    list of numpy.ndarray
        One per fold, float32, see `regressors.run_regressors`. The operator that makes them is kept,
        so that further layers take one sparse product per run.
    """
    timing = (study.tr, study.trim, settings.hrf, settings.delays, study.high_pass)
    folds, found = study.folds(), []
    for number, (values, run) in enumerate(zip(features, study.runs, strict=True)):
        stretches = [scans for which, scans in folds if which == number]
        found += stretch_regressors(stretches, values, run.words, run.n_scans, *timing)
    return found


def _fit_nuisance(
    study: Study, settings: EncodingSettings, responses: Responses, options: dict[str, Any]
) -> tuple[list[np.ndarray], RidgeResult]:
    """Regressors of the nuisance features, and their scores alone."""
    features = [nuisance_features(run.words, settings.nuisance_columns) for run in study.runs]
    regressors = study_regressors(study, features, settings)
    return regressors, leave_one_run_out(regressors, responses, **options)


def _as_dataset(result: RidgeResult) -> xr.Dataset:
    both = ("fold", "voxel")
    return xr.Dataset(
        {
            "r_fold": (both, result.r),
            "r_inner": (both, result.r_inner),
            "alpha": (both[: result.alpha.ndim], result.alpha),
        },
        attrs={"alphas_at_edge": result.at_edge},
    )
