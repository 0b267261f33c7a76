"""Gradients of readouts: independent implementations, exact sums, and planted truth."""

from dataclasses import replace

import numpy as np
import pytest
import tiny_models
import torch
from captum.attr import InputXGradient
from tiny_attribution import (
    CAUSAL,
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

from brainalign.attribution.contexts import run_contexts
from brainalign.attribution.gradients import gradient_times_input
from brainalign.attribution.heads import (
    alignment_scalars,
    fit_heads,
    squared_error_cotangents,
    voxel_basis,
)
from brainalign.attribution.next_word import next_word_loss
from brainalign.attribution.reading import batches, embed, features, reading, scan_features
from brainalign.errors import InputError
from brainalign.loading import load_language_model
from brainalign.study import standardise


@pytest.fixture(scope="module")
def study():
    return text_study()


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    return reader(tmp_path_factory.mktemp("models"))


@pytest.fixture(scope="module")
def fitted(study, read):
    return fitted_to(study, read("gpt2"))


def test_a_context_holds_the_words_of_its_scans_and_those_before(study, read):
    rd = read("llama")
    table = study.runs[0].words
    for one in contexts_of(study, rd):
        ends = np.floor(table["offset"].to_numpy() / study.tr + 1e-9)
        pooled = np.flatnonzero((ends >= one.scan - 4) & (ends <= one.scan - 1))
        assert one.words.tolist() == list(range(max(pooled[0] - N_WORDS, 0), pooled[-1] + 1))
        for delay, weights in enumerate(one.pooling, start=1):
            of_words = np.bincount(one.word_of_token, weights, minlength=len(one.words))
            heard = one.words[np.flatnonzero(of_words > 0)]
            assert heard.tolist() == np.flatnonzero(ends == one.scan - delay).tolist()
            np.testing.assert_allclose(of_words[of_words > 0], 1 / max(len(heard), 1), rtol=1e-5)
        said = rd.language_model.tokenizer.decode([*one.ids, *one.next_ids[-1:]]).split()
        assert said[0].strip(".") == table["word"][one.words[0]].strip(".")
        assert len(one.next_ids) == 0 or pooled[-1] + 1 < len(table)


def test_contexts_at_the_end_of_a_story_have_nothing_to_predict(study, read):
    silent = replace(study.runs[0], n_scans=40)
    one = contexts_of(replace(study, runs=(silent,)), read("gpt2"))[-1]
    assert len(one.next_ids) == 0 and not one.pooling.any() and len(one.words) == N_WORDS


@pytest.mark.parametrize("family", [*CAUSAL, "bert"])
@pytest.mark.parametrize("layer", [0, 2, -1])
def test_features_are_pooled_states_however_they_are_made(study, read, family, layer):
    rd = read(family, layer)
    contexts = contexts_of(study, rd)
    made = scan_features(rd, contexts)
    for batch in batches(rd, contexts, batch_tokens=100):
        again = features(rd, batch).detach().numpy()
        np.testing.assert_allclose(again, made[batch.places], rtol=1e-4, atol=1e-5)
    for place in (0, len(contexts) - 1):
        apart = alone(rd, contexts[place])[1].detach().numpy()
        np.testing.assert_allclose(apart, made[place], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("family", [*CAUSAL, "bert"])
def test_embeddings_and_identities_give_the_same_states(read, family):
    rd = read(family)
    ids = torch.tensor([[3, 5, 7, 4, 6, 9]])
    with torch.no_grad():
        one = rd.model(input_ids=ids).last_hidden_state
        two = rd.model(inputs_embeds=embed(rd, ids)).last_hidden_state
    assert torch.equal(one, two)


@pytest.mark.parametrize("family", [*CAUSAL, "bert"])
def test_one_product_equals_captum_and_autograd_through_the_whole_chain(study, read, family):
    rd = read(family)
    contexts = contexts_of(study, rd)
    head = head_of(scan_features(rd, contexts).shape[1])
    y = np.random.default_rng(1).normal(size=(len(contexts), 7))
    cotangents = squared_error_cotangents(head, scan_features(rd, contexts), y)
    found = gradient_times_input(rd, contexts, cotangents[None])
    measured = torch.tensor(standardise(y))
    for place in (0, 5, len(contexts) - 1):
        one = contexts[place]

        def error(embeddings, place=place, one=one):
            h = features_of(rd, one, embeddings)
            y_hat = (h - torch.tensor(head.mean)) @ torch.tensor(head.weights)
            return ((y_hat - measured[place]) ** 2).mean()[None]

        embeddings = alone(rd, one)[0].detach().requires_grad_()
        expected = InputXGradient(error).attribute(embeddings).detach().sum(-1)[0].numpy()
        plain = embeddings.detach().clone().requires_grad_()
        error(plain).backward()
        np.testing.assert_allclose((plain.grad * plain.detach()).sum(-1)[0], expected, rtol=1e-5)
        wanted = words_of(expected, rd, one)
        scale = np.abs(wanted).max()
        values = found.values[0, place]
        np.testing.assert_allclose(values[: len(wanted)], wanted, atol=1e-4 * scale)
        assert np.isnan(values[len(wanted) :]).all()
        # Words and the rest add up to the tokens.
        total = np.nansum(values) + found.others[0, place]
        assert total == pytest.approx(expected.sum(), abs=1e-4 * float(scale))


def test_few_products_give_all_voxels(study, read):
    rd = read("gpt2")
    contexts = contexts_of(study, rd)[:3]
    rng = np.random.default_rng(0)
    n_features = scan_features(rd, contexts).shape[1]
    low = rng.normal(size=(n_features, 5)) @ rng.normal(size=(5, 60))
    basis, mixing = voxel_basis(low)
    assert basis.shape == (5, 1, n_features) and mixing.shape == (60, 5)
    mixed = np.einsum("vk,ksd->vsd", mixing, gradient_times_input(rd, contexts, basis).values)
    for place, one in enumerate(contexts):
        embeddings, h = alone(rd, one)
        direct = []
        for weight in torch.tensor(low.T, dtype=torch.float32):
            (gradient,) = torch.autograd.grad(h @ weight, embeddings, retain_graph=True)
            direct.append(words_of((gradient * embeddings).detach().sum(-1)[0].numpy(), rd, one))
        found = mixed[:, place, : len(one.words)]
        np.testing.assert_allclose(found, direct, atol=1e-5 * np.abs(direct).max())


def test_words_that_come_later_get_nothing(study, read):
    """The tokens of the next word are in the text, but no readout listens to them."""
    rd = read("mamba")
    contexts = contexts_of(study, rd)
    assert max(len(one.next_ids) for one in contexts) > 2 and not rd.reader.prefix
    rng = np.random.default_rng(0)
    cotangents = rng.normal(size=(2, len(contexts), scan_features(rd, contexts).shape[1]))
    found = gradient_times_input(rd, contexts, cotangents)
    np.testing.assert_allclose(found.others, 0, atol=1e-5 * np.nanmax(np.abs(found.values)))
    for batch in batches(rd, contexts):
        embeddings = batch.embeddings.requires_grad_()
        (gradient,) = torch.autograd.grad(features(rd, batch).sum(), embeddings)
        for row, place in enumerate(batch.places):
            one = contexts[place]
            after = np.flatnonzero(one.word_of_token == len(one.words))
            assert not gradient[row, after].any()
            assert not gradient[row, len(one.ids) :].any()


def test_padding_of_an_encoder_gets_nothing(study, read):
    rd = read("bert")
    contexts = contexts_of(study, rd)
    (batch, *_) = batches(rd, contexts)
    embeddings = batch.embeddings.requires_grad_()
    (gradient,) = torch.autograd.grad(features(rd, batch).sum(), embeddings)
    assert not batch.mask.all()
    assert not gradient[batch.mask == 0].any() and gradient[batch.mask == 1].any()


def test_batches_of_any_size_give_the_same(study, read, monkeypatch):
    rd = read("llama")
    contexts = contexts_of(study, rd)
    cotangents = np.random.default_rng(0).normal(size=(2, 1, 4 * tiny_models.WIDTH))
    together = gradient_times_input(rd, contexts, cotangents)
    monkeypatch.setattr("brainalign.attribution.reading.batches.__defaults__", (50,))
    apart = gradient_times_input(rd, contexts, cotangents)
    scale = np.nanmax(np.abs(together.values))
    np.testing.assert_allclose(apart.values, together.values, atol=1e-5 * scale)
    np.testing.assert_allclose(apart.others, together.others, atol=1e-5 * scale)


def test_heads_are_the_ridge_that_was_scored(fitted):
    _, _, x, y, heads, r = fitted
    for run, head in enumerate(heads):
        predicted = head.predict(x[run])
        mine = [np.corrcoef(a, b)[0, 1] for a, b in zip(predicted.T, y[run].T, strict=True)]
        np.testing.assert_allclose(mine, r[run], atol=2e-4)


def test_shifted_responses_carry_no_alignment(study, read):
    """Responses that follow the text of another time: the scalars of the run sum to next to 0."""
    rd = read("gpt2")
    rng = np.random.default_rng(0)
    long = [tiny_models.text_of(60, seed) for seed in range(3)]
    longer = tiny_models.study_of(long)
    runs = tuple(replace(run, n_scans=len(run.words) * 2 // 6 // 2) for run in longer.runs)
    longer = replace(longer, runs=runs, trim=(4, 1))
    x = [scan_features(rd, contexts_of(longer, rd, run)) for run in range(3)]
    weights = rng.normal(size=(x[0].shape[1], 40))
    signal = [part @ weights for part in x]
    heads, r = fit_heads(x, signal)
    moved = np.roll(signal[0], len(signal[0]) // 2, axis=0)
    assert alignment_scalars(heads[0], x[0], signal[0]).sum() > 0.5
    assert abs(alignment_scalars(heads[0], x[0], moved).sum()) < 0.25


def test_words_that_a_region_follows_come_first(study, read):
    """Voxels that follow one word's embedding only: that word ranks first wherever it is heard."""
    rd = read("gpt2", 1)
    word = "king"
    contexts = contexts_of(study, rd)
    table = study.runs[0].words["word"].str.strip(".!?;,").str.lower()
    (token,) = rd.language_model.tokenizer(word)["input_ids"]
    direction = embed(rd, torch.tensor([token]))[0].numpy()
    others = embed(rd, torch.arange(rd.model.config.vocab_size)).numpy()
    others = np.delete(others, token, axis=0)
    # What of the word's embedding no other word has: least squares with 1 for it and 0 for others.
    weight = np.linalg.lstsq(
        np.vstack([direction, others]), np.eye(len(others) + 1)[0], rcond=None
    )[0]
    rd = replace(rd, layer=0)
    cotangent = np.tile(weight, len(contexts[0].pooling))
    scores = np.abs(gradient_times_input(rd, contexts, cotangent[None, None]).values[0])
    hits = 0
    for row, one in zip(scores, contexts, strict=True):
        heard = one.pooling.any(0)[np.searchsorted(one.word_of_token, np.arange(len(one.words)))]
        there = (table.to_numpy()[one.words] == word) & heard
        if there.any():
            assert there[::-1][np.nanargmax(row[: len(one.words)])]
            hits += 1
    assert hits > 3


def test_bad_input_is_one_sentence(study, read, tmp_path):
    rd = read("gpt2")
    tokenizer = rd.language_model.tokenizer
    with pytest.raises(InputError, match=r"n_context is 90 words; .* the model has 30 positions"):
        run_contexts(study, 0, tokenizer, 90, 30)
    with pytest.raises(InputError, match="n_context is 0; 1 word or more"):
        run_contexts(study, 0, tokenizer, 0)
    with pytest.raises(InputError, match="layer is 9; model .* has layers 0 to 3"):
        reading(rd.language_model, 9)
    with pytest.raises(InputError, match=r"cotangents has shape \(2, 3\)"):
        gradient_times_input(rd, contexts_of(study, rd), np.zeros((2, 3)))
    with pytest.raises(InputError, match="place is 'input'"):
        next_word_loss(rd, contexts_of(study, rd), "input")
    with pytest.raises(InputError, match="has no output head"):
        next_word_loss(read("bert"), contexts_of(study, read("bert")))
    path = tiny_models.save_model(tmp_path / "bert", "bert")
    with pytest.raises(InputError, match="predicts no next word"):
        load_language_model(str(path), head=True)


def test_a_model_that_takes_no_embeddings_is_one_sentence(read):
    language_model = read("gpt2").language_model

    class Deaf(torch.nn.Module):
        config, device = language_model.model.config, torch.device("cpu")

        def __init__(self):
            super().__init__()
            self.body = language_model.model

        def get_input_embeddings(self):
            return self.body.get_input_embeddings()

        def forward(self, input_ids=None, inputs_embeds=None, **options):
            if input_ids is None:
                input_ids = torch.zeros(inputs_embeds.shape[:2], dtype=torch.long)
            return self.body(input_ids=input_ids, **options)

    with pytest.raises(InputError, match="has no gradients through its token embeddings"):
        reading(replace(language_model, model=Deaf()), 1)
