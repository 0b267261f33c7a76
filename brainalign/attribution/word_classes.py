"""Which kinds of words are important.

Classes of words are nested and go with position, frequency and length; so their effects are log
odds beside these covariates, with the base rate of every class. Contexts overlap: errors are over
runs or blocks of scans, never over contexts (Proietti, Capobianco & Toneva 2025 give shares).
"""

import warnings
from collections.abc import Mapping, Sequence
from itertools import combinations

import numpy as np
import pandas as pd

from brainalign.errors import InputError
from brainalign.statistics import corrected
from brainalign.studies.testbed.languages import LANGUAGES
from brainalign.studies.testbed.languages.language import Language

CONTENT = ("noun", "name", "verb", "adjective", "adverb")
PRONOUNS = tuple(
    "i me my mine myself you your yours yourself yourselves he him his himself she her hers herself "
    "it its itself we us our ours ourselves they them their theirs themselves".split()
)
# Stop lists hold what helps in search: these entries of scikit-learn's are nouns, verbs and
# adjectives, and some auxiliaries lack (Nothman, Qin & Yurchak 2018).
_LEXICAL = tuple(
    "amount became become becomes becoming bill bottom call cry describe detail empty fill find fire "
    "found front full get give go interest keep made mill move name part put see seem seemed seeming "
    "seems serious show side sincere system take thick thin top".split()
)
_AUXILIARIES = ("did", "does", "doing", "having", "shall")
# Log odds beyond this stand for "never" and "always": where classes are separated, fits run off.
_SEPARATED = 15


def testbed_classes(words: pd.DataFrame, language: str) -> pd.DataFrame:
    """Classes of the testbed's words, exactly, because the story's generator names them.

    Parameters
    ----------
    words
        Word table with lemma and part_of_speech.
    language
        Code of the language.

    Returns
    -------
    pandas.DataFrame
        bool, one row per word: content, function, scene cue (a place or one of the things that
        belong to places), goal cue (an act of a goal, or its purpose), name, pronoun, verb. A cue
        is a cue wherever it is said, for the scene it is said in or not.

    Raises
    ------
    InputError
        For a table without these columns, and a language that the testbed does not speak.
    """
    spoken = _spoken(words, language, {"lemma", "part_of_speech"})
    things = {*spoken.places, *(thing for place in spoken.scene_objects for thing in place)}
    acts = {verb.infinitive for goal in spoken.goal_verbs for verb in goal}
    part, lemma = words["part_of_speech"], words["lemma"]
    content = part.isin(CONTENT)
    return pd.DataFrame(
        {
            "content": content,
            "function": ~content,
            "scene cue": lemma.isin(things),
            "goal cue": lemma.isin(acts | set(spoken.purposes)),
            **{name: part == name for name in ("name", "pronoun", "verb")},
        }
    )


def cue_words(words: pd.DataFrame, language: str) -> pd.DataFrame:
    """The words that set scene and goal of the story, and words like them that set nothing.

    Every scene opens by naming its place and what the protagonist means to do there; from then on
    these are what a listener keeps in mind.

    Parameters
    ----------
    words
        Word table with lemma, part_of_speech and scene; of several runs, each of which counts its
        scenes from 0, with the column run.
    language
        Code of the language.

    Returns
    -------
    pandas.DataFrame
        bool, one row per word. "scene" and "goal": the first place, and the first act of a goal, of
        every scene. "scene control" and "goal control": things that belong to no place, and acts
        that belong to no goal.

    Raises
    ------
    InputError
        As `testbed_classes`.
    """
    spoken = _spoken(words, language, {"lemma", "part_of_speech", "scene"})
    which = [words[name] for name in ("run", "scene") if name in words]
    place = words["lemma"].isin(spoken.places)
    goal = words["lemma"].isin({verb.infinitive for acts in spoken.goal_verbs for verb in acts})
    verbs = {verb.infinitive for verb in spoken.verbs}
    return pd.DataFrame(
        {
            "scene": place & (place.groupby(which).cumsum() == 1),
            "goal": goal & (goal.groupby(which).cumsum() == 1),
            "scene control": words["lemma"].isin(spoken.objects),
            "goal control": words["lemma"].isin(verbs) & (words["part_of_speech"] == "verb"),
        }
    )


