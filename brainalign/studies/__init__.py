"""Where studies come from: each name gives a `Study`."""

from importlib import import_module

from brainalign.errors import InputError
from brainalign.study import Study

#: Module of each study; a module has `load(**options)` and `fingerprint(**options)`.
_MODULES = {
    "testbed": "brainalign.studies.testbed",
    "alice": "brainalign.studies.alice",
    "petitprince-en": "brainalign.studies.petitprince",
}


def study_names() -> list[str]:
    """Names that `load_study` knows."""
    return list(_MODULES)


def _module(name: str):
    if name not in _MODULES:
        raise InputError(f"Unknown study {name!r}; known studies are {', '.join(study_names())}.")
    return import_module(_MODULES[name])


def load_study(name: str, **options) -> Study:
    """Load a study by name.

    Parameters
    ----------
    name
        One of `study_names()`.
    **options
        The study's own: the testbed takes the fields of its `TestbedConfig`, such as `seed`,
        "alice" those of its `AliceConfig`, such as `high_pass`; "petitprince-en" takes none.

    Returns
    -------
    Study

    Raises
    ------
    InputError
        For an unknown name or option, and for files that are missing or not what they should be.
    """
    return _module(name).load(**options)


def study_fingerprint(name: str, **options) -> str:
    """Identity of a study's data, without loading any.

    Parameters
    ----------
    name, **options
        As for `load_study`.

    Returns
    -------
    str
        Changes when the data would.
    """
    return _module(name).fingerprint(**options)
