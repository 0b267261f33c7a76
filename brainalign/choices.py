"""What the parameters of a page mean for its study: None stands for the study's own choice."""

from collections.abc import Sequence
from typing import Any

from brainalign.scores import PUBLISHED, default_models
from brainalign.statistics import MINIMUM_POINTS

# Measured regions are few and differ in noise: an alpha for each, from a grid that goes further
# down. Windows of 64 tokens are some 20 seconds of speech; a model that looks to both sides reads
# one for every word.
_MEASURED = {"alphas": (0.0, 6.0, 13), "alpha_per_voxel": True, "window": 64}


def draws_line(study: str, models: Sequence[str] | None) -> bool:
    """Whether there are models enough for a line through their scores.

    Parameters
    ----------
    study
        "published", or a study of `brainalign.studies`.
    models
        As asked for; None takes the study's own.
    """
    return study == PUBLISHED or len(models or default_models(study)) >= MINIMUM_POINTS


def study_settings(study: str, **given: Any) -> dict[str, Any]:
    """What to change of the settings that responses are fitted with.

    Parameters
    ----------
    study
        Name of the study. The testbed takes the settings of `encoding.encode`; studies of measured
        listeners have an alpha for every region or voxel, 13 alphas from 1 to a million, and
        windows of 64 tokens.
    **given
        Fields of `EncodingSettings` or `ActivationSettings`; None leaves the study's own.

    Returns
    -------
    dict
        For `fitting.encoding_settings`.
    """
    own = {} if study in ("testbed", PUBLISHED) else _MEASURED
    return {**own, **{name: value for name, value in given.items() if value is not None}}
