"""Text through a language model: words x layers x units, found again by key.

A run's text is encoded once. Where it fits into the model's positions it goes through in one pass;
otherwise in windows that overlap so far that every token is read with a stated minimum of context.
A model that also looks to the right gets one window per word, which ends at that word. The hidden
states of a word's tokens are averaged (or the last is taken) and kept as float16. Nothing computed
for one window (keys and values) is used for the next: it has seen words that the next does not hold.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
from filelock import FileLock

from brainalign.alignment import is_empty, tokenise, word_pooling
from brainalign.baselines import word_features
from brainalign.errors import InputError
from brainalign.files import atomic_path, cache_folder, digest, note_use, source_digest
from brainalign.loading import LanguageModel, load_language_model
from brainalign.models import check_name, fingerprint, parse_baseline
from brainalign.parallel import progress
from brainalign.states import Precision, Reader, probe, read_words
from brainalign.study import Run, Study

if TYPE_CHECKING:
    import zarr

# Modules whose source decides what the numbers are.
SOURCES = (
    *("study", "checkpoints", "models", "loading", "alignment", "states", "baselines"),
    "activations",
)


@dataclass(frozen=True)
class ActivationSettings:
    """How a text goes through a language model.

    Attributes
    ----------
    minimum_context : int or None
        Tokens that every token has to its left in its window (fewer only at the start of a run).
        None takes two thirds of the window. Of no effect where a run goes through in one pass, and
        where windows end at words, which then have all the context that a window holds.
    stride : int or None
        Instead of `minimum_context`: tokens from one window to the next, the last of which may be
        shorter. Bonnasse-Gahot & Pallier (2024) take 64 for every model.
    window : int or None
        Tokens in a window, without those that the tokenizer adds; None takes all that the model
        has positions for, and one pass where it has no limit.
    word_vector : str
        "mean" of a word's tokens, or its "last", or the mean over the word's "characters" of the
        token that each lies in, as in Bonnasse-Gahot & Pallier (2024) for Chinese.
    empty_words : str
        What a row without a word gets: "zero", which adds nothing to any regressor and so equals
        skipping it, or the vector of the "next" word (zeros where none follows). Bonnasse-Gahot &
        Pallier (2024) skip in English and take the next in Chinese.
    precision : str
        What matrices are multiplied in. "bfloat16-weights" also keeps the weights in half
        precision, which halves the memory that they need. "bfloat16" is for GPUs and for processors with
        instructions for it (AMX, AVX-512 BF16), where it is faster and moves brain scores by less
        than 0.001; `benchmarks/bench_extraction.py` measures both. It works, slowly, on any other
        machine, so that what one has made another can make again.
    batch_size : int
        Tokens read at once, at least one window, and fewer where the memory does not hold as many;
        of no effect on the result.
    """

    minimum_context: int | None = None
    stride: int | None = None
    window: int | None = None
    word_vector: Literal["mean", "last", "characters"] = "mean"
    empty_words: Literal["zero", "next"] = "zero"
    precision: Precision = "float32"
    batch_size: int = 2048

    def __post_init__(self):
        choices = {
            "word_vector": ("mean", "last", "characters"),
            "empty_words": ("zero", "next"),
            "precision": get_args(Precision),
        }
        for field, allowed in choices.items():
            if getattr(self, field) not in allowed:
                raise InputError(f"{field} is {getattr(self, field)!r}; one of {allowed} expected.")
        least_of = {"minimum_context": 0, "stride": 1, "window": 1, "batch_size": 1}
        for field, least in least_of.items():
            value = getattr(self, field)
            if value is not None and value < least:
                raise InputError(f"{field} is {value}; {least} or more tokens are expected.")
        if self.stride is not None and self.minimum_context is not None:
            raise InputError(
                f"stride is {self.stride} and minimum_context {self.minimum_context}; one of them "
                "is expected, since one follows from the other."
            )


def effective_settings(name: str, settings: ActivationSettings) -> dict[str, Any]:
    """Settings that decide what a model's activations are; the others keep no key from another.

    Parameters
    ----------
    name
        A language model, or a baseline, to which only empty words matter.
    settings
        All of them.
    """
    if parse_baseline(name):
        return {"empty_words": settings.empty_words}
    return {key: value for key, value in asdict(settings).items() if key != "batch_size"}


def activation_key(study: Study, name: str, settings: ActivationSettings) -> str:
    """Key under which activations are kept: story, model, settings and the code that made them.

    The responses do not count, so that all listeners to one story share its activations.
    """
    story = [[run.text, run.words["word"].tolist()] for run in study.runs]
    chosen = effective_settings(name, settings)
    return digest([story, fingerprint(name), chosen, source_digest(SOURCES)])


def extract(
    study: Study,
    name: str,
    settings: ActivationSettings | None = None,
    folder: Path | str | None = None,
    device: str = "cpu",
) -> "list[zarr.Array]":
    """Activations of one model for every word of a study.

    Parameters
    ----------
    study
        Only the words and the text of its runs are read.
    name
        A language model or a baseline, see `brainalign.models`.
    settings
        By default `ActivationSettings()`.
    folder
        Folder of all activations, by default `activations` in the cache; these lie below it in a
        folder named by their key. A run that is there already is not computed again.
    device
        "cpu", "cuda", "cuda:N" or "auto", see `loading.load_language_model`.

    Returns
    -------
    list of zarr.Array
        One per run, dims (word, layer, unit), float16, one chunk per layer. `attrs["layers"]` says
        what each layer is, `attrs["scale"]` by what each was divided to fit float16 (1 but for
        models with huge activations); units beyond a narrower layer's width are zero.

    Raises
    ------
    InputError
        For an unknown model, one that cannot be loaded or does not fit the memory, words that are
        not in the text or not in the tokenizer's tokens, and a context that does not fit the model.
    """
    settings = settings or ActivationSettings()
    paths = run_paths(study, name, settings, folder)
    if not all(path.exists() for path in paths):
        home = paths[0].parent
        home.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(home.with_suffix(".lock")):
            _extract_missing(study, name, settings, device, home.name, paths)
    note_use("models.jsonl", {"model": name})
    return [_open(path) for path in paths]


def run_paths(
    study: Study, name: str, settings: ActivationSettings, folder: Path | str | None = None
) -> list[Path]:
    """Where `extract` keeps each run, whether it is there or not; its parameters and errors."""
    key = activation_key(study, check_name(name), settings)
    below = Path(folder) if folder is not None else cache_folder() / "activations"
    return [below / key / f"run-{number + 1}.zarr" for number in range(len(study.runs))]


def _extract_missing(
    study: Study,
    name: str,
    settings: ActivationSettings,
    device: str,
    key: str,
    paths: list[Path],
) -> None:
    missing = [number for number, path in enumerate(paths) if not path.exists()]
    if not missing:
        return
    baseline = parse_baseline(name)
    if baseline is None:
        language_model = load_language_model(name, device, precision=settings.precision)
        reader = probe(language_model)
    about = {"study": study.name, "model": name, "key": key, "settings": asdict(settings)}
    for number in progress(missing, desc=name):
        run = study.runs[number]
        try:
            if baseline is not None:
                layers, made = word_features(run.words["word"].tolist(), number, name)
            else:
                layers, made = _read_run(run, language_model, reader, settings)
        except InputError as error:
            raise InputError(f"Run {number + 1} of study {study.name!r}: {error}") from error
        _fill_empty(layers, run, settings.empty_words)
        _write(paths[number], layers, about | made)


def _read_run(
    run: Run, language_model: LanguageModel, reader: Reader, settings: ActivationSettings
) -> tuple[np.ndarray, dict[str, Any]]:
    """Vectors of a run's words, float32 of shape (layer, word, unit), and how they were made."""
    ids, ranges, n_skipped, shares = tokenise(
        run.words["word"].tolist(), run.text, language_model.tokenizer
    )
    windows, ranges, context = assign_windows(ranges, len(ids), reader, settings)
    n_kept = int((windows[:, 1] - windows[:, 2]).sum())
    pooling = word_pooling(ranges, n_kept, settings.word_vector, shares)
    vectors = read_words(
        language_model.model,
        reader,
        ids,
        windows,
        pooling,
        settings.batch_size,
        settings.precision,
    )
    unknown = language_model.tokenizer.unk_token_id
    made = {
        "layers": list(reader.layers),
        "context": context,
        "n_tokens": len(ids),
        "n_unknown_tokens": int((ids == unknown).sum()) if unknown is not None else 0,
        "n_written_words_without_row": n_skipped,
    }
    return vectors, made