def _spoken(words: pd.DataFrame, language: str, columns: set[str]) -> Language:
    if missing := columns - set(words.columns):
        raise InputError(f"The word table lacks {sorted(missing)}, which the testbed's words have.")
    if language not in LANGUAGES:
        raise InputError(
            f"language is {language!r}; one of {', '.join(sorted(LANGUAGES))} is expected."
        )
    return LANGUAGES[language]


def plain_classes(words: Sequence[str]) -> pd.DataFrame:
    """Classes of the words of an English text that nobody annotated.

    Parameters
    ----------
    words
        As written, with or without punctuation.

    Returns
    -------
    pandas.DataFrame
        bool, one row per word: content, function, pronoun. Function words are scikit-learn's
        ENGLISH_STOP_WORDS without the nouns, verbs and adjectives among them, and what is
        contracted with such a word ("she'd", "don't"). Names are not told apart: a capital may
        begin a sentence.
    """
    from sklearn.feature_extraction.text import ENGLISH_STOP_WORDS

    listed = (set(ENGLISH_STOP_WORDS) - set(_LEXICAL)) | set(PRONOUNS) | set(_AUXILIARIES)
    plain = pd.Series(list(words), dtype=str).str.lower().str.replace("’", "'")
    plain = plain.str.replace(r"^\W+|\W+$", "", regex=True)
    stem = plain.str.partition("'")[0]
    function = stem.isin(listed) | plain.str.endswith("n't")
    pronoun = stem.isin(PRONOUNS)
    return pd.DataFrame({"content": ~function, "function": function, "pronoun": pronoun})


def word_covariates(words: Sequence[str]) -> pd.DataFrame:
    """Log frequency in these words (natural, of the count) and length in characters of each word.

    Parameters
    ----------
    words
        As written, of the whole story.
    """
    plain = pd.Series(list(words), dtype=str).str.lower()
    counts = plain.map(plain.value_counts())
    return pd.DataFrame({"log frequency": np.log(counts), "length": plain.str.len().astype(float)})


def class_table(
    important: Mapping[str, np.ndarray],
    classes: pd.DataFrame,
    word_index: np.ndarray,
    covariates: pd.DataFrame,
    clusters: np.ndarray,
    level: float = 0.95,
) -> pd.DataFrame:
    """Share of every class that is important, and its log odds beside covariates.

    Every class is held against all other words, in a logistic regression of importance for every
    task, with the covariates, ln(1 + distance), and whether the word is the first of its context.

    Parameters
    ----------
    important
        Task -> bool of shape (scan, distance), from `metrics.important_sets`.
    classes
        bool, one row per word.
    word_index
        Shape (scan, distance): row of the word in `classes`; -1 where there is none.
    covariates
        One row per word, from `word_covariates`; ones that do not vary are left out.
    clusters
        Shape (scan,): what errors are taken over, such as runs. Stretches of one run share words
        where contexts reach back into the stretch before.
    level
        Of the intervals.

    Returns
    -------
    pandas.DataFrame
        One row per class and task, and per class and pair of tasks ("a − b": the interaction of
        class and task). Columns class, task, base_rate (part of all words), share (part of the
        class that is important; of pairs the difference), log_odds, low, high, p (two-sided,
        t with clusters − 1 degrees of freedom), p_corrected (Benjamini & Hochberg 1995, over
        classes, for each task and pair). NaN where all or none of a class are important, or a fit
        fails.

    Raises
    ------
    InputError
        For shapes that do not fit together, and fewer than two clusters.
    """
    _check_shapes(important, classes, word_index, covariates, clusters)
    scan, distance = np.nonzero(word_index >= 0)
    word = word_index[scan, distance]
    labels, block = np.unique(np.asarray(clusters)[scan], return_inverse=True)
    if len(labels) < 2:
        raise InputError(f"There is {len(labels)} cluster of scans; two or more are expected.")
    first = distance == (word_index >= 0).sum(1)[scan] - 1
    nuisance = np.column_stack([covariates.to_numpy(float)[word], np.log1p(distance)])
    rows = []
    for name in classes:
        member = classes[name].to_numpy(bool)[word]
        about = {"class": name, "base_rate": member.mean()}
        fits = {}
        for task, sets in important.items():
            chosen = sets[scan, distance]
            share = chosen[member].mean() if member.any() else np.nan
            fits[task] = (share, *_log_odds(chosen, member, nuisance, first, block))
        for a, b in combinations(list(fits), 2):
            fits[f"{a} − {b}"] = tuple(x - y for x, y in zip(fits[a], fits[b], strict=True))
        rows += [about | {"task": task} | _interval(*fit, level) for task, fit in fits.items()]
    table = pd.DataFrame(rows)
    table["p_corrected"] = table.groupby("task")["p"].transform(_corrected)
    return table["class task base_rate share log_odds low high p p_corrected".split()]


