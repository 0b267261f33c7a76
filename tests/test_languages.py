"""The languages of the stories: lexicon, agreement, word order, and words on tokens."""

import hashlib
import itertools
from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from brainalign.alignment import tokenise, word_pooling
from brainalign.errors import InputError
from brainalign.studies import load_study, study_fingerprint
from brainalign.studies.testbed.config import StoryConfig
from brainalign.studies.testbed.languages import CHINESE, ENGLISH, FRENCH, LANGUAGES
from brainalign.studies.testbed.languages.language import VOWELS, agree, all_forms
from brainalign.studies.testbed.latents import word_latents
from brainalign.studies.testbed.story import as_text, write
from brainalign.studies.testbed.tokens import encode_sentences, make_tokenizer, token_numbers

CODES = list(LANGUAGES)


def tell(language, n_words=30_000, seed=0, **probabilities):
    return write(language, StoryConfig(**probabilities), np.random.default_rng(seed), n_words)


@pytest.fixture(scope="module")
def stories():
    return {code: tell(language) for code, language in LANGUAGES.items()}


def words_of(sentences):
    return [word for sentence in sentences for word in sentence.words]


def sha256(data):
    return hashlib.sha256(data).hexdigest()


# English is what the shipped models were trained on and what the listeners of the book hear -------


def test_english_has_not_changed_by_one_word():
    sentences = tell(ENGLISH, 50_000, [0, 5, 0])
    assert sha256(as_text(sentences).encode()) == (
        "1a02623478dabbdbdaa9fcb91056695c6c9dfa25f477c05b5c86997a5046c8dc"
    )
    assert sha256("\n".join(ENGLISH.vocabulary()).encode()) == (
        "6d97f87df2eb4bc3b375d17b5b33c6720d374f06590f81433b675fcca3145369"
    )
    assert sha256(encode_sentences(sentences).astype("<i8").tobytes()) == (
        "fe3b983b2e54eaab92527cb3c589950603df1d002e85f08684e077545a96184c"
    )


def test_english_tokens_are_the_special_ones_and_the_sorted_vocabulary():
    numbers = token_numbers("en")
    assert list(numbers) == ["[PAD]", "[UNK]", ".", ",", *ENGLISH.vocabulary()]
    assert list(numbers.values()) == list(range(len(numbers)))


# Lexicon ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", CODES)
def test_lists_have_the_sizes_of_the_english_ones(code):
    language = LANGUAGES[code]
    for name in ("places", "purposes", "objects", "verbs", "speech_verbs", "motion_verbs", "names",
                 "animates", "adjectives", "adverbs", "prepositions", "subordinators", "times",
                 "conjunctions"):  # fmt: skip
        items = getattr(language, name)
        assert len(items) == len(set(items)) == len(getattr(ENGLISH, name)), name
    assert [len(objects) for objects in language.scene_objects] == [8] * 8
    assert [len(verbs) for verbs in language.goal_verbs] == [6] * 6
    assert language.order.keys() == ENGLISH.order.keys()


@pytest.mark.parametrize(
    "code, n_forms, n_tokens", [("en", 482, 482), ("fr", 893, 893), ("cn", 338, 453)]
)
def test_vocabulary_sizes(code, n_forms, n_tokens):
    assert len(LANGUAGES[code].vocabulary()) == n_forms
    assert len(LANGUAGES[code].tokens()) == n_tokens


@pytest.mark.parametrize("code", CODES)
def test_stories_use_the_whole_vocabulary_and_nothing_else(code):
    # Passives of beings are rare, and French participles agree with them.
    sentences = tell(LANGUAGES[code], 90_000, passive=0.5, animate_patient=0.7)
    used = {word.form.lower() for word in words_of(sentences)}
    assert used == set(LANGUAGES[code].vocabulary())


