"""The stretch of text behind every scan: what is read, which words it holds, what is pooled.

The context of a scan holds the words heard in the scans that a readout looks back to, and so many
words before them (Proietti, Capobianco & Toneva 2025: 640 words before, four scans). The tokens of
the word that comes next follow, all but the last one, so that the same text serves the prediction
of that word; no scan listens to them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from brainalign.alignment import is_empty, tokenise
from brainalign.errors import InputError
from brainalign.regressors import hrf_operator
from brainalign.study import Study

#: Scans back that a readout pools.
DELAYS = (1, 2, 3, 4)


@dataclass(frozen=True)
class Context:
    """Text behind one scan.

    Attributes
    ----------
    run, scan : int
        Place of the scan in the study, counted without trimming.
    words : numpy.ndarray of int
        Rows of the run's word table, oldest first; words with no text are left out.
    ids : numpy.ndarray of int
        Tokens, those of the next word but its last one included.
    word_of_token : numpy.ndarray of int
        For every token a place in `words`, or `len(words)` for those of the next word. Punctuation
        belongs to the word before it.
    pooling : numpy.ndarray
        Shape (delay, token): weights with which token states become features. Words count alike
        within a scan, tokens within a word; a scan without words has zeros.
    next_ids : numpy.ndarray of int
        Tokens of the next word; none where the run ends.
    """

    run: int
    scan: int
    words: np.ndarray
    ids: np.ndarray
    word_of_token: np.ndarray
    pooling: np.ndarray
    next_ids: np.ndarray


def run_contexts(
    study: Study,
    run: int,
    tokenizer: Any,
    n_words: int,
    max_tokens: int | None = None,
    delays: Sequence[int] = DELAYS,
) -> list[Context]:
    """Contexts of all scans of a run that trimming leaves.

    Parameters
    ----------
    study
        Words and timing.
    run
        Index of the run.
    tokenizer
        Of the language model.
    n_words
        Words before those that are pooled; fewer at the start of a run.
    max_tokens
        Tokens that the model has positions for; None without a limit.
    delays
        Scans back whose words are pooled.

    Returns
    -------
    list of Context

    Raises
    ------
    InputError
        For a context longer than the model's positions, or less than one word, and as
        `alignment.tokenise`.
    """
    if n_words < 1:
        raise InputError(f"n_context is {n_words}; 1 word or more is expected.")
    told = study.runs[run]
    table = told.words
    ids, ranges, *_ = tokenise(table["word"].tolist(), told.text, tokenizer)
    filled = np.flatnonzero([not is_empty(word) for word in table["word"]])
    scan_of = _scan_of_words(study, run)[filled]
    about = (filled, scan_of, ids, ranges, n_words, delays)
    scans = range(study.trim[0], told.n_scans - study.trim[1])
    found = [_context(run, scan, *about) for scan in scans]
    longest = max(found, key=lambda one: len(one.ids))
    if max_tokens is not None and len(longest.ids) > max_tokens:
        raise InputError(
            f"n_context is {n_words} words; with the words of {len(delays)} scans they make "
            f"{len(longest.ids)} tokens at scan {longest.scan} of run {run + 1}, and the model has "
            f"{max_tokens} positions for text."
        )
    return found


def _scan_of_words(study: Study, run: int) -> np.ndarray:
    """Scan in which each word ends; the number of scans for a word that ends after the last."""
    told = study.runs[run]
    times = (told.words[name].to_numpy() for name in ("onset", "offset"))
    ends = hrf_operator(*times, told.n_scans, study.tr, "impulse")
    return np.where(ends.any(0), ends.argmax(0), told.n_scans)


def _context(
    run: int,
    scan: int,
    filled: np.ndarray,
    scan_of: np.ndarray,
    ids: np.ndarray,
    ranges: np.ndarray,
    n_words: int,
    delays: Sequence[int],
) -> Context:
    """Context of one scan; `filled` are the rows with words, `scan_of` the scans they end in."""
    first, stop = np.searchsorted(scan_of, [scan - max(delays), scan - min(delays) + 1])
    words, follower = filled[max(first - n_words, 0) : stop], filled[stop : stop + 1]
    start = ranges[words[0], 0] if len(words) else ranges[follower, 0].min(initial=len(ids))
    # Punctuation behind the last word stays; of the next word's tokens the last is predicted only.
    end = ranges[follower[0], 1] - 1 if len(follower) else len(ids)
    owned = np.append(words, follower)
    owner = np.searchsorted(ranges[owned, 0], np.arange(start, end), side="right") - 1
    pooling = np.zeros((len(delays), end - start), dtype=np.float32)
    for delay, weights in zip(delays, pooling, strict=True):
        rows = filled[scan_of == scan - delay]
        for word in rows:
            tokens = slice(*(ranges[word] - start))
            weights[tokens] += 1 / (tokens.stop - tokens.start) / len(rows)
    next_ids = ids[slice(*ranges[follower[0]])] if len(follower) else ids[:0]
    return Context(run, scan, words, ids[start:end], owner, pooling, next_ids)
