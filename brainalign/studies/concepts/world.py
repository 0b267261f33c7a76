"""Concepts of the testbed's story world: what they are, and the sentences and words that show them.

A concept is a place, a purpose, a thing found in one place, a thing found anywhere, a being or an
act that serves one goal: 180 in English. What a concept shares with others (its kind, its place,
its goal) shows in the sentences that it comes in, so that a language model of the zoo can know it.
"""

import numpy as np
import pandas as pd

from brainalign.studies.testbed.config import StoryConfig
from brainalign.studies.testbed.languages import LANGUAGES
from brainalign.studies.testbed.sentence import Scene
from brainalign.studies.testbed.story import Narrator

N_STIMULI = 6
#: Fewest and most words of a sentence; the mean is that of Pereira et al. (2018), 6.8.
SENTENCE_WORDS = (4, 8)
#: Words of a cloud, the concept's own included.
CLOUD_WORDS = 6
#: Numbers that tell every concept from all others, whatever it shares with them.
N_MEANINGS = 12

_ENGLISH = LANGUAGES["en"]
# One clause; places and purposes are named in prepositional phrases.
_CLAUSE = StoryConfig(complement=0, coordinate=0, relative=0, subordinate=0, prepositional=0.7)


def concept_table() -> pd.DataFrame:
    """Every concept of the world.

    Returns
    -------
    pandas.DataFrame
        Columns `concept` (a noun, or a verb's infinitive), `kind`, and `place` and `goal`: its
        number, -1 where it has none. In the order of the alphabet.
    """
    rows = [(name, "place", place, -1) for place, name in enumerate(_ENGLISH.places)]
    rows += [(name, "purpose", -1, goal) for goal, name in enumerate(_ENGLISH.purposes)]
    for place, names in enumerate(_ENGLISH.scene_objects):
        rows += [(name, "thing of a place", place, -1) for name in names]
    rows += [(name, "thing", -1, -1) for name in _ENGLISH.objects]
    rows += [(name, "being", -1, -1) for name, _ in _ENGLISH.animates]
    for goal, verbs in enumerate(_ENGLISH.goal_verbs):
        rows += [(verb.infinitive, "act", -1, goal) for verb in verbs]
    table = pd.DataFrame(rows, columns=["concept", "kind", "place", "goal"])
    return table.sort_values("concept", ignore_index=True)


def concept_latents(table: pd.DataFrame) -> pd.DataFrame:
    """What there is to know of every concept, as numbers.

    Parameters
    ----------
    table
        From `concept_table`.

    Returns
    -------
    pandas.DataFrame
        One row per concept; columns are a MultiIndex (family, name): indicators of "kind", "place"
        and "goal", which several concepts share, and "meaning", random numbers of its own.
    """
    shared = {
        family: pd.get_dummies(table[family].loc[table[family] != -1], dtype=float)
        .reindex(table.index, fill_value=0.0)
        .rename(columns=lambda value: f"{value}")
        for family in ("kind", "place", "goal")
    }
    # The same for every simulated brain, as in the testbed's story.
    meanings = np.random.default_rng(len(table)).standard_normal((len(table), N_MEANINGS))
    own = pd.DataFrame(meanings, columns=[f"meaning {i + 1}" for i in range(N_MEANINGS)])
    return pd.concat({**shared, "meaning": own}, axis=1, names=["family", "name"])


def stimulus_table(table: pd.DataFrame, rng: np.random.Generator) -> pd.DataFrame:
    """The words that every stimulus shows.

    Parameters
    ----------
    table
        From `concept_table`.
    rng
        Source of all choices.

    Returns
    -------
    pandas.DataFrame
        Columns `paradigm`, `concept`, `stimulus` (from 1) and `text`. As in Pereira et al. (2018)
        there are six sentences; every picture has the concept's name, and the word clouds are
        arrangements of the same six words.
    """
    sentences = _sentences(table, rng)
    rows = []
    for row in table.itertuples():
        cloud = " ".join([row.concept, *_kin(table, row, rng)])
        for number in range(N_STIMULI):
            texts = (sentences[row.concept][number], row.concept, cloud)
            for paradigm, text in zip(("sentences", "pictures", "word_clouds"), texts, strict=True):
                rows.append((paradigm, row.concept, number + 1, text))
    found = pd.DataFrame(rows, columns=["paradigm", "concept", "stimulus", "text"])
    return found.sort_values("paradigm", kind="stable", ignore_index=True)


def _kin(table: pd.DataFrame, row, rng: np.random.Generator) -> list[str]:
    """Other concepts of the same place or goal, and of the same kind where it has neither."""
    column = next((name for name in ("place", "goal") if getattr(row, name) >= 0), "kind")
    same = table.loc[table[column] == getattr(row, column), "concept"]
    return rng.choice(same[same != row.concept], CLOUD_WORDS - 1, replace=False).tolist()


def _sentences(table: pd.DataFrame, rng: np.random.Generator) -> dict[str, list[str]]:
    """Six sentences for every concept that name it, each in one of them only."""
    narrator = Narrator(_ENGLISH, _CLAUSE, rng.spawn(1)[0])
    found: dict[str, list[str]] = {concept: [] for concept in table["concept"]}
    told: set[str] = set()
    while any(len(sentences) < N_STIMULI for sentences in found.values()):
        sentence = narrator.go_on(_draw_scene(rng))
        fewest, most = SENTENCE_WORDS
        if not fewest <= len(sentence.words) <= most or sentence.text in told:
            continue
        named = [word.lemma for word in sentence.words if word.lemma in found]
        wanting = [name for name in named if len(found[name]) < N_STIMULI]
        if wanting:
            told.add(sentence.text)
            found[min(wanting, key=lambda name: len(found[name]))].append(sentence.text)
    return found


def _draw_scene(rng: np.random.Generator) -> Scene:
    return Scene(
        place=int(rng.integers(len(_ENGLISH.places))),
        goal=int(rng.integers(len(_ENGLISH.goal_verbs))),
        protagonist=int(rng.integers(len(_ENGLISH.names))),
        past=bool(rng.integers(2)),
        # All words from the scene's own lists, or none.
        cue=float(rng.integers(2)),
    )
