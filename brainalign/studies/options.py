"""Options that a study is loaded with: known names and right types, or one sentence."""

from dataclasses import fields
from typing import Any, TypeVar, get_type_hints

from brainalign.errors import InputError

Config = TypeVar("Config")


def make_config(kind: type[Config], study: str, options: dict[str, Any]) -> Config:
    """Configuration of a study with some values changed.

    Parameters
    ----------
    kind
        A dataclass with a default for every field.
    study
        Name for messages.
    options
        Values to change. Lists will do for tuples, whole numbers for floats.

    Returns
    -------
    Config

    Raises
    ------
    InputError
        For an option that the study does not have, or a value of another type.
    """
    from pydantic import TypeAdapter, ValidationError

    known = {field.name for field in fields(kind)}
    if unknown := sorted(set(options) - known):
        raise InputError(
            f"Study {study!r} has no option {unknown[0]!r}; it has {', '.join(sorted(known))}."
        )
    hints, checked = get_type_hints(kind), {}
    for name, value in options.items():
        try:
            checked[name] = TypeAdapter(hints[name]).validate_python(value)
        except ValidationError as error:
            reason = error.errors()[0]["msg"].lower()
            raise InputError(f"Option {name} of study {study!r} is {value!r}; {reason}.") from error
    return kind(**checked)
