"""Attributions that add up: against sums, closed forms, captum, and their own errors."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_attribution import (
    alone,
    contexts_of,
    features_of,
    fitted_to,
    reader,
    text_study,
    words_of,
)

from brainalign.attribution import integrated
from brainalign.attribution.gradients import gradient_times_input
from brainalign.attribution.heads import alignment_cotangents, alignment_scalars
from brainalign.attribution.integrated import (
    integrated_gradients,
    linear_scalar,
    squared_error_scalar,
)
from brainalign.attribution.reading import embed, scan_features
from brainalign.errors import InputError


@pytest.fixture(scope="module")
def study():
    return text_study()


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    return reader(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def fitted(study, read):
    return fitted_to(study, read("gpt2"))


def test_alignment_sums_to_the_correlation_and_only_integrated_gradients_do(fitted):
    rd, contexts, x, y, heads, r = fitted
    scalars = alignment_scalars(heads[0], x[0], y[0])
    assert scalars.sum() == pytest.approx(r[0].mean(), abs=2e-4)
    predicted = heads[0].predict(x[0])
    exact = np.mean([np.corrcoef(a, b)[0, 1] for a, b in zip(predicted.T, y[0].T, strict=True)])
    assert scalars.sum() == pytest.approx(exact, abs=1e-5)

    cotangents = alignment_cotangents(heads[0], x[0], y[0])
    blank = [replace(one, ids=np.full_like(one.ids, 3)) for one in contexts[0]]
    share = (scan_features(rd, blank) * cotangents).sum() - (x[0] * cotangents).sum()
    found = integrated_gradients(rd, contexts[0], linear_scalar(cotangents), token=3)
    total = np.nansum(found.scores.values) + found.scores.others.sum()
    assert found.error.max() < 1e-2
    size = float(np.nansum(np.abs(found.scores.values)))
    assert total == pytest.approx(-share, abs=1e-2 * size)
    rough = gradient_times_input(rd, contexts[0], cotangents[None])
    assert abs(np.nansum(rough.values) - total) > 10 * abs(total + share)


def test_integrated_gradients_of_a_linear_stub_are_exact(study, read):
    """Of the embeddings themselves: one step is enough, and the scores are known."""
    rd = read("opt", 0)
    rd = replace(rd, reader=replace(rd.reader, layers=("embedding",)))
    contexts = contexts_of(study, rd)[:4]
    cotangents = np.random.default_rng(0).normal(size=(1, scan_features(rd, contexts).shape[1]))
    found = integrated_gradients(rd, contexts, linear_scalar(cotangents), token=3, n_steps=2)
    table = rd.model.get_input_embeddings().weight.detach().numpy()
    for place, one in enumerate(contexts):
        weight = np.einsum("kt,ku->tu", one.pooling, cotangents.reshape(len(one.pooling), -1))
        tokens = ((table[one.ids] - table[3]) * weight).sum(1)
        expected = [tokens[one.word_of_token == k].sum() for k in range(len(one.words))][::-1]
        values = found.scores.values[0, place, : len(expected)]
        np.testing.assert_allclose(values, expected, rtol=1e-3, atol=1e-4)


def test_squared_error_is_integrated_along_its_own_curve(fitted):
    rd, contexts, x, y, heads, _ = fitted
    scalar = squared_error_scalar(heads[1], y[1])
    found = integrated_gradients(rd, contexts[1], scalar, token=3)
    blank = [replace(one, ids=np.full_like(one.ids, 3)) for one in contexts[1]]
    before, after = (
        ((heads[1].predict(h) - y[1]) ** 2).mean(1) for h in (scan_features(rd, blank), x[1])
    )
    np.testing.assert_allclose(found.change, after - before, rtol=1e-3, atol=1e-3)


def test_contexts_that_miss_are_integrated_again_with_more_steps(fitted, monkeypatch):
    rd, contexts, x, y, heads, _ = fitted
    scalar = linear_scalar(alignment_cotangents(heads[0], x[0], y[0]))
    many = integrated_gradients(rd, contexts[0], scalar, token=3, n_steps=320)
    once, calls = integrated._integrated_once, []

    def counted(read, some, own, token, n_steps):
        calls.append((n_steps, [one.scan for one in some]))
        return once(read, some, own, token, n_steps)

    monkeypatch.setattr(integrated, "_integrated_once", counted)
    found = integrated_gradients(rd, contexts[0], scalar, token=3, n_steps=2, tolerance=1e-4)
    steps, scans = zip(*calls, strict=True)
    assert len(calls) > 1 and steps == tuple(2 * 4**k for k in range(len(calls)))
    assert scans[0] == [one.scan for one in contexts[0]]
    # Every time those that missed before, and not all of them miss alike.
    for before, after in zip(scans[:-1], scans[1:], strict=True):
        assert set(after) <= set(before)
    assert len(scans[-1]) < len(scans[0])
    assert found.error.max() <= 1e-4
    np.testing.assert_allclose(found.change, many.change, rtol=1e-3, atol=1e-6)
    scale = np.nanmax(np.abs(many.scores.values))
    np.testing.assert_allclose(found.scores.values, many.scores.values, atol=2e-3 * scale)
    np.testing.assert_allclose(found.scores.others, many.scores.others, atol=2e-3 * scale)


def by_hand(read, one, cotangent, token, n_steps):
    """Integrated gradients of one context's tokens, one point of the way after the other."""
    text = alone(read, one)[0].detach()
    added = len(read.reader.prefix)
    blank = text.clone()
    blank[0, added : added + len(one.ids)] = embed(read, torch.tensor([token]))
    points, weights = np.polynomial.legendre.leggauss(n_steps)
    total = torch.zeros_like(text)
    for point, weight in zip((points + 1) / 2, weights / 2, strict=True):
        embeddings = (blank + point * (text - blank)).requires_grad_()
        (features_of(read, one, embeddings) @ cotangent).backward()
        total += weight * embeddings.grad
    change = (features_of(read, one, text) - features_of(read, one, blank)) @ cotangent
    return (total * (text - blank)).sum(-1)[0].numpy(), float(change)


def test_scores_and_their_errors_are_those_by_hand(study, read):
    rd = read("llama")
    contexts = contexts_of(study, rd)
    rng = np.random.default_rng(0)
    cotangents = rng.normal(size=scan_features(rd, contexts).shape).astype(np.float32)
    scalar = linear_scalar(cotangents)
    found = integrated_gradients(rd, contexts, scalar, token=3, n_steps=3, tolerance=10)
    assert found.error.max() > 1e-2
    for place, one in enumerate(contexts):
        tokens, change = by_hand(rd, one, torch.tensor(cotangents[place]), 3, 3)
        scale = float(np.abs(tokens).max())
        values = found.scores.values[0, place, : len(one.words)]
        np.testing.assert_allclose(values, words_of(tokens, rd, one), atol=1e-4 * scale)
        assert found.change[place] == pytest.approx(change, abs=1e-4 * scale)
        missed = abs(tokens.sum() - change) / max(abs(change), np.abs(tokens).sum())
        assert found.error[place] == pytest.approx(missed, rel=1e-2, abs=1e-5)


def test_too_few_steps_are_an_error(fitted):
    rd, contexts, x, y, heads, _ = fitted
    scalar = linear_scalar(alignment_cotangents(heads[0], x[0], y[0]))
    with pytest.raises(InputError, match=r"With 4 steps, integrated gradients at scan \d+ of run"):
        integrated_gradients(
            rd, contexts[0], scalar, token=3, n_steps=1, tolerance=1e-4, most_steps=15
        )
