"""Words of *Le Petit Prince* with the times at which they were heard."""

import unicodedata
from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from brainalign.errors import InputError
from brainalign.studies.petitprince.languages import N_SECTIONS, Language
from brainalign.words import check_words

_TIMES = ["word", "onset", "offset"]
_ANNOTATIONS = {"lemma": "lemma", "logfreq": "log_frequency", "pos": "part_of_speech"}
_PARSER = ["top_down", "bottom_up", "left_corner"]


@dataclass(frozen=True)
class Corrections:
    """How the paper's authors corrected a word table (Bonnasse-Gahot & Pallier 2024, code).

    Attributes
    ----------
    dropped : dict
        Rows that are left out, counted from 0 over the whole table, and the word that each holds.
    repaired : dict
        Rows whose word differs from the text, with the word that each holds and the right one.
    keeps_empty : bool
        Whether rows without a word stay; their vectors are then copied from the next word's.
    required : tuple of str
        Columns that every release has, beside words and times.
    """

    dropped: dict[int, str] = field(default_factory=dict)
    repaired: dict[int, tuple[str, str]] = field(default_factory=dict)
    keeps_empty: bool = False
    required: tuple[str, ...] = ()


#: By the code of the language.
CORRECTIONS = {
    # A word that is there twice, and two words never heard.
    "en": Corrections(
        dropped={3919: "i.", 6775: "and", 6781: "and"},
        required=(*_ANNOTATIONS, *_PARSER),
    ),
    # A word that is not in the text, and two empty rows.
    "fr": Corrections(
        dropped={338: "s'", 1204: "", 3333: ""},
        repaired={
            3332: ("du", "de"),
            3379: ("quatre", "trois"),
            3405: ("quatre", "trois"),
            4587: ("d", "l"),
            5325: ("le", "la"),
            5326: ("premier", "première"),
            5328: ("habité", "habitée"),
            11257: ("Â", "À"),
            12249: ("ll", "il"),
        },
    ),
    "cn": Corrections(keeps_empty=True),
}


def read_words(path: Path, language: Language) -> list[pd.DataFrame]:
    """Words of each section with their annotations, corrected as in the paper.

    Parameters
    ----------
    path
        `lppXX_word_information.csv` of the corpus.
    language
        Of the story.

    Returns
    -------
    list of pandas.DataFrame
        One per section: `word`, `onset` and `offset` in seconds from the first scan, and where the
        table has them `lemma`, `log_frequency`, `part_of_speech` and counts of parser actions. Rows
        without a word are left out in English (clitics lost in the corpus) and French; in Chinese
        they stay, with NaN for the word.

    Raises
    ------
    InputError
        For a file that is no such table in UTF-8, other sections, a row to be corrected that holds
        another word than the authors found, and times that go backwards.
    """
    rules = CORRECTIONS[language.code]
    table = _correct(_read_table(path, rules.required), rules, path)
    if not rules.keeps_empty:
        table = table.dropna(subset="word")
    sections = sorted(table["section"].unique().tolist())
    if sections != list(range(1, N_SECTIONS + 1)):
        raise InputError(
            f"{path} has the sections {sections}; those from 1 to {N_SECTIONS} are expected."
        )
    runs = [words.drop(columns="section") for _, words in table.groupby("section")]
    for words in runs:
        check_words(words, str(path))
    return [words.reset_index(drop=True) for words in runs]


def join_words(words: pd.Series, language: Language) -> str:
    """Words as a text, for want of the book's.

    Parameters
    ----------
    words
        Of one section; rows without a word (NaN) add nothing.
    language
        Chinese is written without blanks, French without blanks behind an apostrophe.

    Returns
    -------
    str
    """
    filled = words.dropna().str.strip()
    if language.code == "cn":
        return "".join(filled)
    elided = filled.str.endswith(("'", "\u2019")) & (language.code == "fr")
    return "".join(filled.where(elided, filled + " ")).strip()


def _read_table(path: Path, required: tuple[str, ...]) -> pd.DataFrame:
    """The whole table with our names of columns; words that are empty or a blank are NaN."""
    try:
        # "null" and "none" are words.
        table = pd.read_csv(
            path,
            index_col=False,
            na_values=[""],
            keep_default_na=False,
            dtype={"word": str},
        )
        kept = [name for name in (*_ANNOTATIONS, *_PARSER) if name in table or name in required]
        table = table[["section", *_TIMES, *kept]].astype({"onset": float, "offset": float})
    except UnicodeDecodeError as error:
        raise InputError(
            f"{path} is not in UTF-8 (byte {error.start}); save it in UTF-8 or fetch it again."
        ) from error
    except (ValueError, KeyError) as error:
        needed = ", ".join(["section", *_TIMES, *required])
        raise InputError(
            f"{path} cannot be read as a word table with the columns {needed} ({error})."
        ) from error
    table["word"] = table["word"].where(table["word"].str.strip() != "")
    return table.rename(columns=_ANNOTATIONS)


def _correct(table: pd.DataFrame, rules: Corrections, path: Path) -> pd.DataFrame:
    """The table with its known errors repaired; rows that a shorter table lacks are passed over."""
    expected = rules.dropped | {row: found for row, (found, _) in rules.repaired.items()}
    for row, word in expected.items():
        held = "" if row >= len(table) or pd.isna(table.at[row, "word"]) else table.at[row, "word"]
        if row < len(table) and _spelling(held) != _spelling(word):
            raise InputError(
                f"{path} has {held!r} in row {row}, counted from 0; {word!r} is expected there, "
                "which the paper corrects, so that this is another release of the corpus."
            )
    table = table.copy()
    for row, (_, right) in rules.repaired.items():
        if row < len(table):
            table.at[row, "word"] = right
    return table.drop(index=list(rules.dropped), errors="ignore")


def _spelling(word: str) -> str:
    composed = unicodedata.normalize("NFC", word)
    return composed.strip().replace("\u2019", "'").rstrip("'").lower()
