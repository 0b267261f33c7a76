"""Words in texts and tokens on words."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainalign.alignment import is_empty, locate_words, token_ranges, word_pooling
from brainalign.errors import InputError


def found(words, text):
    spans, _ = locate_words(words, text)
    return [text[first:stop] if first >= 0 else None for first, stop in spans]


def test_case_and_punctuation_do_not_matter():
    text = "\u201cOnce,\u201d SHE said\u2014twice \u2014 \u2018no\u2019."
    words = ["once", "she", "said", "twice", "no"]
    assert found(words, text) == ["Once", "SHE", "said", "twice", "no"]


def test_kinds_of_apostrophe_and_space_do_not_matter():
    text = "He didn\u2019t see\nNew  York, O'Brien."
    assert found(["he", "didn't", "see", "new york", "O\u2019Brien"], text) == [
        "He",
        "didn\u2019t",
        "see",
        "New  York",
        "O'Brien",
    ]


def test_words_are_whole_words():
    text = "That a hat, an apple: a cat at art."
    words = ["a", "an", "a", "at"]
    spans, skipped = locate_words(words, text)
    assert [text[slice(*span)] for span in spans] == words
    assert [int(first) for first, _ in spans] == [5, 12, 22, 28]
    assert skipped == 5


def test_clitics_follow_their_word_directly():
    text = "I'll go; she can't, cannot and gonna."
    words = ["i", "'ll", "go", "she", "ca", "n't", "can", "not", "and", "gon", "na"]
    assert found(words, text) == [
        "I", "'ll", "go", "she", "ca", "n't", "can", "not", "and", "gon", "na",
    ]  # fmt: skip


def test_empty_words_have_no_place_and_may_be_part_of_a_written_word():
    text = "I cannot; he didn't know."
    words = ["I", "can", np.nan, "he", "did", "  ", "know", None]
    assert found(words, text) == ["I", "can", None, "he", "did", None, "know", None]
    assert [is_empty(word) for word in words] == [
        False,
        False,
        True,
        False,
        False,
        True,
        False,
        True,
    ]


@pytest.mark.parametrize(
    "words, text, message",
    [
        (["the", "cat", "sat"], "The dog sat.", r"Word 1 \('cat'\) .*near 'The dog sat.'"),
        (["he", "and", "went"], "He went and went.", r"Word 1 \('and'\)"),
        (["a", "b"], "b a", r"Word 0 \('a'\)"),
        (["cat", "sat"], "The cats sat", r"Word 0 \('cat'\)"),
        (["one", "two"], "one " + "more " * 21 + "two", r"Word 1 \('two'\)"),
        (["one"], "", r"Word 0 \('one'\)"),
    ],
)
def test_a_word_out_of_place_is_named(words, text, message):
    with pytest.raises(InputError, match=message):
        locate_words(words, text)


def test_written_words_without_a_row_are_passed_over_and_counted():
    spans, skipped = locate_words(["he", "saw", "it"], "Chapter one. He really saw it. The end")
    assert spans[:, 0].tolist() == [13, 23, 27]
    assert skipped == 5


WORD = st.text("abcdef\u00e9\u00df\u4e2d", min_size=1, max_size=4)
GAP = st.sampled_from([" ", ", ", "\n", " \u2014 ", '." '])


@given(st.lists(st.tuples(WORD, GAP), min_size=1, max_size=30))
def test_any_text_gives_back_its_own_words(parts):
    text, expected = "", []
    for word, gap in parts:
        expected.append((len(text), len(text) + len(word)))
        text += word + gap
    spans, skipped = locate_words([word for word, _ in parts], text)
    assert [tuple(span) for span in spans.tolist()] == expected
    assert skipped == 0


def test_tokens_that_overlap_a_word():
    # "New York's": tokens "New York" (merged), "'", "s", and one that starts with a space.
    offsets = np.array([[0, 8], [8, 9], [9, 10], [10, 15]])
    spans = np.array([[0, 3], [4, 10], [-1, -1], [11, 15]])
    ranges = token_ranges(spans, offsets, ["New", "York's", None, "city"])
    naive = [
        [token for token, (start, end) in enumerate(offsets) if start < stop and end > first]
        for first, stop in spans
    ]
    assert [list(range(first, stop)) for first, stop in ranges] == naive
    assert naive == [[0], [0, 1, 2], [], [3]]


def test_a_word_without_token_is_named():
    with pytest.raises(InputError, match=r"no token of word 1 \('\u2603'\)"):
        token_ranges(np.array([[0, 1], [2, 3]]), np.array([[0, 1]]), ["a", "\u2603"])


@settings(deadline=None, max_examples=50)
@given(seed=st.integers(0, 10_000), how=st.sampled_from(["mean", "last"]))
def test_pooling_equals_a_loop(seed, how):
    rng = np.random.default_rng(seed)
    states = rng.standard_normal((2, 9, 3)).astype(np.float32)
    first = rng.integers(0, 9, 12)
    ranges = np.column_stack([first, np.minimum(first + rng.integers(0, 4, 12), 9)])
    pooled = [word_pooling(ranges, 9, how) @ layer for layer in states]
    for word, (start, stop) in enumerate(ranges):
        chosen = states[:, start:stop]
        if start == stop:
            expected = np.zeros((2, 3))
        else:
            expected = chosen.mean(axis=1) if how == "mean" else chosen[:, -1]
        np.testing.assert_allclose([layer[word] for layer in pooled], expected, atol=1e-6)
