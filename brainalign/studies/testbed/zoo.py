"""The zoo: small language models trained from scratch on the testbed's stories."""

import json
import shutil
from pathlib import Path

import numpy as np
import pandas as pd

from brainalign.errors import InputError
from brainalign.files import atomic_path, cache_folder
from brainalign.models import ZOO
from brainalign.parallel import map_processes
from brainalign.studies.testbed.recipes import RECIPES, Recipe
from brainalign.studies.testbed.training import recipe_digest, train_model
from brainalign.studies.testbed.word_vectors import WORD_VECTORS, train_word_vectors


def train(
    names: list[str] | None = None, jobs: int | None = None, folder: Path = Path("my-zoo")
) -> pd.DataFrame:
    """Train models of the zoo, one process per core; those that take longest first.

    Parameters
    ----------
    names
        Models to train, or word vectors; by default all. A model that was trained from the same
        recipe and the same code is found again in the cache, so that an interrupted call continues
        where it stopped.
    jobs
        Processes; by default one per core.
    folder
        The models' folders are made below it. The shipped ones lie in `models.ZOO`.

    Returns
    -------
    pandas.DataFrame
        As from `zoo_table`.

    Raises
    ------
    InputError
        For a name that is not in the zoo.
    """
    known = [*RECIPES, *WORD_VECTORS]
    names = known if names is None else names
    if unknown := [name for name in names if name not in known]:
        raise InputError(
            f"The zoo has no model {unknown[0]!r} to train; it has {', '.join(known)}."
        )
    folder = Path(folder)
    recipes = sorted((RECIPES[name] for name in names if name in RECIPES), key=_effort)
    for trained in map_processes(_train_or_find, recipes, jobs, "training"):
        with atomic_path(folder / trained.name) as temporary:
            shutil.copytree(trained, temporary)
            shutil.rmtree(folder / trained.name, ignore_errors=True)
    for name in names:
        if name in WORD_VECTORS:
            train_word_vectors(name, folder)
    return zoo_table(folder)


def _effort(recipe: Recipe) -> float:
    """Order of training: Mamba reads its sequences in many small operations."""
    return -recipe.width * recipe.layers * (4 if recipe.family == "Mamba" else 1)


def _train_or_find(recipe: Recipe) -> Path:
    """Folder of the trained model, in the cache."""
    folder = cache_folder() / "zoo" / recipe_digest(recipe)
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
        Index `name`, smallest model of each language first; columns language, counterpart (the
        model of the paper), n_parameters, n_parameters_without_embeddings, tokens (read in
        training), validation_loss (nats per token of a held-out story), perplexity, completion
        (part of the stories that are ended rightly, of four endings), seconds (of one core).
    """
    from brainalign.models import describe

    rows = []
    for path in (ZOO if folder is None else Path(folder)).glob("*/training.json"):
        record = json.loads(path.read_text(encoding="utf-8"))
        info = describe(str(path.parent))
        rows.append(
            {
                **{key: record[key] for key in ("name", "language", "counterpart")},
                "n_parameters": info.n_parameters,
                "n_parameters_without_embeddings": info.n_parameters_without_embeddings,
                **{key: record[key] for key in ("tokens", "validation_loss")},
                "perplexity": float(np.exp(record["validation_loss"])),
                **{key: record[key] for key in ("completion", "seconds")},
            }
        )
    order = {"en": 0, "fr": 1, "cn": 2}
    table = pd.DataFrame(rows).set_index("name").sort_values("n_parameters")
    return table.sort_values("language", key=lambda column: column.map(order), kind="stable")


def abilities(language: str = "en") -> pd.DataFrame:
    """How well the models of a language know it: next words, and endings of stories.

    Parameters
    ----------
    language
        "en", "fr" or "cn".

    Returns
    -------
    pandas.DataFrame
        Index: model; columns perplexity and completion, see `zoo_table`.
    """
    table = zoo_table()
    return table.loc[table["language"] == language, ["perplexity", "completion"]]
