"""What a study costs by counting alone: bytes, memory and operations of each language model.

Nothing is loaded or fetched. Words, scans and voxels are those of the files at hand, or of the
publication where they are not; windows and regressions are counted by the functions that make them.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from brainalign.activations import ActivationSettings, assign_windows
from brainalign.errors import InputError
from brainalign.fitting import EncodingSettings
from brainalign.model_sizes import Model
from brainalign.ridge import count_operations
from brainalign.ridge.operations import Operations
from brainalign.ridge.search import ENOUGH, SAMPLE
from brainalign.states import Reader
from brainalign.studies import check_study, load_study
from brainalign.studies.petitprince.languages import LANGUAGES
from brainalign.study import Study

#: Assumed tokens per word, punctuation included, where a model's tokenizer is not at hand.
TOKENS_PER_WORD = MappingProxyType({"en": 1.3, "fr": 1.5, "cn": 1.7})
#: Assumed alphas that a sample of voxels leaves in question (`ridge.search.candidates`).
CANDIDATES = 3
#: Memory of the process before it holds any data: torch, transformers and what they load.
_IMPORTS = 0.7e9
# Numbers of a block at work beside the hidden states that are kept, in hidden units per token.
_WORKING = 16
# The same of Mamba: three tensors of its state, which has 16 numbers for twice the units.
_RECURRENT = 3 * 2 * 16
# Facts of the publications, for studies whose files are not at hand.
_WORDS = {"petitprince-en": 15_342, "petitprince-fr": 15_258, "petitprince-cn": 16_007}
_VOXELS = {"petitprince-en": 25_870, "petitprince-fr": 27_773, "petitprince-cn": 26_050}
_TRIMMED = 20


@dataclass(frozen=True)
class Material:
    """What of a study its costs depend on.

    Attributes
    ----------
    study, language : str
    words : tuple of int
        Words of each run.
    texts : tuple of str
        Passages of the runs; none where the files are not at hand.
    folds : tuple of int
        Scans of each fold of the cross-validation.
    n_scans : int
        Scans recorded, trimmed ones included.
    n_voxels : int
    source : str
        Where the numbers come from.
    """

    study: str
    language: str
    words: tuple[int, ...]
    texts: tuple[str, ...]
    folds: tuple[int, ...]
    n_scans: int
    n_voxels: int
    source: str


@dataclass(frozen=True)
class Cost:
    """What one model costs on one study; bytes, operations and numbers of them.

    Attributes
    ----------
    model : Model
    n_tokens : int
        Read, those of overlapping windows each time.
    forward : float
        Floating-point operations of reading.
    ridge : Operations
        Of the regression of one layer.
    regressors : float
        Bytes that are moved to make the regressors of one layer.
    weights, memory : float
        Bytes of the weights, and of all that is needed at once.
    activations, scores : float
        Bytes on disk.
    """

    model: Model
    n_tokens: int
    forward: float
    ridge: Operations
    regressors: float
    weights: float
    memory: float
    activations: float
    scores: float

    @property
    def n_fits(self) -> int:
        """Layers that are fitted."""
        return self.model.n_states

    @property
    def fitting(self) -> float:
        """Operations of the regressions of all layers."""
        return self.n_fits * self.ridge.total


def material(study: str, **options) -> Material:
    """Counts of a study: of its files, or of its publication where these are not at hand.

    Raises
    ------
    InputError
        As `load_study`, but for files that are missing where the publication has the counts.
    """
    try:
        loaded = load_study(study, **options)
    except InputError:
        if study not in LANGUAGES:
            raise
        check_study(study, **options)
        return _published(study)
    return counted(loaded)


def counted(study: Study) -> Material:
    """Counts of a study that is loaded; its responses are not read."""
    return Material(
        study.name,
        study.language,
        tuple(len(run.words) for run in study.runs),
        tuple(run.text for run in study.runs),
        tuple(scans.stop - scans.start for _, scans in study.folds()),
        sum(run.n_scans for run in study.runs),
        study.n_voxels,
        "simulated" if study.simulated else "counted in the files at hand",
    )


def _published(study: str) -> Material:
    language, n_words = LANGUAGES[study], _WORDS[study]
    scans = np.array(language.n_scans)
    words = np.diff(np.round(n_words * np.cumsum([0, *scans]) / scans.sum())).astype(int)
    folds, about = (scans - _TRIMMED).tolist(), "published; no files are at hand"
    return Material(
        study,
        language.code,
        tuple(words.tolist()),
        (),
        tuple(folds),
        int(scans.sum()),
        _VOXELS[study],
        about,
    )


def cost(material: Material, model: Model, settings: EncodingSettings) -> Cost:
    """What one model costs on one study.

    Parameters
    ----------
    material, model
        From `material` and `find_model`.
    settings
        Of the encoding, those of the activations included.
    """
    lengths = window_lengths(material, model, settings.activations)
    n_layers, n_hidden = model.n_states, model.n_hidden
    fir = len(settings.delays) if settings.hrf == "fir" else 1
    half = settings.activations.precision == "bfloat16-weights"
    weights = model.n_loaded * (2 if half else 4)
    batch = max(settings.activations.batch_size, lengths.max(initial=0))
    working = _WORKING + _RECURRENT * model.recurrent
    states = 4 * batch * n_hidden * (n_layers + working) if model.n_layers else 0
    vectors = 4 * max(material.words) * n_layers * n_hidden
    ridge = ridge_memory(material, n_hidden * fir, len(settings.alpha_grid))
    return Cost(
        model,
        int(lengths.sum()),
        forward_operations(model, lengths),
        ridge_operations(material, n_hidden * fir, settings),
        regressor_bytes(material, n_hidden * fir),
        weights,
        _IMPORTS + max(weights + states + vectors, ridge),
        2 * n_layers * sum(material.words) * n_hidden,
        score_bytes(material, n_layers, settings.alpha_per_voxel),
    )


def window_lengths(material: Material, model: Model, settings: ActivationSettings) -> np.ndarray:
    """Tokens of every window that a model reads, by the rules that extraction follows."""
    if not model.n_layers:
        return np.zeros(0, dtype=int)
    added = ((0,), (0,)) if model.looks_right else ((), ())
    limit = None if model.positions is None else model.positions - sum(map(len, added))
    reader = Reader((), model.n_hidden, False, model.looks_right, limit, *added, 0)
    lengths = []
    for n_words, n_tokens in zip(material.words, count_tokens(material, model), strict=True):
        edges = np.linspace(0, n_tokens, n_words + 1).astype(int)
        ranges = np.column_stack([edges[:-1], edges[1:]])
        windows = assign_windows(ranges, n_tokens, reader, settings)[0]
        lengths.append(windows[:, 1] - windows[:, 0] + sum(map(len, added)))
    return np.concatenate(lengths)


def count_tokens(material: Material, model: Model) -> list[int]:
    """Tokens of every run: by the model's tokenizer where it and the text are at hand."""
    if model.tokenizer is None or not material.texts:
        per_word = TOKENS_PER_WORD.get(material.language, max(TOKENS_PER_WORD.values()))
        return [round(per_word * n_words) for n_words in material.words]
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(model.tokenizer))
    tokenizer.no_truncation()
    return [len(tokenizer.encode(text, add_special_tokens=False)) for text in material.texts]


