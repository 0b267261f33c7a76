"""Brain maps in numbers: known maps, and that pages tie them to the right picture."""

import numpy as np
import pandas as pd
import pytest
import xarray as xr
from bs4 import BeautifulSoup
from tiny_study import tiny_study

from brainalign import long_descriptions
from brainalign.companion.descriptions import description_html
from brainalign.companion.site.page_repairs import tie_descriptions
from brainalign.long_descriptions import describe_maps, find_peaks, region_at


@pytest.fixture
def voxels():
    """A line of voxels 10 mm apart on the left, three on the right, one in the middle."""
    left = [(-60.0 + 10 * k, -50.0, 20.0, "L", "AG_TPJ" if k < 2 else "") for k in range(6)]
    right = [(40.0 + 10 * k, 10.0, 0.4, "R", "") for k in range(3)]
    rows = [*left, *right, (0.0, 0.0, 0.0, "midline", "")]
    return pd.DataFrame(rows, columns=["x", "y", "z", "hemisphere", "roi"])


def test_a_known_map_is_described(voxels):
    values = np.array([5, 6, 4, 3, 7, 1, 2, 9, 0, 8]) / 10
    drawn = values > 0.25
    found = describe_maps({"score": values}, {"score": drawn}, voxels, "What it is.")
    assert found.drawn.to_dict("records") == [
        {
            "map": "score",
            "side": "left",
            "voxels drawn": 5,
            "mean": pytest.approx(0.5),
            "highest": 0.7,
        },
        {"map": "score", "side": "right", "voxels drawn": 1, "mean": 0.9, "highest": 0.9},
        {"map": "score", "side": "midline", "voxels drawn": 1, "mean": 0.8, "highest": 0.8},
    ]
    assert found.peaks[["side", "x", "y", "z", "value", "region"]].values.tolist() == [
        ["left", -20, -50, 20, 0.7, "30 mm from AG_TPJ"],
        ["left", -50, -50, 20, 0.6, "AG_TPJ"],
        ["right", 50, 10, 0, 0.9, "–"],
        ["midline", 0, 0, 0, 0.8, "–"],
    ]
    assert found.regions.values.tolist() == [["AG_TPJ", "left", 2, pytest.approx(0.55)]]


def test_peaks_are_apart_and_few(voxels):
    values = np.arange(10.0)
    assert find_peaks(values, voxels, np.arange(6)) == [5, 3, 1]
    assert find_peaks(-values, voxels, np.arange(6)) == [0, 2, 4]
    assert find_peaks(values, voxels, np.array([], dtype=int)) == []
    many = pd.DataFrame({"x": np.arange(0, 900, 30.0), "y": 0.0, "z": 0.0})
    assert find_peaks(np.arange(30.0), many, np.arange(30)) == [29, 28, 27]
    assert region_at(voxels, 0) == "AG_TPJ" and region_at(voxels, 2) == "10 mm from AG_TPJ"


def test_a_map_without_voxels_or_regions_is_described(voxels):
    nothing = np.zeros(10, dtype=bool)
    bare = voxels.assign(roi="")
    found = describe_maps({"m": np.ones(10)}, {"m": nothing}, bare, "Nothing.")
    assert found.drawn["voxels drawn"].tolist() == [0, 0]
    assert found.peaks.empty and found.regions.empty
    assert description_html(found).count("<table>") == 1


def test_slopes_are_described_where_they_are_drawn():
    study = tiny_study()
    n = study.n_voxels
    slopes = xr.Dataset(
        {
            "slope": ("voxel", np.arange(n) / n),
            "t": ("voxel", np.where(np.arange(n) % 2, 9.0, -9.0)),
        },
        attrs={"threshold": 5.0, "n": 4},
    )
    found = long_descriptions.describe_slopes(slopes, study)
    assert found.drawn["voxels drawn"].sum() == n // 2
    highest = (n - 1 if (n - 1) % 2 else n - 2) / n
    assert found.peaks["value"].max() == pytest.approx(highest)
    assert "; only voxels with t > 5.00" in found.text


def test_the_website_ties_descriptions_to_the_picture_before_them(voxels):
    found = describe_maps({"m": np.ones(10)}, {"m": np.ones(10, dtype=bool)}, voxels, "1 < 2")
    details = description_html(found)
    assert "<p>1 &lt; 2</p>" in details and details.count("<table>") == 3
    page = f'<img src="a"><img src="b">{details}<p></p><iframe title="c"></iframe>{details}<img src="d">'
    soup = BeautifulSoup(tie_descriptions(page), "html.parser")
    tied = {
        tag.get("src") or tag["title"]: tag.get("aria-details") for tag in soup(["img", "iframe"])
    }
    assert tied == {"a": None, "b": "description-1", "c": "description-2", "d": None}
    assert [tag["id"] for tag in soup("details")] == ["description-1", "description-2"]
    assert tie_descriptions("<p>none</p>") == "<p>none</p>"
