"""How large a language model is, without loading it or asking the hub.

Models in folders and in the hub's cache are counted. Of those with a short name the tables below
`published/` state the parameters; how these divide is known of each family.
"""

from dataclasses import dataclass
from pathlib import Path

from brainalign import hub
from brainalign.checkpoints import count_parameters, read_config, size
from brainalign.errors import InputError
from brainalign.models import (
    available,
    check_name,
    describe,
    fetch_command,
    hub_address,
    model_folder,
    parse_baseline,
    split_name,
)
from brainalign.studies.registry import GLOVE, missing_files


@dataclass(frozen=True)
class Family:
    """What the models of a family on the hub have in common; from their configurations, by memory.

    Attributes
    ----------
    vocabulary : int
        Rows of the embedding.
    positions : int or None
        Tokens that a model has positions for.
    learnt : int
        Position embeddings among the parameters.
    heads : int
        Output heads with weights of their own: 0 where the embedding serves as the head.
    stored : int
        Bytes per parameter in the files.
    """

    vocabulary: int
    positions: int | None
    learnt: int = 0
    heads: int = 0
    stored: int = 2


_FAMILIES = {
    "GPT-2": Family(50257, 1024, 1024, stored=4),
    "OPT": Family(50272, 2048, 2050),
    "Llama 2": Family(32000, 4096, heads=1),
    "Mistral": Family(32000, 32768, heads=1),
    "Qwen1.5": Family(151936, 32768, heads=1),
    "Qwen2": Family(151936, 32768),
    "Gemma": Family(256000, 8192),
    "StableLM": Family(100352, 4096, heads=1),
    "Mamba": Family(50280, None, stored=4),
    "Pythia": Family(50304, 2048, heads=1),
}
_EXCEPTIONS = {
    "gpt2-tiny-chinese": Family(21128, 1024, 1024, stored=4),
    "gpt2-base-chinese": Family(21128, 1024, 1024, stored=4),
    "gpt2-base-french": Family(50000, 1024, 1024, stored=4),
    # Its embedding has half as many units as its blocks.
    "opt-350m": Family(50272 // 2, 2048, 2050),
    "Qwen1.5-0.5B": Family(151936, 32768),
    "Qwen2-7B": Family(152064, 32768, heads=1),
    "Qwen1.5-14B": Family(152064, 32768, heads=1),
    "stablelm-3b-4e1t": Family(50304, 4096, heads=1),
    "pythia-6.9b": Family(50432, 2048, heads=1),
}


@dataclass(frozen=True)
class Model:
    """What of a language model its costs depend on.

    Attributes
    ----------
    name : str
    n_parameters : int
        In its files; 0 for baselines.
    n_loaded, n_body : int
        Of these, those that are loaded (without the output head), and those that tokens are
        multiplied with (also without embeddings).
    n_layers, n_hidden : int
        Blocks, and hidden units.
    positions : int or None
        Tokens that fit into a window.
    looks_right, recurrent : bool
        Whether tokens see the later ones; whether it reads token by token.
    download : float
        Bytes to be fetched.
    tokenizer : Path or None
        Its file, where it is at hand.
    """

    name: str
    n_parameters: int
    n_loaded: int
    n_body: int
    n_layers: int
    n_hidden: int
    positions: int | None = None
    looks_right: bool = False
    recurrent: bool = False
    download: float = 0
    tokenizer: Path | None = None

    @property
    def n_states(self) -> int:
        """Layers whose states are kept: what enters the first block, and what each block gives.

        Mamba's list ends with the last block's before and after the norm.
        """
        return self.n_layers + 1 + self.recurrent


def find_model(name: str) -> Model:
    """What is known of a model without loading it or asking the hub.

    Raises
    ------
    InputError
        For an unknown name, and for an address on the hub of which neither the files nor the size
        are known here.
    """
    check_name(name)
    base, seed = split_name(name)
    if parse_baseline(name):
        n_hidden = describe(name).n_hidden
        download = 0 if available(name) else sum(file.size for file in missing_files(GLOVE))
        return Model(name, 0, 0, 0, 0, n_hidden, download=download)
    folder, address = model_folder(base), hub_address(base)
    short = hub.without_step(base)
    if folder is None and address is not None and short in hub.named_models().index:
        return _named_model(name, short, download=seed is None and not available(base))
    if folder is None:
        folder = _cached_folder(name, base, address)
    return _local_model(name, folder)


def _named_model(name: str, short: str, download: bool) -> Model:
    info, address = describe(name), hub.find_address(short)
    family = _EXCEPTIONS.get(short, _FAMILIES[info.family])
    table = family.vocabulary * info.n_hidden
    loaded = info.n_parameters - family.heads * table
    return Model(
        name,
        info.n_parameters,
        loaded,
        loaded - table - family.learnt * info.n_hidden,
        info.n_layers,
        info.n_hidden,
        family.positions,
        recurrent=info.family == "Mamba",
        download=info.n_parameters * family.stored if download else 0,
        tokenizer=_cached_file(address.tokenizer, "tokenizer.json", hub.MAIN),
    )


def _cached_file(address: str, file: str, revision: str) -> Path | None:
    from huggingface_hub import try_to_load_from_cache

    found = try_to_load_from_cache(address, file, revision=revision)
    return Path(found) if isinstance(found, str) else None


def _cached_folder(name: str, base: str, address: hub.HubAddress | None) -> Path:
    """Folder in the hub's cache of a model without a short name."""
    found = address and _cached_file(address.model, "config.json", address.revision)
    if found is None or not available(base):
        raise InputError(
            f"The size of model {name!r} is not known before it is on this machine; "
            f"`{fetch_command(base)}` fetches it."
        )
    return found.parent


def _local_model(name: str, folder: Path) -> Model:
    from brainalign.loading import predicts_next_word

    config, (n_layers, n_hidden) = read_config(folder), size(folder)
    total, body = count_parameters(folder)
    positions = config.get("max_position_embeddings", config.get("n_positions"))
    tokenizer = folder / "tokenizer.json"
    return Model(
        name,
        total,
        total,
        body,
        n_layers,
        n_hidden,
        positions,
        looks_right=not predicts_next_word(str(folder)),
        recurrent=config.get("model_type") == "mamba",
        tokenizer=tokenizer if tokenizer.is_file() else None,
    )
