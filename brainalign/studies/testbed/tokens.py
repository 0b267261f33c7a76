"""Tokens of the testbed's stories: words, or the characters of a language without spaces."""

from functools import cache

import numpy as np

from brainalign.studies.testbed.languages import LANGUAGES
from brainalign.studies.testbed.sentence import Sentence

PADDING, UNKNOWN = "[PAD]", "[UNK]"


@cache
def token_numbers(language: str) -> dict[str, int]:
    """Number of every token: the special ones, the punctuation, then the language's own, sorted."""
    spoken = LANGUAGES[language]
    tokens = [PADDING, UNKNOWN, spoken.stop, spoken.comma, *spoken.tokens()]
    return {token: number for number, token in enumerate(tokens)}


def make_tokenizer(language: str = "en", positions: int = 128):
    """Tokenizer for the stories: lower case; words, or single characters; punctuation on its own.

    Returns
    -------
    transformers.PreTrainedTokenizerFast
    """
    from tokenizers import Regex, Tokenizer, models, normalizers, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(models.WordLevel(token_numbers(language), unk_token=UNKNOWN))
    tokenizer.normalizer = normalizers.Lowercase()
    # An article that lost its vowel keeps its apostrophe: "l'", "arbre".
    pattern = r"\w+'?|[^\w\s]" if LANGUAGES[language].separator else r"\S"
    tokenizer.pre_tokenizer = pre_tokenizers.Split(Regex(pattern), "removed", invert=True)
    return PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        unk_token=UNKNOWN,
        pad_token=PADDING,
        model_max_length=positions,
    )


@cache
def _tokens_of_forms(language: str) -> dict[str, list[int]]:
    spoken, numbers = LANGUAGES[language], token_numbers(language)
    return {
        form: [numbers[token] for token in spoken.tokens_of(form)] for form in spoken.vocabulary()
    }


def encode_sentences(sentences: list[Sentence], language: str = "en") -> np.ndarray:
    """Tokens of a story, straight from its words: what the tokenizer gives, a hundred times faster.

    Returns
    -------
    numpy.ndarray
        Token numbers, int64.
    """
    spoken, numbers, known = (
        LANGUAGES[language],
        token_numbers(language),
        _tokens_of_forms(language),
    )
    tokens = []
    for sentence in sentences:
        for word in sentence.words:
            tokens += known[word.form.lower()]
            if word.after:
                tokens.append(numbers[word.after])
        tokens.append(numbers[spoken.stop])
    return np.array(tokens)
