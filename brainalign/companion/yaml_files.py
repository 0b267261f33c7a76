"""Parameters written as YAML, in files and on the command line."""

from collections.abc import Iterable

from brainalign.errors import InputError
from brainalign.studies.yaml_text import parse_yaml, read_mapping

__all__ = ["parse_yaml", "read_mapping", "split_assignments"]


def split_assignments(texts: Iterable[str]) -> dict[str, str]:
    """Names and values, as written, of `name=value` texts.

    Raises
    ------
    InputError
        For a text without "=", or a name given twice.
    """
    values = {}
    for text in texts:
        name, equals, written = text.partition("=")
        name = name.strip()
        if not equals or not name.isidentifier():
            raise InputError(f"Parameter {text!r} is not of the form name=value.")
        if name in values:
            raise InputError(f"Parameter {name} is given twice.")
        values[name] = written
    return values
