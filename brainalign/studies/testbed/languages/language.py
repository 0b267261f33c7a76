"""What a language needs to tell the testbed's stories: a lexicon and a table of word orders.

The generator (`story.py`) decides who does what to whom; a `Language` says with which words and in
which order. Forms that agree are written in one string: "grand/grande|grands/grandes" has the forms
of the singular and of the plural, each by class of noun (French gender, Chinese measure word). What
does not change is written once: "old", "le/la", "carries|carry".
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import NamedTuple

VOWELS = frozenset("aeiouàâéèêîôû")


@cache
def agree(forms: str, noun_class: int = 0, plural: bool = False) -> str:
    """The one of several forms that agrees with a noun.

    Parameters
    ----------
    forms
        Singular and plural divided by "|", each with its classes divided by "/".
    noun_class
        Number of the noun's class.
    plural
        Whether the noun is plural.
    """
    numbers = forms.split("|")
    classes = numbers[plural and len(numbers) > 1].split("/")
    return classes[noun_class if len(classes) > 1 else 0]


def all_forms(forms: str) -> set[str]:
    """Every form of a string that `agree` reads."""
    return {form for number in forms.split("|") for form in number.split("/")}


def marked_nouns(text: str) -> tuple[str, ...]:
    """Nouns of a list in which each follows the mark of its class: "un port, une forêt"."""
    return tuple(pair.split()[1] for pair in text.split(","))


def noun_classes(marks: str, texts: Iterable[str]) -> dict[str, int]:
    """Class of every noun of such lists: the place of its mark among the `marks`.

    Parameters
    ----------
    marks
        "un une".
    texts
        Lists as for `marked_nouns`.
    """
    pairs = [pair.split()[:2] for text in texts for pair in text.split(",")]
    return {noun: marks.split().index(mark) for mark, noun in pairs}


class Verb(NamedTuple):
    """Forms of a verb: the finite ones agree with the subject, the participle is that of passives."""

    infinitive: str
    present: str
    past: str
    participle: str


@dataclass(frozen=True)
class Language:
    """Lexicon and word order of one language.

    Attributes
    ----------
    code, name : str
        "en", "English".
    places : tuple of str
        One place for each kind of scene.
    purposes : tuple of str
        One noun for each goal.
    scene_objects : tuple of tuple of str
        For each place, the objects found there and nowhere else.
    objects : tuple of str
        Objects found anywhere.
    goal_verbs, verbs : tuple of Verb
        For each goal the verbs that serve it alone; verbs that serve any.
    speech_verbs, motion_verbs : tuple of Verb
        Verbs that take a whole clause; verbs of going and coming. Only their finite forms are used.
    names : tuple of (str, str)
        Persons and their gender, "f" or "m".
    animates : tuple of (str, str)
        Nouns for beings, singular and plural.
    adjectives, adverbs, prepositions, subordinators, times, conjunctions : tuple of str
        Closed or open lists to draw from. A subordinator may be several words.
    relativisers : tuple of (str, str)
        Each as subject and as object of its clause.
    determiners : mapping of str to tuple of str
        For "singular" and "plural" nouns; "" is none.
    function : mapping of str to str
        The single function words by their job: "the", "passive past", "by". A language leaves out
        those it does without.
    order : mapping of str to tuple of str
        For each construction, its constituents in the order in which they are said. What it does
        not name is not said.
    before_vowel : mapping of str to str
        Words that change before a vowel, and what they become.
    noun_class : mapping of str to int
        Class of each noun (its singular), where it is not 0.
    separator : str
        What is written between words.
    stop, comma : str
        Punctuation.
    """

    code: str
    name: str
    places: tuple[str, ...]
    purposes: tuple[str, ...]
    scene_objects: tuple[tuple[str, ...], ...]
    objects: tuple[str, ...]
    goal_verbs: tuple[tuple[Verb, ...], ...]
    verbs: tuple[Verb, ...]
    speech_verbs: tuple[Verb, ...]
    motion_verbs: tuple[Verb, ...]
    names: tuple[tuple[str, str], ...]
    animates: tuple[tuple[str, str], ...]
    adjectives: tuple[str, ...]
    adverbs: tuple[str, ...]
    prepositions: tuple[str, ...]
    subordinators: tuple[str, ...]
    times: tuple[str, ...]
    conjunctions: tuple[str, ...]
    relativisers: tuple[tuple[str, str], ...]
    determiners: Mapping[str, tuple[str, ...]]
    function: Mapping[str, str]
    order: Mapping[str, tuple[str, ...]]
    before_vowel: Mapping[str, str] = field(default_factory=dict)
    noun_class: Mapping[str, int] = field(default_factory=dict)
    separator: str = " "
    stop: str = "."
    comma: str = ","

    def vocabulary(self) -> list[str]:
        """Every word form in lower case, sorted, each once."""
        agreeing = [*self.adjectives, *self.function.values(), *self.places, *self.purposes]
        agreeing += [*self.objects, *self.adverbs, *self.times, *self.prepositions]
        agreeing += [*self.conjunctions, *self.before_vowel.values()]
        agreeing += [word for several in self.subordinators for word in several.split()]
        for group in (*self.scene_objects, *self.determiners.values()):
            agreeing += group
        for pair in (*self.relativisers, *self.animates):
            agreeing += pair
        agreeing += [name for name, _ in self.names]
        agreeing += [forms for verbs in self.goal_verbs for verb in verbs for forms in verb]
        agreeing += [forms for verb in self.verbs for forms in verb[1:]]
        for verb in (*self.speech_verbs, *self.motion_verbs):
            agreeing += [verb.present, verb.past]
        return sorted({form.lower() for forms in agreeing for form in all_forms(forms) if form})

    def tokens_of(self, form: str) -> tuple[str, ...]:
        """Tokens of a word form: itself in lower case; its characters where words are not divided."""
        return (form.lower(),) if self.separator else tuple(form)

    def tokens(self) -> list[str]:
        """Every token of the vocabulary, sorted, each once."""
        return sorted({token for form in self.vocabulary() for token in self.tokens_of(form)})

    def write(self, words: Iterable[str]) -> str:
        """Words as they are written in a row; what ends in an apostrophe leans on the next one."""
        return self.separator.join(words).replace("' ", "'")
