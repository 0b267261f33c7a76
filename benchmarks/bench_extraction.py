"""Extraction: time, memory and agreement against a loop that reads one window for every word.

    python benchmarks/bench_extraction.py            some four minutes on two idle cores
    python benchmarks/bench_extraction.py --quick    one run, few words

The loop reads, for each word, the very window that brainalign assigns to it, alone, and takes the
states of the word's tokens. Some words of the first run, drawn at random, tell its time for all
words. Differences are between vectors in float32: the largest of a layer, divided by the root mean
square of that layer's vectors. The scores under bfloat16 are those of the listeners' average in
every eighth voxel, a layer's mean over these; what counts is the largest difference of any layer.
Floating-point operations are those of the blocks: two per weight and token, and attention's.

GPT-2 has random weights and reads the testbed; MiniLM reads Alice, where its files are at hand.
"""

import argparse
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
from measure import Timing, in_fresh_process, print_rows, row

from brainalign.activations import ActivationSettings, _read_run, assign_windows, extract
from brainalign.alignment import tokenise
from brainalign.encoding import without_responses
from brainalign.models import MINILM, ZOO, available, describe, model_folder
from brainalign.states import Precision, Reader, probe
from brainalign.studies import load_study
from brainalign.studies.registry import missing_files
from brainalign.study import Study, select_voxels

TOKENIZER = ZOO / "nano-gpt2-32x6"
SEED = 0
EVERY_VOXEL = 8


def first_runs(study: str, n_runs: int) -> Study:
    """A study's words without its later runs."""
    loaded = load_study(study)
    return without_responses(replace(loaded, runs=loaded.runs[:n_runs]))


@dataclass(frozen=True)
class Case:
    """A model that reads the first runs of a study, from `first_runs`."""

    title: str
    study: Study
    model: str
    window: int | None
    n_sampled: int

    def settings(self, precision: Precision = "float32") -> ActivationSettings:
        return ActivationSettings(window=self.window, precision=precision)

    def sample(self) -> np.ndarray:
        """Some words of the first run."""
        n_words = len(self.study.runs[0].words)
        chosen = np.random.default_rng(SEED).choice(n_words, self.n_sampled, replace=False)
        return np.sort(chosen)


def save_gpt2(folder: Path, n_layers: int = 12, n_hidden: int = 768, n_heads: int = 12) -> str:
    """A GPT-2, of the smallest size by default, with random weights and the zoo's tokenizer."""
    import torch
    from transformers import GPT2Config, GPT2Model, PreTrainedTokenizerFast
    from transformers.utils import logging

    logging.disable_progress_bar()
    tokenizer = PreTrainedTokenizerFast.from_pretrained(TOKENIZER)
    shape = {"n_layer": n_layers, "n_embd": n_hidden, "n_head": n_heads}
    shape["vocab_size"] = len(tokenizer)
    torch.manual_seed(SEED)
    GPT2Model(GPT2Config(**shape, bos_token_id=None, eos_token_id=None)).save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return str(folder)


def prepare_ours(case: Case, precision: Precision) -> Callable[[], None]:
    """All words of the study through the model and to disk."""
    from brainalign.loading import load_language_model

    load_language_model(case.model)

    def read() -> None:
        with TemporaryDirectory() as folder:
            extract(case.study, case.model, case.settings(precision), folder)

    return read


def prepare_vectors(case: Case, precision: Precision) -> Callable[[], np.ndarray]:
    """Vectors of the first run as they are before they go to disk, float32."""
    from brainalign.loading import load_language_model

    language_model = load_language_model(case.model)
    reader, run = probe(language_model), case.study.runs[0]
    return lambda: _read_run(run, language_model, reader, case.settings(precision))[0]


def prepare_loop(case: Case) -> Callable[[], np.ndarray]:
    """The sampled words of the first run, each in its own window: (layer, word, unit)."""
    import torch
    from transformers import AutoModel

    from brainalign.loading import quiet_transformers

    with quiet_transformers():
        model = AutoModel.from_pretrained(model_folder(case.model), dtype=torch.float32).eval()
    reader, ids, windows, ranges = next(reading(case))
    n_kept = windows[:, 1] - windows[:, 2]
    of_window = np.repeat(np.arange(len(windows)), n_kept)
    of_token = np.concatenate([np.arange(keep, stop) for _, stop, keep in windows])

    def word_vector(start: int, stop: int) -> np.ndarray:
        tokens = []
        for number in np.unique(of_window[start:stop]):
            first, end, _ = windows[number]
            text = torch.tensor([[*reader.prefix, *ids[first:end], *reader.suffix]])
            with torch.no_grad():
                states = model(text, output_hidden_states=True).hidden_states
            inside = of_token[start:stop][of_window[start:stop] == number]
            tokens.append(torch.stack(states)[:, 0, inside - first + len(reader.prefix)])
        return torch.cat(tokens, dim=1).mean(dim=1).numpy()

    chosen = ranges[case.sample()]
    word_vector(*chosen[0])
    return lambda: np.stack([word_vector(*word) for word in chosen], axis=1)


def reading(case: Case) -> Iterator[tuple[Reader, np.ndarray, np.ndarray, np.ndarray]]:
    """What each run is to be read with: reader, tokens, windows and the words' places."""
    from brainalign.loading import load_language_model

    language_model = load_language_model(case.model)
    reader = probe(language_model)
    for run in case.study.runs:
        ids, tokens, *_ = tokenise(run.words["word"].tolist(), run.text, language_model.tokenizer)
        windows, ranges, _ = assign_windows(tokens, len(ids), reader, case.settings())
        yield reader, ids, windows, ranges


