"""The true size of Le Petit Prince: one model is encoded in the memory of a laptop."""

import os
import subprocess
import sys
from pathlib import Path

import pandas as pd

N_VOXELS = 25_870
LIMIT = 6e9


def test_one_model_is_encoded_in_less_than_six_gigabytes(real_data, tmp_path):
    tests = Path(__file__).parent
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join([str(tests), str(tests.parent)]),
        "BRAINALIGN_DATA": str(tmp_path / "data"),
        "BRAINALIGN_CACHE": str(tmp_path / "cache"),
    }
    (tmp_path / "data").mkdir()
    script = [sys.executable, str(tests / "full_size.py"), str(tmp_path), str(N_VOXELS)]
    done = subprocess.run(
        [*script, str(real_data)], env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout.split()[-1]) < LIMIT
    table = pd.read_csv(tmp_path / "scores.csv")
    everywhere = table[table["roi"] == "all"]
    assert everywhere["n_voxels"].sum() == N_VOXELS
    # Nothing is to be found in noise.
    assert everywhere["score"].abs().max() < 0.02
