"""Words left out and words deleted: captum's ablation, loops, and texts that are known."""

import numpy as np
import pytest
import torch
from captum.attr import FeatureAblation
from tiny_attribution import (
    N_WORDS,
    alone,
    contexts_of,
    features_of,
    fitted_to,
    head_of,
    reader,
    text_study,
    words_of,
)

from brainalign.attribution import deletion
from brainalign.attribution.deletion import deletion_curves, rankings
from brainalign.attribution.erasure import (
    at_matched_distances,
    highest_words,
    left_out,
    replaced,
    squared_changes,
)
from brainalign.attribution.heads import Head
from brainalign.attribution.next_word import next_word_loss
from brainalign.attribution.reading import embed, scan_features
from brainalign.errors import InputError
from brainalign.statistics import pearson

TOKEN = 3


@pytest.fixture(scope="module")
def study():
    return text_study()


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    return reader(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def fitted(study, read):
    return fitted_to(study, read("gpt2"))


def test_highest_words_and_their_matched_draws():
    scores = np.array([[3.0, 1, 5, np.nan], [0, 0, 0, 0]])
    assert highest_words(scores, 0.34).tolist() == [[0, 0, 1, 0], [1, 0, 0, 0]]
    assert highest_words(scores, 1).tolist() == [[1, 1, 1, 0], [1, 1, 1, 1]]
    rng = np.random.default_rng(0)
    there = np.ones((50, 40), bool)
    there[:10, 20:] = False
    chosen = there & (rng.random(there.shape) < 0.2)
    drawn = at_matched_distances(chosen, there, rng)
    for part in (slice(0, 4), slice(4, 16), slice(16, 64)):
        assert (drawn[:, part].sum(1) == chosen[:, part].sum(1)).all()
    assert (drawn != chosen).any() and not (drawn & ~there).any()
    with pytest.raises(InputError, match="fraction is 0"):
        highest_words(scores, 0)


@pytest.mark.parametrize("family", ["gpt2", "llama", "bert"])
@pytest.mark.parametrize("layer", [2, -1])
def test_left_out_words_are_those_of_captum(study, read, family, layer):
    """Every prediction with a word minus without it, and the loss of the next word."""
    rd = read(family, layer)
    contexts = contexts_of(study, rd)[:2] + contexts_of(study, rd)[-1:]
    changes, losses = left_out(rd, contexts, TOKEN)
    head = head_of(changes.shape[2])
    found = changes @ head.weights
    assert (losses is None) == (family == "bert")
    for place, one in enumerate(contexts):
        embeddings = alone(rd, one)[0].detach()
        before = len(rd.reader.prefix)
        mask = torch.full(embeddings.shape[:2], len(one.words))
        mask[0, before : before + len(one.ids)] = torch.tensor(one.word_of_token)
        baseline = embed(rd, torch.tensor([TOKEN]))[None].expand_as(embeddings)

        def predictions(embeddings, one=one):
            h = features_of(rd, one, embeddings)
            return (h @ torch.tensor(head.weights, dtype=h.dtype))[None]

        ablation = FeatureAblation(predictions)
        for voxel in range(head.weights.shape[1]):
            tokens = ablation.attribute(
                embeddings, baseline, target=voxel, feature_mask=mask[..., None]
            )[0, :, 0].detach().numpy()  # fmt: skip
            # Every token of a word has the whole word's change.
            counts = np.bincount(one.word_of_token, minlength=len(one.words) + 1)[:-1][::-1]
            expected = np.array(words_of(tokens, rd, one)) / counts
            values = found[place, : len(one.words), voxel]
            np.testing.assert_allclose(values, expected, atol=1e-4 * np.abs(expected).max())
        assert not changes[place, len(one.words) :].any()


@pytest.mark.parametrize("layer", [1, -1])
def test_a_word_left_out_is_a_word_replaced(study, read, layer):
    rd = read("gpt2", layer)
    contexts = contexts_of(study, rd)
    changes, losses = left_out(rd, contexts, TOKEN)
    whole, loss = scan_features(rd, contexts), next_word_loss(rd, contexts)
    lengths = np.array([len(one.words) for one in contexts])
    assert np.ptp(lengths)
    for distance in (0, 3, changes.shape[1] - 1):
        words = np.arange(changes.shape[1]) == np.full((len(contexts), 1), distance)
        one_less = replaced(contexts, words, TOKEN)
        there = lengths > distance
        np.testing.assert_allclose(
            changes[:, distance], whole - scan_features(rd, one_less), atol=1e-5
        )
        expected = np.where(there, loss - next_word_loss(rd, one_less), np.nan)
        np.testing.assert_allclose(losses[:, distance], expected, atol=1e-5)


def test_squared_changes_are_the_mean_over_voxels():
    rng = np.random.default_rng(0)
    changes, weights = rng.normal(size=(4, 6, 12)).astype(np.float32), rng.normal(size=(12, 9))
    found = squared_changes(changes, weights)
    expected = np.zeros((4, 6))
    for scan, distance in np.ndindex(4, 6):
        expected[scan, distance] = np.mean(
            [(changes[scan, distance] @ weights[:, voxel]) ** 2 for voxel in range(9)]
        )
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    # Voxels of opposite signs do not cancel, as they do in their mean.
    both = np.column_stack([weights, -weights])
    np.testing.assert_allclose(squared_changes(changes, both), expected, rtol=1e-4)
    assert not squared_changes(np.zeros((1, 2, 12)), weights).any()


def test_rankings_are_held_against_the_lowest_words_and_random_ones():
    scores = np.array([[3.0, 1, 5, 2, np.nan], [4, 0, 1, 2, 3]])
    ranked = rankings({"a": scores, "b": -scores}, np.random.default_rng(0))
    assert list(ranked) == ["a", "b", "lowest words", "random words"]
    np.testing.assert_array_equal(
        highest_words(ranked["lowest words"], 0.25), [[0, 1, 0, 0, 0], [0, 1, 0, 0, 0]]
    )
    for values in ranked.values():
        np.testing.assert_array_equal(np.isnan(values), np.isnan(scores))
    drawn = [rankings({"a": scores}, np.random.default_rng(k))["random words"] for k in range(50)]
    assert len({tuple(np.argsort(one[1])) for one in drawn}) > 20


def made_up_scores(contexts, seed=0):
    longest = max(len(one.words) for one in contexts)
    scores = np.random.default_rng(seed).random((len(contexts), longest))
    lengths = np.array([len(one.words) for one in contexts])
    return np.where(np.arange(longest) < lengths[:, None], scores, np.nan)


def test_curves_begin_with_the_text_as_it_is_and_end_with_nothing_of_it(fitted, monkeypatch):
    rd, contexts, x, y, heads, _ = fitted
    asked, replace_words = [], deletion.replaced

    def noted(texts, words, *about):
        asked.append(words)
        return replace_words(texts, words, *about)

    monkeypatch.setattr(deletion, "replaced", noted)
    scores = {"a": made_up_scores(contexts[0]), "b": made_up_scores(contexts[0], 1)}
    rng = np.random.default_rng(0)
    found = deletion_curves(rd, contexts[0], heads[0], y[0], scores, rng, (0.2, 1))
    assert found.dims == ("way", "measure", "ranking", "fraction")
    inserted, found = found.sel(way="insertion"), found.sel(way="deletion")
    names = ["a", "b", "lowest words", "random words", "random words, same distances"]
    assert found["ranking"].values.tolist() == names
    assert found["fraction"].values.tolist() == [0, 0.2, 1]
    start = found.sel(fraction=0)
    assert (start.sel(measure="prediction") == 0).all()
    r = pearson(heads[0].predict(x[0]).T, y[0].T).mean()
    np.testing.assert_allclose(start.sel(measure="brain score"), r, atol=1e-5)
    loss = np.nanmean(next_word_loss(rd, contexts[0]))
    np.testing.assert_allclose(start.sel(measure="next-word loss"), loss, rtol=1e-5)

    there = np.isfinite(scores["a"])
    # With all words inserted nothing is replaced, with none everything; ways take turns.
    everything = inserted.sel(fraction=1).to_numpy()
    np.testing.assert_allclose(everything, start.to_numpy(), atol=1e-6)
    nothing, *rest = asked
    assert (nothing == there).all()
    assert all(
        (gone == there & ~words).all() for words, gone in zip(rest[::2], rest[1::2], strict=True)
    )
    some, all_words = rest[: 2 * len(names) : 2], rest[2 * len(names) :: 2]
    assert all((words == there).all() for words in all_words)
    np.testing.assert_array_equal(some[0], highest_words(scores["a"], 0.2))
    np.testing.assert_array_equal(some[2], highest_words(-scores["a"], 0.2))
    for part in (slice(3, 4), slice(4, 5), slice(8, 10), slice(12, 16)):
        np.testing.assert_array_equal(some[4][:, part].sum(1), some[0][:, part].sum(1))
    assert (some[4] != some[0]).any() and (found.sel(measure="prediction", fraction=1) > 0).all()


def test_curves_measure_the_texts_without_the_words(fitted, monkeypatch):
    """Words replaced by a token that is given, so that the texts are known."""
    rd, contexts, x, y, heads, _ = fitted
    known = deletion.replaced
    monkeypatch.setattr(
        deletion, "replaced", lambda texts, words, *about: known(texts, words, TOKEN)
    )
    scores = made_up_scores(contexts[1])
    found = deletion_curves(
        rd, contexts[1], heads[1], y[1], {"a": scores}, np.random.default_rng(0), (0.001, 0.3)
    )
    assert found["fraction"].values.tolist() == [0, 0.3]
    found = found.sel(way="deletion", ranking="a", fraction=0.3)
    without = known(contexts[1], highest_words(scores, 0.3), TOKEN)
    intact, predicted = (heads[1].predict(h) for h in (x[1], scan_features(rd, without)))
    change = np.sqrt(((predicted - intact) ** 2).sum() / (intact**2).sum())
    assert float(found.sel(measure="prediction")) == pytest.approx(change, rel=1e-4)
    r = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(predicted.T, y[1].T, strict=True)])
    assert float(found.sel(measure="brain score")) == pytest.approx(r, abs=1e-4)
    loss = np.nanmean(next_word_loss(rd, without))
    assert float(found.sel(measure="next-word loss")) == pytest.approx(loss, rel=1e-4)