def forward_operations(model: Model, lengths: Sequence[int]) -> float:
    """Operations of a model's blocks for windows of some lengths.

    Two for each parameter and token, and those of attention: queries times keys and weights times
    values, of all pairs of tokens. A model that reads token by token has no such pairs.
    """
    lengths = np.asarray(lengths, dtype=float)
    pairs = 0.0 if model.recurrent else np.square(lengths).sum()
    return float(2 * model.n_body * lengths.sum() + 4 * model.n_layers * model.n_hidden * pairs)


def ridge_operations(
    material: Material, n_regressors: int, settings: EncodingSettings
) -> Operations:
    """Operations of the regression of one layer, as `ridge.count_operations` counts them.

    One alpha for all voxels is first looked for in a sample of these (`ridge.search`).
    """
    n_alphas = len(settings.alpha_grid)

    def count(n_voxels: int, n_alphas: int) -> Operations:
        return count_operations(
            material.folds, n_regressors, n_voxels, n_alphas, settings.validation
        )

    sampled = not settings.alpha_per_voxel and n_alphas > CANDIDATES
    if sampled and material.n_voxels >= ENOUGH * SAMPLE:
        return count(SAMPLE, n_alphas).plus(count(material.n_voxels, CANDIDATES))
    return count(material.n_voxels, n_alphas)


def ridge_memory(material: Material, n_regressors: int, n_alphas: int) -> float:
    """Bytes that the regression of one layer holds at once.

    Responses as they were read and as they are fitted; regressors in two precisions; the matrix
    that is decomposed, in float64, with its decomposition and working copies; products of
    regressors and responses; scores of every fold and alpha, of all voxels.
    """
    n_scans, n_voxels, n_folds = sum(material.folds), material.n_voxels, len(material.folds)
    responses = 2 * 4 * n_scans * n_voxels
    regressors = (8 + 2 * 4) * n_scans * n_regressors
    matrices = 6 * 8 * min(n_regressors, n_scans) ** 2
    few = n_regressors <= min(material.folds)
    products = 4 * min(n_regressors, n_scans) * n_voxels * (n_folds + 1 if few else 1)
    scores = 4 * 4 * n_folds * n_alphas * n_voxels
    return float(responses + regressors + matrices + products + scores)


def regressor_bytes(material: Material, n_regressors: int) -> float:
    """Bytes moved to make the regressors of one layer: every word reaches some sixteen scans."""
    return 2 * 4.0 * 16 * sum(material.words) * n_regressors


def score_bytes(material: Material, n_layers: int, alpha_per_voxel: bool) -> float:
    """Bytes of a model's scores: of every fold and inner fold, their mean, and the alphas."""
    n_folds, n_voxels = len(material.folds), material.n_voxels
    alphas = 8 * n_folds * n_layers * (n_voxels if alpha_per_voxel else 1)
    return 4.0 * (2 * n_folds + 1) * n_layers * n_voxels + alphas