def assign_windows(
    ranges: np.ndarray, n_tokens: int, reader: Reader, settings: ActivationSettings
) -> tuple[np.ndarray, np.ndarray, str]:
    """Windows in which a text is read.

    Parameters
    ----------
    ranges
        Tokens of each word, shape (n_words, 2), from `token_ranges`.
    n_tokens
        Tokens in the text.
    reader
        From `states.probe`.
    settings
        Window and context.

    Returns
    -------
    windows : numpy.ndarray of int
        Shape (n_windows, 3), from `overlapping_windows`, or `word_windows` where the model looks
        to the right.
    ranges : numpy.ndarray of int
        Shape (n_words, 2): the words' places among the kept states.
    context : str
        How much of the text is read with a token, in words.

    Raises
    ------
    InputError
        For a window or a context that does not fit.
    """
    size, stride = _window_and_stride(n_tokens, reader, settings)
    if reader.looks_right:
        context = f"one window per word, ending at it, at most {size} tokens"
        return *word_windows(ranges, size), context
    windows = overlapping_windows(n_tokens, size, stride, full=settings.stride is None)
    context = f"windows of {size} tokens, at least {size - stride} of them context"
    return windows, ranges, "one pass" if len(windows) <= 1 else context


def _window_and_stride(
    n_tokens: int, reader: Reader, settings: ActivationSettings
) -> tuple[int, int]:
    """Tokens in a window and tokens from one window to the next."""
    limit = n_tokens if reader.max_tokens is None else reader.max_tokens
    if reader.max_tokens is not None and (settings.window or 0) > limit:
        raise InputError(f"window is {settings.window}; the model has {limit} positions for text.")
    size = settings.window or limit
    if settings.stride is not None:
        if settings.stride > size and n_tokens > size:
            raise InputError(
                f"stride is {settings.stride}; at most the {size} tokens of a window are expected."
            )
        return size, min(settings.stride, size)
    context = 2 * size // 3 if settings.minimum_context is None else settings.minimum_context
    if context >= size and n_tokens > size:
        raise InputError(
            f"minimum_context is {context}; it must be less than the {size} tokens of a window."
        )
    return size, size - context


