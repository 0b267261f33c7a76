"""Pages and checklists that are filled from the records of executions."""

import hashlib
import json
import re
from dataclasses import replace
from types import SimpleNamespace

import kept_pages
import nbformat
import pytest
import yaml
from bs4 import BeautifulSoup
from markdown_it import MarkdownIt
from mdit_py_plugins.deflist import deflist_plugin

from brainalign.companion.availability import Lack
from brainalign.companion.run import Execution, plan
from brainalign.companion.site import checklists, record_pages, records
from brainalign.companion.site.record_pages import in_bytes, in_minutes, runs_text
from brainalign.companion.site.records import Book, Record, Weights, shown_study
from brainalign.errors import InputError
from brainalign.files import PACKAGE
from brainalign.studies import study_names

PARAMETERS = {"study": "testbed", "seed": 0, "n_boot": 1000, "layer_rule": "nested"}


def execution(**parameters) -> Execution:
    from pathlib import Path

    resolved = PARAMETERS | parameters
    return Execution("tiny", Path("tiny.ipynb"), resolved, {"study": resolved["study"]})


def record(scores=(), models=(), parameters=None, **changes) -> Record:
    ran = execution(**(parameters or {}))
    told = kept_pages.provenance(ran, **changes)
    return Record(ran, "Does it grow?", told, tuple(scores), tuple(models))


def whole(**changes) -> Book:
    """A book of two executions, one of which fitted an encoding model."""
    fitted = record([kept_pages.score()], ["nano-gpt2-8x2"])
    published = record(parameters={"study": "published"}, seconds=30.0)
    return replace(Book((published, fitted)), **changes)


# --- the page about executions ---


def test_every_execution_has_a_row_with_its_numbers():
    soup = BeautifulSoup(runs_text(whole()), "html.parser")
    rows = soup.table.find_all("tr")
    cells = [[cell.get_text() for cell in row.find_all(["th", "td"])] for row in rows]
    assert cells[0][:3] == ["notebook", "brain responses", "began (UTC)"]
    assert [row.th.a["href"] for row in rows[1:]] == ["executed/tiny.html"] * 2
    assert [row[0] for row in cells[1:]] == ["tiny"] * 2
    assert [row[1] for row in cells[1:]] == ["published", "testbed"]
    assert [row[2] for row in cells[1:]] == ["2026-01-02 03:04"] * 2
    assert [row[3:6] for row in cells[1:]] == [["30.0", "0", "0"], ["90.0", "1", "1"]]


def test_the_summary_adds_up():
    text = runs_text(whole())
    assert "2 executions make the 1 pages" in text
    assert "add up to 2 minutes" in text  # 30 s and 90 s
    assert "took 90 seconds" in text
    assert "0123456789" in text and "files differed" not in text
    assert "himalaya 0.4.11" in text and "numpy 2.4.6" in text


def test_files_that_differed_from_the_commit_are_said_to():
    dirty = record(git={"commit": "fedcba9876543210", "dirty": True})
    text = runs_text(Book((record(), dirty)))
    assert "0123456789; fedcba9876, files differed" in text
    header = BeautifulSoup(text, "html.parser").table.tr.get_text(" ")
    assert "commit" in header  # two of them, so that each row says its own


def test_an_empty_book_says_so():
    assert "Nothing has been executed yet" in runs_text(Book(()))
    assert "Nothing has been executed yet" in checklists.checklist_text(Book(()), "cobidas")


def test_weights_are_listed_with_their_checksums():
    one = Weights(("nano",), "nano/model.safetensors", 1234, "ab" * 32)
    text = runs_text(whole(weights=(one,)))
    assert "1,234" in text and "ab" * 32 in text


def test_sizes_and_times_have_fitting_units():
    assert [in_bytes(n) for n in (12, 3_100, 4.2e6, 5e9)] == [
        "12 bytes",
        "3.1 kB",
        "4.2 MB",
        "5.0 GB",
    ]
    assert [in_minutes(s) for s in (5, 119, 600)] == ["5 seconds", "119 seconds", "10 minutes"]


# --- what is collected ---


