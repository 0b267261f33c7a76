"""Where a language model's weights lie: a processor, a graphics card or several."""

from importlib.util import find_spec
from typing import Any

from brainalign.errors import InputError

ACCELERATE_COMMAND = 'pip install -c constraints.txt -e ".[gpus]"'


def free_memory(device: str) -> list[int]:
    """Bytes that are free on a device; of "cuda", on each graphics card."""
    import psutil
    import torch

    if device == "cpu":
        return [psutil.virtual_memory().available]
    cards = range(torch.cuda.device_count()) if device == "cuda" else [device]
    return [torch.cuda.mem_get_info(card)[0] for card in cards]


def place(name: str, n_bytes: int, device: str, advice: str) -> dict[str, Any]:
    """How transformers is to place weights.

    Parameters
    ----------
    name
        The model, for messages.
    n_bytes
        Of its weights.
    device
        "cpu"; "cuda", which is all graphics cards together where one is too small; or "cuda:N".
    advice
        How they would become smaller; empty where there is no way.

    Returns
    -------
    dict
        Options of `from_pretrained`; empty where the weights are loaded by the processor and moved.

    Raises
    ------
    InputError
        For weights that do not fit, with what they need and what there is, and where several
        graphics cards are needed without the package that spreads weights over them.
    """
    free = free_memory(device)
    if n_bytes > sum(free):
        raise InputError(
            f"The weights of model {name!r} need {n_bytes / 1e9:.1f} GB, and {device!r} has "
            f"{sum(free) / 1e9:.1f} GB free; {advice}a larger machine or a smaller model is needed."
        )
    if device == "cpu":
        return {}
    alone = n_bytes <= free[0]
    if find_spec("accelerate"):
        return {"device_map": {"": device} if alone else "auto"}
    if alone:
        return place(name, n_bytes, "cpu", advice)  # where they lie until they are moved
    raise InputError(
        f"The weights of model {name!r} need {n_bytes / 1e9:.1f} GB, more than one graphics card "
        "has free; the package accelerate, which spreads them over several, is not installed: "
        f"`{ACCELERATE_COMMAND}` installs it."
    )
