"""English: the lexicon and word order of the first testbed."""

from brainalign.studies.testbed.languages.language import Language, Verb


def english_verb(base: str) -> Verb:
    """Forms of a regular English verb.

    Parameters
    ----------
    base
        "carry"; a leading "=" doubles the last consonant in the past ("=drop").
    """
    double = base.startswith("=")
    base = base.lstrip("=")
    if base.endswith("y") and base[-2] not in "aeiou":
        return _verb(base, base[:-1] + "ies", base[:-1] + "ied")
    singular = base + ("es" if base.endswith(("s", "sh", "ch", "x", "z")) else "s")
    past = base + ("d" if base.endswith("e") else (base[-1] if double else "") + "ed")
    return _verb(base, singular, past)


def _verb(base: str, singular: str, past: str) -> Verb:
    return Verb(base, f"{singular}|{base}", past, past)


def _verbs(text: str) -> tuple[Verb, ...]:
    return tuple(english_verb(base) for base in text.split())


_IRREGULAR_PLURALS = {"child": "children", "wolf": "wolves", "fox": "foxes"}


def _animates(text: str) -> tuple[tuple[str, str], ...]:
    return tuple((word, _IRREGULAR_PLURALS.get(word, word + "s")) for word in text.split())


ENGLISH = Language(
    code="en",
    name="English",
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
        _verb("say", "says", "said"),
        _verb("think", "thinks", "thought"),
        _verb("know", "knows", "knew"),
    ),
    motion_verbs=(Verb("go", "goes", "went", "gone"), Verb("come", "comes", "came", "come")),
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
    relativisers=(("that", "that"), ("who", "who")),
    determiners={
        "singular": ("the", "the", "the", "the", "a", "a", "this", "every"),
        "plural": ("the", "the", "the", "the", "some", "these", "many", "both"),
    },
    before_vowel={"a": "an"},
    function={
        "one": "one",
        "the": "the",
        "to": "to",
        "in order to": "to",
        "by": "by",
        "in": "in",
        "for": "for",
        "and": "and",
        "that": "that",
        "subject f": "she",
        "subject m": "he",
        "passive past": "was|were",
        "passive present": "is|are",
    },
    order={
        "opening": ("time", "agent", "go", "place", "goal"),
        "noun phrase": ("determiner", "adjective", "noun", "relative"),
        "active": ("agent", "verb", "patient", "adverb", "prepositional"),
        "passive": ("patient", "auxiliary", "verb", "by", "agent", "adverb", "prepositional"),
        "subject relative": ("relativiser", "verb", "patient"),
        "object relative": ("relativiser", "agent", "verb"),
        "prepositional": ("preposition", "noun phrase"),
        "place": ("preposition", "determiner", "noun"),
        "purpose": ("preposition", "noun"),
        "complement": ("agent", "verb", "complementiser", "clause"),
        "subordination": ("subordinate", "main"),
    },
)
