"""The zoo: small language models trained from scratch on the testbed's stories."""

import json
import shutil
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from brainalign.errors import InputError
from brainalign.files import PACKAGE, atomic_path, cache_folder, digest, file_sha256, source_digest
from brainalign.parallel import map_processes, progress
from brainalign.studies.testbed.config import StoryConfig
from brainalign.studies.testbed.languages import LANGUAGES
from brainalign.studies.testbed.story import write
from brainalign.studies.testbed.tokens import encode_sentences, make_tokenizer, token_numbers

WEIGHTS = PACKAGE / "studies" / "testbed" / "weights"
CHECKPOINT_EVERY = 250
# Modules whose source decides what a trained model is.
SOURCES = ("config", "languages", "sentence", "story", "tokens", "zoo")


@dataclass(frozen=True)
class Recipe:
    """How a model of the zoo is built and trained.

    Attributes
    ----------
    width, layers, heads : int
        Of the transformer.
    positions : int
        Longest context, and length of the training sequences, in tokens.
    words : int
        Words of training story; each is seen once.
    batch : int
        Sequences in a batch.
    seed : int
        Of the weights and of the order of batches.
    text_seed : int
        Of the training story, which every model of the zoo shares.
    language : str
        Of the stories.
    """

    width: int
    layers: int
    heads: int
    positions: int = 128
    words: int = 2_400_000
    batch: int = 8
    seed: int = 0
    text_seed: int = 0
    language: str = "en"

    @property
    def name(self) -> str:
        """Name of the model."""
        return f"nano-gpt2-{self.width}x{self.layers}"

    @property
    def learning_rate(self) -> float:
        """Peak learning rate: smaller for wider models."""
        return 0.02 * (16 / self.width) ** 0.5


LADDER = {
    recipe.name: recipe
    for recipe in (
        Recipe(8, 2, 2),
        Recipe(12, 2, 2),
        Recipe(16, 2, 2),
        Recipe(24, 3, 3),
        Recipe(32, 4, 4),
        Recipe(48, 4, 4),
        Recipe(64, 4, 4),
        Recipe(96, 4, 6),
        Recipe(128, 4, 8),
    )
}


def make_model(recipe: Recipe):
    """Untrained GPT-2 of the recipe's size and seed.

    Returns
    -------
    transformers.GPT2LMHeadModel
    """
    import torch
    from transformers import GPT2Config, GPT2LMHeadModel

    config = GPT2Config(
        vocab_size=len(token_numbers(recipe.language)),
        n_positions=recipe.positions,
        n_embd=recipe.width,
        n_layer=recipe.layers,
        n_head=recipe.heads,
        activation_function="gelu_pytorch_tanh",
        resid_pdrop=0.0,
        embd_pdrop=0.0,
        attn_pdrop=0.0,
        # GPT-2's own .02 is far too small at these widths: the first layers would be silent.
        initializer_range=0.7 / recipe.width**0.5,
        bos_token_id=0,
        eos_token_id=0,
        pad_token_id=0,
        tie_word_embeddings=True,
    )
    torch.manual_seed(recipe.seed)
    return GPT2LMHeadModel(config)


def _sequences(recipe: Recipe, part: int, n_words: int) -> np.ndarray:
    rng = np.random.default_rng([recipe.text_seed, 5, part])
    sentences = write(LANGUAGES[recipe.language], StoryConfig(), rng, n_words)
    tokens = encode_sentences(sentences, recipe.language)
    length = len(tokens) // recipe.positions * recipe.positions
    return tokens[:length].reshape(-1, recipe.positions)


def validation_loss(model, sequences: np.ndarray, batch: int = 84) -> float:
    """Mean loss of next-word prediction, in nats per token.

    Parameters
    ----------
    model
        Causal language model.
    sequences
        Token numbers, shape (sequences, positions).
    batch
        Sequences at a time.
    """
    import torch

    losses = []
    with torch.inference_mode():
        for start in range(0, len(sequences), batch):
            tokens = torch.as_tensor(sequences[start : start + batch])
            losses.append(model(tokens, labels=tokens).loss.item() * len(tokens))
    return sum(losses) / len(sequences)