def overlapping_windows(n_tokens: int, size: int, stride: int, full: bool = True) -> np.ndarray:
    """Windows that cover a text, each token read once.

    Parameters
    ----------
    n_tokens, size, stride
        Tokens in the text, in a window, and from the start of one window to that of the next.
    full
        Whether the last window starts earlier instead of being shorter.

    Returns
    -------
    numpy.ndarray of int
        Shape (n_windows, 3): first token, the one after the last, and the first whose states are
        kept. Every kept token after the first window has at least `size - stride` tokens before it.
    """
    if n_tokens <= size:
        return np.array([[0, n_tokens, 0]] if n_tokens else [], dtype=int).reshape(-1, 3)
    starts = np.arange(0, n_tokens - size + stride, stride)
    stops = np.minimum(starts + size, n_tokens)
    if full:
        starts = stops - size
    return np.column_stack([starts, stops, np.append(0, stops[:-1])])


def word_windows(ranges: np.ndarray, size: int) -> tuple[np.ndarray, np.ndarray]:
    """Windows that end at each word, and where its tokens' states then lie.

    Parameters
    ----------
    ranges
        Shape (n_words, 2), from `token_ranges`.
    size
        Tokens in a window.

    Returns
    -------
    windows : numpy.ndarray of int
        Shape (n_filled_words, 3), as from `overlapping_windows`; only the word's own states are
        kept.
    ranges : numpy.ndarray of int
        Shape (n_words, 2): the words' places among the kept states, both equal for empty words.

    Raises
    ------
    InputError
        For a word with more tokens than a window holds.
    """
    first, stop = ranges.T
    lengths = stop - first
    if lengths.max(initial=0) > size:
        raise InputError(
            f"Word {lengths.argmax()} has {lengths.max()} tokens; a window holds {size}."
        )
    filled = lengths > 0
    windows = np.column_stack([np.maximum(stop - size, 0), stop, first])[filled]
    ends = np.cumsum(lengths)
    return windows, np.column_stack([ends - lengths, ends])


def _fill_empty(layers: np.ndarray, run: Run, how: Literal["zero", "next"]) -> None:
    """Give empty words the next word's vector in place; without it they keep their zeros."""
    if how == "zero":
        return
    words: Sequence[object] = run.words["word"].tolist()
    for index in range(len(words) - 2, -1, -1):
        if is_empty(words[index]):
            layers[:, index] = layers[:, index + 1]


def _write(path: Path, layers: np.ndarray, attributes: dict[str, Any]) -> None:
    """Keep vectors of shape (layer, word, unit) as a float16 array (word, layer, unit)."""
    import zarr

    # A power of two keeps every digit; regressors are standardised, so a layer's scale is free.
    largest = np.array([np.abs(layer).max(initial=0.0) for layer in layers])
    if not np.isfinite(largest).all():
        raise InputError(f"Model {attributes['model']!r} gives activations that are not finite.")
    scale = np.exp2(np.ceil(np.log2(np.maximum(largest / 32768, 1))))
    n_layers, n_words, n_units = layers.shape
    with atomic_path(path) as temporary:
        array = zarr.create_array(
            store=temporary,
            shape=(n_words, n_layers, n_units),
            chunks=(max(n_words, 1), 1, n_units),
            dtype="float16",
            compressors=None,
            dimension_names=("word", "layer", "unit"),
            attributes=attributes | {"scale": scale.tolist()},
        )
        for index, layer in enumerate(layers):
            array[:, index] = layer / scale[index]


def _open(path: Path) -> "zarr.Array":
    import zarr

    return zarr.open_array(path, mode="r")
