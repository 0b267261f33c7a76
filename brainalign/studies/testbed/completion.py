"""Which of four sentences goes on with the story: a forced choice, generated from the world.

A measure of what a language model has understood, as HellaSwag is in Bonnasse-Gahot & Pallier
(2024). Only the opening tells where the scene is and what for; six sentences without any hint
follow. The four endings are one sentence told with the same choices at the scene's place or another
and for the scene's goal or another: they differ in nothing but the place's objects and the goal's
verbs, which were not said before, and have equally many tokens. Who knows only the place, or
only the goal, finds half of them; chance is a quarter.
"""

from dataclasses import dataclass, replace
from itertools import count

import numpy as np

from brainalign.errors import InputError
from brainalign.studies.testbed.config import StoryConfig
from brainalign.studies.testbed.languages import LANGUAGES
from brainalign.studies.testbed.sentence import Scene, Sentence
from brainalign.studies.testbed.story import Narrator
from brainalign.studies.testbed.tokens import encode_sentences

N_BODY = 6
# With a setting full of cues, all but the smallest models would find nearly every ending.
CONTEXT = StoryConfig(setting_sentences=(0, 0), body_sentences=(N_BODY, N_BODY), body_cue=0)
# One plain clause about a thing. A phrase like "in the forest" would repeat the opening.
ENDING = StoryConfig(
    animate_patient=0, complement=0, coordinate=0, prepositional=0, relative=0, subordinate=0
)


@dataclass(frozen=True, eq=False)
class CompletionItem:
    """A scene so far and four sentences of which one belongs to it.

    Attributes
    ----------
    context : numpy.ndarray of int
        Tokens of the opening and the sentences after it, shape (tokens,).
    endings : numpy.ndarray of int
        Tokens of the endings, shape (4, tokens).
    answer : int
        Number of the right one.
    """

    context: np.ndarray
    endings: np.ndarray
    answer: int


def completion_items(
    language: str = "en", n_items: int = 400, seed: int = 0, longest: int = 128
) -> list[CompletionItem]:
    """Items of the task.

    Parameters
    ----------
    language
        Key of `LANGUAGES`.
    n_items
        How many; more begin with the same ones.
    seed
        Of the scenes. They are told from random numbers of their own: no model was trained on them.
    longest
        Most tokens of context and ending together, which every model has to be able to read.

    Raises
    ------
    InputError
        Where hardly any scene is that short.
    """
    items: list[CompletionItem] = []
    for number in count():
        if len(items) == n_items:
            return items
        item = _make_item(language, [seed, 7, number])
        if item and len(item.context) + item.endings.shape[1] <= longest:
            items.append(item)
        if number > 100 * (len(items) + 1):
            raise InputError(
                f"Completion: longest is {longest} tokens, and hardly any scene in "
                f"{LANGUAGES[language].name} is that short; 128 are expected, 256 in Chinese."
            )


def _make_item(language: str, seed: list[int]) -> CompletionItem | None:
    """One item, unless its words were said before or its endings are of unequal length."""
    spoken, rng = LANGUAGES[language], np.random.default_rng([*seed, 0])
    narrator = Narrator(spoken, CONTEXT, np.random.default_rng([*seed, 1]))
    told = narrator.sentences()
    context = [next(told) for _ in range(1 + N_BODY)]
    scene = replace(narrator.scene, cue=1.0)
    place = _another(scene.place, len(spoken.places), rng)
    goal = _another(scene.goal, len(spoken.goal_verbs), rng)

    def ending(**elsewhere: int) -> Sentence:
        changed: Scene = replace(scene, **elsewhere)
        return Narrator(spoken, ENDING, np.random.default_rng([*seed, 2])).go_on(changed)

    right = ending()
    wrong = [ending(place=place), ending(goal=goal), ending(place=place, goal=goal)]
    tokens = [encode_sentences([sentence], language) for sentence in (right, *wrong)]
    telling = [_lemmas([right]) - _lemmas([sentence]) for sentence in wrong]
    unlike = len({len(some) for some in tokens}) > 1 or len({*map(_frame, (right, *wrong))}) > 1
    if unlike or not all(telling):
        return None
    if set().union(*telling) & _lemmas(context):
        return None
    order = rng.permutation(len(tokens))
    endings = np.stack(tokens)[order]
    return CompletionItem(encode_sentences(context, language), endings, int(order.argmin()))


def _another(number: int, n: int, rng: np.random.Generator) -> int:
    return int((number + rng.integers(1, n)) % n)


def _frame(sentence: Sentence) -> tuple[str, ...]:
    """What agrees with nouns and verbs: "a" or "an", gender, measure word."""
    return tuple(w.form for w in sentence.words if w.part_of_speech not in ("noun", "verb"))


def _lemmas(sentences: list[Sentence]) -> set[str]:
    return {word.lemma for sentence in sentences for word in sentence.words}


def ending_scores(model, items: list[CompletionItem], batch: int = 32) -> np.ndarray:
    """Log probability of every ending after its context.

    Parameters
    ----------
    model
        Causal language model of the items' language.
    items
        From `completion_items`.
    batch
        Items at a time.

    Returns
    -------
    numpy.ndarray
        Shape (items, 4), in nats, summed over the ending's tokens.
    """
    scores = []
    for start in range(0, len(items), batch):
        scores += _score(model, items[start : start + batch])
    return np.array(scores)


def _score(model, items: list[CompletionItem]) -> list[list[float]]:
    import torch

    n_endings = len(items[0].endings)
    texts = [np.append(item.context, ending) for item in items for ending in item.endings]
    # What is filled up behind the ending is never seen by a causal model.
    tokens = np.zeros((len(texts), max(map(len, texts))), dtype=np.int64)
    for row, text in zip(tokens, texts, strict=True):
        row[: len(text)] = text
    inputs = torch.as_tensor(tokens)
    with torch.inference_mode():
        logits = model(inputs).logits[:, :-1].float()
        said = logits.gather(2, inputs[:, 1:, None])[..., 0] - logits.logsumexp(dim=2)
    scores = []
    for number, item in enumerate(items):
        first, stop = len(item.context) - 1, len(item.context) + item.endings.shape[1] - 1
        rows = slice(n_endings * number, n_endings * (number + 1))
        scores.append(said[rows, first:stop].sum(dim=1).tolist())
    return scores


def accuracy(scores: np.ndarray, items: list[CompletionItem]) -> float:
    """Part of the items whose right ending has the highest score; .25 by chance.

    Parameters
    ----------
    scores
        Shape (items, 4).
    items
        From `completion_items`.
    """
    answers = np.array([item.answer for item in items])
    return float((np.asarray(scores).argmax(axis=1) == answers).mean())


def completion_accuracy(model, items: list[CompletionItem]) -> float:
    """Part of the items in which a model finds the right ending the most probable one.

    Parameters
    ----------
    model
        Causal language model of the items' language.
    items
        From `completion_items`.
    """
    return accuracy(ending_scores(model, items), items)
