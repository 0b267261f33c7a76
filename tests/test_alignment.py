"""Words in texts and tokens on words."""

import itertools
import unicodedata

import numpy as np
import pytest
import tiny_models
import transformers
from hypothesis import given, settings
from hypothesis import strategies as st

from brainalign.alignment import (
    character_shares,
    is_empty,
    locate_words,
    token_ranges,
    tokenise,
    word_pooling,
)
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
        (["the", "cat", "sat"], "The dog sat.", r"Word 1 \('cat'\) .*line 1, character 4;"),
        (["on", "the", "cat"], "On\n the\n dog", r"Word 2 \('cat'\) .*line 2, character 5;"),
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


@pytest.mark.parametrize(
    "words, text, spelt",
    [
        (["i", "did", "nt", "know"], "I didn\u2019t know", ["I", "did", "n\u2019t", "know"]),
        (["he", "did", "go"], "He didn\u2019t go", ["He", "did", "go"]),
        (["it", "hasnt", "much"], "it hasn't much", ["it", "hasn't", "much"]),
        (["flower", "i.", "i"], "flower. I, I", ["flower", "I", "I"]),
        (["volcanoes;", "it"], "volcanoes \u2014 it", ["volcanoes", "it"]),
        (["so", "na\\ive"], "So naïve", ["So", "naïve"]),
        (["number", "one", "it"], "Number 1. It", ["Number", "1", "It"]),
        (["three two five", "threethreezero"], "325, 330", ["325", "330"]),
        (["b", "612"], "B-612", ["B", "612"]),
        (
            ["weatherbeaten", "grown-ups"],
            "weather-beaten grown ups",
            ["weather-beaten", "grown ups"],
        ),
        (
            ["j'", "ai", "l", "oeil"],
            "J\u2019ai l\u2019Œil",
            ["J\u2019", "ai", "l", "Œil"],
        ),
        (["aujourd", "hui", "qu'", "on"], "aujourd'hui qu'on", ["aujourd", "hui", "qu'", "on"]),
        (["repondit", "coeur"], "re\u0301pondit cœur", ["re\u0301pondit", "cœur"]),
        (["il", "a", "a", "lui"], "il a à lui", ["il", "a", "à", "lui"]),
        (["il", "a", "a", "lui"], "il à a lui", ["il", "à", "a", "lui"]),
        (["ex", "aequo"], "ex \u00e6quo", ["ex", "\u00e6quo"]),
        (["pain"], "le pe\u00adtit pa\u00adin", ["pa\u00adin"]),
        (["ecole", "à"], "École A", ["École", "A"]),
        (
            ["小王子\uff0c", "说"],
            "小王子说",
            ["小王子", "说"],
        ),
    ],
)
def test_other_spellings(words, text, spelt):
    assert found(words, text) == spelt


def test_another_spelling_counts_only_where_the_exact_one_does_not_stand():
    # A numeral before the chapter is not the word "one", nor "à" the word "a".
    assert locate_words(["one", "day"], "1. One day")[0][0].tolist() == [3, 6]
    assert locate_words(["a", "b"], "à c, a b")[0][0].tolist() == [5, 6]
    for words, text in [
        (["its"], "it is"),
        (["someone"], "some1"),
        (["ab"], "a b"),
        (["..."], "a."),
    ]:
        with pytest.raises(InputError, match="Word 0"):
            locate_words(words, text)


def test_chinese_words_have_no_edges_but_their_neighbours():
    text = "\u201c我不是大人\u3002\u201d他说\uff0c不\u3002"
    words = ["我", "不是", " ", "他说", np.nan, "不"]
    assert found(words, text) == ["我", "不是", None, "他说", None, "不"]
    assert locate_words(words, text)[1] == 2
    # Twenty characters may be passed over, not one more, and never the next word.
    assert found(["我", "他"], "我" + "大" * 20 + "他") == ["我", "他"]
    for words, between in [
        (["我", "他"], "大" * 21),
        (["我", "他", "说"], "说"),
    ]:
        with pytest.raises(InputError, match="Word 1"):
            locate_words(words, f"我{between}他说")
    # Lines end within words, and names have a dot.
    for text in ("六\n岁。", "六 岁。", "六\u3000岁。"):
        assert found(["六岁"], text) == [text[:-1]]
    assert found(["孟德斯鸠"], "孟德·斯鸠") == ["孟德·斯鸠"]
    # No word reaches over a punctuation mark.
    with pytest.raises(InputError, match="Word 0"):
        locate_words(["大人"], "大\uff0c人")


def test_written_words_without_a_row_are_passed_over_and_counted():
    spans, skipped = locate_words(["he", "saw", "it"], "Chapter one. He really saw it. The end")
    assert spans[:, 0].tolist() == [13, 23, 27]
    assert skipped == 5


WORD = st.text("abcdeféß中", min_size=1, max_size=4)
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


