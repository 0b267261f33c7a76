"""Lines through models, bootstrap and jackknife intervals, partial correlations, corrected p."""

from dataclasses import dataclass, field
from typing import Literal

import numpy as np

from brainalign.errors import InputError

Correction = Literal["holm", "fdr"]
MINIMUM_POINTS = 3


@dataclass(frozen=True)
class LineFit:
    """Least-squares line with bootstrap intervals.

    Attributes
    ----------
    n : int
        Points fitted.
    r, p : float
        Pearson correlation and its two-sided p value under independent normal errors.
    slope, intercept : float
        Of the line; the slope in units of y per unit of x.
    r_interval, slope_interval : tuple of float
        Percentile intervals over bootstrap samples; NaN where nothing was resampled.
    samples : numpy.ndarray
        Shape (bootstrap sample, 2): slope and intercept of every sample.
    """

    n: int
    r: float
    p: float
    slope: float
    intercept: float
    r_interval: tuple[float, float] = (np.nan, np.nan)
    slope_interval: tuple[float, float] = (np.nan, np.nan)
    samples: np.ndarray = field(default_factory=lambda: np.empty((0, 2)), repr=False)

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Height of the line at `x`."""
        return self.intercept + self.slope * np.asarray(x, dtype=float)

    def band(self, x: np.ndarray, level: float = 0.95) -> tuple[np.ndarray, np.ndarray]:
        """Lower and upper edge, at every `x`, of the middle `level` of the bootstrap lines."""
        x = np.asarray(x, dtype=float)
        lines = self.samples[:, :1] * x + self.samples[:, 1:]
        return percentile_interval(lines, level)


def bootstrap_indices(
    n: int, n_boot: int, rng: np.random.Generator, groups: np.ndarray | None = None
) -> list[np.ndarray] | np.ndarray:
    """Draw bootstrap samples of points, or of whole groups of points.

    Parameters
    ----------
    n
        Number of points.
    n_boot
        Number of samples.
    rng
        Seeded generator.
    groups
        Label of every point. Where given, groups are drawn with all their points, so that samples
        differ in size.

    Returns
    -------
    numpy.ndarray of shape (n_boot, n), or a list of n_boot arrays where groups are drawn.
    """
    if groups is None:
        return rng.integers(n, size=(n_boot, n))
    labels, codes = np.unique(np.asarray(groups), return_inverse=True)
    members = [np.flatnonzero(codes == code) for code in range(len(labels))]
    draws = rng.integers(len(labels), size=(n_boot, len(labels)))
    return [np.concatenate([members[code] for code in draw]) for draw in draws]


def percentile_interval(samples: np.ndarray, level: float = 0.95):
    """Percentile interval over the first axis; samples that are NaN are left out.

    Parameters
    ----------
    samples
        Shape (sample, ...).
    level
        Part of the samples inside.

    Returns
    -------
    tuple
        Lower and upper edge, each of the shape of one sample.
    """
    tail = 100 * (1 - level) / 2
    if len(samples) == 0:
        return np.full(samples.shape[1:], np.nan), np.full(samples.shape[1:], np.nan)
    low, high = np.nanpercentile(samples, [tail, 100 - tail], axis=0)
    return low, high


def jackknife_interval(
    score: np.ndarray, without: np.ndarray, level: float = 0.95
) -> tuple[np.ndarray, np.ndarray]:
    """Interval over listeners of a score of their average.

    Parameters
    ----------
    score
        Of the average of all listeners, shape (...).
    without
        Of the averages without each of them, shape (listener, ...).
    level
        Of the interval.

    Returns
    -------
    tuple of numpy.ndarray
        Lower and upper edge: the score ± t standard errors, with listeners − 1 degrees of freedom
        and the jackknife's standard error √((n − 1) / n Σ (without − mean)²) (Efron & Stein 1981).
    """
    from scipy import stats

    n = len(without)
    spread = ((without - without.mean(axis=0)) ** 2).sum(axis=0)
    half = stats.t.ppf((1 + level) / 2, n - 1) * np.sqrt((n - 1) / n * spread)
    return score - half, score + half


def _moments(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Slope, intercept and correlation along the last axis; NaN where x does not vary."""
    x_mean, y_mean = x.mean(-1, keepdims=True), y.mean(-1, keepdims=True)
    dx, dy = x - x_mean, y - y_mean
    xx, yy, xy = (dx * dx).sum(-1), (dy * dy).sum(-1), (dx * dy).sum(-1)
    # Points drawn at one single x leave rounding errors, not zeros.
    same = xx <= 1e-12 * np.maximum((x * x).sum(-1), 1e-300)
    with np.errstate(divide="ignore", invalid="ignore"):
        slope = np.where(same, np.nan, xy / xx)
        r = np.where(same | (yy == 0), np.nan, xy / np.sqrt(xx * yy))
    intercept = y_mean[..., 0] - slope * x_mean[..., 0]
    return slope, intercept, np.clip(r, -1, 1)


