"""The generator: stories in which it is known, word by word, what there is to understand."""

from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from brainalign.studies.testbed.config import StoryConfig
from brainalign.studies.testbed.languages.language import VOWELS, Language, Verb, agree
from brainalign.studies.testbed.sentence import (
    N_VERB_CLASSES,
    Clause,
    Phrase,
    Scene,
    Sentence,
    Word,
)


class Draws:
    """Choices from a numpy Generator, drawn in blocks because single draws are slow."""

    def __init__(self, rng: np.random.Generator, block: int = 8192):
        self._rng, self._block, self._values = rng, block, []

    def uniform(self) -> float:
        """One number in [0, 1)."""
        if not self._values:
            self._values = self._rng.random(self._block).tolist()
        return self._values.pop()

    def happens(self, probability: float) -> bool:
        """True with a probability."""
        return self.uniform() < probability

    def index(self, n: int) -> int:
        """A number in 0 .. n - 1."""
        return int(self.uniform() * n)

    def choose(self, items):
        """One of the items."""
        return items[int(self.uniform() * len(items))]


def _close(words: list[Word]) -> list[Word]:
    # A constituent is open after each of its words but the last.
    for word in words[:-1]:
        word.open += 1
    return words


class Narrator:
    """Tells a story without end, scene by scene.

    Parameters
    ----------
    language
        Lexicon and word order.
    config
        Probabilities.
    rng
        Source of all choices.
    """

    def __init__(self, language: Language, config: StoryConfig, rng: np.random.Generator):
        self.language, self.config, self.draw = language, config, Draws(rng)
        self.scene: Scene | None = None

    def sentences(self) -> Iterator[Sentence]:
        """Sentences of scene after scene, without end."""
        number = 0
        while True:
            self._set_scene()
            yield self._sentence(self._opening(), number, opens_scene=True)
            for cue, (fewest, most) in (
                (self.config.setting_cue, self.config.setting_sentences),
                (self.config.body_cue, self.config.body_sentences),
            ):
                self.scene.cue = cue
                for _ in range(fewest + self.draw.index(most - fewest + 1)):
                    yield self._sentence(self._main_sentence(), number)
            number += 1

    def go_on(self, scene: Scene) -> Sentence:
        """One more sentence in a scene, which becomes the narrator's."""
        self.scene = scene
        return self._sentence(self._main_sentence(), 0)

    def _sentence(self, words: list[Word], scene: int, opens_scene: bool = False) -> Sentence:
        for word, follower in pairwise(words):
            if follower.form[0].lower() in VOWELS and word.form in self.language.before_vowel:
                word.form = word.lemma = self.language.before_vowel[word.form]
        return Sentence(words, self.scene.past, self.language, scene, opens_scene)

    def _set_scene(self) -> None:
        draw, language = self.draw, self.language
        keep = self.scene is not None and draw.happens(self.config.keep_protagonist)
        protagonist = self.scene.protagonist if keep else draw.index(len(language.names))
        self.scene = Scene(
            place=draw.index(len(language.places)),
            goal=draw.index(len(language.goal_verbs)),
            protagonist=protagonist,
            past=draw.happens(0.5),
            cue=self.config.setting_cue,
        )

    # Words ------------------------------------------------------------------------------------

    def _arrange(self, construction: str, parts: dict[str, list[Word]]) -> list[Word]:
        order = self.language.order[construction]
        return _close([word for name in order for word in parts.get(name, ())])

    def _function(
        self, job: str, part_of_speech: str, clause: Clause, noun: Word | None = None
    ) -> list[Word]:
        """The function word for a job, agreeing with a noun; none where a language has none."""
        if job not in self.language.function:
            return []
        noun_class, plural = (noun.noun_class, noun.plural) if noun else (0, False)
        form = agree(self.language.function[job], noun_class, plural)
        return [Word(form, form, part_of_speech, clause, plural)]

    def _noun(self, clause: Clause, singular: str, plural: str = "", **more) -> Word:
        noun_class = self.language.noun_class.get(singular, 0)
        form, several = plural or singular, bool(plural)
        return Word(form, singular, "noun", clause, several, noun_class=noun_class, **more)

    def _verbs(self, clause: Clause, subject: Word, participle: bool = False) -> list[Word]:
        first = self._verb(clause, subject, participle)
        if not self.draw.happens(self.config.verb_pair):
            return [first]
        and_ = self._function("and", "conjunction", clause)
        return _close([first, *and_, self._verb(clause, subject, participle)])

    def _verb(self, clause: Clause, subject: Word, participle: bool) -> Word:
        draw, language, scene = self.draw, self.language, self.scene
        if draw.happens(scene.cue):
            verbs, goal = language.goal_verbs[scene.goal], scene.goal
        else:
            verbs, goal = language.verbs, 0
        number = draw.index(len(verbs))
        form = (
            agree(verbs[number].participle, subject.noun_class, subject.plural)
            if participle
            else self._finite(verbs[number], subject)
        )
        # Classes of acts cut across the goals, so that an act alone does not tell the goal.
        act = (number + goal) % (N_VERB_CLASSES - 1)
        lemma = verbs[number].infinitive
        return Word(form, lemma, "verb", clause, subject.plural, tells=(("verb", act),))

    def _finite(self, verb: Verb, subject: Word) -> str:
        return agree(verb.past if self.scene.past else verb.present, 0, subject.plural)

    def _aspect(self, clause: Clause) -> dict[str, list[Word]]:
        # A particle of its own, in languages whose verbs do not show the tense.
        name = "done" if self.scene.past else "ongoing"
        return {name: self._function(name, "particle", clause)}

    def _noun_phrase(self, clause: Clause, noun: Word, may_relate: bool) -> Phrase:
        draw, config, language = self.draw, self.config, self.language
        number = "plural" if noun.plural else "singular"
        parts = {"noun": [noun]}
        if draw.happens(config.adjective):
            adjective = draw.choose(language.adjectives)
            form = agree(adjective, noun.noun_class, noun.plural)
            parts["adjective"] = [Word(form, agree(adjective), "adjective", clause, noun.plural)]
        form = agree(draw.choose(language.determiners[number]), noun.noun_class, noun.plural)
        if form:
            parts["determiner"] = [Word(form, form, "determiner", clause, noun.plural)]
        if may_relate and draw.happens(config.relative):
            parts["relative"] = self._relative(clause, noun)
        return Phrase(self._arrange("noun phrase", parts), noun.plural, 0, noun)

    def _object(self, clause: Clause) -> Phrase:
        draw, language, scene = self.draw, self.language, self.scene
        own = draw.happens(scene.cue)
        objects = language.scene_objects[scene.place] if own else language.objects
        number = draw.index(len(objects))
        noun = self._noun(clause, objects[number])
        phrase = self._noun_phrase(clause, noun, may_relate=False)
        phrase.category = number % 3
        return phrase

    def _animate(self, clause: Clause, may_relate: bool) -> Phrase:
        draw, language = self.draw, self.language
        singular, plural = draw.choose(language.animates)
        several = draw.happens(self.config.plural)
        noun = self._noun(clause, singular, plural if several else "")
        phrase = self._noun_phrase(clause, noun, may_relate)
        phrase.category = len(language.names) + several
        return phrase

    def _protagonist(self, clause: Clause, may_be_pronoun: bool) -> Phrase:
        scene = self.scene
        name, gender = self.language.names[scene.protagonist]
        # Nobody else in a scene has a name, so it is clear whom a pronoun means.
        if may_be_pronoun and self.draw.happens(self.config.pronoun):
            (word,) = self._function(f"subject {gender}", "pronoun", clause)
        else:
            word = Word(name, name, "name", clause)
        return Phrase([word], False, scene.protagonist, word)

    def _agent(self, clause: Clause, may_relate: bool, may_be_pronoun: bool = True) -> Phrase:
        if self.draw.happens(self.config.protagonist_subject):
            return self._protagonist(clause, may_be_pronoun)
        return self._animate(clause, may_relate)

    def _patient(self, clause: Clause, may_relate: bool) -> Phrase:
        if not self.draw.happens(self.config.animate_patient):
            return self._object(clause)
        phrase = self._animate(clause, may_relate)
        phrase.category = 3 + phrase.plural
        return phrase

    @staticmethod
    def _tell(phrase: Phrase, slot: str) -> list[Word]:
        phrase.head.tells += ((slot, phrase.category),)
        return phrase.words

    # Clauses ----------------------------------------------------------------------------------

    def _relative(self, outer: Clause, noun: Word) -> list[Word]:
        clause = Clause(outer.depth + 1, True, outer.subordinate, outer.coordinated)
        relativisers = self.draw.choose(self.language.relativisers)
        is_subject = self.draw.happens(0.5)
        form = relativisers[0 if is_subject else 1]
        parts = {"relativiser": [Word(form, form, "relativiser", clause)]}
        if is_subject:
            parts["verb"] = self._verbs(clause, noun)
            parts["patient"] = self._tell(self._patient(clause, False), "patient")
            return self._arrange("subject relative", parts)
        agent = self._agent(clause, may_relate=False)
        parts["agent"] = self._tell(agent, "agent")
        parts["verb"] = self._verbs(clause, agent.head)
        return self._arrange("object relative", parts)

    def _clause(self, clause: Clause) -> list[Word]:
        draw, config, language = self.draw, self.config, self.language
        if clause.depth < config.complement_depth and draw.happens(config.complement):
            return self._complement(clause)
        clause.passive = draw.happens(config.passive)
        # "By she" would need another case, so a passive names its agent.
        agent = self._agent(clause, may_relate=True, may_be_pronoun=not clause.passive)
        patient = self._patient(clause, may_relate=clause.passive)
        subject = patient if clause.passive else agent
        parts = {
            "agent": self._tell(agent, "agent"),
            "verb": self._verbs(clause, subject.head, participle=clause.passive),
            "patient": self._tell(patient, "patient"),
            **self._aspect(clause),
        }
        if clause.passive:
            tense = "past" if self.scene.past else "present"
            parts["auxiliary"] = self._function(
                f"passive {tense}", "auxiliary", clause, patient.head
            )
            parts["by"] = self._function("by", "preposition", clause)
        if draw.happens(config.adverb):
            adverb = draw.choose(language.adverbs)
            parts["adverb"] = [Word(adverb, adverb, "adverb", clause)]
        if draw.happens(config.prepositional):
            parts["prepositional"] = self._prepositional(clause)
        return self._arrange("passive" if clause.passive else "active", parts)

    def _prepositional(self, clause: Clause) -> list[Word]:
        draw, language, scene = self.draw, self.language, self.scene
        kind = draw.index(3) if draw.happens(scene.cue) else 0
        if kind == 1:
            place = self._noun(clause, language.places[scene.place])
            return self._arrange("place", self._at(clause, "in", place))
        if kind == 2:
            purpose = self._noun(clause, language.purposes[scene.goal])
            return self._arrange("purpose", self._at(clause, "for", purpose))
        preposition = draw.choose(language.prepositions)
        parts = {
            "in": self._function("in", "preposition", clause),
            "preposition": [Word(preposition, preposition, "preposition", clause)],
            "noun phrase": self._object(clause).words,
        }
        return self._arrange("prepositional", parts)

    def _at(self, clause: Clause, job: str, noun: Word) -> dict[str, list[Word]]:
        return {
            "preposition": self._function(job, "preposition", clause),
            "determiner": self._function("the", "determiner", clause, noun),
            "noun": [noun],
            "inside": self._function("inside", "preposition", clause),
        }

    def _complement(self, clause: Clause) -> list[Word]:
        agent = self._agent(clause, may_relate=False)
        verb = self.draw.choose(self.language.speech_verbs)
        form, told = self._finite(verb, agent.head), (("verb", N_VERB_CLASSES - 1),)
        inner = Clause(clause.depth + 1, False, clause.subordinate, clause.coordinated)
        parts = {
            "agent": self._tell(agent, "agent"),
            "verb": [Word(form, verb.infinitive, "verb", clause, agent.plural, tells=told)],
            "complementiser": self._function("that", "complementiser", inner),
            "clause": self._clause(inner),
        }
        return self._arrange("complement", parts)

    # Sentences --------------------------------------------------------------------------------

    def _opening(self) -> list[Word]:
        draw, language, scene = self.draw, self.language, self.scene
        clause, inner = Clause(), Clause(depth=1, subordinate=True)
        name = language.names[scene.protagonist][0]
        told = (("agent", scene.protagonist), ("protagonist", scene.protagonist))
        agent = Word(name, name, "name", clause, tells=told)
        time = self._noun(clause, draw.choose(language.times))
        place = self._noun(clause, language.places[scene.place], tells=(("scene", scene.place),))
        # The opening's verb and object always belong to the goal and the place it names.
        verb = draw.index(len(language.goal_verbs[scene.goal]))
        act = (verb + scene.goal) % (N_VERB_CLASSES - 1)
        told = (("verb", act), ("goal", scene.goal))
        infinitive = language.goal_verbs[scene.goal][verb].infinitive
        scene.cue = 1.0
        motion = draw.choose(language.motion_verbs)
        parts = {
            "time": [*self._function("one", "determiner", clause, time), time],
            "agent": [agent],
            "go": [Word(self._finite(motion, agent), motion.infinitive, "verb", clause)],
            **self._aspect(clause),
            "place": [
                *self._function("to", "preposition", clause),
                *self._function("the", "determiner", clause, place),
                place,
            ],
            "goal": [
                *self._function("in order to", "particle", inner),
                Word(infinitive, infinitive, "verb", inner, tells=told),
                *self._tell(self._object(inner), "patient"),
            ],
        }
        return self._arrange("opening", parts)

    def _main_sentence(self) -> list[Word]:
        draw, config, language = self.draw, self.config, self.language
        if draw.happens(config.subordinate):
            subordinator = draw.choose(language.subordinators)
            clause = Clause(depth=1, subordinate=True)
            first = [Word(form, form, "conjunction", clause) for form in subordinator.split()]
            first = _close(first + self._clause(clause))
            first[-1].after = language.comma
            parts = {"subordinate": first, "main": self._clause(Clause())}
            return self._arrange("subordination", parts)
        words = self._clause(Clause())
        if draw.happens(config.coordinate):
            conjunction = draw.choose(language.conjunctions)
            clause = Clause(coordinated=True)
            words[-1].after = language.comma
            words = words + [Word(conjunction, conjunction, "conjunction", clause)]
            words = _close(words + self._clause(clause))
        return words


def write(
    language: Language, config: StoryConfig, rng: np.random.Generator, n_words: int
) -> list[Sentence]:
    """Whole sentences with at least so many words.

    Parameters
    ----------
    language, config, rng
        As for `Narrator`.
    n_words
        Words wanted; the last sentence may exceed it.

    Returns
    -------
    list of Sentence
    """
    sentences, count = [], 0
    for sentence in Narrator(language, config, rng).sentences():
        sentences.append(sentence)
        count += len(sentence.words)
        if count >= n_words:
            return sentences


def as_text(sentences: list[Sentence]) -> str:
    """Readable text: a paragraph for each scene."""
    pieces = []
    for sentence in sentences:
        if pieces:
            pieces.append("\n\n" if sentence.opens_scene else sentence.language.separator)
        pieces.append(sentence.text)
    return "".join(pieces)
