"""The table that every page ends with: what the paper says, what is found here, do they agree?

The paper's own points, read off its figures, must give its statistics within a stated tolerance.
Listeners and models of another study cannot give the paper's numbers: there, only the sign of a
number and the order of a list are compared.
"""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import combinations
from numbers import Integral

import numpy as np
import pandas as pd

from brainalign import published
from brainalign.errors import InputError
from brainalign.statistics import LineFit

Value = float | Sequence[str] | None
# The paper prints two digits of r and of p, three of R²; the points are known to half a pixel.
R_TOLERANCE, R2_TOLERANCE, P_FACTOR = 0.006, 0.002, 1.4
YES, NO = "yes", "no"
PRINTED_ONLY, RECOMPUTED_ONLY, NOT_PUBLISHED = "printed only", "recomputed only", "not published"
NOT_COMPARED = "not compared"


@dataclass(frozen=True)
class Printed:
    """One statement of the paper and what is found here.

    Attributes
    ----------
    what : str
        Name of the row.
    printed : float, sequence of str or None
        Number, or names in order, in the paper; None or NaN where it gives none.
    here : float, sequence of str or None
        The same, found here; None or NaN where it cannot be computed.
    tolerance : float or None
        Largest difference between the paper's statistics and those of its own points.
    factor : float or None
        The same as a ratio, for p values; a row has a tolerance, a factor or neither (a list, or
        what cannot be compared).
    signed : bool
        Whether the sign means something where other data are compared.
    """

    what: str
    printed: Value
    here: Value
    tolerance: float | None = None
    factor: float | None = None
    signed: bool = True


def correlation(
    what: str,
    dependent: str,
    r: float,
    p: float,
    predictor: str = "ln n_parameters",
    n: int | None = None,
    tolerance: float = R_TOLERANCE,
) -> list[Printed]:
    """Rows for r and p of a test that the paper prints on a figure.

    Parameters
    ----------
    what
        Name of the rows, to which "r" and "p" are added.
    dependent, predictor, n
        The test, as for `published.printed_correlation`.
    r, p
        Found here.
    tolerance
        For r, where half a pixel of a figure moves it by more than usual.

    Returns
    -------
    list of Printed
        The sign of an r that the paper does not call significant (p ≥ .05) is not compared.
    """
    test = published.printed_correlation(dependent, predictor, n)
    printed_p = test["published_p"]
    return [
        Printed(f"{what}: r", test["published_stat"], r, tolerance, signed=printed_p < 0.05),
        Printed(f"{what}: p", printed_p, p, factor=P_FACTOR, signed=False),
    ]


def of_fits(fits: Iterable[tuple[str, str, LineFit]]) -> list[Printed]:
    """Rows of `correlation` for lines on log parameters: (what, dependent, line) each."""
    return [
        row for what, dependent, fit in fits for row in correlation(what, dependent, fit.r, fit.p)
    ]


def compare(rows: Sequence[Printed], published_points: bool) -> pd.DataFrame:
    """The table *paper / here / agrees?*.

    Parameters
    ----------
    rows
        What to compare.
    published_points
        Whether `here` was computed from the paper's own points; otherwise only signs and orders
        are compared.

    Returns
    -------
    pandas.DataFrame
        Columns what, paper, here, agrees, tolerance; agrees is "yes", "no", "sign agrees", "sign
        differs", "order agrees", "order agrees in 19 of 21 pairs", "not compared", "printed only",
        "recomputed only" or "not published".
    """
    return pd.DataFrame(
        [
            {
                "what": row.what,
                "paper": _text(row.printed),
                "here": _text(row.here),
                "agrees": _verdict(row, published_points),
                "tolerance": _tolerance(row, published_points),
            }
            for row in rows
        ],
        columns=["what", "paper", "here", "agrees", "tolerance"],
    )


def caption(published_points: bool) -> str:
    """What to say above the table of `compare`."""
    if published_points:
        return (
            "Paper / here / agrees? What the paper prints, and what its points give as they were "
            "read off the figures."
        )
    return (
        "Paper / here / agrees? The paper's numbers are of its English listeners and models, fitted "
        "its way; those here come from other data or another fit, so that only signs and orders are "
        "compared."
    )


def agreement(table: pd.DataFrame) -> str:
    """How many of the rows of `compare` agree, of those that can be compared, as a sentence."""
    verdicts = table["agrees"].isin([YES, NO]) | table["agrees"].str.match("sign |order ")
    compared = int(verdicts.sum())
    if not compared:
        return "No row can be compared."
    return f"{summary(table)['n_agree']} of {compared} rows that can be compared agree."


def summary(table: pd.DataFrame) -> dict[str, int]:
    """How many rows of `compare` agree and how many do not: `n_agree`, `n_disagree`."""
    verdicts = table["agrees"]
    return {
        "n_agree": int(verdicts.isin([YES, "sign agrees", "order agrees"]).sum()),
        "n_disagree": int(verdicts.isin([NO, "sign differs"]).sum()),
    }


def _is_list(value: Value) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str)


def _missing(value: Value) -> bool:
    return value is None or (not _is_list(value) and bool(np.isnan(value)))


def _text(value: Value) -> str:
    if _missing(value):
        return "–"
    if _is_list(value):
        return " > ".join(value)
    if isinstance(value, Integral):
        return f"{value:,d}"
    return ("−" if value < 0 else "") + _short(abs(value))


def _short(value: float) -> str:
    """Three digits: 0.952, 7.3e-15, 3.7e9."""
    return re.sub(r"e\+?(-?)0*", r"e\1", f"{value:.3g}")


def _tolerance(row: Printed, published_points: bool) -> str:
    if _missing(row.printed) or _missing(row.here):
        return "–"
    if _is_list(row.printed):
        return "order"
    if not published_points:
        return "sign" if row.signed else "–"
    if row.factor is not None:
        return f"factor {row.factor:g}"
    return f"± {_short(row.tolerance)}" if row.tolerance else "exact"


def _verdict(row: Printed, published_points: bool) -> str:
    if _missing(row.printed):
        # What other listeners give does not stand in for what the paper leaves out.
        known = not _missing(row.here) and published_points
        return RECOMPUTED_ONLY if known else NOT_PUBLISHED
    if _missing(row.here):
        return PRINTED_ONLY
    if _is_list(row.printed):
        return _order_verdict(row)
    if published_points:
        return YES if _close(row) else NO
    if not row.signed:
        return NOT_COMPARED
    return "sign agrees" if np.sign(row.printed) == np.sign(row.here) else "sign differs"


def _close(row: Printed) -> bool:
    if (row.tolerance is None) == (row.factor is None):
        raise InputError(f"Row {row.what!r} needs either a tolerance or a factor.")
    # Rounding of binary numbers must not decide at the very edge.
    edge = 1 + 1e-9
    if row.factor is None:
        return abs(row.printed - row.here) <= row.tolerance * edge
    return max(row.printed / row.here, row.here / row.printed) <= row.factor * edge


def _order_verdict(row: Printed) -> str:
    if set(row.printed) != set(row.here):
        raise InputError(
            f"Row {row.what!r} orders {', '.join(sorted(row.here))} here and "
            f"{', '.join(sorted(row.printed))} in the paper; the same names are expected."
        )
    place = {name: i for i, name in enumerate(row.here)}
    pairs = list(combinations(row.printed, 2))
    same = sum(place[first] < place[second] for first, second in pairs)
    return "order agrees" if same == len(pairs) else f"order agrees in {same} of {len(pairs)} pairs"