def pearson(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Pearson correlation along the last axis.

    Parameters
    ----------
    x, y
        Shapes that broadcast, (..., point).

    Returns
    -------
    numpy.ndarray
        Shape (...); NaN where one side does not vary.
    """
    x, y = np.broadcast_arrays(np.asarray(x, dtype=float), np.asarray(y, dtype=float))
    return _moments(x, y)[2]


def _checked(x: np.ndarray, y: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    x, y = np.asarray(x, dtype=float), np.asarray(y, dtype=float)
    if x.ndim != 1 or x.shape != y.shape:
        raise InputError(f"x has shape {x.shape} and y {y.shape}; one value each is expected.")
    if len(x) < MINIMUM_POINTS:
        given = f"{len(x)} {'was' if len(x) == 1 else 'were'}"
        raise InputError(f"A line needs at least {MINIMUM_POINTS} points; {given} given.")
    if not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise InputError("A line needs finite values; some of x or y are missing or infinite.")
    if np.ptp(x) == 0:
        raise InputError(f"A line needs points at different x; all are at {x[0]:g}.")
    return x, y


def fit_line(
    x: np.ndarray,
    y: np.ndarray,
    samples: np.ndarray | list[np.ndarray] | None = None,
    level: float = 0.95,
) -> LineFit:
    """Fit y on x by least squares, with percentile intervals over bootstrap samples of points.

    Parameters
    ----------
    x, y
        Shape (point,).
    samples
        Indices from `bootstrap_indices`; the same ones for several y keep their intervals paired.
        None fits without intervals.
    level
        Of the intervals.

    Returns
    -------
    LineFit

    Raises
    ------
    InputError
        With fewer than three points, missing values, or all points at one x.
    """
    from scipy import stats

    x, y = _checked(x, y)
    slope, intercept, r = (float(value) for value in _moments(x, y))
    p = float(stats.pearsonr(x, y).pvalue) if np.ptp(y) > 0 else np.nan
    if samples is None:
        return LineFit(len(x), r, p, slope, intercept)
    if isinstance(samples, np.ndarray):
        slopes, intercepts, correlations = _moments(x[samples], y[samples])
    else:
        drawn = np.array([_moments(x[index], y[index]) for index in samples])
        slopes, intercepts, correlations = drawn.T
    return LineFit(
        n=len(x),
        r=r,
        p=p,
        slope=slope,
        intercept=intercept,
        r_interval=tuple(float(edge) for edge in percentile_interval(correlations, level)),
        slope_interval=tuple(float(edge) for edge in percentile_interval(slopes, level)),
        samples=np.column_stack([slopes, intercepts]),
    )


def partial_correlation(
    x: np.ndarray, y: np.ndarray, covariates: np.ndarray
) -> tuple[float, float]:
    """Correlation of what covariates leave unexplained of x and of y.

    Parameters
    ----------
    x, y
        Shape (point,).
    covariates
        Shape (point,) or (point, covariate). A constant is always removed too.

    Returns
    -------
    r, p : float
        Partial correlation and its two-sided p value with points − 2 − covariates degrees of
        freedom.

    Raises
    ------
    InputError
        With too few points for that many covariates.
    """
    from scipy import stats

    x, y = _checked(x, y)
    covariates = np.asarray(covariates, dtype=float).reshape(len(x), -1)
    freedom = len(x) - 2 - covariates.shape[1]
    if freedom < 1:
        raise InputError(
            f"A partial correlation with {covariates.shape[1]} covariates needs at least "
            f"{covariates.shape[1] + 3} points; {len(x)} were given."
        )
    design = np.column_stack([np.ones(len(x)), covariates])
    both = np.column_stack([x, y])
    residual = both - design @ np.linalg.lstsq(design, both, rcond=None)[0]
    r = float(pearson(residual[:, 0], residual[:, 1]))
    t = r * np.sqrt(freedom / max(1 - r * r, 1e-300))
    return r, float(2 * stats.t.sf(abs(t), freedom))


def corrected(p: np.ndarray, method: Correction = "holm") -> np.ndarray:
    """p values corrected for their number.

    Parameters
    ----------
    p
        Shape (test,).
    method
        "holm": the chance of any false discovery (Holm 1979); "fdr": the part of false discoveries
        (Benjamini & Hochberg 1995), which holds for tests that are positively related, as
        neighbouring regions are.

    Returns
    -------
    numpy.ndarray
        Shape (test,).

    Raises
    ------
    InputError
        For another method.
    """
    from statsmodels.stats.multitest import multipletests

    names = {"holm": "holm", "fdr": "fdr_bh"}
    if method not in names:
        raise InputError(f"The correction is {method!r}; 'holm' or 'fdr' is expected.")
    return multipletests(np.asarray(p, dtype=float), method=names[method])[1]
