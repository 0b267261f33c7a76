"""A small made-up study with voxelwise scores, for tests of what is done with scores."""

import numpy as np
import pandas as pd
import xarray as xr

from brainalign.scaling import control_names
from brainalign.scores import StudyScores, summarise
from brainalign.study import Study, label_hemispheres, voxel_coordinates

REGIONS = ("TP", "aSTS", "pSTS", "AG_TPJ", "BA44", "BA45", "BA47", "A1")
LATERAL = ("aSTS", "AG_TPJ")
SIZES = {
    "8x2": 6_500,
    "12x2": 12_000,
    "16x2": 20_000,
    "24x3": 42_000,
    "32x4": 70_000,
    "48x4": 150_000,
    "64x4": 240_000,
    "96x4": 500_000,
    "128x4": 870_000,
}
FAMILIES = ("surface", "lexical", "syntax", "event", "discourse")


def voxel_table() -> pd.DataFrame:
    """Two mirror-symmetric halves and a midline; a strip of voxels for each region."""
    grid = np.stack(np.meshgrid(np.arange(-9, 10), range(6), range(8), indexing="ij"), -1)
    x, y, z = 4.0 * grid.reshape(-1, 3).T
    names = np.array(REGIONS)[(z / 4).astype(int)]
    roi = np.where((np.abs(x) > 16) & (y < 12), names, "")
    table = pd.DataFrame({"x": x, "y": y, "z": z, "roi": roi, "parcel": roi})
    return table.assign(hemisphere=label_hemispheres(x, 4.0))


def discourse_weight(voxels: pd.DataFrame) -> np.ndarray:
    """Planted discourse weight: larger on the left in two regions."""
    left = (voxels["hemisphere"] == "L") & voxels["roi"].isin(LATERAL)
    return 0.2 + 0.5 * left.to_numpy()


def _rows() -> pd.DataFrame:
    rows = []
    for name, size in SIZES.items():
        name = f"nano-gpt2-{name}"
        rows.append((name, "nano GPT-2", "language model", size))
        rows.append((f"{name}:untrained-0", "nano GPT-2", "untrained", size))
    for name in control_names():
        kind = "random vectors" if "vectors" in name else "random embeddings"
        rows.append((name, kind, kind, 0))
    return pd.DataFrame(rows, columns=["model", "family", "kind", "n_parameters"])


def brain_scores(noise: float = 0.01, seed: int = 0) -> xr.DataArray:
    """Scores, dims (model, voxel): only trained models grow, by their planted discourse weight."""
    rng = np.random.default_rng(seed)
    voxels, models = voxel_table(), _rows()
    growth = np.log10(models["n_parameters"].clip(lower=1).to_numpy())[:, None]
    trained = (models["kind"] == "language model").to_numpy()[:, None]
    values = 0.05 + 0.03 * trained * growth * discourse_weight(voxels)
    values = values + noise * rng.standard_normal(values.shape)
    coords = {
        "model": models["model"].to_numpy(),
        **{name: ("model", models[name].to_numpy()) for name in models.columns[1:]},
        **voxel_coordinates(voxels),
    }
    return xr.DataArray(values.astype(np.float32), dims=("model", "voxel"), coords=coords)


def reliable_voxels() -> xr.DataArray:
    """The voxels in regions."""
    return xr.DataArray((voxel_table()["roi"] != "").to_numpy(), dims="voxel")


def simulated_study() -> Study:
    """What `summarise` needs of a simulated study."""
    voxels = voxel_table()
    weight = np.full((len(FAMILIES), len(voxels)), 0.2)
    weight[-1] = discourse_weight(voxels)
    truth = xr.Dataset(
        {
            "weight": (("family", "voxel"), weight),
            "noise_ceiling": ("voxel", 0.3 + 0.1 * discourse_weight(voxels)),
        },
        coords={"family": list(FAMILIES), **voxel_coordinates(voxels)},
    )
    about = {"simulated": True, "truth": truth}
    return Study("testbed", "en", (), ("one",), 2.0, voxels, (0, 0), "made up", **about)


def simulated_scores(**options) -> StudyScores:
    """Score tables of the made-up study."""
    return summarise(simulated_study(), brain_scores(), reliable_voxels(), **options)
