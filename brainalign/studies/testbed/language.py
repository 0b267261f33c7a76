"""What a language needs to tell the testbed's stories: a lexicon and a table of word orders.

The generator (`story.py`) decides who does what to whom; this module says with which words and in
which order. A second language is a second `Language` and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Language:
    """Lexicon and word order of one language.

    Attributes
    ----------
    code : str
        "en".
    places : tuple of str
        One place for each kind of scene.
    purposes : tuple of str
        One noun for each goal.
    scene_objects : tuple of tuple of str
        For each place, the objects found there and nowhere else.
    objects : tuple of str
        Objects found anywhere.
    goal_verbs, verbs : tuple
        For each goal the verbs that serve it alone; verbs that serve any. A verb is its three
        forms: base (also plural present), third person singular present, past (also participle).
    speech_verbs : tuple of tuple of str
        Verbs that take a whole clause.
    names : tuple of (str, str)
        Persons and their gender, "f" or "m".
    animates : tuple of (str, str)
        Nouns for beings, singular and plural.
    adjectives, adverbs, prepositions, subordinators, times, conjunctions, relativisers : tuple of str
        Closed or open lists to draw from.
    determiners : mapping of str to tuple of str
        For "singular" and "plural" nouns.
    before_vowel : mapping of str to str
        Determiners that change before a vowel, and what they become.
    function : mapping of str to str
        The single function words by their job: "the", "passive singular past", "by".
    order : mapping of str to tuple of str
        For each construction, its constituents in the order in which they are said.
    """

    code: str
    places: tuple[str, ...]
    purposes: tuple[str, ...]
    scene_objects: tuple[tuple[str, ...], ...]
    objects: tuple[str, ...]
    goal_verbs: tuple[tuple[tuple[str, str, str], ...], ...]
    verbs: tuple[tuple[str, str, str], ...]
    speech_verbs: tuple[tuple[str, str, str], ...]
    names: tuple[tuple[str, str], ...]
    animates: tuple[tuple[str, str], ...]
    adjectives: tuple[str, ...]
    adverbs: tuple[str, ...]
    prepositions: tuple[str, ...]
    subordinators: tuple[str, ...]
    times: tuple[str, ...]
    conjunctions: tuple[str, ...]
    relativisers: tuple[str, ...]
    determiners: Mapping[str, tuple[str, ...]]
    before_vowel: Mapping[str, str]
    function: Mapping[str, str]
    order: Mapping[str, tuple[str, ...]]

    def vocabulary(self) -> list[str]:
        """Every word form in lower case, sorted, each once."""
        forms = {
            *self.places,
            *self.purposes,
            *self.objects,
            *self.adjectives,
            *self.adverbs,
            *self.times,
        }
        forms |= {*self.prepositions, *self.subordinators, *self.function.values()}
        forms |= {*self.conjunctions, *self.relativisers, *self.before_vowel.values()}
        forms |= {form for objects in self.scene_objects for form in objects}
        forms |= {form for verbs in self.goal_verbs for verb in verbs for form in verb}
        forms |= {form for verb in (*self.verbs, *self.speech_verbs) for form in verb}
        forms |= {name for name, _ in self.names} | {
            form for pair in self.animates for form in pair
        }
        forms |= {form for choices in self.determiners.values() for form in choices}
        return sorted({form.lower() for form in forms})


def english_verb(base: str) -> tuple[str, str, str]:
    """Forms of a regular English verb: base, third person singular, past.

    Parameters
    ----------
    base
        "carry"; a leading "=" doubles the last consonant in the past ("=drop").
    """
    double = base.startswith("=")
    base = base.lstrip("=")
    if base.endswith("y") and base[-2] not in "aeiou":
        return base, base[:-1] + "ies", base[:-1] + "ied"
    singular = base + ("es" if base.endswith(("s", "sh", "ch", "x", "z")) else "s")
    past = base + ("d" if base.endswith("e") else (base[-1] if double else "") + "ed")
    return base, singular, past


def _verbs(text: str) -> tuple[tuple[str, str, str], ...]:
    return tuple(english_verb(base) for base in text.split())


_IRREGULAR_PLURALS = {"child": "children", "wolf": "wolves", "fox": "foxes"}


def _animates(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((word, _IRREGULAR_PLURALS.get(word, word + "s")) for word in text.split())


ENGLISH = Language(
    code="en",
    places=tuple("forest kitchen harbor market school farm castle clinic".split()),
    purposes=tuple("maintenance secrecy discovery beauty trade war".split()),
    scene_objects=(
        tuple("pine fern mushroom acorn twig berry root stump".split()),
        tuple("pot spoon oven bowl kettle plate pan jar".split()),
        tuple("boat anchor sail net rope oar dock barrel".split()),
        tuple("stall coin basket scale cloth spice cart crate".split()),
        tuple("desk chalk pencil notebook ruler globe bell map".split()),
        tuple("plow barn haystack fence bucket tractor seed shovel".split()),
        tuple("tower sword crown throne shield banner gate torch".split()),
        tuple("bandage needle pill thermometer bed crutch bottle stretcher".split()),
    ),
    objects=tuple(
        "stone box bag key book letter lamp chair table door window wall hat coat shoe ring clock "
        "candle mirror picture blanket pillow ladder wheel stick string paper knife cup toy ball "
        "flag brush broom drum flute feather ribbon button card".split()
    ),
    goal_verbs=(
        _verbs("repair mend fix renew restore patch"),
        _verbs("conceal cover bury disguise stash cloak"),
        _verbs("search inspect explore examine =scan trace"),
        _verbs("decorate paint polish adorn color varnish"),
        _verbs("deliver carry transport haul =ship fetch"),
        _verbs("destroy smash crush wreck burn demolish"),
    ),
    verbs=_verbs(
        "watch touch follow notice admire like love want need push pull lift =drop kick wash open "
        "close guard borrow move count clean collect remember"
    ),
    speech_verbs=(
        ("say", "says", "said"),
        ("think", "thinks", "thought"),
        ("know", "knows", "knew"),
    ),
    names=tuple(
        zip(
            "Anna Ben Clara David Emma Frank Grace Henry Iris Jack".split(),
            "fmfmfmfmfm",
            strict=True,
        )
    ),
    animates=_animates(
        "dog cat horse rabbit fox bear goat duck crow owl farmer doctor teacher sailor baker "
        "soldier child king queen merchant nurse pilot painter singer dancer wolf"
    ),
    adjectives=tuple(
        "old young small big tall short happy sad quiet loud red blue green white black brown "
        "heavy light clever brave lazy shy kind proud strange broken dusty shiny soft hard cold "
        "warm bright dark round narrow".split()
    ),
    adverbs=tuple(
        "quickly slowly quietly carefully happily sadly suddenly often never always again soon "
        "gently boldly eagerly calmly secretly finally twice alone".split()
    ),
    prepositions=tuple("near under behind beside above with without across around below".split()),
    subordinators=tuple("when while because after before although until since".split()),
    times=tuple("morning evening night day winter summer spring autumn afternoon noon".split()),
    conjunctions=("and", "but", "so"),
    relativisers=("that", "who"),
    determiners={
        "singular": ("the", "the", "the", "the", "a", "a", "this", "every"),
        "plural": ("the", "the", "the", "the", "some", "these", "many", "both"),
    },
    before_vowel={"a": "an"},
    function={
        "one": "one",
        "the": "the",
        "go past": "went",
        "go present": "goes",
        "come past": "came",
        "come present": "comes",
        "to": "to",
        "by": "by",
        "in": "in",
        "for": "for",
        "and": "and",
        "that": "that",
        "subject f": "she",
        "subject m": "he",
        "passive singular past": "was",
        "passive plural past": "were",
        "passive singular present": "is",
        "passive plural present": "are",
    },
    order={
        "opening": ("time", "agent", "go", "place", "goal"),
        "noun phrase": ("determiner", "adjective", "noun", "relative"),
        "active": ("agent", "verb", "patient", "adverb", "prepositional"),
        "passive": ("patient", "auxiliary", "verb", "by", "agent", "adverb", "prepositional"),
        "subject relative": ("relativiser", "verb", "patient"),
        "object relative": ("relativiser", "agent", "verb"),
        "prepositional": ("preposition", "determiner", "noun phrase"),
        "complement": ("agent", "verb", "complementiser", "clause"),
        "subordination": ("subordinate", "main"),
    },
)

LANGUAGES = {"en": ENGLISH}
