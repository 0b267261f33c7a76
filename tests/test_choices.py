"""What measured studies are scored with, what their pages say, and what they lack."""

import json
from types import SimpleNamespace

import numpy as np
import own_study
import pandas as pd
import pytest

from brainalign import brain_maps, individuals, parcels, reliability_summary, reliability_tables
from brainalign.choices import (
    chosen_models,
    default_models,
    line_models,
    load_options,
    study_settings,
)
from brainalign.companion import availability
from brainalign.companion.availability import lacks, require, study_lack
from brainalign.companion.compose import source_text
from brainalign.companion.overview import list_everything, schema_json
from brainalign.companion.parameters import parse_assignments, parse_cell, read_schema
from brainalign.companion.run import plan
from brainalign.errors import InputError
from brainalign.fitting import encoding_settings
from brainalign.models import MINILM, describe, paper_names, zoo_names
from brainalign.regions import region_fits
from brainalign.studies import registry
from brainalign.studies.preparation import Preparation, RunImage

ENGLISH = "petitprince-en"
CELL = """from brainalign.companion.parameters import Literal, ModelName, Study

study: Literal["published", "testbed"] | Study = "testbed"  # whose brain responses
study_options: dict[str, bool | int | float | str | list | None] = {}  # of the study
"""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """Path of a study of one's own in Chinese, with nothing prepared."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))
    own_study.make_study(tmp_path / "mine", own_study.STUDY.replace("language: en", "language: zh"))
    return "./mine"


# Settings and models ------------------------------------------------------------------------------


def test_measured_voxels_are_scored_with_the_papers_settings(mine):
    paper = {"alphas": (2.0, 7.0, 16), "stride": 64}
    assert study_settings(ENGLISH) == study_settings("petitprince-fr") == paper
    chosen = encoding_settings(**study_settings(ENGLISH, hrf="fir", window=None))
    np.testing.assert_allclose(chosen.alpha_grid[[0, -1]], [1e2, 1e7])
    assert chosen.hrf == "fir" and not chosen.alpha_per_voxel
    assert chosen.activations.window is None and chosen.activations.stride == 64
    for study in ("petitprince-cn", mine):
        reading = encoding_settings(**study_settings(study)).activations
        assert (reading.empty_words, reading.word_vector) == ("next", "characters")
    # Windows as short as the stride would have no context.
    assert study_settings(ENGLISH, window=64) == {"alphas": (2.0, 7.0, 16), "window": 64}
    assert study_settings(ENGLISH, window=65)["stride"] == 64
    # Either says how far windows overlap.
    assert study_settings(ENGLISH, minimum_context=9) == {
        "alphas": (2.0, 7.0, 16),
        "minimum_context": 9,
    }


def test_models_of_a_study():
    assert default_models(ENGLISH) == individuals.default_models(ENGLISH) == [MINILM]
    assert len(individuals.default_models()) == 6
    assert {describe(name).family for name in individuals.default_models("testbed")} == set(
        individuals.FAMILIES
    )
    assert chosen_models("testbed", None) == zoo_names()
    assert chosen_models(ENGLISH, ["a", "paper", "a"]) == ["a", *paper_names("en")]
    assert chosen_models("petitprince-fr", ["paper"]) == paper_names("fr")
    assert len(paper_names("en")) == 28


def test_a_line_through_too_few_models_is_refused_before_anything_is_computed():
    assert line_models("published", None) is None and line_models("testbed", None) is None
    assert line_models("published", ["paper"]) is None
    assert line_models(ENGLISH, ["paper"]) == ["paper"]
    sentence = r"At least 3 language models .* 'petitprince-en' has 1 of its own \(minilm\), so"
    with pytest.raises(InputError, match=sentence):
        line_models(ENGLISH, None)
    with pytest.raises(InputError, match=r"At least 6 .*; there are 2 \(a, b\), so name others"):
        line_models("testbed", ["a", "b"], least=6)
    with pytest.raises(InputError, match="has 1 language model of its own; maps compare"):
        brain_maps.extremes(ENGLISH, smallest="gpt2")


def test_options_named_by_the_study_count_most():
    own = {"seed": 4, "language": "fr"}
    assert load_options("testbed", 3, own=own, asymmetry=0.5) == own | {"asymmetry": 0.5}
    assert load_options(ENGLISH, 3, own={"responses": "openneuro"}) == {"responses": "openneuro"}


# Parameters ---------------------------------------------------------------------------------------


def test_a_study_is_a_name_or_a_folder(mine):
    schema = parse_cell(CELL, "demo")
    assert parse_assignments(schema, ["study=./mine"], "demo") == {"study": "./mine"}
    assert parse_assignments(schema, ["study=petitprince-cn"], "demo")["study"] == "petitprince-cn"
    assert schema["study"].expected == (
        '"published" or "testbed" or "petitprince-en" or "petitprince-fr" or "petitprince-cn" or '
        "the name of a folder with a study.yml"
    )
    with pytest.raises(InputError, match='Parameter study is "alice"; "published" or "testbed"'):
        parse_assignments(schema, ["study=alice"], "demo")
    described = json.loads(schema_json(schema))["properties"]
    assert {"format": "folder with a study.yml", "type": "string"} in described["study"]["anyOf"]
    assert described["study_options"]["description"] == "of the study"


def test_options_of_a_study_are_a_mapping():
    schema = parse_cell(CELL, "demo")
    text = "study_options={responses: openneuro, subjects: [EN057], n: 3, x: 0.5, no: null}"
    given = parse_assignments(schema, [text], "demo")["study_options"]
    assert given == {"responses": "openneuro", "subjects": ["EN057"], "n": 3, "x": 0.5, "no": None}
    assert type(given["n"]) is int
    for wrong in ("[1]", "{a: {b: 1}}"):
        with pytest.raises(InputError, match="a mapping from names, each value true or false or"):
            parse_assignments(schema, [f"study_options={wrong}"], "demo")


def test_all_of_the_papers_models_are_enough_for_a_line():
    schema = read_schema("asymmetry")
    assert parse_assignments(schema, ["models=[paper]"], "asymmetry") == {"models": ["paper"]}
    with pytest.raises(InputError, match="at least 3 items"):
        parse_assignments(schema, ["models=[gpt2, gpt2-medium]"], "asymmetry")
    with pytest.raises(InputError, match="Unknown model 'paper'"):
        parse_assignments(read_schema("brain_maps"), ["largest=paper"], "brain_maps")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({"study": ENGLISH, "study_options": {"response": "x"}}, "has no option 'response'; it"),
        ({"study": ENGLISH, "study_options": {"responses": "x"}}, "Option responses of study"),
        ({"study_options": {"gap": 4}}, "Study 'testbed' has no option 'gap'"),
        ({"study": "published", "study_options": {"gap": 4}}, "scores have no option 'gap'"),
    ],
)
def test_options_are_checked_before_a_page_runs(values, sentence):
    with pytest.raises(InputError, match=sentence):
        plan("asymmetry", values)


# What pages say -----------------------------------------------------------------------------------


def test_boxes_of_le_petit_prince():
    published = source_text({"study": ENGLISH})
    assert published[0] == "In the measured listeners to Le Petit Prince"
    assert "49 people who listened to *Le Petit Prince* in English" in published[1]
    assert "The map of their reliability was published" in published[1]
    heading, box = source_text({"study": "petitprince-cn", "models": None})
    assert heading.endswith("Le Petit Prince in Chinese") and "35 people" in box
    assert "Their average and the map of their reliability were published" in box
    single = {"responses": "openneuro", "subjects": ["FR001", "FR002"]}
    box = source_text({"study": "petitprince-fr", "study_options": single, "models": None})[1]
    assert "2 of the 28 people who listened" in box and "prepared here" in box
    assert "published by" not in box


def test_own_studies_are_listed():
    text = list_everything()
    assert "petitprince-cn" in text and "folder with a file study.yml" in text


# What is not at hand ------------------------------------------------------------------------------


def images_of(study, folder, subjects="ABC"):
    """A preparation of listeners A, B and C, or of some, whose images need not be there."""
    images = tuple(RunImage(name, 0, f"md5:{name}", folder / f"{name}.nii.gz") for name in subjects)
    return Preparation(study, images, (40,), 2.0, mask=None)


def test_listeners_who_are_not_fetched_or_not_prepared(tmp_path, monkeypatch):
    ready = []
    monkeypatch.setattr(registry, "missing_files", lambda study: [])
    monkeypatch.setattr(
        "brainalign.studies.study_preparation",
        lambda study, subjects="ABC", **_: images_of(study, tmp_path, subjects),
    )
    monkeypatch.setattr(
        "brainalign.studies.preparation.prepared_subjects", lambda images: tuple(ready)
    )

    def command(*subjects):
        options = {"responses": "openneuro"} | ({"subjects": subjects} if subjects else {})
        lack = study_lack(ENGLISH, options)
        return lack and lack.command.removeprefix("brainalign ")

    assert command() == f"fetch {ENGLISH} --subjects all"
    assert command("B") == f"fetch {ENGLISH} --subjects B"
    for name in "AB":
        (tmp_path / f"{name}.nii.gz").touch()
    assert command() == f"prepare {ENGLISH} --subjects A B"
    assert command("A", "C") == f"fetch {ENGLISH} --subjects C"
    ready.append("B")
    assert command() is None and command("B") is None
    assert command("A", "B") == f"prepare {ENGLISH} --subjects A"


def test_a_page_that_scores_models_needs_the_average_listener(monkeypatch):
    monkeypatch.setattr(registry, "missing_files", lambda study: [])
    monkeypatch.setattr(availability, "model_lack", lambda name: None)
    average = lacks(plan("asymmetry", {"study": ENGLISH, "models": ["paper"]}))
    assert [lack.command for lack in average] == [f"brainalign fetch {ENGLISH} --all"]
    assert average[0].what.startswith("data of petitprince-en (9 files)")
    with pytest.raises(InputError, match="9 files.*; fetch with `brainalign fetch petitprince-en"):
        require(plan("asymmetry", {"study": ENGLISH, "models": ["paper"]}))
    assert lacks(plan("isc_reliability", {"study": ENGLISH})) == []


def test_the_papers_models_are_looked_for_by_name(monkeypatch):
    monkeypatch.setattr(availability, "study_lack", lambda *args, **kwargs: None)
    asked = []
    monkeypatch.setattr(availability, "model_lack", lambda name: asked.append(name))
    values = {"study": ENGLISH, "models": ["paper"], "baselines": ["glove-300"]}
    assert lacks(plan("asymmetry", values)) == []
    assert asked == [*paper_names("en"), "glove-300"]


def test_only_the_english_map_is_held_against_the_papers_numbers(monkeypatch):
    monkeypatch.setattr(reliability_summary, "atlas_at_hand", lambda: True)
    left_out = {}
    for language in ("en", "fr"):
        told = {"language": language, "mask": "a mask", "truth": None, "of_regions": False}
        study = SimpleNamespace(**told, reliability=lambda: None)
        found = reliability_summary.StudyReliability(
            study, "", "", None, None, reliability_summary.SPLIT, None, None
        )
        left_out[language] = set(found.not_at_hand)
        assert reliability_tables.is_the_papers(found) == (language == "en")
    assert left_out["fr"] - left_out["en"] == {"papers-map", "parcels"}
    assert "published" not in left_out["fr"]


# Studies without regions or parcels ---------------------------------------------------------------


def test_a_study_without_regions_has_no_lines_of_regions():
    assert region_fits(None, 10, np.random.default_rng(0)) == {}


def test_regions_stand_in_for_parcels(monkeypatch):
    monkeypatch.setattr(parcels, "atlas_at_hand", lambda: False)
    rows = [(side, roi) for side in ("L", "R", "midline") for roi in ("STS", "", "A1")] * 5
    voxels = pd.DataFrame(rows, columns=["hemisphere", "roi"]).assign(parcel="")
    study = SimpleNamespace(voxels=voxels, mask="a mask")
    members = parcels.homologues(parcels.parcelled(study))
    assert set(members["parcel"]) == {"STS", "A1"} and len(members) == 2 * 2 * 5
    own = voxels.assign(parcel="own L")
    assert parcels.parcelled(SimpleNamespace(voxels=own, mask=None)) is own
