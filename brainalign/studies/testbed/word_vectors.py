"""Word vectors without context: GloVe, from the co-occurrences in the testbed's stories."""

from pathlib import Path

import numpy as np

from brainalign.files import atomic_path
from brainalign.models import word_vector_file
from brainalign.studies.testbed.languages import ENGLISH
from brainalign.studies.testbed.recipes import LADDER
from brainalign.studies.testbed.training import training_story

#: Word vectors of the zoo, by the width of the random features that they are compared with.
WORD_VECTORS = {f"word-vectors-{width}": width for width in (16, 128)}
WINDOW = 10
# Weight of a pair: (count / RARE) ** POWER, at most 1 (Pennington et al. 2014, equation 9).
RARE, POWER = 100.0, 0.75
STEPS, LEARNING_RATE = 1000, 0.05


def cooccurrences(words: np.ndarray, n_forms: int, window: int = WINDOW) -> np.ndarray:
    """How often forms stand near each other, each pair weighted by 1 / distance.

    Parameters
    ----------
    words
        Numbers of the forms of a text in order, shape (words,).
    n_forms
        Number of forms.
    window
        Largest distance, in words.

    Returns
    -------
    numpy.ndarray
        Shape (n_forms, n_forms), symmetric.
    """
    counts = np.zeros(n_forms * n_forms)
    for distance in range(1, min(window, len(words) - 1) + 1):
        pairs = words[:-distance] * n_forms + words[distance:]
        counts += np.bincount(pairs, minlength=counts.size) / distance
    counts = counts.reshape(n_forms, n_forms)
    return counts + counts.T


def factorise(counts: np.ndarray, width: int, seed: int = 0) -> np.ndarray:
    """GloVe vectors: a weighted least-squares factorisation of the log counts.

    Parameters
    ----------
    counts
        From `cooccurrences`.
    width
        Of the vectors.
    seed
        Of their first values.

    Returns
    -------
    numpy.ndarray
        Shape (forms, width), float32: word plus context vectors, as Pennington et al. (2014) use.
    """
    import torch

    counts = torch.as_tensor(counts, dtype=torch.float32)
    wanted = torch.where(counts > 0, counts, 1.0).log()
    weight = (counts / RARE).clamp(max=1) ** POWER
    generator = torch.Generator().manual_seed(seed)
    # Words and their contexts: vectors, and a bias as the last column.
    tables = [
        (0.1 * torch.randn(len(counts), width + 1, generator=generator)).requires_grad_()
        for _ in range(2)
    ]
    optimizer = torch.optim.Adam(tables, lr=LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LinearLR(optimizer, 1.0, 0.0, STEPS)
    for _ in range(STEPS):
        word, context = tables
        product = word[:, :-1] @ context[:, :-1].T + word[:, -1:] + context[:, -1]
        loss = (weight * (product - wanted) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        schedule.step()
    return (tables[0] + tables[1])[:, :-1].detach().numpy()


def train_word_vectors(name: str, folder: Path) -> None:
    """Learn word vectors from the story that the English models are trained on, and save them.

    Parameters
    ----------
    name
        One of `WORD_VECTORS`.
    folder
        A folder of that name is made below it, with the vectors in half precision.
    """
    from safetensors.numpy import save_file

    recipe = next(iter(LADDER.values()))
    sentences = training_story(recipe, 0, recipe.words)
    forms = ENGLISH.vocabulary()
    numbers = {form: number for number, form in enumerate(forms)}
    words = np.array([numbers[word.form.lower()] for s in sentences for word in s.words])
    vectors = factorise(cooccurrences(words, len(forms)), WORD_VECTORS[name])
    with atomic_path(folder / name / word_vector_file(name).name) as temporary:
        kept = {"vectors": vectors.astype(np.float16)}
        save_file(kept, temporary, metadata={"forms": " ".join(forms)})
