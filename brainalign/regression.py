"""Regressions over models: size beside depth and width, and the difference of the hemispheres."""

import warnings

import numpy as np
import pandas as pd
import xarray as xr

from brainalign import published
from brainalign.comparison import P_FACTOR, R2_TOLERANCE, Printed
from brainalign.errors import InputError
from brainalign.lateralization import measure_rows
from brainalign.models import describe
from brainalign.statistics import MINIMUM_POINTS

LN_PARAMETERS, LAYERS, HIDDEN = "ln parameters", "layers", "width"
# The paper's regressions: name of the printed table, measure and hemisphere of a score table.
PRINTED_OLS = {
    "wb_mean": ("whole brain", "both"),
    "rv_mean": ("reliable voxels", "both"),
    "wb_LmR": ("whole brain", "L-R"),
    "rv_LmR": ("reliable voxels", "L-R"),
    "p90_LmR": ("90th percentile", "L-R"),
}


def with_sizes(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of a score table with the models' `n_layers` and `n_hidden`.

    Parameters
    ----------
    rows
        With a column model; columns n_layers and n_hidden are kept where they are there.

    Returns
    -------
    pandas.DataFrame
        A copy with both columns; from the paper's tables or `models.describe`.
    """
    if {"n_layers", "n_hidden"} <= set(rows.columns):
        return rows.copy()
    tables = [published.models(language) for language in ("en", "fr", "cn")]
    known = pd.concat(tables).drop_duplicates("name").set_index("name")
    sizes = {}
    for name in rows["model"].unique():
        info = known.loc[name] if name in known.index else describe(name)
        sizes[name] = (int(info.n_layers), int(info.n_hidden))
    layers, hidden = zip(*rows["model"].map(sizes), strict=True)
    return rows.assign(n_layers=layers, n_hidden=hidden)


def ols_controls(rows: pd.DataFrame) -> pd.DataFrame:
    """Least squares of a score on ln(parameters), number of layers + 1 and width.

    Parameters
    ----------
    rows
        One row per model: model, n_parameters, score, maybe n_layers and n_hidden.

    Returns
    -------
    pandas.DataFrame
        One row per term (constant, ln parameters, layers, which count the embedding, width): coefficient, standard_error,
        t, p, ci_low, ci_high; and, the same in every row, r_squared, f, p_f, log_likelihood, n.

    Raises
    ------
    InputError
        With fewer than five models, or where size, depth and width are not independent.

    Notes
    -----
    As in the notebooks of Bonnasse-Gahot & Pallier (2024). The three grow together: their
    coefficients share variance, and one of them not being significant does not mean that it has no
    effect.
    """
    import statsmodels.api as sm

    rows = with_sizes(rows)
    terms = {
        LN_PARAMETERS: np.log(rows["n_parameters"].astype(float)),
        LAYERS: rows["n_layers"] + 1.0,
        HIDDEN: rows["n_hidden"].astype(float),
    }
    design = sm.add_constant(pd.DataFrame(terms), has_constant="add")
    # Columns of like length, or a width of thousands would hide that others depend on each other.
    scaled = design / np.sqrt((design**2).sum())
    if len(rows) <= design.shape[1] or np.linalg.matrix_rank(scaled) < design.shape[1]:
        raise InputError(
            f"A regression on size, layers and width needs at least {design.shape[1] + 1} models in "
            f"which these three do not follow from each other; {len(rows)} models were given."
        )
    fit = sm.OLS(rows["score"].astype(float), design).fit()
    intervals = fit.conf_int()
    table = pd.DataFrame(
        {
            "coefficient": fit.params,
            "standard_error": fit.bse,
            "t": fit.tvalues,
            "p": fit.pvalues,
            "ci_low": intervals[0],
            "ci_high": intervals[1],
        }
    )
    whole = {
        "r_squared": fit.rsquared,
        "f": fit.fvalue,
        "p_f": fit.f_pvalue,
        "log_likelihood": fit.llf,
        "n": int(fit.nobs),
    }
    return table.rename_axis("term").reset_index().replace("const", "constant").assign(**whole)


def printed_ols(table: pd.DataFrame) -> list[Printed]:
    """The paper's five regressions with controls, beside those of a score table.

    Parameters
    ----------
    table
        A score table.

    Returns
    -------
    list of comparison.Printed
        R² and the p value of ln(parameters) of each, for `comparison.compare`.
    """
    printed = published.ols().set_index(["dependent", "term", "statistic"])["published"]
    rows = []
    for name, (measure, hemisphere) in PRINTED_OLS.items():
        fit = ols_controls(measure_rows(table, measure, hemisphere))
        p = fit.set_index("term").loc[LN_PARAMETERS, "p"]
        side = "" if hemisphere == "both" else ", left − right"
        what = f"{measure}{side}, with layers and width"
        r_squared = printed[name, np.nan, "r_squared"]
        known = printed[name, "x1_ln_n_parameters", "p"]
        rows.append(
            Printed(f"{what}: R²", r_squared, fit["r_squared"].iloc[0], R2_TOLERANCE, signed=False)
        )
        rows.append(Printed(f"{what}: p of ln N", known, p, factor=P_FACTOR, signed=False))
    return rows


def differences(folds: xr.DataArray, region: str) -> pd.DataFrame:
    """Left minus right of every model in one region, the mean over folds.

    Parameters
    ----------
    folds
        From `inference.fold_table` or `inference.table_as_folds`.
    region
        Name.

    Returns
    -------
    pandas.DataFrame
        Columns model, family, size (log10 parameters, centred), difference.
    """
    part = folds.sel(region=region, side="L-R")
    size = np.log10(folds["n_parameters"].to_numpy().astype(float))
    return pd.DataFrame(
        {
            "model": folds["model"].to_numpy(),
            "family": folds["family"].to_numpy(),
            "size": size - size.mean(),
            "difference": part.mean([dim for dim in part.dims if dim != "model"]).to_numpy(),
        }
    )


def family_interaction(rows: pd.DataFrame) -> pd.Series:
    """Hemisphere × log size over models, with families as random effects.

    With a constant for every model, *score ~ model + hemisphere + hemisphere × size* is the line
    of left minus right on size; families of models may lie above or below it as a whole.

    Parameters
    ----------
    rows
        From `differences`.

    Returns
    -------
    pandas.Series
        coefficient (per decade), low, high (95 %), p, and `how`: "mixed model", or a sentence that
        says why plain least squares had to do.
    """
    import statsmodels.formula.api as formula
    from statsmodels.tools.sm_exceptions import ConvergenceWarning

    n_families = rows["family"].nunique()
    if n_families < MINIMUM_POINTS or n_families == len(rows):
        families = "one family" if n_families == 1 else f"{n_families} families"
        return _plain_line(rows, f"least squares: {families} of {len(rows)} models")
    # The optimiser's tolerances suit responses of unit size.
    scale = rows["difference"].std() or 1.0
    scaled = rows.assign(difference=rows["difference"] / scale)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            # Gradients lead into the corner where families do not differ, and call it converged.
            fit = formula.mixedlm("difference ~ size", scaled, groups="family").fit(method="powell")
        except np.linalg.LinAlgError:
            return _plain_line(rows, "least squares: the mixed model could not be solved")
    # Families that differ no more than their models do are no failure of the optimiser.
    if float(fit.cov_re.iloc[0, 0]) <= 1e-6:
        return _plain_line(rows, "least squares: families do not differ beyond their models")
    failed = any(issubclass(w.category, ConvergenceWarning) for w in caught)
    if failed or not fit.converged or not np.isfinite(fit.bse["size"]):
        return _plain_line(rows, "least squares: the mixed model did not converge")
    low, high = fit.conf_int().loc["size"]
    return pd.Series(
        {
            "coefficient": fit.params["size"] * scale,
            "low": low * scale,
            "high": high * scale,
            "p": fit.pvalues["size"],
            "how": "mixed model",
        }
    )


def _plain_line(rows: pd.DataFrame, how: str) -> pd.Series:
    import statsmodels.formula.api as formula

    fit = formula.ols("difference ~ size", rows).fit()
    low, high = fit.conf_int().loc["size"]
    return pd.Series(
        {
            "coefficient": fit.params["size"],
            "low": low,
            "high": high,
            "p": fit.pvalues["size"],
            "how": how,
        }
    )