@pytest.mark.parametrize("code", CODES)
def test_cues_are_exclusive(code):
    language = LANGUAGES[code]
    cues = [noun for objects in language.scene_objects for noun in objects]
    for verb in itertools.chain.from_iterable(language.goal_verbs):
        cues += set().union(*map(all_forms, verb))
    assert max(Counter(cues).values()) == 1
    other = {*language.objects, *language.places, *language.adverbs, *language.function.values()}
    other |= {form for forms in language.adjectives for form in all_forms(forms)}
    other |= {form for verb in language.verbs for forms in verb for form in all_forms(forms)}
    other |= {form for pair in language.animates for form in pair}
    assert not other & set(cues)


@pytest.mark.parametrize("code", CODES)
def test_every_scene_tells_its_place_its_goal_and_who_acts(code, stories):
    for sentence in stories[code]:
        if sentence.opens_scene:
            told = {slot for word in sentence.words for slot, _ in word.tells}
            assert {"scene", "goal", "protagonist"} <= told


@pytest.mark.parametrize("code", CODES)
def test_objects_of_a_place_are_named_only_there(code, stories):
    places = {
        noun: number
        for number, objects in enumerate(LANGUAGES[code].scene_objects)
        for noun in objects
    }
    here = None
    for word in words_of(stories[code]):
        here = dict(word.tells).get("scene", here)
        assert places.get(word.lemma, here) == here


@pytest.mark.parametrize("code", CODES)
def test_the_languages_tell_of_the_same_kind_of_world(code, stories):
    # Same constructions equally often: only the words and their order differ.
    table = word_latents(stories[code], LANGUAGES[code])
    english = word_latents(stories["en"], ENGLISH)
    assert list(table.columns) == list(english.columns)
    for slot in ("agent", "verb", "patient", "scene", "goal", "protagonist"):
        told = [
            sum(s == slot for w in words_of(stories[c]) for s, _ in w.tells) for c in (code, "en")
        ]
        assert told[0] == pytest.approx(told[1], rel=0.1)


@settings(max_examples=10, deadline=None)
@given(code=st.sampled_from(CODES), seed=st.integers(0, 2**32 - 1), n_words=st.integers(1, 500))
def test_same_seed_same_story(code, seed, n_words):
    first, second = (as_text(tell(LANGUAGES[code], n_words, seed)) for _ in range(2))
    assert first == second


# Agreement and order ------------------------------------------------------------------------------


def test_forms_agree():
    assert agree("old", 1, True) == "old"
    assert [agree("carries|carry", 1, plural) for plural in (False, True)] == ["carries", "carry"]
    french = "doux/douce|doux/douces"
    assert [agree(french, c, p) for p in (False, True) for c in (0, 1)] == [
        "doux", "douce", "doux", "douces",
    ]  # fmt: skip
    assert all_forms(french) == {"doux", "douce", "douces"}


def test_english_verbs_agree_with_their_subject_across_relatives(stories):
    # Every present-tense verb that is not a participle has the number of its clause's subject.
    several = {"|".join(verb.present.split("|")): verb for verb in ENGLISH.verbs}
    singular = {forms.split("|")[0] for forms in several}
    checked = 0
    for sentence in stories["en"]:
        for word in sentence.words:
            if not sentence.past and word.part_of_speech == "verb" and not word.clause.passive:
                if word.form in singular:
                    assert not word.plural
                    checked += 1
    assert checked > 100


def test_french_nouns_rule_their_determiner_and_adjective(stories):
    adjectives = {agree(forms): forms for forms in FRENCH.adjectives}
    feminine = {"la", "une", "cette"}
    masculine = {"le", "un", "ce", "cet"}
    checked = Counter()
    for sentence in stories["fr"]:
        for before, noun, after in zip(
            sentence.words, sentence.words[1:], [*sentence.words[2:], None], strict=False
        ):
            if noun.part_of_speech != "noun" or before.part_of_speech != "determiner":
                continue
            is_feminine = noun.lemma in FRENCH.noun_class and FRENCH.noun_class[noun.lemma] == 1
            form = before.form.lower()
            if form in feminine | masculine:
                assert (form in feminine) == is_feminine, (form, noun.form)
                checked["determiner"] += 1
            starts = noun.form[0] in VOWELS
            assert not (starts and form in ("le", "la", "ce"))
            assert not (not starts and form in ("l'", "cet"))
            assert (form in ("les", "des", "ces", "plusieurs", "quelques")) == noun.plural
            if after is not None and after.part_of_speech == "adjective":
                forms = adjectives[after.lemma]
                assert after.form == agree(forms, int(is_feminine), noun.plural)
                checked["adjective"] += 1
    assert min(checked["determiner"], checked["adjective"]) > 500


