"""The pieces of a sentence: what a word is, and what it tells."""

from dataclasses import dataclass, field

from brainalign.studies.testbed.languages.language import Language


@dataclass(slots=True, eq=False)
class Clause:
    """A clause and its place in the sentence; its words point to it."""

    depth: int = 0
    relative: bool = False
    subordinate: bool = False
    coordinated: bool = False
    passive: bool = False


@dataclass(slots=True, eq=False)
class Word:
    """A word with its place in the sentence and what it tells.

    `tells` names the slots that this word fills: "agent", "verb", "patient" of its clause with
    the number of a category; "scene", "goal", "protagonist" of the discourse.
    """

    form: str
    lemma: str
    part_of_speech: str
    clause: Clause
    plural: bool = False
    open: int = 0
    tells: tuple[tuple[str, int], ...] = ()
    after: str = ""
    noun_class: int = 0


@dataclass(slots=True)
class Phrase:
    """A noun phrase: its words and what agreement and pronouns need to know of it."""

    words: list[Word]
    plural: bool
    category: int
    head: Word


@dataclass(slots=True)
class Scene:
    """State of the discourse: numbers of the place, the goal and the protagonist, and the tense."""

    place: int
    goal: int
    protagonist: int
    past: bool
    cue: float


@dataclass
class Sentence:
    """Words in order, capitalised and punctuated when written."""

    words: list[Word]
    past: bool
    language: Language
    scene: int = 0
    opens_scene: bool = False
    text: str = field(init=False)

    def __post_init__(self):
        written = [word.form + word.after for word in self.words]
        written[0] = written[0][0].upper() + written[0][1:]
        self.text = self.language.write(written) + self.language.stop


PARTS_OF_SPEECH = (
    "determiner", "noun", "name", "pronoun", "verb", "auxiliary", "adjective", "adverb",
    "preposition", "conjunction", "complementiser", "relativiser", "particle",
)  # fmt: skip

#: Categories that the event latents tell apart: each name is its own agent.
N_VERB_CLASSES = 7  # six for acts, one for saying and thinking
N_PATIENT_CLASSES = 5  # three for things, one for beings, one for persons
