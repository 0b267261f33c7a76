"""What a study is scored with where nobody says otherwise: models, settings, options."""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from brainalign.errors import InputError
from brainalign.scaling import control_names
from brainalign.statistics import MINIMUM_POINTS

PUBLISHED = "published"
#: In a list of models: all that the paper has in the study's language.
PAPER = "paper"
# Measured regions are few and differ in noise: an alpha for each, from a grid that goes further
# down. Windows of 64 tokens are some 20 seconds of speech; a model that looks to both sides reads
# one for every word.
_ALICE = {"alphas": (0.0, 6.0, 13), "alpha_per_voxel": True, "window": 64}
# The paper's penalties and windows, which are as long as the model allows and 64 tokens apart.
_VOXELS = {"alphas": (2.0, 7.0, 16), "stride": 64}
# Words without blanks between them, by the characters that they are written with.
_CHINESE = {"empty_words": "next", "word_vector": "characters"}


def default_models(study: str, language: str = "en") -> list[str]:
    """Language models that a page shows when it is asked for none in particular.

    Parameters
    ----------
    study
        Its name or path. The testbed's models know the testbed's words only; studies of real speech
        take the pretrained model that needs no hub.
    language
        Of the testbed: "en", "fr" or "cn".
    """
    from brainalign.models import MINILM, zoo_names

    return zoo_names(language) if study == "testbed" else [MINILM]


def chosen_models(
    study: str, models: Sequence[str] | None, language: str = "en", least: int = 0
) -> list[str]:
    """Language models by name: those asked for, or the study's own.

    Parameters
    ----------
    study, language
        As for `default_models`.
    models
        Names; "paper" stands for the paper's models of the study's language, None for
        `default_models`.
    least
        How many are needed.

    Returns
    -------
    list of str

    Raises
    ------
    InputError
        For fewer models.
    """
    names = default_models(study, language) if models is None else list(models)
    if PAPER in names:
        from brainalign.models import paper_names

        paper = paper_names(_language(study))
        names = [one for name in names for one in (paper if name == PAPER else [name])]
    names = list(dict.fromkeys(names))
    if len(names) < least:
        whose = f"study {study!r} has {len(names)} of its own"
        raise InputError(
            f"At least {least} language models are needed for a line through their scores; "
            f"{whose if models is None else f'there are {len(names)}'} ({', '.join(names)}), so name others in models, or all of the paper's: [{PAPER}]."
        )
    return names


def default_controls(study: str, language: str = "en") -> list[str]:
    """Features without context that language models are compared with.

    Parameters
    ----------
    study, language
        As for `default_models`.

    Returns
    -------
    list of str
        Random vectors and embeddings of two widths and three seeds; for the English testbed also
        the word vectors that were learnt from its stories.
    """
    from brainalign.models import word_vector_names

    learnt = word_vector_names() if (study, language) == ("testbed", "en") else []
    return [*learnt, *control_names()]


def spread_models(names: Sequence[str], n: int) -> list[str]:
    """So many of the models, evenly spaced in the order given, the first and the last among them.

    Parameters
    ----------
    names
        Smallest first.
    n
        How many; all where there are fewer.
    """
    places = np.linspace(0, len(names) - 1, min(n, len(names))).round().astype(int)
    return [names[place] for place in places]


def draws_line(study: str, models: Sequence[str] | None) -> bool:
    """Whether there are models enough for a line through their scores.

    Parameters
    ----------
    study
        "published", or a study of `brainalign.studies`.
    models
        As asked for; None takes the study's own.
    """
    return study == PUBLISHED or len(chosen_models(study, models or None)) >= MINIMUM_POINTS


def line_models(
    study: str, models: Sequence[str] | None, least: int = MINIMUM_POINTS
) -> Sequence[str] | None:
    """Models of a page that draws a line through their scores, as asked for.

    Parameters
    ----------
    study, models
        As for `draws_line`.
    least
        How many are needed.

    Raises
    ------
    InputError
        Where there are too few, before anything is computed.
    """
    if study == PUBLISHED:
        return None if PAPER in (models or []) else models
    chosen_models(study, models, least=least)
    return models


def _language(study: str) -> str:
    """Language of a study by its name; of the user's own as its study.yml says."""
    from brainalign.studies import is_path

    if is_path(study):
        from brainalign.studies.folder_files import read_description

        return read_description(study).language
    return study.rpartition("-")[2] if study.startswith("petitprince-") else "en"


def study_settings(study: str, **given: Any) -> dict[str, Any]:
    """What to change of the settings that responses are fitted with.

    Parameters
    ----------
    study
        Name or path of the study. The testbed takes the settings of `encoding.encode`; *Alice* has
        an alpha for every region, 13 alphas from 1 to a million, and windows of 64 tokens; studies
        of measured voxels have the paper's alphas, 16 from 100 to ten million, one for all voxels,
        and its windows, as long as the model allows and 64 tokens apart; the other settings stay
        those of `encoding.encode`. In Chinese, words are
        means over their characters, and rows without a word take the next one's vector.
    **given
        Fields of `EncodingSettings` or `ActivationSettings`; None leaves the study's own.

    Returns
    -------
    dict
        For `fitting.encoding_settings`.
    """
    from brainalign.studies import is_path

    changes = {name: value for name, value in given.items() if value is not None}
    own = {}
    if study == "alice":
        own = _ALICE
    elif is_path(study) or study.startswith("petitprince-"):
        own = _VOXELS | (_CHINESE if _language(study) in ("cn", "zh") else {})
    # A stated context stands instead of a stride, and a stride leaves some of its window.
    if "minimum_context" in changes or changes.get("window", np.inf) <= own.get("stride", 0):
        own = {name: value for name, value in own.items() if name != "stride"}
    return {**own, **changes}


def load_options(
    study: str,
    brain_seed: int = 0,
    high_pass: float | None = None,
    confounds: Sequence[str] = (),
    own: Mapping[str, Any] | None = None,
    **given: int | None,
) -> dict[str, Any]:
    """What to load a study with, from the parameters of a page.

    Parameters
    ----------
    study
        "published", or a study of `brainalign.studies`.
    brain_seed
        Of the simulated listeners of the testbed; the others have none and ignore it.
    high_pass
        Hz; 0 leaves drifts in.
    confounds
        Also removed; none leaves the study's own.
    own
        Options by the study's own names, from the parameter `study_options` of a page; where one is
        given twice, this one counts.
    **given
        Further options of the study, such as `n_folds`; None leaves the study's own.

    Returns
    -------
    dict
        For `load_study`, which refuses options that a study does not have.

    Raises
    ------
    InputError
        For options of the published scores, which were made with the paper's.
    """
    asked = {"high_pass": high_pass, "confounds": tuple(confounds) or None, **given}
    options = {name: value for name, value in asked.items() if value is not None} | dict(own or {})
    if study == PUBLISHED and options:
        raise InputError(
            f"The published scores have no option {next(iter(options))!r}; they stay as the paper "
            "made them."
        )
    if options.get("high_pass") == 0:
        options["high_pass"] = None
    return ({"seed": brain_seed} if study == "testbed" else {}) | options
