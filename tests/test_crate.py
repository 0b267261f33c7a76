"""The website's RO-Crate: what it says, and that faults in it are found."""

import copy
import hashlib
import json
from dataclasses import replace

import kept_pages
import pytest

from brainalign.companion import WorkError
from brainalign.companion.site import crate
from brainalign.companion.site.crate_checks import METADATA, crate_faults
from brainalign.companion.site.records import Book, published_result, read_book
from brainalign.files import file_sha256

FIGURE = f"_images/{hashlib.sha256(kept_pages.PNG).hexdigest()}.png"


@pytest.fixture(scope="module")
def site(tmp_path_factory):
    """A website with its crate; the pages it was made of."""
    folder = tmp_path_factory.mktemp("crate")
    with pytest.MonkeyPatch.context() as patch:
        pages = kept_pages.make_book(folder, patch)
        site = kept_pages.make_site(folder)
        crate.write(folder, read_book(pages))
    return site


@pytest.fixture
def content(site):
    return json.loads((site / METADATA).read_text())


def by_name(content):
    return {entity["@id"]: entity for entity in content["@graph"]}


def actions(content):
    return [entity for entity in content["@graph"] if entity["@type"] == "CreateAction"]


def test_the_crate_is_valid(site, content):
    assert crate_faults(content, site) == []


def test_every_execution_is_an_action_with_what_it_read_and_made(content):
    found = actions(content)
    assert len(found) == 2
    for action in found:
        assert action["instrument"] == {"@id": "notebooks/tiny.ipynb"}
        assert action["startTime"] == "2026-01-02T03:04:05+00:00"
        assert action["endTime"] == "2026-01-02T03:05:35+00:00"  # 90 s later
        made = [one["@id"] for one in action["result"]]
        assert made[:2] == ["book/executed/tiny.html", FIGURE]
    objects = {one["@id"] for action in found for one in action["object"]}
    assert {"#study-published", "#study-testbed"} <= objects
    seeds = [
        e for e in content["@graph"] if e["@type"] == "PropertyValue" and e["name"] == "n_boot"
    ]
    assert [one["value"] for one in seeds] == ["1000", "1000"]


def test_software_is_that_of_the_notebooks_own_executions(tmp_path, monkeypatch):
    pages = kept_pages.make_book(tmp_path, monkeypatch)
    site = kept_pages.make_site(tmp_path)
    book = read_book(pages)
    changed = replace(book.records[0].execution, notebook="other")
    told = book.records[0].provenance | {"versions": {"python": "3.12.1", "torch": "2.0"}}
    other = replace(book.records[0], execution=changed, provenance=told)
    (tmp_path / "notebooks" / "other.ipynb").write_bytes(
        (tmp_path / "notebooks" / "tiny.ipynb").read_bytes()
    )
    made = [crate._file(site, "book/executed/tiny.html", "Page")]
    monkeypatch.setattr(crate, "_results", lambda record, site: made)
    crate.write(tmp_path, replace(book, records=(*book.records, other)))
    found = by_name(json.loads((site / METADATA).read_text()))
    needs = {
        name: [
            found[one["@id"]] for one in found[f"notebooks/{name}.ipynb"]["softwareRequirements"]
        ]
        for name in ("tiny", "other")
    }
    told = {name: {(s["name"], s["softwareVersion"]) for s in of} for name, of in needs.items()}
    assert told["tiny"] == {("python", "3.11.7"), ("numpy", "2.4.6")}
    assert told["other"] == {("python", "3.12.1"), ("torch", "2.0")}


def test_a_notebook_that_was_changed_since_is_said_to_be(tmp_path, monkeypatch):
    pages = kept_pages.make_book(tmp_path, monkeypatch)
    site = kept_pages.make_site(tmp_path)
    current = file_sha256(tmp_path / "notebooks" / "tiny.ipynb")
    kept_pages.keep(pages["tiny"][0], notebook_sha256=current)
    kept_pages.keep(pages["tiny"][1], notebook_sha256="ab" * 32)
    crate.write(tmp_path, read_book(pages))
    first, second = actions(json.loads((site / METADATA).read_text()))
    assert "changed since" not in first["description"]
    assert f"had the SHA-256 {'ab' * 32}, the one here has been changed" in second["description"]


def test_a_study_of_ones_own_is_named_without_its_path(tmp_path, monkeypatch):
    pages = kept_pages.make_book(tmp_path, monkeypatch)
    site = kept_pages.make_site(tmp_path)
    folder = str(tmp_path / "private" / "my-study")
    own = replace(pages["tiny"][1], parameters={"study": folder, "study_options": {"at": folder}})
    kept = kept_pages.keep(own)
    raw = (kept / "provenance.json").read_text()
    assert folder in raw
    offered = published_result(kept / "provenance.json", folder)
    assert folder not in offered.decode() and '"my-study"' in offered.decode()
    (site / "_downloads" / "1" / "provenance.json").write_bytes(offered)
    book = read_book(pages)
    record = replace(book.records[1], execution=own, provenance=json.loads(raw))
    crate.write(tmp_path, replace(book, records=(record,)))
    text = (site / METADATA).read_text()
    assert str(tmp_path) not in text and "/my-study" not in text
    assert by_name(json.loads(text))["#study-my-study"]["description"] == (
        "A study of the reader's own"
    )
    # What the website offers is found although it differs from what was kept.
    [action] = actions(json.loads(text))
    assert {"@id": "_downloads/1/provenance.json"} in action["result"]


def test_downloads_are_found_by_their_content(content):
    published, testbed = actions(content)
    download = {"@id": "_downloads/1/numbers.json"}
    assert download in testbed["result"] and download not in published["result"]


