"""Words to tokens: where each word stands in the text, which tokens lie on it, and their weights.

The first two steps go by characters. A word that does not stand where the text says it should is an
error, never a guess.
"""

import re
import unicodedata
from collections.abc import Callable, Sequence
from functools import lru_cache
from typing import Any, Literal, NamedTuple

import numpy as np
from scipy.sparse import csr_array

from brainalign.errors import InputError
from brainalign.loading import quiet_transformers

# What is written in several ways; each is replaced by one.
_ONE_WAY = str.maketrans(
    "\u2019\u2018\u02bc\u201c\u201d\u2010\u2011\u2013\u2014", "'''\"\"----"
) | {ord("\u0153"): "oe", ord("\u00e6"): "ae"}
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u2060\ufeff"))
# Characters that each are a word or may end one: Chinese and Japanese are written without blanks.
_UNSPACED = "\u3005\u3007\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"
_LETTER = re.compile(rf"[^\W_{_UNSPACED}]")
_WRITTEN_WORD = re.compile(
    rf"[{_UNSPACED}]|{_LETTER.pattern}(?:{_LETTER.pattern}|['-](?={_LETTER.pattern}))*"
)
_CHARACTER = re.compile("(?s:.)[\u0300-\u036f]*")
_ACCENTS = re.compile("[\u0300-\u036f]+")
_CLITIC = re.compile(rf"n't(?!{_LETTER.pattern})")
_NOWHERE = "(?!)"
_DIGITS = {
    word: str(digit)
    for digit, word in enumerate("zero one two three four five six seven eight nine".split())
}
_SAID_DIGIT = re.compile("|".join(_DIGITS))
_SAID_DIGITS = re.compile(f"(?:{_SAID_DIGIT.pattern})+")
# The farthest that a word may stand behind the one before it.
MAX_SKIPPED_WORDS = 20
# The largest part of a text that its model may not know; punctuation is much the same everywhere.
MAX_UNKNOWN = 0.8


class _Folded(NamedTuple):
    """A text in one way of writing, and where it came from.

    Attributes
    ----------
    exact, plain : str
        Without capitals, ligatures and kinds of apostrophe, quote and dash; `plain` also without
        accents. Both have the same length.
    first, stop : list of int
        Place in the text of each of their characters, and the one after it.
    """

    exact: str
    plain: str
    first: list[int]
    stop: list[int]


def is_empty(word: object) -> bool:
    """Whether a row of the word table holds no word: NaN, None or nothing but spaces."""
    return not isinstance(word, str) or not word.strip()


def locate_words(words: Sequence[object], text: str) -> tuple[np.ndarray, int]:
    """Place of every word in the text, in order.

    Parameters
    ----------
    words
        As heard. Case, ligatures, kinds of apostrophe, quote, dash and space do not matter. Empty
        ones (see `is_empty`) have no place.
    text
        As written. Words that are written but not in the table are passed over, at most 20 in a
        row; in Chinese and Japanese each character counts as one.

    Returns
    -------
    spans : numpy.ndarray of int
        Shape (n_words, 2): first character and the one after the last; (-1, -1) for empty words.
    n_skipped : int
        Written words that no row of the table stands for.

    Raises
    ------
    InputError
        Naming the word, its index and where it was looked for, if a word does not stand before the
        next. The text, which may be under copyright, is not quoted.

    Notes
    -----
    Where a word does not come next as it is spelt, it may come next, or stand where no exact one
    does, in another spelling: without its accents ("repondit", "a" for "\u00e0") or its punctuation
    ("hasnt", "i."), or with digits that are said one by one ("three two five").
    """
    folded = _fold_text(text)
    spans = np.full((len(words), 2), -1)
    filled = [index for index, word in enumerate(words) if not is_empty(word)]
    position, skipped = 0, 0
    for index, follower in zip(filled, [*filled, None][1:], strict=True):
        after = None if follower is None else words[follower]
        # A lost word ("did" and an empty row for "didn't") may be written onto this one.
        attached = follower is not None and follower > index + 1
        span = _place(words[index], after, attached, folded, position)
        if span is None:
            place = folded.stop[position - 1] if position else 0
            lines = text[:place].split("\n")
            raise InputError(
                f"Word {index} ({words[index]!r}) is not found in the text before the next word, "
                f"from line {len(lines)}, character {len(lines[-1]) + 1}; the text must contain the "
                "words in order."
            )
        spans[index] = folded.first[span[0]], folded.stop[span[1] - 1]
        skipped += _count_words(folded.exact[position : span[0]])
        position = span[1]
    return spans, skipped + _count_words(folded.exact[position:])