def test_deleting_what_no_readout_pools_changes_nothing(study, read):
    """Of states that know one token each, only pooled words count; an encoder has no loss."""
    rd = read("bert", 0)
    newest = [
        one.word_of_token >= one.word_of_token[one.pooling.any(0)].min()
        for one in contexts_of(study, rd)
    ]
    contexts = [
        one
        for one, pooled in zip(contexts_of(study, rd), newest, strict=True)
        if len(np.unique(one.word_of_token[~pooled])) == N_WORDS
    ]
    assert len(contexts) > 4
    scores = made_up_scores(contexts)
    for row, one in zip(scores, contexts, strict=True):
        row[len(one.words) - N_WORDS : len(one.words)] = -1
    h = scan_features(rd, contexts)
    head = Head(np.random.default_rng(0).normal(size=(h.shape[1], 6)), h.mean(0))
    y = np.random.default_rng(1).normal(size=(len(contexts), 6))
    rng = np.random.default_rng(0)
    found = deletion_curves(rd, contexts, head, y, {"pooled": scores}, rng, (0.15,))
    found = found.sel(way="deletion")
    change = found.sel(measure="prediction", fraction=0.15)
    assert float(change.sel(ranking="lowest words")) == pytest.approx(0, abs=1e-6)
    assert float(change.sel(ranking="pooled")) > 0.1
    assert found.sel(measure="next-word loss").isnull().all()
