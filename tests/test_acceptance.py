"""The testbed recovers what was planted: a small version of `brainalign zoo check`."""

import numpy as np
import pandas as pd
import pytest

from brainalign import acceptance
from brainalign.encoding import encode
from brainalign.lateralization import hemisphere_table
from brainalign.layer_choice import brain_scores
from brainalign.models import zoo_names
from brainalign.studies import load_study
from brainalign.study import select_voxels

# Enough runs to learn from; the temporal and parietal regions, where the planted difference is.
REGIONS = ("AG_TPJ", "aSTS", "pSTS")


@pytest.fixture(scope="module")
def cache(tmp_path_factory):
    patch = pytest.MonkeyPatch()
    patch.setenv("BRAINALIGN_CACHE", str(tmp_path_factory.mktemp("cache")))
    yield
    patch.undo()


def narrowed(**options):
    study = load_study("testbed", n_runs=6, n_listeners=2, noise=1.0, **options)
    return select_voxels(study, study.voxels["roi"].isin(REGIONS).to_numpy())


def difference(study, names):
    """Left minus right of every model, mean over the voxels."""
    scores = brain_scores(encode(study, names))
    table = hemisphere_table(scores, np.ones(scores.sizes["voxel"], bool))
    rows = table[
        (table["hemisphere"] == "L-R") & (table["voxels"] == "all") & (table["statistic"] == "mean")
    ]
    return rows.set_index("model")["score"].loc[names].to_numpy()


def test_large_models_favour_the_left_and_only_where_it_was_planted(cache):
    names = [zoo_names()[0], zoo_names()[-1]]
    planted = difference(narrowed(), names)
    assert planted[1] - planted[0] > 0.03
    alike = difference(narrowed(asymmetry=0.0), names)
    assert abs(alike[1] - alike[0]) < 0.4 * (planted[1] - planted[0])
    untrained = difference(narrowed(), [f"{name}:untrained-0" for name in names])
    assert abs(untrained[1] - untrained[0]) < 0.4 * (planted[1] - planted[0])


def test_swapping_hemispheres_flips_the_sign_exactly(cache):
    study = narrowed()
    row = acceptance._swap_row(study, np.ones(study.n_voxels, bool), [zoo_names()[0]])
    assert row[1:] == (0, "0", True)


def test_discourse_is_learnt_and_not_there_before_training(cache):
    largest = zoo_names()[-1]
    decoded = acceptance.discourse_decoding([largest, f"{largest}:untrained-0"])
    assert (decoded.loc[largest, ["scene", "goal"]] > 0.4).all()
    assert (decoded.iloc[1][["scene", "goal"]] < decoded.iloc[0][["scene", "goal"]] / 2).all()


def sides(slope: float) -> pd.DataFrame:
    x = np.linspace(4, 6, 28)
    left, right = 0.2 + 0.05 * x, 0.2 + (0.05 - slope) * x
    return pd.DataFrame({"L": left, "R": right, "L-R": left - right}, index=x)


def curve(left, difference) -> pd.DataFrame:
    return pd.DataFrame({"L": left, "L-R": difference}, index=[0, 50, 100, 500, 1000])


def test_checkpoints_hold_where_the_left_rises_before_the_difference():
    late = curve([0, 0.05, 0.1, 0.1, 0.1], [-0.01, -0.01, 0.0, 0.01, 0.03])
    early = curve([0, 0.0, 0.02, 0.05, 0.1], [0.0, 0.01, 0.01, 0.01, 0.01])
    rows = acceptance._checkpoint_rows([late, early], [3, 4])
    assert [bool(row[3]) for row in rows] == [True, True, True, False, False, False]
    np.testing.assert_allclose([row[1] for row in rows[:3]], [0, 0.03, 450])
    assert rows[0][0] == "brain 3: nano-pythia-64x4, L−R in the first tenth of training"


def test_rows_say_what_holds_and_what_does_not(monkeypatch):
    loss = pd.DataFrame({"validation_loss": np.linspace(3, 2, 28)}, index=zoo_names())
    monkeypatch.setattr(acceptance, "zoo_table", lambda: loss)
    columns = ["criterion", "measured", "wanted", "holds"]
    good = pd.DataFrame(acceptance._scaling_rows([sides(0.02)], [7]), columns=columns)
    assert good["holds"].all()
    steep = pd.DataFrame(acceptance._scaling_rows([sides(0.06)], [7]), columns=columns)
    assert not steep.set_index("criterion")["holds"]["brain 7: slope of L−R"]
    nulls = acceptance._null_rows(
        [sides(0.02)], [sides(0.001)], [sides(0.01)], [sides(0.0)] * 3, [0]
    )
    holds = pd.DataFrame(nulls, columns=columns).set_index("criterion")["holds"]
    assert holds.to_dict() == {
        "brain 0: slope of L−R, untrained": True,
        "brain 0: untrained / trained": True,
        "random embeddings of matched width / trained": False,
        "alike brains (3): mean slope / trained": True,
        "alike brains: part with slope under .4 of trained": True,
    }
