"""What a model's files say without loading the model: its size, checksum, word vectors."""

import json
import pickle
import re
from math import prod
from pathlib import Path

import numpy as np

from brainalign.errors import InputError
from brainalign.files import digest, file_sha256

# Names under which configurations keep the same number.
_LAYER_KEYS = ("num_hidden_layers", "n_layer", "num_layers", "n_layers")
_WIDTH_KEYS = ("hidden_size", "n_embd", "d_model", "dim")
# Tensors of old checkpoints that are masks or tables, not parameters.
_BUFFER = re.compile(r"(^|\.)(attn|attention)\.(masked_)?bias$|inv_freq$|position_ids$")
_HEAD = re.compile(r"(^|\.)(lm_head|embed_out|cls\.predictions\.decoder)\.weight$")
_EMBEDDING = re.compile(
    r"(^|\.)(wte|wpe|embed_tokens|embed_positions|embed_in|embeddings|word_embeddings"
    r"|position_embeddings|token_type_embeddings)\.weight$"
)


def require(folder: Path, file: str) -> Path:
    """Path of a file in a model's folder; InputError if it is not there."""
    if not (folder / file).is_file():
        raise InputError(f"The model folder {folder} has no {file}.")
    return folder / file


def read_config(folder: Path) -> dict:
    """Configuration of the model in a folder."""
    try:
        return json.loads(require(folder, "config.json").read_text())
    except json.JSONDecodeError as error:
        raise InputError(f"{folder / 'config.json'} is no JSON: {error}") from error


def size(folder: Path) -> tuple[int, int]:
    """Numbers of blocks and of hidden units, from the configuration."""
    config = read_config(folder)
    return _first(config, _LAYER_KEYS, folder), _first(config, _WIDTH_KEYS, folder)


def count_parameters(folder: Path) -> tuple[int, int]:
    """Numbers of parameters, from the headers of the files with the weights.

    Returns
    -------
    total : int
        All parameters, tied ones once.
    body : int
        Without token and position embeddings and without the output head.

    Raises
    ------
    InputError
        For a folder without configuration or weights.
    """
    shapes = {key: shape for file in _weight_files(folder) for key, shape in _shapes(file)}
    sizes = {key: prod(shape) for key, shape in shapes.items() if not _BUFFER.search(key)}
    heads = {key for key in sizes if _HEAD.search(key)}
    if read_config(folder).get("tie_word_embeddings"):
        sizes = {key: number for key, number in sizes.items() if key not in heads}
    outside = [key for key in sizes if key in heads or _EMBEDDING.search(key)]
    total = sum(sizes.values())
    return total, total - sum(sizes[key] for key in outside)


def weights_sha256(folder: Path) -> str:
    """Checksum of the weights, as `training.json` states it or from the files themselves."""
    log = folder / "training.json"
    if log.is_file() and (stated := json.loads(log.read_text()).get("sha256")):
        return str(stated)
    return digest({path.name: file_sha256(path) for path in _weight_files(folder)})


def read_word_vectors(file: Path) -> dict[str, np.ndarray]:
    """Vectors of word forms, each of shape (width,), float32.

    Parameters
    ----------
    file
        Safetensors with one tensor `vectors` (form, width) and its forms, separated by spaces, in
        the metadata.
    """
    from safetensors import safe_open

    with safe_open(file, framework="numpy") as stream:
        vectors = stream.get_tensor("vectors").astype(np.float32)
        forms = stream.metadata()["forms"].split(" ")
    return dict(zip(forms, vectors, strict=True))


def _first(config: dict, keys: tuple[str, ...], folder: Path) -> int:
    for key in keys:
        if key in config:
            return int(config[key])
    raise InputError(f"{folder / 'config.json'} states none of {', '.join(keys)}.")


def _weight_files(folder: Path) -> list[Path]:
    """Files with a model's weights: safetensors, or PyTorch's where there are none."""
    files = sorted(folder.glob("*.safetensors")) or sorted(folder.glob("pytorch_model*.bin"))
    if not files:
        raise InputError(
            f"The model folder {folder} has no weights (*.safetensors or pytorch_model*.bin)."
        )
    return files


def _shapes(file: Path) -> list[tuple[str, list[int]]]:
    """Names and shapes of the tensors in a file; of a safetensors file, only the header is read."""
    if file.suffix == ".bin":
        return _pytorch_shapes(file)
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(file, framework="numpy") as stream:
            return [(key, stream.get_slice(key).get_shape()) for key in stream.keys()]
    except (SafetensorError, OSError) as error:
        raise InputError(f"{file} is not a complete safetensors file ({error}).") from error


def _pytorch_shapes(file: Path) -> list[tuple[str, list[int]]]:
    import torch

    try:
        tensors = torch.load(file, map_location="meta", weights_only=True)
        return [(key, list(value.shape)) for key, value in tensors.items()]
    except (pickle.UnpicklingError, EOFError, AttributeError, OSError, RuntimeError) as error:
        raise refused_pickle(str(file), error) from None


def refused_pickle(where: str, error: Exception) -> InputError:
    """What to say of PyTorch's weights that the reader for nothing but tensors has refused."""
    named = re.search(r"GLOBAL ([\w.]+)", str(error))
    what = f"the foreign instruction {named[1]}" if named else "something else than tensors"
    return InputError(
        f"The weights of {where} hold {what} and are refused, with nothing of them executed; "
        "a model with weights in safetensors is expected."
    )
