"""Attribution: many readouts of a run against one forward pass, all voxels against one by one.

    python benchmarks/bench_attribution.py            less than a minute
    python benchmarks/bench_attribution.py --quick    few scans and voxels

The contexts are those of the testbed's first run, read by the last layer of a model of the zoo. One
forward pass over them, without gradients and output head, is what attributions of 16 readouts are
compared with; the goal is a ratio of at most 25. All of it runs on one thread, as attributions do,
which are computed in as many processes as there are cores.

For all voxels, `voxel_basis` takes as many products as a readout has features. The peer takes one
gradient after the other, for each voxel; some voxels, drawn at random, tell its time for all. The
difference is the largest one of any word, relative to the largest attribution.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache, partial, wraps
from typing import Any

import numpy as np
from measure import in_turn, print_rows, row

from brainalign.attribution.contexts import Context, run_contexts
from brainalign.attribution.gradients import gradient_times_input, word_scores
from brainalign.attribution.heads import voxel_basis
from brainalign.attribution.material import AttributionSettings
from brainalign.attribution.reading import Reading, batches, features, reading
from brainalign.loading import load_language_model
from brainalign.studies import load_study

MODEL = "nano-qwen2-48x3"
N_TARGETS = 16
SEED = 0


@dataclass(frozen=True)
class Size:
    """One of so many scans is read; for all voxels, one of so many others."""

    every: int
    every_for_voxels: int
    n_voxels: int
    n_sampled: int


FULL, QUICK = Size(1, 30, 10_000, 200), Size(8, 120, 2000, 40)


def on_one_thread(function: Callable) -> Callable:
    """The function with one thread of torch, as `parallel.map_processes` computes attributions."""

    @wraps(function)
    def measured(*arguments: Any) -> Any:
        import torch

        before = torch.get_num_threads()
        torch.set_num_threads(1)
        try:
            return function(*arguments)
        finally:
            torch.set_num_threads(before)

    return measured


@cache
def whole_run() -> tuple[Reading, list[Context]]:
    """Model, and the contexts of all scans of the first run."""
    read = reading(load_language_model(MODEL), -1)
    tokenizer, limit = read.language_model.tokenizer, read.reader.max_tokens
    n_words = AttributionSettings().n_context
    return read, run_contexts(load_study("testbed"), 0, tokenizer, n_words, limit)


def read_run(every: int) -> tuple[Reading, list[Context], int]:
    """Model, contexts of one of so many scans of the first run, and the number of features."""
    read, contexts = whole_run()
    return read, contexts[::every], len(contexts[0].pooling) * read.reader.n_units


def prepare_pass(read: Reading, contexts: list[Context]) -> Callable[[], int]:
    """One forward pass over all contexts; how many there are."""
    import torch

    @on_one_thread
    def forward() -> int:
        with torch.inference_mode():
            for batch in batches(read, contexts):
                read.model(inputs_embeds=batch.embeddings, use_cache=False)
        return len(contexts)

    forward()
    return forward


def prepare_targets(read: Reading, contexts: list[Context], n_features: int) -> Callable[[], Any]:
    """Attributions of all contexts for several readouts, each with derivatives of its own."""
    rng = np.random.default_rng(SEED)
    cotangents = rng.standard_normal((N_TARGETS, len(contexts), n_features), dtype=np.float32)
    attributed = on_one_thread(gradient_times_input)
    attributed(read, contexts[:2], cotangents[:, :2])
    return partial(attributed, read, contexts, cotangents)


def readout(n_features: int, size: Size) -> tuple[np.ndarray, np.ndarray]:
    """A readout of all voxels, (feature, voxel), and the voxels that are compared."""
    rng = np.random.default_rng(SEED)
    weights = rng.standard_normal((n_features, size.n_voxels))
    return weights, rng.choice(size.n_voxels, size.n_sampled, replace=False)


def prepare_basis(
    read: Reading, contexts: list[Context], n_features: int, size: Size
) -> Callable[[], np.ndarray]:
    """Attributions of all voxels from a few products; gives the sampled ones."""
    weights, shown = readout(n_features, size)
    gradient_times_input(read, contexts[:1], weights.T[:1, None])

    @on_one_thread
    def all_voxels() -> np.ndarray:
        cotangents, mixing = voxel_basis(weights)
        found = gradient_times_input(read, contexts, cotangents).values
        return np.tensordot(mixing.astype(np.float32), found, 1)[shown]

    return all_voxels


def prepare_one_by_one(
    read: Reading, contexts: list[Context], n_features: int, size: Size
) -> Callable[[], np.ndarray]:
    """Attributions of the sampled voxels, the gradient of one prediction after the other."""
    import torch

    weights, shown = readout(n_features, size)
    columns = torch.tensor(weights[:, shown].T, dtype=torch.float32)
    width = max(len(one.words) for one in contexts)

    @on_one_thread
    def one_by_one(columns: torch.Tensor = columns) -> np.ndarray:
        values = np.full((len(columns), len(contexts), width), np.nan, dtype=np.float32)
        for batch in batches(read, contexts):
            embeddings = batch.embeddings.requires_grad_()
            h, tokens = features(read, batch), []
            for column in columns:
                scalar = (h @ column).sum()
                (gradient,) = torch.autograd.grad(scalar, embeddings, retain_graph=True)
                tokens.append((gradient * embeddings.detach()).sum(-1).numpy())
            found = word_scores(np.stack(tokens), batch, contexts, width)
            values[:, batch.places] = found.values
        return values

    one_by_one(columns[:1])
    return one_by_one


def prepare_all(size: Size) -> list[Callable]:
    """The four functions, whose times are measured in turn."""
    few = size.every_for_voxels
    return [
        prepare_pass(*read_run(size.every)[:2]),
        prepare_targets(*read_run(size.every)),
        prepare_basis(*read_run(few), size),
        prepare_one_by_one(*read_run(few), size),
    ]


def rows(quick: bool = False, size: Size | None = None) -> list[dict[str, Any]]:
    """Rows of both comparisons.

    Parameters
    ----------
    quick
        Few scans and voxels.
    size
        Others than these.
    """
    size = size or (QUICK if quick else FULL)
    found = in_turn(prepare_all, size, repeats=3)
    (forward, n_contexts), (targets, _), (ours, values), (peer, expected) = found
    case = f"{MODEL}, {n_contexts} contexts, {N_TARGETS} readouts"
    of_voxels = f"{MODEL}, {expected.shape[1]} contexts, {size.n_voxels:,} voxels"
    difference = np.nanmax(np.abs(values - expected)) / np.nanmax(np.abs(expected))
    seconds = peer.seconds * size.n_voxels / size.n_sampled
    share = f"{size.n_sampled} of {size.n_voxels:,} voxels"
    return [
        row("attribution", case, "brainalign, one forward pass", forward),
        row("attribution", case, "brainalign, attributions", targets),
        row("attribution", of_voxels, "brainalign", ours, max_difference=float(difference)),
        row("attribution", of_voxels, "voxel by voxel", peer, seconds, share),
    ]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="few scans and voxels")
    print_rows(rows(parser.parse_args().quick))


if __name__ == "__main__":
    main()