def test_weights_of_a_trained_model_have_its_file_and_untrained_copies_none():
    path = PACKAGE / "studies/testbed/weights/nano-gpt2-8x2/model.safetensors"
    expected = hashlib.sha256(path.read_bytes()).hexdigest()
    found = records.weights(["nano-gpt2-8x2", "nano-gpt2-8x2:untrained-seed-1"])
    assert found == [
        Weights(
            ("nano-gpt2-8x2",),
            "nano-gpt2-8x2/model.safetensors",
            path.stat().st_size,
            expected,
        )
    ]


def test_word_vectors_have_a_file_and_random_ones_none():
    found = records.weights(["word-vectors-16", "random-vectors-16:seed-0"])
    assert [one.models for one in found] == [("word-vectors-16",)]


def test_a_local_folder_is_shown_by_its_last_part(tmp_path):
    assert shown_study(str(tmp_path / "my-study")) == "my-study"
    assert shown_study("alice") == "alice"


def test_a_local_path_is_in_nothing_that_is_published(tmp_path, monkeypatch):
    folder = tmp_path / "my study"
    folder.mkdir()
    study, there = str(folder), "{}, '{}', {}/a, \\n{} and {}-2"
    text = records.without_path(there.format(*[study] * 5), study)
    assert text == f"my study, 'my study', my study/a, \\nmy study and {study}-2"
    assert records.without_path(json.dumps({study: study}), study) == '{"my study": "my study"}'
    for public in ("testbed", "", None):
        assert records.without_path("the testbed", public) == "the testbed"
    monkeypatch.chdir(tmp_path)
    assert records.without_path("../a ./my study", "./my study") == "../a my study"
    assert records.without_path("a. b./ ..", ".") == "a. b./ .."

    output = nbformat.v4.new_output("display_data", {"text/html": study, "image/png": "a/b"})
    printed = nbformat.v4.new_output("stream", text=study)
    cell = nbformat.v4.new_code_cell(f"study = {study!r}", outputs=[output, printed])
    before = nbformat.v4.new_notebook(cells=[cell])
    after = records.notebook_without_path(before, study)
    assert study not in nbformat.writes(after) and study in nbformat.writes(before)
    assert after.cells[0].outputs[0].data == {"text/html": "my study", "image/png": "a/b"}


def test_what_is_left_out_is_named_without_its_path(tmp_path):
    study = str(tmp_path / "my-study")
    lack = Lack(f"images of all listeners in {study}", f"brainalign fetch {study} --subjects all")
    text = runs_text(whole(left_out=((execution(study=study), [lack]),)))
    assert "- tiny (my-study): not on this machine: images of all listeners in my-study" in text
    assert str(tmp_path) not in text


def test_pages_are_read_from_the_cache(tmp_path, monkeypatch):
    pages = kept_pages.make_book(tmp_path, monkeypatch)
    pages["tiny"].append(pages["tiny"][0])  # as a variant that is also a part of the page
    book = records.read_book(pages)
    assert [one.study for one in book.records] == ["published", "testbed"]
    assert book.records[0].title == "Does it grow?"
    assert book.left_out == ()


def test_models_are_those_that_were_read(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path))
    noted = {"model": "nano-opt-32x2", "key": "gone", "study": {}, "settings": {}}
    for name, changes, wanted in [
        ("individuals", {"scores": [noted]}, {"nano-opt-32x2"}),
        ("pitfalls", {"models": ["nano-gpt2-8x2", "nano-opt-32x2"]}, {"nano-gpt2-8x2"}),
        ("attribution", {"models": ["nano-gpt2-8x2"]}, {"nano-gpt2-8x2", "nano-qwen2-48x3"}),
    ]:
        execution = plan(name, {"study": "testbed"})
        kept_pages.keep(execution, **changes)
        found = records.read_record(execution).models
        assert wanted <= set(found) and len(found) <= 2, name


def test_what_pages_are_read_from_is_noted_once(tmp_path, monkeypatch):
    pages = kept_pages.make_book(tmp_path, monkeypatch)
    noted = records.note_sources(tmp_path, pages)
    first, written = noted.read_text(), noted.stat().st_mtime_ns
    assert set(json.loads(first)["executions"]) == {one.name for one in pages["tiny"]}
    records.note_sources(tmp_path, pages)
    assert noted.stat().st_mtime_ns == written
    kept_pages.keep(pages["tiny"][0], seconds=91.0)
    records.note_sources(tmp_path, pages)
    assert noted.read_text() != first