def train_model(recipe: Recipe, folder: Path) -> dict:
    """Train one model, resuming where an earlier call stopped, and save it.

    Parameters
    ----------
    recipe
        What to train.
    folder
        The model's folder is made below it.

    Returns
    -------
    dict
        The training record, also saved as `training.json`.
    """
    import torch

    torch.set_num_threads(1)
    start = time.perf_counter()
    sequences = _sequences(recipe, 0, recipe.words)
    held_out = _sequences(recipe, 1, 60_000)
    order = np.random.default_rng([recipe.seed, 6]).permutation(len(sequences))
    n_steps = len(sequences) // recipe.batch
    model = make_model(recipe)
    optimizer = torch.optim.AdamW(
        model.parameters(), lr=recipe.learning_rate, betas=(0.9, 0.98), weight_decay=0.01
    )
    warm_up = max(1, n_steps // 20)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer,
        lambda step: min((step + 1) / warm_up, (n_steps - step) / (n_steps - warm_up)),
    )
    checkpoint = cache_folder() / "zoo" / f"{recipe.name}-{_recipe_digest(recipe)}.pt"
    state = {"step": 0, "log": [], "seconds": 0.0}
    if checkpoint.exists():
        state = _restore(checkpoint, model, optimizer, schedule)
    for step in progress(range(state["step"], n_steps), desc=recipe.name):
        rows = order[step * recipe.batch : (step + 1) * recipe.batch]
        tokens = torch.as_tensor(sequences[rows])
        loss = model(tokens, labels=tokens).loss
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        schedule.step()
        if step == 0 or (step + 1) % CHECKPOINT_EVERY == 0:
            state["log"].append({"step": step + 1, "loss": round(loss.item(), 4)})
            seconds = state["seconds"] + time.perf_counter() - start
            _checkpoint(checkpoint, model, optimizer, schedule, step + 1, state["log"], seconds)
    record = {
        **asdict(recipe),
        "name": recipe.name,
        "steps": n_steps,
        "tokens": int(n_steps * recipe.batch * recipe.positions),
        "validation_loss": round(validation_loss(model.eval(), held_out), 4),
        "seconds": round(state["seconds"] + time.perf_counter() - start),
        "log": state["log"],
    }
    _save(model, recipe, record, folder / recipe.name)
    checkpoint.unlink(missing_ok=True)
    return record


def _recipe_digest(recipe: Recipe) -> str:
    # With the source: a checkpoint from other stories must not be continued.
    return digest([asdict(recipe), source_digest(f"studies/testbed/{name}" for name in SOURCES)])


def _checkpoint(path: Path, model, optimizer, schedule, step: int, log: list, seconds: float):
    import torch

    state = {
        "model": model.state_dict(),
        "optimizer": optimizer.state_dict(),
        "schedule": schedule.state_dict(),
        "step": step,
        "log": log,
        "seconds": seconds,
    }
    with atomic_path(path) as temporary:
        torch.save(state, temporary)


def _restore(path: Path, model, optimizer, schedule) -> dict:
    import torch

    state = torch.load(path, weights_only=True)
    model.load_state_dict(state["model"])
    optimizer.load_state_dict(state["optimizer"])
    schedule.load_state_dict(state["schedule"])
    return {name: state[name] for name in ("step", "log", "seconds")}


def _save(model, recipe: Recipe, record: dict, folder: Path) -> None:
    import torch

    for file in folder.glob("*"):
        file.unlink()
    folder.mkdir(parents=True, exist_ok=True)
    model.to(torch.float16).save_pretrained(folder)
    make_tokenizer(recipe.language, recipe.positions).save_pretrained(folder)
    record = record | {"sha256": file_sha256(folder / "model.safetensors")}
    # Written last: a folder with a training record is complete.
    with atomic_path(folder / "training.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")


def train(
    names: list[str] | None = None, jobs: int | None = None, folder: Path = Path("my-zoo")
) -> pd.DataFrame:
    """Train models of the zoo, one process per core; the largest first.

    Parameters
    ----------
    names
        Models to train; by default all. One that was trained from the same recipe and the same
        code is found again in the cache, so that an interrupted call continues where it stopped.
    jobs
        Processes; by default one per core.
    folder
        The models' folders are made below it. The shipped models lie in `WEIGHTS`.

    Returns
    -------
    pandas.DataFrame
        As from `zoo_table`.

    Raises
    ------
    InputError
        For a name that is not in the zoo.
    """
    names = list(LADDER) if names is None else names
    if unknown := [name for name in names if name not in LADDER]:
        raise InputError(
            f"The zoo has no model {unknown[0]!r} to train; it has {', '.join(LADDER)}."
        )
    folder = Path(folder)
    recipes = sorted((LADDER[name] for name in names), key=lambda r: -r.width * r.layers)
    for trained in map_processes(_train_or_find, recipes, jobs, "training"):
        with atomic_path(folder / trained.name) as temporary:
            shutil.copytree(trained, temporary)
            shutil.rmtree(folder / trained.name, ignore_errors=True)
    return zoo_table(folder)


def _train_or_find(recipe: Recipe) -> Path:
    """Folder of the trained model, in the cache."""
    folder = cache_folder() / "zoo" / _recipe_digest(recipe)
    if not (folder / recipe.name / "training.json").exists():
        train_model(recipe, folder)
    return folder / recipe.name


def zoo_table(folder: Path | None = None) -> pd.DataFrame:
    """Training records of the zoo's models.

    Parameters
    ----------
    folder
        Folder of the models; by default those shipped.

    Returns
    -------
    pandas.DataFrame
        Index `name`, smallest model first; columns n_parameters, n_parameters_without_embeddings,
        steps, validation_loss, perplexity, seconds.
    """
    from brainalign.models import describe

    folder = WEIGHTS if folder is None else Path(folder)
    rows = []
    for path in folder.glob("*/training.json"):
        record = json.loads(path.read_text())
        info = describe(str(path.parent))
        rows.append(
            {
                "name": record["name"],
                "n_parameters": info.n_parameters,
                "n_parameters_without_embeddings": info.n_parameters_without_embeddings,
                "steps": record["steps"],
                "validation_loss": record["validation_loss"],
                "perplexity": float(np.exp(record["validation_loss"])),
                "seconds": record["seconds"],
            }
        )
    return pd.DataFrame(rows).set_index("name").sort_values("n_parameters")
