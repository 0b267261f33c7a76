"""The models of the zoo: nano counterparts of the paper's, and how each is trained.

Sizes are about 6e-5 of the paper's, in the paper's order; blocks are an eighth of the paper's (a
twelfth for Mamba, whose blocks are half as large; at least two), widths follow.
"""

from dataclasses import dataclass

#: Steps after which the weights of the model with checkpoints are kept.
CHECKPOINTS = (0, 32, 64, 128, 256, 384, 512, 768, 1024, 1536, 2048)


@dataclass(frozen=True)
class Recipe:
    """How a model of the zoo is built and trained.

    Attributes
    ----------
    family : str
        The paper's name of the family; "Pythia" for the model with checkpoints.
    counterpart : str
        Model of Bonnasse-Gahot & Pallier (2024) whose place it takes.
    width, layers, heads : int
        Of the model; Mamba has no heads.
    inner : int
        Width of the feed-forward part.
    key_value_heads : int
        Heads that keys and values have.
    positions : int
        Longest context, and length of the training sequences, in tokens.
    words : int
        Words of training story; each is seen once.
    batch : int
        Sequences in a batch.
    seed : int
        Of the weights and of the order of batches.
    text_seed : int
        Of the training story, which every model of a language shares.
    language : str
        Of the stories.
    checkpoints : tuple of int
        Steps after which the weights are kept, beside the last one.
    """

    family: str
    counterpart: str
    width: int
    layers: int
    heads: int = 0
    inner: int = 0
    key_value_heads: int = 0
    positions: int = 128
    words: int = 2_400_000
    batch: int = 8
    seed: int = 0
    text_seed: int = 0
    language: str = "en"
    checkpoints: tuple[int, ...] = ()

    @property
    def name(self) -> str:
        """Name of the model."""
        family = self.family.split()[0].replace("-", "").lower()
        language = "" if self.language == "en" else f"-{self.language}"
        return f"nano-{family}{language}-{self.width}x{self.layers}"

    @property
    def learning_rate(self) -> float:
        """Peak learning rate: smaller for wider models.

        Rotary and recurrent models learn the words around a word so fast at GPT-2's rate that they
        never come to what lasts over a scene.
        """
        scale = 0.02 if self.family in ("GPT-2", "OPT") else 0.006
        return scale * (16 / self.width) ** 0.5


def _recipe(family: str, counterpart: str, width: int, layers: int, heads: int = 0, **more):
    """A recipe whose other widths are what the architecture has them for by default."""
    inner = more.pop("inner", 4 * width)
    key_value_heads = more.pop("key_value_heads", heads)
    return Recipe(family, counterpart, width, layers, heads, inner, key_value_heads, **more)


def _by_name(*recipes: Recipe) -> dict[str, Recipe]:
    return {recipe.name: recipe for recipe in recipes}


#: The 28 models of the paper in English, the smallest first.
LADDER = _by_name(
    _recipe("GPT-2", "gpt2", 8, 2, 2),
    _recipe("OPT", "opt-125m", 8, 2, 2),
    _recipe("Mamba", "mamba-130m-hf", 10, 2),
    _recipe("OPT", "opt-350m", 16, 3, 2, inner=60),
    _recipe("GPT-2", "gpt2-medium", 16, 3, 2),
    _recipe("Mamba", "mamba-370m-hf", 16, 4),
    _recipe("Qwen2", "Qwen1.5-0.5B", 24, 3, 3, inner=64),
    _recipe("GPT-2", "gpt2-large", 24, 4, 3),
    _recipe("Mamba", "mamba-790m-hf", 28, 4),
    _recipe("OPT", "opt-1.3b", 36, 3, 3),
    _recipe("Mamba", "mamba-1.4b-hf", 40, 4),
    _recipe("GPT-2", "gpt2-xl", 32, 6, 4),
    _recipe("StableLM", "stablelm-2-1_6b", 48, 3, 6, inner=128),
    _recipe("Qwen2", "Qwen1.5-1.8B", 48, 3, 6, inner=128),
    _recipe("Gemma", "gemma-2b", 48, 2, 6, inner=384, key_value_heads=1),
    _recipe("OPT", "opt-2.7b", 48, 4, 6, inner=208),
    _recipe("Mamba", "mamba-2.8b-hf", 56, 5),
    _recipe("StableLM", "stablelm-3b-4e1t", 56, 4, 7, inner=148),
    _recipe("Qwen2", "Qwen1.5-4B", 56, 5, 7, inner=148),
    _recipe("OPT", "opt-6.7b", 80, 4, 8),
    _recipe("Llama 2", "Llama-2-7b-hf", 84, 4, 7, inner=224),
    _recipe("Mistral", "Mistral-7B-v0.1", 80, 4, 8, inner=304, key_value_heads=2),
    _recipe("Qwen2", "Qwen1.5-7B", 88, 4, 4, inner=236),
    _recipe("Gemma", "gemma-7b", 72, 3, 6, inner=576),
    _recipe("StableLM", "stablelm-2-12b", 112, 5, 8, inner=300, key_value_heads=2),
    _recipe("OPT", "opt-13b", 108, 5, 6, inner=400),
    _recipe("Llama 2", "Llama-2-13b-hf", 108, 5, 6, inner=288),
    _recipe("Qwen2", "Qwen1.5-14B", 112, 5, 8, inner=300),
)

#: The paper's four French models; sizes are half as large as in English.
FRENCH = _by_name(
    _recipe("GPT-2", "gpt2-base-french", 8, 2, 2, language="fr"),
    _recipe("Qwen2", "Qwen2-0.5B", 24, 3, 3, inner=64, language="fr"),
    _recipe("Qwen2", "Qwen2-1.5B", 40, 3, 5, inner=108, language="fr"),
    _recipe("Qwen2", "Qwen2-7B", 80, 3, 8, inner=212, language="fr"),
)

# A Chinese word takes two tokens, and a scene should still fit into one context.
_CHINESE = {"language": "cn", "positions": 256, "batch": 4}

#: The paper's ten Chinese models; sizes are half as large as in English.
CHINESE = _by_name(
    _recipe("GPT-2", "gpt2-tiny-chinese", 4, 1, 1, **_CHINESE),
    _recipe("GPT-2", "gpt2-base-chinese", 8, 2, 2, **_CHINESE),
    _recipe("Qwen2", "Qwen1.5-0.5B", 20, 3, 2, inner=52, **_CHINESE),
    _recipe("Qwen2", "Qwen2-0.5B", 24, 3, 3, inner=64, **_CHINESE),
    _recipe("Qwen2", "Qwen2-1.5B", 40, 3, 5, inner=108, **_CHINESE),
    _recipe("Qwen2", "Qwen1.5-1.8B", 48, 3, 6, inner=128, **_CHINESE),
    _recipe("Qwen2", "Qwen1.5-4B", 48, 4, 6, inner=128, **_CHINESE),
    _recipe("Qwen2", "Qwen2-7B", 56, 4, 7, inner=148, **_CHINESE),
    _recipe("Qwen2", "Qwen1.5-7B", 60, 4, 6, inner=160, **_CHINESE),
    _recipe("Qwen2", "Qwen1.5-14B", 72, 5, 6, inner=192, **_CHINESE),
)

#: The model whose training is kept.
WITH_CHECKPOINTS = _by_name(
    _recipe("Pythia", "pythia-6.9b", 64, 4, 8, checkpoints=CHECKPOINTS),
)

RECIPES = {**LADDER, **FRENCH, **CHINESE, **WITH_CHECKPOINTS}