def token_ranges(spans: np.ndarray, offsets: np.ndarray, words: Sequence[object]) -> np.ndarray:
    """Tokens whose characters overlap each word's.

    Parameters
    ----------
    spans
        Shape (n_words, 2), from `locate_words`.
    offsets
        Shape (n_tokens, 2): first character of each token and the one after its last, in order.
    words
        For the message.

    Returns
    -------
    numpy.ndarray of int
        Shape (n_words, 2): first token and the one after the last; both equal for empty words. Two
        words that share a token both get it.

    Raises
    ------
    InputError
        If no token overlaps a word.
    """
    first = np.searchsorted(offsets[:, 1], spans[:, 0], side="right")
    stop = np.searchsorted(offsets[:, 0], spans[:, 1], side="left")
    empty = spans[:, 0] < 0
    lost = np.flatnonzero(~empty & (stop <= first))
    if len(lost):
        raise InputError(
            f"The tokenizer makes no token of word {lost[0]} ({words[lost[0]]!r}); it needs an "
            "unknown token or a byte alphabet."
        )
    return np.where(empty[:, None], 0, np.column_stack([first, stop]))


def character_shares(spans: np.ndarray, offsets: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    """Characters of each word that lie in each of its tokens.

    Parameters
    ----------
    spans
        Shape (n_words, 2), from `locate_words`.
    offsets
        Shape (n_tokens, 2), as for `token_ranges`.
    ranges
        Shape (n_words, 2), from `token_ranges`.

    Returns
    -------
    numpy.ndarray
        Shape (n_pairs,), float: the tokens of the first word, those of the second, and so on. A
        character that several tokens share (bytes of one character) counts once in all.
    """
    n_characters = max(spans.max(initial=0), offsets.max(initial=0))
    edges = np.zeros(n_characters + 1)
    np.add.at(edges, offsets[:, 0], 1)
    np.add.at(edges, offsets[:, 1], -1)
    n_sharing = np.cumsum(edges)[:-1]
    before = np.append(0, np.cumsum(np.divide(1, n_sharing, where=n_sharing > 0, out=edges[:-1])))
    words, tokens = _pairs(ranges)
    first = np.maximum(spans[words, 0], offsets[tokens, 0])
    stop = np.minimum(spans[words, 1], offsets[tokens, 1])
    return before[np.maximum(first, stop)] - before[first]


def tokenise(
    words: Sequence[object], text: str, tokenizer: Any
) -> tuple[np.ndarray, np.ndarray, int, np.ndarray]:
    """Tokens of a text, and those of each of its words.

    Parameters
    ----------
    words, text
        See `locate_words`.
    tokenizer
        A fast one.

    Returns
    -------
    ids : numpy.ndarray of int
        Shape (n_tokens,), without the tokens that the tokenizer adds.
    ranges : numpy.ndarray of int
        Shape (n_words, 2), from `token_ranges`.
    n_skipped : int
        Written words that no row of the table stands for.
    shares : numpy.ndarray
        From `character_shares`.

    Raises
    ------
    InputError
        As `locate_words` and `token_ranges`; for a text in a language that the tokenizer does not
        know.
    """
    spans, n_skipped = locate_words(words, text)
    with quiet_transformers():
        encoded = tokenizer(
            text, add_special_tokens=False, return_offsets_mapping=True, verbose=False
        )
    ids, offsets = np.array(encoded["input_ids"]), np.array(encoded["offset_mapping"], dtype=int)
    unknown = np.mean(ids == tokenizer.unk_token_id) if len(ids) else 0.0
    if unknown > MAX_UNKNOWN:
        raise InputError(
            f"The tokenizer does not know {unknown:.0%} of the text's {len(ids)} tokens; a model of "
            "the text's language is expected."
        )
    offsets = offsets.reshape(-1, 2)
    ranges = token_ranges(spans, offsets, words)
    return ids, ranges, n_skipped, character_shares(spans, offsets, ranges)


def word_pooling(
    ranges: np.ndarray,
    n_tokens: int,
    word_vector: Literal["mean", "last", "characters"],
    shares: np.ndarray | None = None,
) -> csr_array:
    """Weights of tokens in the vectors of words.

    Parameters
    ----------
    ranges
        Shape (n_words, 2): first token and the one after the last; equal ones give zeros.
    n_tokens
        Number of tokens.
    word_vector
        "mean" or "last" of a word's tokens, or "characters": the mean over the word's characters of
        the token that each lies in (Bonnasse-Gahot & Pallier 2024, Chinese).
    shares
        From `character_shares`; for "characters" only.

    Returns
    -------
    scipy.sparse.csr_array
        float32, shape (n_words, n_tokens); a word's weights add up to 1.
    """
    first, stop = ranges.T
    if word_vector == "last":
        ranges = np.column_stack([np.maximum(stop - 1, first), stop])
    words, tokens = _pairs(ranges)
    weights = shares if word_vector == "characters" else np.ones(len(tokens))
    weights = weights / np.bincount(words, weights, len(ranges))[words]
    ends = np.append(0, np.cumsum(ranges[:, 1] - ranges[:, 0]))
    return csr_array((weights.astype(np.float32), tokens, ends), shape=(len(ranges), n_tokens))


def _pairs(ranges: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Words and their tokens, one pair for each token of each word."""
    first, stop = ranges.T
    lengths = stop - first
    tokens = np.arange(lengths.sum()) + np.repeat(stop - np.cumsum(lengths), lengths)
    return np.repeat(np.arange(len(ranges)), lengths), tokens


def _fold(text: str) -> _Folded:
    """A text in one way of writing; an accent that follows its letter belongs to it."""
    characters, first, stop = [], [], []
    for match in _CHARACTER.finditer(text):
        folded = _one_way(match[0])
        characters.append(folded)
        first += [match.start()] * len(folded)
        stop += [match.end()] * len(folded)
    exact = "".join(characters)
    return _Folded(exact, "".join(map(_without_accent, exact)), first, stop)


# Many models read the runs of a few stories one after the other.
_fold_text = lru_cache(maxsize=32)(_fold)


@lru_cache(maxsize=65536)
def _one_way(text: str) -> str:
    alike = unicodedata.normalize("NFKC", text).casefold().translate(_ONE_WAY | _INVISIBLE)
    return unicodedata.normalize("NFC", alike)


@lru_cache(maxsize=65536)
def _without_accent(character: str) -> str:
    letter = _ACCENTS.sub("", unicodedata.normalize("NFD", character))
    return letter if len(letter) == 1 else character


@lru_cache(maxsize=65536)
def _spelling(word: str) -> re.Pattern:
    """The word as it is spelt, to be looked for in `_Folded.exact`."""
    return re.compile(r"\s+".join(map(re.escape, _fold(word).exact.split())) or _NOWHERE)


@lru_cache(maxsize=65536)
def _other_spellings(word: str) -> re.Pattern:
    """Its letters and digits, to be looked for in `_Folded.plain`."""
    letters = re.findall(r"[^\W_]+", _fold(word).plain)
    within = f"(?<={_LETTER.pattern})(?={_LETTER.pattern})"
    # Where no blanks part words, lines end within them; a dot parts a foreigner's names.
    anywhere = f"(?<=[{_UNSPACED}])(?=[{_UNSPACED}])"
    inside = r"[\\s\\u00b7\\u30fb]{0,3}"
    parts = [re.sub(anywhere, inside, re.sub(within, "['-]?", part)) for part in letters]
    others = [r"[\s'-]*".join(parts)]
    if _SAID_DIGITS.fullmatch(said := "".join(letters)):
        others.append(_SAID_DIGIT.sub(lambda digit: _DIGITS[digit[0]], said))
    return re.compile("|".join(others) or _NOWHERE)


def _place(
    word: str, after: str | None, attached: bool, folded: _Folded, position: int
) -> tuple[int, int] | None:
    """Where a word stands, at or behind `position` and before the next word; None if nowhere."""

    def joined(end: int) -> bool:
        return attached or (after is not None and _starts(after, folded, end))

    def reached(pattern: re.Pattern, text: str) -> tuple[int, int] | None:
        span = _find(pattern, text, position, joined)
        passed = "" if span is None else folded.exact[position : span[0]]
        too_far = _count_words(passed) > MAX_SKIPPED_WORDS or _holds(passed, after)
        return None if too_far else span

    exact = reached(_spelling(word), folded.exact)
    if exact is not None and not _count_words(folded.exact[position : exact[0]]):
        return exact
    other = reached(_other_spellings(word), folded.plain)
    if exact is None or other is None:
        return exact or other
    sooner = other[0] < exact[0] and after is not None and _comes_next(after, folded, other[1])
    return other if sooner else exact


def _find(
    pattern: re.Pattern,
    text: str,
    position: int = 0,
    joined: Callable[[int], bool] = lambda end: False,
) -> tuple[int, int] | None:
    """First place at or behind `position` of a whole word, or one that is `joined` at its end."""
    for match in pattern.finditer(text, position):
        start, end = match.span()
        # Where a word's edge is no letter ("'m"), the letter beside it does not belong to it.
        begins = (
            start == position
            or not _LETTER.match(text[start - 1])
            or not _LETTER.match(text[start])
        )
        ends = (
            end == len(text)
            or not _LETTER.match(text[end])
            or not _LETTER.match(text[end - 1])
            or _CLITIC.match(text, end)
            or joined(end)
        )
        if begins and ends:
            return start, end
    return None


def _starts(word: str, folded: _Folded, place: int) -> bool:
    """Whether a word, in any spelling, begins at this place."""
    exact = _spelling(word).match(folded.exact, place)
    return bool(exact or _other_spellings(word).match(folded.plain, place))


def _comes_next(word: str, folded: _Folded, position: int) -> bool:
    """Whether a word, in any spelling, stands behind `position` with no written word before it."""
    found = (
        _find(_spelling(word), folded.exact, position),
        _find(_other_spellings(word), folded.plain, position),
    )
    return any(span and not _count_words(folded.exact[position : span[0]]) for span in found)


def _holds(passed: str, after: str | None) -> bool:
    """Whether the next word stands among the written words passed over to reach this one."""
    if after is None or not _count_words(passed):
        return False
    return _find(_spelling(after), passed) is not None


def _count_words(text: str) -> int:
    return len(_WRITTEN_WORD.findall(text))