# What the rows of a word table hold, and how the text writes it; "|" parts what belongs to each row.
ENGLISH = {
    ("did", "nt"): ["did|n\u2019t", "did|n't"],
    ("didnt",): ["didn\u2019t", "Didn't"],
    ("don't",): ["don\u2019t"],
    ("they", "d"): ["they\u2019|d"],
    ("prince", "'s"): ["prince|\u2019s", "prince|'s"],
    ("one",): ["1", "one", "One"],
    ("three two five",): ["325"],
    ("na\\ive",): ["naive", "naïve"],
    ("TRUE",): ["true"],
    ("i",): ["I"],
    ("i.",): ["I"],
    ("a",): ["a", "A"],
}
FRENCH = {
    ("j'", "ai"): ["j\u2019|ai", "J'|ai"],
    ("l", "oeil"): ["l\u2019|œil", "l'|oeil"],
    ("qu'", "on"): ["qu\u2019|on"],
    ("a", "t", "il"): ["a-|t-|il"],
    ("coeur",): ["cœur", "CŒUR"],
    ("repondit",): ["répondit", "repondit"],
    ("à",): ["à", "À"],
    ("a",): ["à", "a"],
    ("aujourd'hui",): ["aujourd\u2019hui"],
    ("première",): ["première", "PREMIÈRE"],
}
GAPS = {
    "spaced": [" ", ", ", ".\n", " \u2014 ", "!\u00bb \u00ab", "\u2026 ", "\u00a0; "],
    "chinese": ["", "", "\uff0c", "\u3002\n", "\u201d\uff1a\u201c", "\u2026\u2026", "\u300b"],
}


def joined(units, gaps, decomposed=False):
    """Words, the text of all units, and the true span of every word."""
    words, text, spans = [], "", []
    for (rows, written), gap in zip(units, gaps, strict=True):
        for row, part in zip(rows, written.split("|"), strict=True):
            part = unicodedata.normalize("NFD", part) if decomposed else part
            words.append(row)
            spans.append((len(text), len(text) + len(part)))
            text += part
        text += gap
    return words, text, spans


def letters(words, text, spans):
    """Places of letters and digits only: punctuation at a word's edge may count or not."""
    inside = [{i for i in range(*span) if text[i].isalnum()} for span in spans]
    return list(zip(words, inside, strict=True))


@st.composite
def stories(draw):
    language = draw(st.sampled_from([ENGLISH, FRENCH, "chinese"]))
    if language == "chinese":
        rows = draw(
            st.lists(
                st.text("的小王子一不是", min_size=1, max_size=3),
                min_size=1,
                max_size=25,
            )
        )
        units, gaps = [((row,), row) for row in rows], GAPS["chinese"]
    else:
        kinds = draw(st.lists(st.sampled_from(list(language)), min_size=1, max_size=25))
        units = [(kind, draw(st.sampled_from(language[kind]))) for kind in kinds]
        gaps = GAPS["spaced"]
    between = draw(st.lists(st.sampled_from(gaps), min_size=len(units), max_size=len(units)))
    return units, between


@settings(deadline=None, max_examples=300)
@given(story=stories(), decomposed=st.booleans())
def test_words_are_found_where_they_were_put(story, decomposed):
    words, text, spans = joined(*story, decomposed)
    located, skipped = locate_words(words, text)
    assert letters(words, text, located.tolist()) == letters(words, text, spans)
    assert skipped == 0


@settings(deadline=None, max_examples=300)
@given(story=stories(), lost=st.integers(0, 24))
def test_a_word_that_is_lost_from_the_text_is_an_error(story, lost):
    units, gaps = story
    lost %= len(units)
    words, _, _ = joined(units, gaps)
    _, text, _ = joined(units[:lost] + units[lost + 1 :], gaps[:lost] + gaps[lost + 1 :])
    with pytest.raises(InputError, match="is not found in the text before the next word"):
        locate_words(words, text)


@given(
    st.permutations("的小王子一不是"),
    st.integers(0, 5),
    st.sampled_from(["", " "]),
)
def test_the_lost_word_is_named(words, lost, gap):
    text = gap.join(words[:lost] + words[lost + 1 :])
    with pytest.raises(InputError, match=rf"^Word {lost} \('{words[lost]}'\)") as caught:
        locate_words(words, text)
    assert text not in str(caught.value)


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


TEXTS = {
    "en": (["the", "old", "king", "didn't", "sleep"], "The old king, he didn\u2019t sleep!"),
    "cn": (
        ["小王子", "", "说", "不 是"],
        "小王子说\uff0c不\n是",
    ),
}


@pytest.mark.parametrize("told, kind", itertools.product(TEXTS, ["byte_level", "word_piece"]))
def test_pooling_by_characters_equals_a_loop_over_characters(told, kind):
    words, text = TEXTS[told]
    tokenizer = transformers.PreTrainedTokenizerFast(
        tokenizer_object=getattr(tiny_models, kind)(),
        unk_token="[UNK]" if kind == "word_piece" else None,
    )
    if (told, kind) == ("cn", "word_piece"):
        with pytest.raises(InputError, match="does not know"):
            tokenise(words, text, tokenizer)
        return
    ids, ranges, _, shares = tokenise(words, text, tokenizer)
    states = np.random.default_rng(0).normal(size=(len(ids), 3))
    pooled = word_pooling(ranges, len(ids), "characters", shares) @ states
    offsets = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True)[
        "offset_mapping"
    ]
    for (first, stop), vector in zip(locate_words(words, text)[0], pooled, strict=True):
        seen = []
        for place in range(first, stop):
            tokens = [n for n, (start, end) in enumerate(offsets) if start <= place < end]
            if tokens:
                seen.append(states[tokens].mean(axis=0))
        np.testing.assert_allclose(vector, np.mean(seen, axis=0) if seen else 0, atol=1e-6)
    # Tokens of several lengths weigh unequally.
    assert told == "cn" or not np.allclose(pooled, word_pooling(ranges, len(ids), "mean") @ states)


def test_shares_of_characters():
    # A blank before, a token over two words, and two bytes of one character.
    spans = np.array([[1, 4], [4, 5], [-1, -1], [6, 7]])
    offsets = np.array([[0, 3], [3, 5], [6, 7], [6, 7]])
    ranges = token_ranges(spans, offsets, ["abc", "d", None, "王"])
    assert character_shares(spans, offsets, ranges).tolist() == [2, 1, 1, 0.5, 0.5]
