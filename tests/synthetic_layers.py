"""Made-up scores of every voxel, layer and fold, for tests of what is done with layers."""

import json

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.scores import VoxelScores
from brainalign.study import Study, label_hemispheres, voxel_coordinates

N_FOLDS = 9
# Name -> family, kind, parameters, hidden states.
MODELS = {
    "nano-gpt2-8x2": ("nano GPT-2", "language model", 6_672, 3),
    "nano-gpt2-32x4": ("nano GPT-2", "language model", 70_528, 5),
    "nano-gpt2-128x4": ("nano GPT-2", "language model", 871_936, 5),
    "nano-opt-16x2": ("nano OPT", "language model", 20_000, 3),
    "nano-gpt2-32x4:untrained-0": ("nano GPT-2", "untrained", 70_528, 5),
}
VECTORS = [f"random-vectors-16:seed-{seed}" for seed in range(13)]


def voxel_table(n: int = 400) -> pd.DataFrame:
    """Left and right in equal numbers, and a few voxels between."""
    x = np.repeat([-8.0, -4.0, 0.0, 4.0, 8.0], n // 5)
    names = {"hemisphere": label_hemispheres(x, 4.0), "roi": "", "parcel": ""}
    return pd.DataFrame({"x": x, "y": 0.0, "z": 0.0, **names})


def layer_signal(n_states: int, kind: str) -> np.ndarray:
    """True score of every layer, shape (layer, 2): left and right."""
    depth = np.linspace(0, 1, n_states)
    if kind == "untrained":
        return np.column_stack([0.06 - 0.03 * depth] * 2)
    if not kind.startswith("random"):
        rise = np.minimum(2 * depth, 1)
        return np.column_stack([0.1 + 0.04 * rise, 0.11 + 0.01 * rise])
    return np.zeros((n_states, 2))


def encoded(
    name: str, family: str, kind: str, size: int, n_states: int, noise: float, seed: int = 0
) -> xr.Dataset:
    """One model's scores: truth and independent noise in every fold, inner and test."""
    voxels = voxel_table()
    rng = np.random.default_rng([seed, sum(name.encode())])
    left, right = layer_signal(n_states, kind).T
    side = voxels["hemisphere"].to_numpy()
    truth = np.where(side == "L", left[:, None], right[:, None])
    shape = (N_FOLDS, n_states, len(voxels))
    parts = {
        name: (
            ("fold", "layer", "voxel"),
            (truth + noise * rng.normal(size=shape)).astype(np.float32),
        )
        for name in ("r_fold", "r_inner")
    }
    info = {"name": name, "family": family, "kind": kind, "n_parameters": size}
    info |= {"n_layers": 0 if kind.startswith("random") else n_states - 1, "n_hidden": 16}
    coords = {"fold": np.arange(N_FOLDS), "layer": np.arange(n_states)}
    dataset = xr.Dataset(parts, coords | voxel_coordinates(voxels))
    dataset["r"] = dataset["r_fold"].mean("fold").expand_dims(model=[name])
    return dataset.assign_attrs(settings=json.dumps({"model": info}))


def found(noise: float = 0.03, names: list[str] | None = None, vectors: bool = True) -> VoxelScores:
    """Scores of the models above, and of random vectors."""
    wanted = MODELS if names is None else {name: MODELS[name] for name in names}
    scores = [encoded(name, *about, noise) for name, about in wanted.items()]
    if vectors:
        kind = "random vectors"
        scores += [encoded(name, kind, kind, 0, 1, noise) for name in VECTORS]
    voxels = voxel_table()
    about = {"simulated": True}
    study = Study("testbed", "en", (), ("one",), 2.0, voxels, (0, 0), "made up", **about)
    return VoxelScores(study, scores, np.arange(len(voxels)) % 2 == 0)
