"""The languages that the testbed's stories are told in."""

from brainalign.studies.testbed.languages.chinese import CHINESE
from brainalign.studies.testbed.languages.english import ENGLISH
from brainalign.studies.testbed.languages.french import FRENCH
from brainalign.studies.testbed.languages.language import Language

LANGUAGES: dict[str, Language] = {
    language.code: language for language in (ENGLISH, FRENCH, CHINESE)
}
