"""Training of one model of the zoo on the testbed's stories: seeded, and resumed where it stopped."""

import json
import time
from dataclasses import asdict
from pathlib import Path

import numpy as np

from brainalign.files import atomic_path, cache_folder, digest, file_sha256, source_digest
from brainalign.parallel import progress
from brainalign.studies.testbed.architectures import make_model
from brainalign.studies.testbed.completion import completion_accuracy, completion_items
from brainalign.studies.testbed.config import StoryConfig
from brainalign.studies.testbed.languages import LANGUAGES
from brainalign.studies.testbed.recipes import Recipe
from brainalign.studies.testbed.sentence import Sentence
from brainalign.studies.testbed.story import write
from brainalign.studies.testbed.tokens import encode_sentences, make_tokenizer, token_numbers

CHECKPOINT_EVERY = 250
HELD_OUT_WORDS = 60_000
# Modules whose source decides what a trained model is.
SOURCES = ("architectures", "config", "languages", "sentence", "story", "tokens", "training")


def training_story(recipe: Recipe, part: int, n_words: int) -> list[Sentence]:
    """The story that a model is trained on, or the one held out.

    Parameters
    ----------
    recipe
        Language and seed of the text.
    part
        0 for the training story, 1 for the held-out one.
    n_words
        Words of the story.

    Returns
    -------
    list of Sentence
    """
    rng = np.random.default_rng([recipe.text_seed, 5, part])
    return write(LANGUAGES[recipe.language], StoryConfig(), rng, n_words)


def story_sequences(recipe: Recipe, part: int, n_words: int) -> np.ndarray:
    """Tokens of a story, cut into sequences.

    Parameters
    ----------
    recipe, part, n_words
        As for `training_story`; the recipe says how long a sequence is.

    Returns
    -------
    numpy.ndarray
        Token numbers, shape (sequences, positions).
    """
    sentences = training_story(recipe, part, n_words)
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


def measure_abilities(model, recipe: Recipe) -> dict[str, float]:
    """How well a model knows the language of its stories.

    Parameters
    ----------
    model
        Causal language model, in evaluation mode.
    recipe
        That it was trained by.

    Returns
    -------
    dict
        validation_loss: nats per token of the held-out story; completion: part of the
        completion task's items that it solves, where chance is a quarter.
    """
    held_out = story_sequences(recipe, 1, HELD_OUT_WORDS)
    items = completion_items(recipe.language, longest=recipe.positions)
    return {
        "validation_loss": round(validation_loss(model, held_out), 4),
        "completion": round(completion_accuracy(model, items), 4),
    }


class Training:
    """A model with everything that its next step depends on."""

    def __init__(self, recipe: Recipe, n_steps: int):
        import torch

        self.model = make_model(recipe, len(token_numbers(recipe.language)))
        # Fused: one pass over all weights instead of a dozen small operations for each of them.
        self.optimizer = torch.optim.AdamW(
            self.model.parameters(),
            lr=recipe.learning_rate,
            betas=(0.9, 0.98),
            weight_decay=0.01,
            fused=True,
        )
        warm_up = max(1, n_steps // 20)
        self.schedule = torch.optim.lr_scheduler.LambdaLR(
            self.optimizer,
            lambda step: min((step + 1) / warm_up, (n_steps - step) / (n_steps - warm_up)),
        )
        self.progress = {"step": 0, "log": [], "seconds": 0.0}

    def step(self, tokens) -> float:
        """One step on one batch, shape (sequences, positions); the loss before it."""
        import torch

        loss = self.model(tokens, labels=tokens).loss
        self.optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(self.model.parameters(), 1.0)
        self.optimizer.step()
        self.schedule.step()
        self.progress["step"] += 1
        return loss.item()

    def save(self, path: Path) -> None:
        """Keep everything in one file."""
        import torch

        parts = ("model", "optimizer", "schedule")
        state = {name: getattr(self, name).state_dict() for name in parts}
        with atomic_path(path) as temporary:
            torch.save({**state, "progress": self.progress}, temporary)

    def restore(self, path: Path) -> None:
        """Take up what `save` kept."""
        import torch

        state = torch.load(path, weights_only=True)
        for name in ("model", "optimizer", "schedule"):
            getattr(self, name).load_state_dict(state[name])
        self.progress = state["progress"]


def train_model(recipe: Recipe, folder: Path) -> dict:
    """Train one model, resuming where an earlier call stopped, and save it.

    Parameters
    ----------
    recipe
        What to train.
    folder
        The model's folder is made below it; checkpoints lie in `step-N` below that one.

    Returns
    -------
    dict
        The training record, also saved as `training.json`: the recipe, steps, tokens, log of the
        losses, abilities, seconds of one core, checksum of the weights.
    """
    import torch

    torch.set_num_threads(1)
    start = time.process_time()
    sequences = story_sequences(recipe, 0, recipe.words)
    order = np.random.default_rng([recipe.seed, 6]).permutation(len(sequences))
    n_steps = len(sequences) // recipe.batch
    training = Training(recipe, n_steps)
    kept = cache_folder() / "zoo" / f"{recipe.name}-{recipe_digest(recipe)}.pt"
    if kept.exists():
        training.restore(kept)
    before = training.progress["seconds"]
    for step in progress(range(training.progress["step"], n_steps), desc=recipe.name):
        if step in recipe.checkpoints:
            _save_weights(training.model, recipe, folder / recipe.name / f"step-{step}")
        tokens = torch.as_tensor(sequences[order[step * recipe.batch : (step + 1) * recipe.batch]])
        loss = training.step(tokens)
        if step == 0 or (step + 1) % CHECKPOINT_EVERY == 0:
            training.progress["log"].append({"step": step + 1, "loss": round(loss, 4)})
            training.progress["seconds"] = before + time.process_time() - start
            training.save(kept)
    record = {
        **asdict(recipe),
        "name": recipe.name,
        "steps": n_steps,
        "tokens": int(n_steps * recipe.batch * recipe.positions),
        **measure_abilities(training.model.eval(), recipe),
        "seconds": round(before + time.process_time() - start),
        "log": training.progress["log"],
    }
    _save(training.model, recipe, record, folder / recipe.name)
    kept.unlink(missing_ok=True)
    return record


def recipe_digest(recipe: Recipe) -> str:
    """Key of a model: with the source, as a checkpoint from other stories must not be continued."""
    return digest([asdict(recipe), source_digest(f"studies/testbed/{name}" for name in SOURCES)])


def _save_weights(model, recipe: Recipe, folder: Path) -> None:
    """Weights in half precision with configuration and tokenizer: a folder like any other."""
    import copy

    import torch

    folder.mkdir(parents=True, exist_ok=True)
    half = copy.deepcopy(model).to(torch.float16)
    if recipe.family == "Mamba":
        half.config.use_mambapy = False  # who loads the model need not have it
    half.save_pretrained(folder)
    make_tokenizer(recipe.language, recipe.positions).save_pretrained(folder)


def _save(model, recipe: Recipe, record: dict, folder: Path) -> None:
    for file in folder.glob("*.*"):
        file.unlink()
    _save_weights(model, recipe, folder)
    record = record | {"sha256": file_sha256(folder / "model.safetensors")}
    # Written last: a folder with a training record is complete.
    with atomic_path(folder / "training.json") as temporary:
        temporary.write_text(json.dumps(record, indent=1) + "\n")
