"""The completion task: what the items are, and that nothing but the scene gives the answer away."""

from collections import Counter

import numpy as np
import pytest

from brainalign.errors import InputError
from brainalign.studies.testbed.completion import (
    accuracy,
    completion_accuracy,
    completion_items,
    ending_scores,
)
from brainalign.studies.testbed.config import StoryConfig
from brainalign.studies.testbed.languages import LANGUAGES
from brainalign.studies.testbed.languages.language import all_forms
from brainalign.studies.testbed.story import write
from brainalign.studies.testbed.tokens import encode_sentences, token_numbers

LONGEST = {"en": 128, "fr": 128, "cn": 256}


@pytest.fixture(scope="module", params=list(LANGUAGES))
def task(request):
    code = request.param
    return code, completion_items(code, 200, longest=LONGEST[code])


@pytest.fixture(scope="module")
def untrained():
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    torch.manual_seed(0)
    size = len(token_numbers("en"))
    config = GPT2Config(vocab_size=size, n_positions=128, n_embd=8, n_layer=1, n_head=1,
                        initializer_range=0.5, bos_token_id=0, eos_token_id=0, pad_token_id=0)  # fmt: skip
    return GPT2LMHeadModel(config).eval()


def telling_words(code):
    """Tokens of every object and verb form that tells a place or a goal -> which one."""
    language, numbers = LANGUAGES[code], token_numbers(code)
    told = {}
    for place, objects in enumerate(language.scene_objects):
        told |= dict.fromkeys((language.places[place], *objects), ("place", place))
    for goal, verbs in enumerate(language.goal_verbs):
        forms = {form for verb in verbs for forms in verb for form in all_forms(forms)}
        told |= dict.fromkeys(forms, ("goal", goal))
    return {
        tuple(numbers[token] for token in language.tokens_of(form)): meaning
        for form, meaning in told.items()
    }


def meanings(tokens, told):
    """Places and goals told in a row of tokens; the longest word that fits is read."""
    found, start = Counter(), 0
    while start < len(tokens):
        for length in (3, 2, 1):
            word = tuple(tokens[start : start + length])
            if len(word) == length and word in told:
                found[told[word]] += 1
                start += length - 1
                break
        start += 1
    return found


def test_endings_are_equal_but_for_what_tells_the_scene(task):
    code, items = task
    told = telling_words(code)
    for item in items:
        assert item.endings.shape[0] == 4 and len(np.unique(item.endings, axis=0)) == 4
        assert len(item.context) + item.endings.shape[1] <= LONGEST[code]
        read = [meanings(ending.tolist(), told) for ending in item.endings]
        # Two places, two goals, each pair once: no ending is the odd one out.
        pairs = {tuple(sorted(found)) for found in read}
        assert len(pairs) == 4 and all(len(pair) == 2 for pair in pairs)
        assert len(set().union(*pairs)) == 4


def test_who_knows_the_scene_is_always_right(task):
    code, items = task
    told = telling_words(code)
    scores = [
        [
            len(set(meanings(ending.tolist(), told)) & set(meanings(item.context.tolist(), told)))
            for ending in item.endings
        ]
        for item in items
    ]
    assert accuracy(np.array(scores), items) == 1


def test_the_words_in_which_endings_differ_were_not_said_before(task):
    code, items = task
    for item in items:
        differ = item.endings[:, (item.endings != item.endings[0]).any(axis=0)]
        # Chinese words share characters, but their words are as new.
        assert differ.size and (code == "cn" or not set(differ.ravel()) & set(item.context))


def test_frequent_words_and_words_said_before_give_nothing_away(task):
    code, items = task
    story = write(LANGUAGES[code], StoryConfig(), np.random.default_rng(0), 60_000)
    tokens = encode_sentences(story, code)
    counts = np.bincount(tokens, minlength=len(token_numbers(code))) + 1
    pairs = Counter(zip(tokens, tokens[1:], strict=False))
    chance = pytest.approx(0.25, abs=0.1)  # three standard errors of 200 items
    frequent = [[np.log(counts[ending]).sum() for ending in item.endings] for item in items]
    assert accuracy(np.array(frequent), items) == chance
    said = [[np.isin(ending, item.context).sum() for ending in item.endings] for item in items]
    assert accuracy(np.array(said), items) == chance
    neighbours = [
        [
            sum(np.log(pairs[pair] + 1) for pair in zip(ending, ending[1:], strict=False))
            for ending in item.endings
        ]
        for item in items
    ]
    assert accuracy(np.array(neighbours), items) == chance
    first = np.bincount([item.answer for item in items], minlength=4)
    assert first.min() > 30


def test_items_are_reproducible_and_begin_alike():
    few, many = completion_items(n_items=5), completion_items(n_items=8)
    other = completion_items(n_items=5, seed=1)
    for one, same in zip(few, many, strict=False):
        assert np.array_equal(one.context, same.context) and one.answer == same.answer
        assert np.array_equal(one.endings, same.endings)
    assert not np.array_equal(few[0].context, other[0].context)


def test_scores_are_sums_of_log_probabilities(untrained):
    # Opposite: one text at a time, no filling up, softmax word by word.
    import torch

    items = completion_items(n_items=5)
    scores = ending_scores(untrained, items, batch=3)
    for item, row in zip(items, scores, strict=True):
        for ending, score in zip(item.endings, row, strict=True):
            text = torch.as_tensor(np.append(item.context, ending))[None]
            with torch.no_grad():
                said = torch.log_softmax(untrained(text).logits[0].double(), dim=1)
            expected = sum(
                said[len(item.context) + place - 1, token].item()
                for place, token in enumerate(ending)
            )
            assert score == pytest.approx(expected, abs=1e-3)


def test_untrained_is_at_chance(untrained):
    items = completion_items(n_items=200)
    assert completion_accuracy(untrained, items) == pytest.approx(0.25, abs=0.1)


def test_scenes_that_do_not_fit_are_one_sentence():
    with pytest.raises(InputError, match="longest is 40 tokens"):
        completion_items("en", 10, longest=40)