def count_flops(case: Case) -> float:
    """Floating-point operations in the blocks of the model for all windows, without padding."""
    info, total = describe(case.model), 0.0
    for reader, _, windows, _ in reading(case):
        tokens = windows[:, 1] - windows[:, 0] + len(reader.prefix) + len(reader.suffix)
        # Queries times keys and weights times values; a token that sees no later one has half.
        pairs = np.square(tokens, dtype=float) / (1 if reader.looks_right else 2)
        total += 2 * info.n_parameters_without_embeddings * tokens.sum()
        total += 4 * info.n_layers * info.n_hidden * pairs.sum()
    return float(total)


def largest_difference(vectors: np.ndarray, others: np.ndarray) -> float:
    """Largest difference in any layer, relative to the root mean square of the layer's vectors."""
    scale = np.sqrt(np.mean(np.square(others), axis=(1, 2)))
    return float((np.abs(vectors - others).max(axis=(1, 2)) / scale).max())


def compare(case: Case, halved: bool = True) -> Iterator[dict[str, Any]]:
    """Rows of one model: ours in float32, the loop and, where asked for, ours in bfloat16."""
    n_words = sum(len(run.words) for run in case.study.runs)
    title = f"{case.title}, {n_words:,} words"
    loop, expected = in_fresh_process(prepare_loop, case)
    share = f"{case.n_sampled} of {n_words:,} words"

    def ours(precision: Precision) -> tuple[Timing, float]:
        timing, _ = in_fresh_process(prepare_ours, case, precision)
        _, vectors = in_fresh_process(prepare_vectors, case, precision)
        return timing, largest_difference(vectors[:, case.sample()], expected)

    timing, difference = ours("float32")
    counted = {"flops": count_flops(case), "max_difference": difference}
    yield row("extraction", title, "brainalign", timing, **counted)
    seconds = loop.seconds * n_words / case.n_sampled
    yield row("extraction", title, "word by word", loop, seconds, share)
    if halved:
        timing, difference = ours("bfloat16")
        yield row("extraction", title, "brainalign, bfloat16", timing, max_difference=difference)


def prepare_scores(model: str, every: int) -> Callable[[], np.ndarray]:
    """Scores of some layers under both precisions: (precision, layer, voxel)."""
    from brainalign.fitting import EncodingSettings, layer_fitter

    study = load_study("testbed")
    study = select_voxels(study, np.arange(study.n_voxels) % EVERY_VOXEL == 0)
    fit = layer_fitter(study, EncodingSettings())

    def scores(precision: Precision, folder: str) -> np.ndarray:
        runs = extract(study, model, ActivationSettings(precision=precision), folder)
        layers = range(runs[0].shape[1])[::-every]
        features = ([np.asarray(run[:, layer], np.float32) for run in runs] for layer in layers)
        return np.stack([fit(words)["r_fold"].mean("fold").to_numpy() for words in features])

    def both() -> np.ndarray:
        with TemporaryDirectory() as folder:
            return np.stack([scores(precision, folder) for precision in ("float32", "bfloat16")])

    return both


def score_row(title: str, model: str, every: int = 1) -> dict[str, Any]:
    """How far the brain score moves under bfloat16, over all voxels and in the worst one."""
    timing, (full, half) = in_fresh_process(prepare_scores, model, every)
    moved = float(np.abs(half.mean(axis=1) - full.mean(axis=1)).max())
    return row(
        "extraction",
        f"{title}, brain score under bfloat16",
        "brainalign",
        timing,
        how=f"{len(full)} layers, {full.shape[1]} voxels",
        max_difference=moved,
        brain_score=float(full.mean(axis=1).max()),
        max_voxel_difference=float(np.abs(half - full).max()),
    )


def rows(quick: bool = False) -> Iterator[dict[str, Any]]:
    """Rows of all comparisons, as they are measured.

    Parameters
    ----------
    quick
        One run, few words, three layers instead of twelve, and only float32.
    """
    n_runs, n_sampled, n_layers = (1, 4, 3) if quick else (9, 48, 12)
    with TemporaryDirectory() as folder:
        gpt2 = save_gpt2(Path(folder), n_layers)
        title = f"GPT-2 ({n_layers} layers, random weights), testbed"
        case = Case(title, first_runs("testbed", n_runs), gpt2, None, n_sampled)
        yield from compare(case, halved=not quick)
        if quick:
            return
        if available(MINILM) and not missing_files("alice"):
            yield from compare(Case("MiniLM, Alice", first_runs("alice", 1), MINILM, 64, 200))
        yield score_row(TOKENIZER.name, TOKENIZER.name)
        yield score_row(title, gpt2, every=4)


def main() -> None:
    """Print the table, and how far brain scores move."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one run, few words")
    for entry in print_rows(rows(parser.parse_args().quick)):
        if "brain_score" in entry:
            print(
                f"{entry['case']}: {entry['brain_score']:.4f} moves by {entry['max_difference']:.1e}"
                f" at most, single voxels by {entry['max_voxel_difference']:.1e} ({entry['how']})"
            )


if __name__ == "__main__":
    main()
