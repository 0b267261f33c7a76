"""Next-word prediction: against transformers' own loss, and in every place that it is read."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from tiny_attribution import CAUSAL, contexts_of, reader, text_study

from brainalign.attribution.next_word import features_and_loss, next_word_loss, next_word_scores
from brainalign.attribution.reading import scan_features


@pytest.fixture(scope="module")
def study():
    return text_study()


@pytest.fixture(scope="module")
def read(tmp_path_factory):
    return reader(tmp_path_factory.mktemp("models"))


@pytest.mark.parametrize("family", CAUSAL)
def test_loss_of_the_next_word_is_that_of_the_whole_model(study, read, family, tmp_path):
    import transformers

    rd = read(family)
    contexts = contexts_of(study, rd)
    losses = next_word_loss(rd, contexts)
    model = transformers.AutoModelForCausalLM.from_pretrained(
        rd.language_model.info.name, dtype=torch.float32
    )
    for place in (0, len(contexts) - 1):
        one = contexts[place]
        ids = [*rd.reader.prefix, *one.ids, *one.next_ids[-1:]]
        labels = torch.full((1, len(ids)), -100)
        labels[0, -len(one.next_ids) :] = torch.tensor(one.next_ids)
        with torch.no_grad():
            expected = model.eval()(torch.tensor([ids]), labels=labels).loss.item()
        assert losses[place] == pytest.approx(expected, rel=1e-4)
    scores, again = next_word_scores(rd, contexts)
    np.testing.assert_allclose(again, losses, rtol=1e-4)
    assert scores.values.shape[:2] == (1, len(contexts)) and np.nanmax(np.abs(scores.values)) > 0


@pytest.mark.parametrize("family", ["gpt2", "opt", "llama", "mamba"])
def test_the_lens_at_the_last_layer_is_the_output(study, read, family):
    """The last block's state through the final norm and the head is what the model says."""
    rd = read(family)
    contexts = contexts_of(study, rd)
    blocks = [number for number, name in enumerate(rd.reader.layers) if name == "block 3"]
    last = replace(rd, layer=blocks[0]) if blocks else replace(rd, layer=len(rd.reader.layers) - 1)
    lens = next_word_loss(last, contexts, "layer")
    np.testing.assert_allclose(lens, next_word_loss(rd, contexts), rtol=1e-4)
    early = next_word_loss(replace(rd, layer=1), contexts, "layer")
    assert np.abs(early - lens).max() > 1e-3


def test_prediction_over_the_pooled_words(study, read):
    rd = read("gpt2")
    (one, *_) = contexts_of(study, rd)
    ids = torch.tensor(one.ids)[None]
    with torch.no_grad():
        logits = rd.language_model.head(rd.model(ids).last_hidden_state)[0]
    surprise = torch.nn.functional.cross_entropy(logits[:-1], ids[0, 1:], reduction="none").numpy()
    pooled = np.flatnonzero(one.pooling.any(0))
    expected = surprise[pooled[pooled > 0] - 1].mean()
    assert next_word_loss(rd, [one], "pooled words")[0] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("family", [*CAUSAL, "bert"])
@pytest.mark.parametrize("layer", [0, 1, 2, -1])
def test_features_and_loss_are_those_of_two_passes(study, read, family, layer):
    rd = read(family, layer)
    contexts = contexts_of(study, rd)
    h, loss = features_and_loss(rd, contexts)
    np.testing.assert_allclose(h, scan_features(rd, contexts), rtol=1e-5, atol=1e-6)
    if family == "bert":
        assert loss is None
    else:
        np.testing.assert_allclose(loss, next_word_loss(rd, contexts), rtol=1e-5)


def test_one_pass_serves_features_and_loss_of_the_last_layer(study, read):
    rd = read("llama", -1)
    contexts, calls = contexts_of(study, rd), []
    hook = rd.model.register_forward_pre_hook(lambda *_: calls.append(1))
    scan_features(rd, contexts)
    once = len(calls)
    features_and_loss(rd, contexts)
    hook.remove()
    assert len(calls) == 2 * once


def test_where_a_story_ends_there_is_no_loss(study, read):
    rd = read("gpt2", -1)
    silent = replace(study.runs[0], n_scans=40)
    contexts = contexts_of(replace(study, runs=(silent,)), rd)
    _, loss = features_and_loss(rd, contexts)
    ended = np.array([len(one.next_ids) == 0 for one in contexts])
    assert ended.any() and not ended.all()
    np.testing.assert_array_equal(np.isnan(loss), ended)
