"""Where studies come from: each name gives a `Study`, or maps of or responses to concepts."""

from importlib import import_module
from typing import TYPE_CHECKING

from brainalign.errors import InputError
from brainalign.study import Study

if TYPE_CHECKING:
    from brainalign.studies.concepts.maps import ConceptMaps
    from brainalign.studies.concepts.responses import ConceptResponses

#: Module of each study; a module has `load(**options)` and `fingerprint(**options)`.
_MODULES = {
    "testbed": "brainalign.studies.testbed",
    "alice": "brainalign.studies.alice",
    "petitprince-en": "brainalign.studies.petitprince",
}
#: Studies of concepts, which have no story and no course in time.
_CONCEPTS = {
    "concepts": "brainalign.studies.concepts.maps",
    "concepts-testbed": "brainalign.studies.concepts.simulated",
}


def study_names() -> list[str]:
    """Names of all studies, those that `load_study` knows and those that `load_concepts` does."""
    return [*_MODULES, *_CONCEPTS]


def _module(name: str):
    modules = _MODULES | _CONCEPTS
    if name not in modules:
        raise InputError(f"Unknown study {name!r}; known studies are {', '.join(study_names())}.")
    return import_module(modules[name])


def load_study(name: str, **options) -> Study:
    """Load a study by name.

    Parameters
    ----------
    name
        One of `study_names()` that has a story.
    **options
        The study's own: the testbed takes the fields of its `TestbedConfig`, such as `seed`,
        "alice" those of its `AliceConfig`, such as `high_pass`; "petitprince-en" takes none.

    Returns
    -------
    Study

    Raises
    ------
    InputError
        For an unknown name or option, a study of concepts, and for files that are missing or not
        what they should be.
    """
    if name in _CONCEPTS:
        raise InputError(
            f"Study {name!r} is one of single concepts, without words in time; "
            f"{', '.join(_MODULES)} are expected here."
        )
    return _module(name).load(**options)


def load_concepts(name: str, **options) -> "ConceptMaps | ConceptResponses":
    """Load a study of concepts by name.

    Parameters
    ----------
    name
        "concepts" for the published maps, "concepts-testbed" for simulated responses.
    **options
        Of "concepts-testbed": fields of its `ConceptsConfig`.

    Returns
    -------
    ConceptMaps or ConceptResponses

    Raises
    ------
    InputError
        For an unknown name or option, a study with a story, and for files that are missing or not
        what they should be.
    """
    if name in _MODULES:
        raise InputError(
            f"Study {name!r} has a story and no concepts; {' or '.join(_CONCEPTS)} is expected."
        )
    return _module(name).load(**options)


def study_fingerprint(name: str, **options) -> str:
    """Identity of a study's data, without loading any.

    Parameters
    ----------
    name, **options
        As for `load_study` or `load_concepts`.

    Returns
    -------
    str
        Changes when the data would.
    """
    return _module(name).fingerprint(**options)