def test_files_at_hand_are_noted(tmp_path, monkeypatch):
    pages = kept_pages.make_book(tmp_path, monkeypatch)
    path = tmp_path / "words.csv"
    path.write_text("word\n")
    file = SimpleNamespace(path="words.csv")
    monkeypatch.setattr(records, "files_at_hand", lambda study: [(file, path)])
    noted = json.loads(records.note_sources(tmp_path, pages).read_text())
    assert noted["files"] == {study: {"words.csv": 5} for study in ("published", "testbed")}


def test_a_score_says_how_it_was_made(tmp_path, monkeypatch):
    import h5netcdf
    import numpy as np

    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path))
    (tmp_path / "scores").mkdir()
    with h5netcdf.File(tmp_path / "scores" / "k.nc", "w") as file:
        file.dimensions = {"fold": 5, "layer": 2, "voxel": 3}
        file.create_variable("r_fold", ("fold", "layer", "voxel"), data=np.zeros((5, 2, 3)))
        file.attrs["settings"] = '{"model": {"name": "m"}, "study": {"tr": 2.0}}'
    noted = {"key": "k", "model": "m", "study": {"name": "s"}, "settings": {"hrf": "fir"}}
    assert records._score_settings(noted)["folds"] == 5
    gone = records._score_settings(noted | {"key": "gone"})
    assert gone == {"study": {"name": "s"}, "model": {"name": "m"}, "encoding": {"hrf": "fir"}}


# --- checklists ---


@pytest.mark.parametrize("name", checklists.CHECKLISTS)
def test_every_item_has_an_answer_and_no_template_is_left(name):
    text = checklists.checklist_text(whole(), name)
    items = [item for section in checklists.read_checklist(name) for item in section["items"]]
    assert len(items) >= 16
    shown = BeautifulSoup(MarkdownIt().use(deflist_plugin).render(text), "html.parser")
    entries = shown.find_all("dt")
    assert [entry.text for entry in entries] == [item["item"] for item in items]
    for entry in entries:
        answer = entry.find_next_sibling()
        assert answer.name == "dd" and len(answer.text.strip()) > 3, entry.text
    assert not re.search(r"\$[a-z_]+", text)


def test_variants_stand_behind_what_is_usual():
    windows = [{"window": one} for one in (64, 32, 64, None)]
    text = checklists._varied(windows, lambda entry: str(entry["window"]))
    assert text == "64 (variants: 32; None)"
    assert checklists._varied(windows[:1], lambda entry: "all") == "all"


def test_known_answers():
    text = checklists.checklist_text(whole(), "cobidas")
    assert "9 runs, each in turn the test run" in text
    assert "16 from $10^{2}$ to $10^{7}$, one for all voxels" in text
    assert ": `testbed`: 10 at the start and 5 at the end" in text
    assert "`seed`: 0." in text and "`n_boot`: 1000" in text
    assert "`published`: Not fitted here." in text
    assert "2 executions, 2 minutes together; the longest took 90 seconds." in text


CHANGES = {
    "folds": ({"scores": [kept_pages.score(folds=5)]}, "5 runs"),
    "stretches": (
        {"scores": [kept_pages.score(folds=6, study={"n_folds": 6, "gap": 8})]},
        "6 contiguous stretches of one run, each in turn the test, 8 scans between them",
    ),
    "penalties": ({"scores": [kept_pages.score(encoding={"alphas": [0.0, 3.0, 4]})]}, "4 from"),
    "per voxel": (
        {"scores": [kept_pages.score(encoding={"alpha_per_voxel": True})]},
        "one for each voxel",
    ),
    "validation": (
        {"scores": [kept_pages.score(encoding={"validation": "first"})]},
        "on the first training run",
    ),
    "blood response": ({"scores": [kept_pages.score(encoding={"hrf": "fir"})]}, "`fir`"),
    "drifts": ({"scores": [kept_pages.score(study={"high_pass": 0.01})]}, "slower than 1/100 Hz"),
    "trim": ({"scores": [kept_pages.score(study={"trim": [3, 4]})]}, "3 at the start and 4"),
    "window": (
        {"scores": [kept_pages.score(encoding={"activations": {"window": 32}})]},
        "32 tokens",
    ),
    "seed": ({"parameters": {"seed": 7}}, "`seed`: 0, 7."),
    "draws": ({"parameters": {"n_boot": 50}}, "`n_boot`: 50, 1000"),
    "confounds": ({"parameters": {"confounds": ["movement"]}}, "Confounds: movement"),
    "layers": ({"parameters": {"layer_rule": "published"}}, "executions: nested, published."),
    "versions": ({"versions": {"numpy": "9.9"}}, "numpy 2.4.6 and 9.9"),
    "machine": ({"machine": kept_pages.MACHINE | {"cores": 64}}, "64 cores"),
    "seconds": ({"seconds": 6000.0}, "100 minutes"),
    "commit": ({"git": {"commit": "a" * 40, "dirty": False}}, "aaaaaaaaaa"),
}


