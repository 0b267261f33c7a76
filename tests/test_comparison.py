"""The table paper / here / agrees?: every verdict, and the tolerances at their edges."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from brainalign import published
from brainalign.comparison import (
    P_FACTOR,
    R_TOLERANCE,
    Printed,
    agreement,
    caption,
    compare,
    correlation,
    of_fits,
    summary,
)
from brainalign.errors import InputError
from brainalign.statistics import LineFit


def verdicts(*rows, points=True):
    return compare(rows, points)["agrees"].tolist()


def test_published_points_agree_within_a_tolerance_or_a_factor():
    rows = [
        Printed("a", 0.95, 0.956, 0.006),
        Printed("b", 0.95, 0.957, 0.006),
        Printed("c", 1e-8, 1.4e-8, factor=1.4),
        Printed("d", 1e-8, 0.7e-8, factor=1.4),
    ]
    assert verdicts(*rows) == ["yes", "no", "yes", "no"]
    assert compare(rows, True)["tolerance"].tolist() == ["± 0.006"] * 2 + ["factor 1.4"] * 2


def test_other_listeners_are_compared_by_sign_and_order_only():
    rows = [
        Printed("a", 0.95, 0.2, 0.006),
        Printed("b", 0.95, -0.2, 0.006),
        Printed("c", 1e-8, 0.3, factor=1.4, signed=False),
        Printed("d", ["x", "y", "z"], ["x", "z", "y"]),
        Printed("e", ["x", "y"], ["x", "y"]),
    ]
    found = compare(rows, False)
    assert found["agrees"].tolist() == [
        "sign agrees",
        "sign differs",
        "not compared",
        "order agrees in 2 of 3 pairs",
        "order agrees",
    ]
    assert found["tolerance"].tolist() == ["sign", "sign", "–", "order", "order"]
    assert found["paper"].tolist() == [
        "0.95",
        "0.95",
        "1e-8",
        "x > y > z",
        "x > y",
    ]
    assert summary(found) == {"n_agree": 2, "n_disagree": 1}


@pytest.mark.parametrize("missing", [None, float("nan")])
def test_what_is_missing_on_one_side_is_named(missing):
    rows = [Printed("a", 0.5, missing), Printed("b", missing, 0.5), Printed("c", missing, missing)]
    assert verdicts(*rows) == ["printed only", "recomputed only", "not published"]
    # Other listeners say nothing of what the paper left out.
    assert verdicts(*rows, points=False) == ["printed only", "not published", "not published"]
    assert compare(rows, True)["tolerance"].tolist() == ["–"] * 3
    assert summary(compare(rows, True)) == {"n_agree": 0, "n_disagree": 0}


def test_rows_of_a_printed_test():
    test = published.printed_correlation("rv_LmR")
    rows = correlation("left − right", "rv_LmR", 0.892, 1.8e-10)
    assert [row.printed for row in rows] == [test["published_stat"], test["published_p"]]
    assert [row.tolerance for row in rows] == [R_TOLERANCE, None]
    assert [row.factor for row in rows] == [None, P_FACTOR]
    assert verdicts(*rows) == ["yes", "yes"]
    fits = of_fits([("left − right", "rv_LmR", LineFit(28, 0.892, 1.8e-10, 0.007, 0.0))])
    assert fits == rows


def test_the_sign_of_a_correlation_that_may_be_none_is_not_compared():
    rows = correlation("BA44", "roi_BA44 L-R", -0.1, 0.6)
    assert verdicts(*rows, points=False) == ["not compared", "not compared"]


def test_tests_of_fewer_models_are_found_by_their_number():
    assert correlation("largest", "wb_mean", 0.2, 0.5, n=10)[0].printed == 0.21


@given(st.floats(1e-12, 1), st.floats(1e-12, 1))
def test_a_ratio_is_symmetric(first, second):
    rows = [Printed("a", x, y, factor=1.4) for x, y in [(first, second), (second, first)]]
    assert len(set(verdicts(*rows))) == 1


def test_captions_say_what_is_compared():
    assert "only signs and orders" in caption(False)
    assert "figures" in caption(True)


def test_a_sentence_counts_the_rows_that_agree():
    orders = Printed("c", ["x", "y"], ["y", "x"])
    rows = [
        Printed("a", 0.1, 0.1, 0.01),
        Printed("b", 0.1, 0.5, 0.01),
        Printed("d", None, 1.0),
        orders,
    ]
    assert agreement(compare(rows, True)) == "1 of 3 rows that can be compared agree."
    assert agreement(compare(rows[2:3], False)) == "No row can be compared."


@pytest.mark.parametrize(
    ("row", "words"),
    [
        (Printed("slope", 0.1, 0.1), "'slope'"),
        (Printed("slope", 0.1, 0.1, 0.01, 1.4), "'slope'"),
        (Printed("regions", ["TP", "BA44"], ["TP", "A1"]), "A1, TP here and BA44, TP"),
    ],
)
def test_rows_that_cannot_be_compared_are_refused(row, words):
    with pytest.raises(InputError, match=words):
        compare([row], True)
