"""What a listener's brain could follow in the story, as numbers for every word.

Five families: *surface* (a word is heard, how long, how frequent it is), *lexical* (which word it
is, whatever the context), *syntax*, *event* (who does what to whom in the current clause) and
*discourse* (where we are, what is intended, by whom; remembered until the next scene).
"""

from collections import Counter

import numpy as np
import pandas as pd

from brainalign.studies.testbed.config import FAMILIES
from brainalign.studies.testbed.languages.language import Language
from brainalign.studies.testbed.sentence import (
    N_PATIENT_CLASSES,
    N_VERB_CLASSES,
    PARTS_OF_SPEECH,
    Sentence,
    Word,
)

N_LEXICAL = 12


def word_latents(sentences: list[Sentence], language: Language) -> pd.DataFrame:
    """Latents of every word of a story.

    Parameters
    ----------
    sentences
        The story, in order; the discourse carries over from one sentence to the next.
    language
        Its language, for the sizes of the categories.

    Returns
    -------
    pandas.DataFrame
        One row per word; columns are a MultiIndex (family, name), 87 of them in English.
    """
    words = [word for sentence in sentences for word in sentence.words]
    parts = {
        "surface": _surface(words),
        "lexical": _lexical(words, language),
        "syntax": _syntax(sentences),
        "event": _event(words, language),
        "discourse": _discourse(sentences, language),
    }
    return pd.concat(
        {family: parts[family] for family in FAMILIES}, axis=1, names=["family", "name"]
    )


def _surface(words: list[Word]) -> pd.DataFrame:
    counts = Counter(word.form for word in words)
    return pd.DataFrame(
        {
            "onset": 1.0,
            "length": [len(word.form) for word in words],
            "log frequency": np.log([counts[word.form] / len(words) for word in words]),
        }
    )


def _lexical(words: list[Word], language: Language) -> pd.DataFrame:
    # A fixed vector for each form: the same story has the same meanings for every simulated brain.
    rng = np.random.default_rng(len(language.vocabulary()))
    vectors = dict(
        zip(
            language.vocabulary(),
            rng.standard_normal((len(language.vocabulary()), N_LEXICAL)),
            strict=True,
        )
    )
    values = np.stack([vectors[word.form.lower()] for word in words])
    return pd.DataFrame(values, columns=[f"meaning {i + 1}" for i in range(N_LEXICAL)])


def _syntax(sentences: list[Sentence]) -> pd.DataFrame:
    rows = []
    for sentence in sentences:
        seen: Counter = Counter()
        for word in sentence.words:
            clause = word.clause
            seen[id(clause)] += 1
            rows.append(
                {
                    "depth": clause.depth,
                    "open constituents": word.open,
                    "embedded": clause.depth > 0,
                    "relative clause": clause.relative,
                    "subordinate clause": clause.subordinate,
                    "coordinated clause": clause.coordinated,
                    "passive": clause.passive,
                    "plural": word.plural,
                    "position in clause": seen[id(clause)],
                    "clause begins": seen[id(clause)] == 1,
                }
            )
    parts = [word.part_of_speech for sentence in sentences for word in sentence.words]
    onehot = pd.DataFrame({name: [part == name for part in parts] for name in PARTS_OF_SPEECH})
    return pd.concat([onehot, pd.DataFrame(rows)], axis=1).astype(float)


def _event(words: list[Word], language: Language) -> pd.DataFrame:
    sizes = {
        "agent": len(language.names) + 2,
        "verb": N_VERB_CLASSES,
        "patient": N_PATIENT_CLASSES,
    }
    known: dict[int, dict[str, int]] = {}
    states = []
    for word in words:
        # Keyed by clause, so that after a relative clause the main clause's agent is back.
        state = known.setdefault(id(word.clause), {})
        state.update((slot, number) for slot, number in word.tells if slot in sizes)
        states.append(dict(state))
    return _indicators(states, sizes)


def _discourse(sentences: list[Sentence], language: Language) -> pd.DataFrame:
    sizes = {
        "scene": len(language.places),
        "goal": len(language.goal_verbs),
        "protagonist": len(language.names),
    }
    state: dict[str, int] = {}
    states, past = [], []
    for sentence in sentences:
        for word in sentence.words:
            state.update((slot, number) for slot, number in word.tells if slot in sizes)
            states.append(dict(state))
            past.append(float(sentence.past))
    return _indicators(states, sizes).assign(past=past)


def _indicators(states: list[dict[str, int]], sizes: dict[str, int]) -> pd.DataFrame:
    columns = {}
    for slot, size in sizes.items():
        values = np.array([state.get(slot, -1) for state in states])
        columns |= {f"{slot} {i + 1}": (values == i).astype(float) for i in range(size)}
    return pd.DataFrame(columns)
