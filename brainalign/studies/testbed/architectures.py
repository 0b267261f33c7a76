"""The architectures of the zoo: real ones of `transformers`, a few units wide."""

from importlib.util import find_spec

from brainalign.studies.testbed.recipes import Recipe


def make_model(recipe: Recipe, n_tokens: int):
    """Untrained language model of the recipe's architecture, size and seed.

    Parameters
    ----------
    recipe
        What to build.
    n_tokens
        Size of the vocabulary.

    Returns
    -------
    transformers.PreTrainedModel
        Causal language model with tied embeddings and no dropout, in float32.
    """
    import torch
    from transformers import AutoModelForCausalLM

    config = make_config(recipe, n_tokens)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(recipe.seed)
        return AutoModelForCausalLM.from_config(config, dtype=torch.float32)


def make_config(recipe: Recipe, n_tokens: int):
    """Configuration of the recipe's architecture.

    Parameters
    ----------
    recipe, n_tokens
        As for `make_model`.

    Returns
    -------
    transformers.PretrainedConfig
    """
    import transformers

    name, fields = _FIELDS[recipe.family]
    # A family's own .02 is far too small at these widths: the first layers would be silent.
    spread = 0.7 / recipe.width**0.5
    common = {
        "vocab_size": n_tokens,
        "tie_word_embeddings": True,
        "bos_token_id": 0,
        "eos_token_id": 0,
        "pad_token_id": 0,
    }
    return getattr(transformers, name)(**common, **fields(recipe, spread))


def _gpt2(recipe: Recipe, spread: float) -> dict:
    return {
        "n_positions": recipe.positions,
        "n_embd": recipe.width,
        "n_layer": recipe.layers,
        "n_head": recipe.heads,
        "activation_function": "gelu_pytorch_tanh",
        "resid_pdrop": 0.0,
        "embd_pdrop": 0.0,
        "attn_pdrop": 0.0,
        "initializer_range": spread,
    }


def _opt(recipe: Recipe, spread: float) -> dict:
    return {
        "max_position_embeddings": recipe.positions,
        "hidden_size": recipe.width,
        "word_embed_proj_dim": recipe.width,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads,
        "ffn_dim": recipe.inner,
        "dropout": 0.0,
        "init_std": spread,
    }


def _rotary(recipe: Recipe, spread: float) -> dict:
    """What Llama and its relatives share."""
    return {
        "max_position_embeddings": recipe.positions,
        "hidden_size": recipe.width,
        "intermediate_size": recipe.inner,
        "num_hidden_layers": recipe.layers,
        "num_attention_heads": recipe.heads,
        "num_key_value_heads": recipe.key_value_heads,
        "initializer_range": spread,
    }


def _gemma(recipe: Recipe, spread: float) -> dict:
    return {**_rotary(recipe, spread), "head_dim": recipe.width // recipe.heads}


def _mistral(recipe: Recipe, spread: float) -> dict:
    # Both default to those of the 7-billion model.
    own = {"head_dim": recipe.width // recipe.heads, "sliding_window": None}
    return {**_rotary(recipe, spread), **own}


def _stablelm(recipe: Recipe, spread: float) -> dict:
    # A quarter of so small a head would be less than the two units that rotate together.
    return {**_rotary(recipe, spread), "rope_parameters": _whole_rotation()}


def _gpt_neox(recipe: Recipe, spread: float) -> dict:
    fields = _rotary(recipe, spread)
    del fields["num_key_value_heads"]
    return {**fields, "rope_parameters": _whole_rotation()}


def _whole_rotation() -> dict:
    return {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 1.0}


def _mamba(recipe: Recipe, spread: float) -> dict:
    return {
        "hidden_size": recipe.width,
        "num_hidden_layers": recipe.layers,
        "initializer_range": spread,
        # A parallel scan instead of a loop over positions, where the package is installed.
        "use_mambapy": find_spec("mambapy") is not None,
    }


_FIELDS = {
    "GPT-2": ("GPT2Config", _gpt2),
    "OPT": ("OPTConfig", _opt),
    "Llama 2": ("LlamaConfig", _rotary),
    "Qwen2": ("Qwen2Config", _rotary),
    "Gemma": ("GemmaConfig", _gemma),
    "StableLM": ("StableLmConfig", _stablelm),
    "Mistral": ("MistralConfig", _mistral),
    "Mamba": ("MambaConfig", _mamba),
    "Pythia": ("GPTNeoXConfig", _gpt_neox),
}
