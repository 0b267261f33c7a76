"""Words to tokens: where each word stands in the text, which tokens lie on it, and their weights.

The first two steps go by characters. A word that does not stand where the text says it should is an
error, never a guess.
"""

import re
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, Literal

import numpy as np
from scipy.sparse import csr_array

from brainalign.errors import InputError
from brainalign.loading import quiet_transformers

# Characters that are written in several ways; each is replaced by one, so that places stay.
_ONE_WAY = str.maketrans("\u2019\u2018\u02bc\u201c\u201d\u2013\u2014\u2011", "'''\"\"---")
_LETTER = re.compile(r"[^\W_]")
_WRITTEN_WORD = re.compile(r"[^\W_](?:[^\W_]|['-](?=[^\W_]))*")
_CLITIC = re.compile(r"n't(?![^\W_])", re.IGNORECASE)
# The farthest that a word may stand behind the one before it.
MAX_SKIPPED_WORDS = 20
# The largest part of a text that its model may not know; punctuation is much the same everywhere.
MAX_UNKNOWN = 0.8


def is_empty(word: object) -> bool:
    """Whether a row of the word table holds no word: NaN, None or nothing but spaces."""
    return not isinstance(word, str) or not word.strip()


def locate_words(words: Sequence[object], text: str) -> tuple[np.ndarray, int]:
    """Place of every word in the text, in order.

    Parameters
    ----------
    words
        As heard; case, kinds of apostrophe, quote and dash, and kinds of space do not matter.
        Empty ones (see `is_empty`) have no place.
    text
        As written. Words that are written but not in the table are passed over, at most 20 in a
        row.

    Returns
    -------
    spans : numpy.ndarray of int
        Shape (n_words, 2): first character and the one after the last; (-1, -1) for empty words.
    n_skipped : int
        Written words that no row of the table stands for.

    Raises
    ------
    InputError
        Naming the word, its index and the text there, if a word does not stand before the next.
    """
    text = text.translate(_ONE_WAY)
    spans = np.full((len(words), 2), -1)
    filled = [index for index, word in enumerate(words) if not is_empty(word)]
    position, skipped = 0, 0
    for index, follower in zip(filled, [*filled, None][1:], strict=True):
        after = None if follower is None else words[follower]
        # A lost word ("did" and an empty row for "didn't") may be written onto this one.
        attached = follower is not None and follower > index + 1
        span = _find(words[index], text, position, after, attached)
        n_passed = 0 if span is None else _count_words(text[position : span[0]])
        if span is None or n_passed > MAX_SKIPPED_WORDS or _overtaken(after, text, position, span):
            near = " ".join(text[max(position - 20, 0) : position + 40].split())
            raise InputError(
                f"Word {index} ({words[index]!r}) is not found in the text before the next word, "
                f"near {near!r}; the text must contain the words in order."
            )
        spans[index] = span
        skipped += n_passed
        position = span[1]
    return spans, skipped + _count_words(text[position:])


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


def tokenise(
    words: Sequence[object], text: str, tokenizer: Any
) -> tuple[np.ndarray, np.ndarray, int]:
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
    ids, offsets = np.array(encoded["input_ids"]), np.array(encoded["offset_mapping"])
    unknown = np.mean(ids == tokenizer.unk_token_id) if len(ids) else 0.0
    if unknown > MAX_UNKNOWN:
        raise InputError(
            f"The tokenizer does not know {unknown:.0%} of the text, which begins {text[:40]!r}; a "
            "model of the text's language is expected."
        )
    return ids, token_ranges(spans, offsets.reshape(-1, 2), words), n_skipped


def word_pooling(
    ranges: np.ndarray, n_tokens: int, word_vector: Literal["mean", "last"]
) -> csr_array:
    """Weights of tokens in the vectors of words.

    Parameters
    ----------
    ranges
        Shape (n_words, 2): first token and the one after the last; equal ones give zeros.
    n_tokens
        Number of tokens.
    word_vector
        "mean" or "last".

    Returns
    -------
    scipy.sparse.csr_array
        float32, shape (n_words, n_tokens); a word's weights add up to 1.
    """
    first, stop = ranges.T
    lengths = stop - first
    if word_vector == "last":
        lengths = np.minimum(lengths, 1)
    ends = np.cumsum(lengths)
    tokens = np.arange(lengths.sum()) + np.repeat(stop - ends, lengths)
    weights = np.repeat(1 / np.maximum(lengths, 1), lengths).astype(np.float32)
    return csr_array((weights, tokens, np.append(0, ends)), shape=(len(ranges), n_tokens))


@lru_cache(maxsize=65536)
def _pattern(word: str) -> re.Pattern:
    parts = (re.escape(part) for part in word.translate(_ONE_WAY).split())
    return re.compile(r"\s+".join(parts), re.IGNORECASE)


def _find(
    word: str, text: str, position: int, after: str | None, attached: bool
) -> tuple[int, int] | None:
    """First place at or behind `position` where `word` stands as a whole word."""
    for match in _pattern(word).finditer(text, position):
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
            or attached
            or _CLITIC.match(text, end)
            or (after is not None and _pattern(after).match(text, end))
        )
        if begins and ends:
            return start, end
    return None


def _overtaken(after: str | None, text: str, position: int, span: tuple[int, int]) -> bool:
    """Whether the next word stands among the written words passed over to reach this one."""
    passed = text[position : span[0]]
    if after is None or not _LETTER.search(passed):
        return False
    return _find(after, passed, 0, None, False) is not None


def _count_words(text: str) -> int:
    return len(_WRITTEN_WORD.findall(text))
