"""Word vectors: co-occurrences against a plain loop, factorisation against what it fits."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tiny_study import tiny_study

from brainalign.activations import extract
from brainalign.checkpoints import read_word_vectors
from brainalign.models import describe, word_vector_file, word_vector_names
from brainalign.studies.testbed.languages import ENGLISH
from brainalign.studies.testbed.word_vectors import cooccurrences, factorise


@given(st.lists(st.integers(0, 4), min_size=2, max_size=30), st.integers(1, 6))
def test_cooccurrences_count_pairs_by_distance(words, window):
    wanted = np.zeros((5, 5))
    for i, one in enumerate(words):
        for j, other in enumerate(words):
            if 0 < abs(i - j) <= window:
                wanted[one, other] += 1 / abs(i - j)
    assert np.allclose(cooccurrences(np.array(words), 5, window), wanted)


def test_factorisation_finds_the_groups_that_words_keep_to():
    rng = np.random.default_rng(0)
    topics = np.repeat(rng.integers(0, 2, 400), 12)
    words = rng.integers(0, 5, len(topics)) + 5 * topics
    vectors = factorise(cooccurrences(words, 10), width=3)
    directions = vectors - vectors.mean(axis=0)
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    alike = directions @ directions.T
    same = np.repeat([0, 1], 5)[:, None] == np.repeat([0, 1], 5)
    assert alike[same].min() > alike[~same].max()


@pytest.mark.parametrize("name", word_vector_names())
def test_shipped_vectors_know_places_by_their_objects(name):
    table = read_word_vectors(word_vector_file(name))
    assert list(table) == ENGLISH.vocabulary()
    assert len(table["forest"]) == describe(name).n_hidden

    def direction(form):
        vector = table[form] - np.mean(list(table.values()), axis=0)
        return vector / np.linalg.norm(vector)

    right = 0
    for place, objects in zip(ENGLISH.places, ENGLISH.scene_objects, strict=True):
        middle = np.mean([direction(form) for form in objects], axis=0)
        nearest = max(ENGLISH.places, key=lambda other: direction(other) @ middle)
        right += nearest == place
    assert right >= 4  # one by chance


def test_forms_that_nothing_was_learnt_of_are_zero(tmp_path):
    study, name = tiny_study(), word_vector_names()[0]
    values = extract(study, name, folder=tmp_path)[0][:, 0]
    words = study.runs[0].words["word"]
    known = read_word_vectors(word_vector_file(name))
    assert "king" in known and "bread" not in known
    assert np.allclose(values[(words == "king").to_numpy()], known["king"], atol=1e-3)
    assert not values[(words == "bread").to_numpy()].any()