@pytest.mark.parametrize(("change", "wanted"), CHANGES.values(), ids=CHANGES)
def test_a_change_of_the_records_changes_the_answer(change, wanted):
    before = checklists.checklist_text(whole(), "cobidas")
    first = record(parameters={"study": "published"}, seconds=30.0)
    changed = record(**{"scores": [kept_pages.score()], "models": ["m"]} | change)
    after = checklists.checklist_text(Book((first, changed)), "cobidas")
    assert wanted not in before and wanted in after


def test_weights_of_other_people_are_told_apart():
    names = ["minilm", "nano-gpt2-8x2"]
    both = whole(
        weights=(
            Weights(("minilm",), "minilm/model.safetensors", 9, "ab"),
            *records.weights(names[1:]),
        )
    )
    text = checklists.checklist_text(both, "neurips")
    assert "its 1 files of weights" in text and "MiniLM" not in text
    one = replace(both, records=(record(models=names),))
    text = checklists.checklist_text(one, "neurips")
    assert "wang2020minilm" in text and "Apache 2.0" in text
    hub = replace(both, hub={"gpt2": "openai-community/gpt2, revision 1"})
    assert "licences stated there: openai-community/gpt2" in checklists.checklist_text(
        hub, "neurips"
    )


def test_every_study_has_an_answer_of_its_own():
    for name in checklists.CHECKLISTS:
        for section in checklists.read_checklist(name):
            for item in section["items"]:
                answers = item.get("studies")
                if answers:
                    own = {
                        "published",
                        *(s if s in answers else s.split("-")[0] for s in study_names()),
                    }
                    assert own | {"other"} == set(answers), item["item"]


def test_a_name_that_is_not_on_record_is_refused():
    with pytest.raises(InputError, match="'nonsense' is not on record"):
        checklists.fill("There are $nonsense.", checklists.book_facts(whole()))


@pytest.mark.parametrize("kinds", [{}, {"answer": "a", "fitted": "b"}])
def test_an_item_has_one_kind_of_answer(kinds, tmp_path, monkeypatch):
    content = {"sections": [{"title": "t", "items": [{"item": "i"} | kinds]}]}
    (tmp_path / "planted.yml").write_text(yaml.safe_dump(content))
    monkeypatch.setattr(checklists, "_FOLDER", tmp_path)
    with pytest.raises(InputError, match="exactly one of answer, studies, fitted"):
        checklists.read_checklist("planted")


# --- the files ---


def test_pages_are_written_again_only_when_records_change(tmp_path, monkeypatch):
    pages = kept_pages.make_book(tmp_path, monkeypatch)
    assert (
        record_pages.write_pages(tmp_path, records.read_book(pages)) == []
    )  # a book without such pages
    (tmp_path / "book" / "runs.md").write_text("# How\n\n```{include} executed/runs.md\n```\n")
    [path] = record_pages.write_pages(tmp_path, records.read_book(pages))
    written = path.stat().st_mtime_ns
    assert "90" in path.read_text()
    record_pages.write_pages(tmp_path, records.read_book(pages))
    assert path.stat().st_mtime_ns == written
    kept_pages.keep(pages["tiny"][0], seconds=77.0)
    record_pages.write_pages(tmp_path, records.read_book(pages))
    assert path.stat().st_mtime_ns != written and "77" in path.read_text()