def _check_shapes(important, classes, word_index, covariates, clusters) -> None:
    shapes = {np.shape(sets) for sets in important.values()} | {np.shape(word_index)}
    if len(shapes) > 1 or len(clusters) != len(word_index):
        raise InputError(
            f"Sets and words have shapes {sorted(shapes)} and clusters {np.shape(clusters)}; "
            "(scan, distance), alike, and (scan,) are expected."
        )
    if not len(classes) == len(covariates) > np.max(word_index, initial=-1):
        raise InputError(
            f"classes have {len(classes)} rows and covariates {len(covariates)}; one row for each "
            "word that word_index names is expected."
        )


def _log_odds(
    chosen: np.ndarray,
    member: np.ndarray,
    nuisance: np.ndarray,
    first: np.ndarray,
    block: np.ndarray,
) -> tuple[float, np.ndarray]:
    """Log odds of a class and what each cluster adds to them (its influence); NaN without a fit.

    Influences of different fits on the same clusters may be subtracted, which gives the error of a
    difference; the sum of their squares is the cluster-robust variance (Liang & Zeger 1986).
    """
    from statsmodels.discrete.discrete_model import Logit
    from statsmodels.tools.sm_exceptions import ModelWarning

    n_blocks = block.max() + 1
    lost = np.nan, np.full(n_blocks, np.nan)
    # First words that are alike tell nothing but their own coefficient, which would run off.
    used = ~first | (chosen[first].any() and not chosen[first].all())
    chosen, member, block = chosen[used], member[used], block[used]
    if not np.bincount(2 * chosen + member, minlength=4).all():
        return lost
    varies = np.column_stack([nuisance, first])[used]
    varies = varies[:, np.ptp(varies, axis=0) > 0]
    varies = (varies - varies.mean(0)) / varies.std(0)
    design = np.column_stack([member, np.ones(len(member)), varies]).astype(float)
    model = Logit(chosen.astype(float), design)
    with warnings.catch_warnings(), np.errstate(over="ignore"):
        warnings.simplefilter("error", ModelWarning)
        try:
            fit = model.fit(disp=False)
        except (ModelWarning, np.linalg.LinAlgError):
            return lost
    if not np.abs(fit.params[0]) < _SEPARATED:
        return lost
    own = model.score_obs(fit.params) @ fit.normalized_cov_params[0]
    return fit.params[0], np.bincount(block, own, minlength=n_blocks)


def _interval(share: float, log_odds: float, influence: np.ndarray, level: float) -> dict:
    from scipy import stats

    n = len(influence)
    error = np.sqrt(n / (n - 1) * (influence**2).sum())
    half = stats.t.ppf((1 + level) / 2, n - 1) * error
    return {
        "share": share,
        "log_odds": log_odds,
        "low": log_odds - half,
        "high": log_odds + half,
        "p": 2 * stats.t.sf(np.abs(log_odds) / error, n - 1),
    }


def _corrected(p: pd.Series) -> pd.Series:
    known = p.dropna()
    if known.empty:
        return p
    return pd.Series(corrected(known, "fdr"), known.index).reindex(p.index)
