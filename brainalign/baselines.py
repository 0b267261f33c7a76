"""Features of words without context: drawn at random, learnt from co-occurrences, or 1."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

import numpy as np

from brainalign.alignment import is_empty
from brainalign.archives import open_member
from brainalign.checkpoints import read_word_vectors
from brainalign.errors import InputError
from brainalign.models import Baseline, glove_width, parse_baseline, word_vector_file
from brainalign.studies.registry import GLOVE, data_files, verified_path

# The largest of the tables in GloVe's archive has a gigabyte.
_MAX_BYTES = 2**31
_DIGIT = re.compile("zero|one|two|three|four|five|six|seven|eight|nine")


def word_features(
    words: Sequence[object], run: int, name: str
) -> tuple[np.ndarray, dict[str, Any]]:
    """A baseline's vectors: normal per word heard, uniform in [0, 1) or learnt per form, or 1.

    A form has the same vector in every run and study, whatever its case. Forms that nothing was
    learnt of have zeros, as in Bonnasse-Gahot & Pallier (2024, code).

    Parameters
    ----------
    words
        Of one run; empty ones have zeros.
    run
        Its number, for what is drawn anew for every word heard.
    name
        Of the baseline.

    Returns
    -------
    vectors : numpy.ndarray
        float32, shape (1, word, unit).
    made : dict
        How they were made: "layers" and "context".
    """
    baseline = parse_baseline(name)
    if baseline.kind == "word rate":
        drawn = np.ones((len(words), 1), dtype=np.float32)
    elif baseline.kind == "random vectors":
        drawn = np.random.default_rng([baseline.seed, run]).standard_normal(
            (len(words), baseline.width), dtype=np.float32
        )
    else:
        forms = ["" if is_empty(word) else word.strip().lower() for word in words]
        table = _form_vectors(set(forms), name, baseline)
        drawn = np.array([table[form] for form in forms]).reshape(-1, baseline.width)
    drawn[[is_empty(word) for word in words]] = 0
    return drawn[None], {"layers": [baseline.kind], "context": "none"}


def _form_vectors(forms: set[str], name: str, baseline: Baseline) -> dict[str, np.ndarray]:
    """Vector of every word form, each of shape (width,), float32."""
    if glove_width(name):
        return _glove_vectors(forms, baseline.width)
    if baseline.kind == "word vectors":
        learnt = read_word_vectors(word_vector_file(name))
        unknown = np.zeros(baseline.width, dtype=np.float32)
        return {form: learnt.get(form, unknown) for form in forms}
    table = {}
    for form in forms:
        number = int.from_bytes(hashlib.sha256(form.encode()).digest()[:8], "little")
        rng = np.random.default_rng([baseline.seed, number])
        table[form] = rng.random(baseline.width, dtype=np.float32)
    return table


def _glove_vectors(forms: set[str], width: int) -> dict[str, np.ndarray]:
    """Vectors of Pennington et al. (2014); a form that has none takes the mean of its parts'."""
    parts = {form: _parts(form) for form in forms}
    known = _read_glove({*forms, *(part for found in parts.values() for part in found)}, width)
    unknown = np.zeros(width, dtype=np.float32)
    vectors = {}
    for form in forms:
        found = [known[part] for part in parts[form] if part in known] or [unknown]
        vectors[form] = known[form] if form in known else np.mean(found, axis=0)
    return vectors


def _parts(form: str) -> list[str]:
    """Words in a form that is several: "boa-constrictor", and digits that are said in a row."""
    words = re.findall(r"[^\W_]+", form)
    return [
        part
        for word in words
        for part in (_DIGIT.findall(word) if not _DIGIT.sub("", word) else [word])
    ]


def _read_glove(wanted: set[str], width: int) -> dict[str, np.ndarray]:
    """The vectors of some words, in one pass over the file; no others are kept."""
    path, member = verified_path(data_files(GLOVE)[0]), f"glove.6B.{width}d.txt"
    found = {}
    with open_member(path, member, _MAX_BYTES) as stream:
        for line in stream:
            word, _, numbers = line.partition(b" ")
            if (form := word.decode("utf-8", "replace")) in wanted:
                found[form] = np.array(numbers.split()).astype(np.float32)
                if found[form].shape != (width,):
                    raise InputError(
                        f"{path} has {found[form].size} numbers for {form!r} in {member}; {width} "
                        "are expected."
                    )
    return found