def test_checksums_are_those_of_the_files(site, content):
    files = [e for e in content["@graph"] if "File" in e["@type"] and "://" not in e["@id"]]
    assert {FIGURE, "notebooks/tiny.ipynb", "book/executed/tiny.html"} <= {e["@id"] for e in files}
    for entity in files:
        data = (site / entity["@id"]).read_bytes()
        assert entity["sha256"] == hashlib.sha256(data).hexdigest()
        assert entity["contentSize"] == str(len(data))


def test_the_root_says_what_is_required(content):
    root = by_name(content)["./"]
    assert root["license"] == {"@id": "https://creativecommons.org/licenses/by/4.0/"}
    assert root["datePublished"] == "2026-01-02"
    assert root["conformsTo"] == {"@id": crate.PROFILE}
    # The published numbers' paper is cited; the small book has no bibliography to name it by.
    assert root["citation"] == []


def test_another_library_reads_it(site):
    rocrate = pytest.importorskip("rocrate.rocrate")
    read = rocrate.ROCrate(site)
    assert read.name.startswith("brainalign")
    runs = [e for e in read.get_entities() if e.type == "CreateAction"]
    assert len(runs) == 2
    assert {run["instrument"].id for run in runs} == {"notebooks/tiny.ipynb"}
    assert all(run["agent"]["name"] == "The brainalign contributors" for run in runs)
    parts = {part.id for part in read.root_dataset["hasPart"]}
    assert FIGURE in parts and "book/executed/tiny.html" in parts


def test_the_same_records_give_the_same_bytes(tmp_path, monkeypatch):
    pages = kept_pages.make_book(tmp_path, monkeypatch)
    path = kept_pages.make_site(tmp_path) / METADATA
    crate.write(tmp_path, read_book(pages))
    first = path.read_bytes()
    path.unlink()
    crate.write(tmp_path, read_book(pages))
    assert path.read_bytes() == first


def test_nothing_is_written_before_anything_was_executed(tmp_path):
    assert crate.write(tmp_path, Book(())) is None


def change(which, /, **fields):
    """A fault: an entity with other properties; None removes one."""

    def plant(content):
        entity = by_name(content)[which]
        entity.update(fields)
        for key in [key for key, value in fields.items() if value is None]:
            del entity[key]

    return plant


def remove(name):
    def plant(content):
        content["@graph"] = [e for e in content["@graph"] if e["@id"] != name]

    return plant


def change_action(**fields):
    return lambda content: change(actions(content)[0]["@id"], **fields)(content)


def twice(content):
    content["@graph"].append(copy.deepcopy(content["@graph"][1]))


def empty_hash(content):
    by_name(content)[FIGURE]["sha256"] = "0" * 64


FAULTS = {
    "no descriptor": (remove(METADATA), "is no entity of type CreativeWork"),
    "about nothing": (change(METADATA, about=None), "is not about ./"),
    "another version": (change(METADATA, conformsTo={"@id": "x"}), "does not conform to"),
    "no root": (remove("./"), "./ is no entity of type Dataset"),
    "no licence": (change("./", license=None), "./ has no license"),
    "no name": (change("./", name=""), "./ has no name"),
    "no date": (change("./", datePublished="yesterday"), "no date of ISO 8601"),
    "no profile": (change("./", conformsTo=None), "does not conform to an entity of"),
    "a type is missing": (change(FIGURE, **{"@type": None}), "has no @type"),
    "a name twice": (twice, "./ is there twice"),
    "a reference to nothing": (remove("#study-testbed"), "#study-testbed, which is not there"),
    "a file that is not there": (
        change(FIGURE, **{"@id": "gone.png"}),
        "gone.png is not in the site",
    ),
    "another size": (change(FIGURE, contentSize="1"), "has another size"),
    "another checksum": (empty_hash, "has another checksum"),
    "no checksum": (change(FIGURE, sha256=None), "has no sha256"),
    "not a part": (change("./", hasPart=[]), "is no part of ./"),
    "an action without tool": (change_action(instrument=None), "is no software"),
    "a tool that is none": (change_action(instrument={"@id": FIGURE}), "is no software"),
    "an agent that is none": (change_action(agent={"@id": FIGURE}), "is no person or organization"),
    "an action without result": (change_action(result=[]), "has no result"),
    "an action without object": (change_action(object=None), "has no object"),
    "an action without end": (change_action(endTime="soon"), "is no time of ISO 8601"),
    "an end before the start": (
        change_action(endTime="2020-01-01T00:00:00+00:00"),
        "ended before it began",
    ),
    "an action not mentioned": (change("./", mentions=[]), "./ does not mention"),
}


@pytest.mark.parametrize(("plant", "wanted"), FAULTS.values(), ids=FAULTS)
def test_a_planted_fault_is_found(plant, wanted, content, site):
    plant(content)
    assert any(wanted in fault for fault in crate_faults(content, site)), wanted


def test_a_crate_without_executions_is_no_record_of_any(content, site):
    content["@graph"] = [e for e in content["@graph"] if e["@type"] != "CreateAction"]
    assert "there is no CreateAction" in crate_faults(content, site)


def test_a_faulty_crate_is_not_written(tmp_path, monkeypatch):
    pages = kept_pages.make_book(tmp_path, monkeypatch)
    site = kept_pages.make_site(tmp_path)
    monkeypatch.setattr(crate, "_ended", lambda record: "2020-01-01T00:00:00+00:00")
    with pytest.raises(WorkError, match="ended before it began"):
        crate.write(tmp_path, read_book(pages))
    assert not (site / METADATA).exists()
