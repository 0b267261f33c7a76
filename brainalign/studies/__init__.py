"""Where studies come from: each name gives a `Study`, or maps of or responses to concepts.

A study is named by a word, such as "alice", or by the path of a user's own folder with a study.yml.
"""

import os
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from brainalign.errors import InputError, suggestion
from brainalign.study import Study

if TYPE_CHECKING:
    from brainalign.studies.concepts.maps import ConceptMaps
    from brainalign.studies.concepts.responses import ConceptResponses
    from brainalign.studies.preparation import Preparation

#: Module of each study; a module has `load(**options)` and `fingerprint(**options)`.
_MODULES = {
    "testbed": "brainalign.studies.testbed",
    "alice": "brainalign.studies.alice",
    "petitprince-en": "brainalign.studies.petitprince.english",
    "petitprince-fr": "brainalign.studies.petitprince.french",
    "petitprince-cn": "brainalign.studies.petitprince.chinese",
}
#: Studies of concepts, which have no story and no course in time.
_CONCEPTS = {
    "concepts": "brainalign.studies.concepts.maps",
    "concepts-testbed": "brainalign.studies.concepts.simulated",
}


def study_names() -> list[str]:
    """Names of all studies, those that `load_study` knows and those that `load_concepts` does."""
    return [*_MODULES, *_CONCEPTS]


def is_path(name: str) -> bool:
    """Whether a study is named by the path of a folder."""
    if name in (*study_names(), "published"):
        return False
    return "/" in name or os.sep in name or name.startswith((".", "~")) or Path(name).is_dir()


def _module(name: str):
    """What loads a study: a module, or the functions of `folder` for the user's own."""
    modules = _MODULES | _CONCEPTS
    if is_path(name):
        return import_module("brainalign.studies.folder").of(name)
    if name not in modules:
        raise InputError(
            f"Unknown study {name!r}; {suggestion(name, study_names())}, and the path of a folder "
            "with a study.yml."
        )
    return import_module(modules[name])


def check_study(name: str, **options) -> None:
    """Refuse an unknown study or option before anything is loaded.

    Parameters
    ----------
    name, **options
        As for `load_study`.

    Raises
    ------
    InputError
        For an unknown name, an option that the study does not have, a value that does not fit, and
        a folder whose study.yml cannot be used.
    """
    _module(name).configure(**options)


def load_study(name: str, **options) -> Study:
    """Load a study by name.

    Parameters
    ----------
    name
        One of `study_names()` that has a story, or the path of a folder with a study.yml.
    **options
        The study's own: the testbed takes the fields of its `TestbedConfig`, such as `seed`,
        "alice" those of its `AliceConfig`, such as `high_pass`, "petitprince-en" those of its
        `PetitPrinceConfig`, such as `responses`.

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


def study_preparation(name: str, **options) -> "Preparation":
    """Images of a study's listeners, and what is to be made of them.

    Parameters
    ----------
    name, **options
        As for `load_study`.

    Returns
    -------
    Preparation

    Raises
    ------
    InputError
        For an unknown name or option, and for a study without images.
    """
    prepare = getattr(_module(name), "preparation", None)
    if prepare is None:
        raise InputError(
            f"Study {name!r} has no images to prepare; a study of single listeners' images, such "
            "as 'petitprince-en', is expected."
        )
    return prepare(**options)


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