def test_french_participles_agree_with_the_subject_of_their_passive():
    endings = {(False, 0): "é", (False, 1): "ée", (True, 0): "és", (True, 1): "ées"}
    found = set()
    for sentence in tell(FRENCH, passive=1.0, complement=0.0, relative=0.0):
        words = sentence.words
        for number, word in enumerate(words):
            if word.form not in ("est", "sont", "était", "étaient"):
                continue
            assert word.form in (("étaient" if word.plural else "était") if sentence.past
                                 else ("sont" if word.plural else "est"))  # fmt: skip
            subject = [w for w in words[:number] if w.part_of_speech == "noun"][-1]
            ending = endings[subject.plural, FRENCH.noun_class[subject.lemma]]
            assert words[number + 1].form.endswith(ending)
            found.add(ending)
    assert found == set(endings.values())


def test_french_elides_and_leans():
    text = as_text(tell(FRENCH, 20_000)).lower()
    for wrong in ("le o", "la é", "que a", "que e", "que i", "ce é", "puisque i", "l' ", "qu' "):
        assert f" {wrong}" not in text.replace("\n", " "), wrong
    assert "l'école" in text and "qu'elle" in text and "cet o" in text and "l'o" in text
    assert "lorsqu'il" in text


def test_french_adjectives_and_relatives_follow_their_noun(stories):
    for sentence in stories["fr"]:
        for before, word in itertools.pairwise(sentence.words):
            if word.part_of_speech == "adjective":
                assert before.part_of_speech == "noun"
            if word.part_of_speech == "relativiser":
                assert before.part_of_speech in ("noun", "adjective")


def test_chinese_relatives_come_before_their_noun(stories):
    checked = 0
    for sentence in stories["cn"]:
        for word, follower in itertools.pairwise(sentence.words):
            if word.part_of_speech == "relativiser":
                assert word.form == "的" and not follower.clause.relative
                assert follower.part_of_speech in ("noun", "determiner", "adjective")
                checked += 1
    assert checked > 100


def test_chinese_measure_words_fit_their_noun(stories):
    measures = "个只条张把"
    checked = 0
    for sentence in stories["cn"]:
        for place, word in enumerate(sentence.words):
            if word.part_of_speech == "determiner" and word.form[-1] in measures and place:
                noun = next(w for w in sentence.words[place:] if w.part_of_speech == "noun")
                assert measures.index(word.form[-1]) == CHINESE.noun_class[noun.lemma]
                checked += 1
    assert checked > 500


def test_chinese_tense_is_a_particle(stories):
    for sentence in stories["cn"]:
        forms = [word.form for word in sentence.words]
        assert not ("正在" in forms and "了" in forms)
        if "了" in forms or "正在" in forms:
            assert sentence.past == ("了" in forms)


def test_chinese_passive_names_the_agent_before_the_verb():
    checked = 0
    for sentence in tell(CHINESE, 5000, passive=1.0, relative=0.0, complement=0.0):
        if not sentence.opens_scene:
            kinds = [
                word.form if word.form == "被" else word.part_of_speech for word in sentence.words
            ]
            by, verb = kinds.index("被"), kinds.index("verb")
            slots = [[slot for slot, _ in word.tells] for word in sentence.words]
            assert slots.index(["patient"]) < by < slots.index(["agent"]) < verb
            checked += 1
    assert checked > 100


