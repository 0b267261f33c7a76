"""Options of studies: names and types."""

from dataclasses import dataclass

import pytest

from brainalign.errors import InputError
from brainalign.studies import study_fingerprint
from brainalign.studies.options import make_config


@dataclass(frozen=True)
class Config:
    cut_off: float | None = 0.5
    n: int = 3
    names: tuple[str, ...] = ()


def test_values_take_the_type_of_their_field():
    config = make_config(Config, "tiny", {"cut_off": 1, "names": ["a", "b"]})
    assert config == Config(1.0, 3, ("a", "b"))
    assert make_config(Config, "tiny", {"cut_off": None}).cut_off is None
    assert make_config(Config, "tiny", {}) == Config()


@pytest.mark.parametrize(
    "options, message",
    [
        ({"m": 1}, "Study 'tiny' has no option 'm'; it has cut_off, n, names."),
        ({"n": "abc"}, "Option n of study 'tiny' is 'abc'; input should be a valid integer"),
        ({"n": 2.5}, "Option n of study 'tiny' is 2.5; input should be a valid integer"),
        ({"cut_off": "x"}, "Option cut_off of study 'tiny' is 'x'; input should be a valid number"),
        ({"names": 3}, "Option names of study 'tiny' is 3; input should be a valid tuple"),
    ],
)
def test_bad_options_give_one_sentence(options, message):
    with pytest.raises(InputError) as caught:
        make_config(Config, "tiny", options)
    assert str(caught.value).startswith(message) and "\n" not in str(caught.value)


def test_studies_check_their_options():
    for study, options in (("alice", {"n_folds": "abc"}), ("testbed", {"seed": "abc"})):
        with pytest.raises(InputError, match=f"of study '{study}' is 'abc'"):
            study_fingerprint(study, **options)
