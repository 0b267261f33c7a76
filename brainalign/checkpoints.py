"""What a model's files say without loading the model: its size, checksum, word vectors."""

import json
import re
import struct
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
    """Numbers of parameters, from the headers of the safetensors files.

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
    shapes = {key: shape for file in _weight_files(folder) for key, shape in _header(file)}
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
    files = sorted(folder.glob("*.safetensors"))
    if not files:
        raise InputError(f"The model folder {folder} has no weights in safetensors files.")
    return files


def _header(file: Path) -> list[tuple[str, list[int]]]:
    """Names and shapes of the tensors in a safetensors file."""
    with open(file, "rb") as stream:
        header = json.loads(stream.read(struct.unpack("<Q", stream.read(8))[0]))
    return [(key, entry["shape"]) for key, entry in header.items() if key != "__metadata__"]