def test_another_language_is_a_lexicon_and_a_table_of_orders():
    # Verb last, adjective after the noun, and words of its own.
    order = dict(ENGLISH.order)
    order["active"] = ("agent", "patient", "adverb", "prepositional", "verb")
    order["noun phrase"] = ("determiner", "noun", "adjective", "relative")
    foreign = replace(
        ENGLISH,
        code="x",
        adjectives=tuple(f"{word}o" for word in ENGLISH.adjectives),
        function=ENGLISH.function | {"by": "bai", "the": "lo"},
        order=order,
    )
    told = tell(foreign, 3000, verb_pair=0)
    words = [word.form.lower() for word in words_of(told)]
    assert set(words) <= set(foreign.vocabulary()) and {"bai", "lo"} <= set(words)
    for sentence in told:
        for before, word in itertools.pairwise(sentence.words):
            if word.part_of_speech == "adjective":
                assert before.part_of_speech == "noun"
        last, main = sentence.words[-1], sentence.words[0].clause
        if all(word.clause is main for word in sentence.words) and not main.passive:
            assert last.part_of_speech == "verb"
    assert len(word_latents(told, foreign)) == len(words)


# Words and tokens ---------------------------------------------------------------------------------


@settings(max_examples=15, deadline=None)
@given(code=st.sampled_from(CODES), seed=st.integers(0, 2**32 - 1))
def test_every_word_has_its_own_tokens_and_none_is_lost(code, seed):
    language, sentences = LANGUAGES[code], tell(LANGUAGES[code], 300, seed)
    forms, text = [word.form for word in words_of(sentences)], as_text(sentences)
    tokenizer = make_tokenizer(code)
    ids, ranges, n_skipped, _ = tokenise(forms, text, tokenizer)
    assert n_skipped == 0
    assert np.array_equal(ids, encode_sentences(sentences, code))
    assert ids.tolist() == tokenizer(text)["input_ids"]
    # What lies on no word is punctuation, and a word's tokens spell it.
    covered = np.concatenate([np.arange(*span) for span in ranges])
    assert len(covered) == len(set(covered))
    names = tokenizer.convert_ids_to_tokens(ids.tolist())
    left = {names[i] for i in set(range(len(ids))) - set(covered)}
    assert left <= {language.stop, language.comma}
    for form, (first, stop) in zip(forms, ranges, strict=True):
        assert tuple(names[first:stop]) == language.tokens_of(form)
    pooling = word_pooling(ranges, len(ids), "mean")
    assert np.allclose(pooling.sum(axis=1), 1)
    assert ((pooling > 0).sum(axis=0) <= 1).all()


@pytest.mark.parametrize("told, read", itertools.permutations(CODES, 2))
def test_a_story_in_another_language_is_refused(told, read):
    sentences = tell(LANGUAGES[told], 300)
    forms = [word.form for word in words_of(sentences)]
    with pytest.raises(InputError, match="does not know .* a model of the text's language"):
        tokenise(forms, as_text(sentences), make_tokenizer(read))


def test_chinese_words_have_one_to_three_tokens_and_no_spaces(stories):
    lengths = Counter(len(CHINESE.tokens_of(word.form)) for word in words_of(stories["cn"]))
    assert set(lengths) == {1, 2, 3}
    text = as_text(stories["cn"])
    assert not set(text) & set(" .,") and "。" in text and "，" in text


# Studies ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", ["fr", "cn"])
def test_the_study_is_heard_in_the_language(code):
    small = {"n_runs": 3, "n_scans": 60, "n_listeners": 1}
    study = load_study("testbed", **small, language=code)
    assert study.language == code
    assert study_fingerprint("testbed", language=code) != study_fingerprint("testbed")
    assert study.truth["latents"].sizes["latent"] == 87
    for number, run in enumerate(study.runs):
        _, _, n_skipped, _ = tokenise(run.words["word"], run.text, make_tokenizer(code))
        assert n_skipped == 0
        assert np.isfinite(study.responses(number).to_numpy()).all()
    english = load_study("testbed", **small)
    assert np.array_equal(study.truth["weight"], english.truth["weight"])
