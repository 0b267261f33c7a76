"""Language models and brain responses: from words to brain scores to figures.

The names below are what a notebook needs; each is imported when it is first used, so that
`import brainalign` is fast and brings neither torch nor transformers.
"""

from importlib import import_module

_WHERE = {
    "Study": "study",
    "Run": "study",
    "InputError": "errors",
    "load_study": "studies",
    "study_names": "studies",
    "describe": "models",
    "model_table": "models",
    "load_language_model": "loading",
    "extract": "activations",
    "run_regressors": "regressors",
    "leave_one_run_out": "ridge",
    "EncodingSettings": "fitting",
    "encode": "encoding",
    "brain_scores": "layer_choice",
    "leave_one_out_isc": "reliability",
    "reliable_voxels": "reliability",
    "study_scores": "scores",
}

__all__ = sorted(_WHERE)


def __getattr__(name: str):
    if name in _WHERE:
        return getattr(import_module(f"brainalign.{_WHERE[name]}"), name)
    raise AttributeError(f"module 'brainalign' has no attribute {name!r}")


def __dir__() -> list[str]:
    return [*globals(), *__all__]
