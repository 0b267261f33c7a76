"""Citations: the bibliography, "How to cite this page", CITATION.cff and codemeta.json."""

import json
import re
from pathlib import Path

import nbformat
import pytest
import tiny_book
import yaml
from jsonschema import Draft7Validator
from pybtex.database import parse_file, parse_string

from brainalign.companion import bibliography
from brainalign.companion.bibliography import SOURCES, address, bibtex, entry, reference
from brainalign.companion.compose import Part, compose
from brainalign.companion.project import (
    Project,
    citation,
    citation_text,
    codemeta,
    codemeta_text,
    read_project,
)
from brainalign.companion.site import citing
from brainalign.errors import InputError
from brainalign.studies import registry, study_names

ROOT = Path(__file__).parents[1]
WORKS = parse_file(str(ROOT / "book" / "references.bib")).entries
# Works that are nowhere on the web; none so far.
WITHOUT_ADDRESS: set[str] = set()
SCHEMA = json.loads((ROOT / "tests" / "schemas" / "cff-1.2.0.json").read_text())


def without_address(works) -> set[str]:
    return {key for key, work in works.items() if not {"doi", "url", "eprint"} & set(work.fields)}


# --- the bibliography ---


def test_every_work_can_be_found_on_the_web():
    assert without_address(WORKS) == WITHOUT_ADDRESS
    planted = parse_string("@book{a, title = {A}, year = {1990}}", "bibtex").entries
    assert without_address(planted) == {"a"}


def test_dois_look_like_dois_and_belong_to_one_work():
    dois = [work.fields["doi"] for work in WORKS.values() if "doi" in work.fields]
    assert all(re.fullmatch(r"10\.\d{4,9}/[^\s{}]+", doi) for doi in dois)
    assert len(dois) == len(set(dois))


@pytest.mark.parametrize("key", WORKS)
def test_every_work_has_what_a_reference_needs(key):
    work = entry(key)
    assert {"title", "year"} <= set(work.fields) and work.persons["author"]
    assert not re.search(r"[{}\\]", reference(work))
    assert reference(work).endswith(f"<{address(work)}>")


def test_a_reference_in_full():
    assert reference(entry("glover1999")) == (
        "Glover, G. H. (1999). Deconvolution of impulse response in event-related BOLD fMRI. "
        "*NeuroImage* 9, 416–429. <https://doi.org/10.1006/nimg.1998.0419>"
    )


@pytest.mark.parametrize(
    ("fields", "wanted"),
    [
        ("doi = {10.1000/x}, url = {https://a.org}", "https://doi.org/10.1000/x"),
        ("url = {https://a.org}, eprint = {1}", "https://a.org"),
        ("eprint = {2001.00001}", "https://arxiv.org/abs/2001.00001"),
        ("note = {unpublished}", ""),
    ],
)
def test_where_a_work_is(fields, wanted):
    [work] = parse_string(f"@misc{{a, {fields}}}", "bibtex").entries.values()
    assert address(work) == wanted


def test_what_is_cited_is_in_the_bibliography():
    texts = [path.read_text() for path in (ROOT / "book").rglob("*.md")]
    for path in (ROOT / "notebooks").glob("*.ipynb"):
        texts += [cell.source for cell in nbformat.read(path, as_version=4).cells]
    folder = ROOT / "brainalign" / "companion" / "site" / "checklists"
    texts += [path.read_text() for path in folder.glob("*.yml")]
    assert set(citing.cited_keys(texts)) <= set(WORKS)
    with pytest.raises(InputError, match="has no entry 'nobody1900'"):
        entry("nobody1900")


def test_every_collection_of_files_names_its_works():
    collections = {file.collection for file in registry._registry()} | {registry.CORPUS}
    assert collections | {"published"} == set(SOURCES)
    assert {key for keys in SOURCES.values() for key in keys} <= set(WORKS)


# --- a page's own section ---


def part(study, text="Text.", note=""):
    notebook = nbformat.v4.new_notebook(
        cells=[tiny_book.text("# Is it?", "once"), tiny_book.text(text)]
    )
    return Part({"study": study}, notebook, note)


def cited(parts):
    page = compose(parts)
    citing.add_section(page, "is_it", parts, ROOT)
    return page.cells[-1].source


def test_the_section_closes_the_page():
    parts = [part("alice")]
    page = compose(parts)
    n = len(page.cells)
    citing.add_section(page, "is_it", parts, ROOT)
    nbformat.validate(page)
    assert len(page.cells) == n + 1
    source = page.cells[-1].source
    assert source.startswith("## How to cite this page\n")
    assert "The brainalign contributors (2026). Is it?." not in source
    assert f"Is it? *brainalign*, version {read_project(ROOT).version}." in source


def test_the_data_of_a_part_come_with_licence_and_paper():
    source = cited([part("alice")])
    assert "- Responses of 27 listeners to *Alice in Wonderland*. Licence: CC BY 4.0." in source
    assert "https://doi.org/10.1016/j.bandl.2016.04.008" in source
    assert "li2022" not in source and "Ryskina" not in source


def test_works_that_the_text_cites_are_sources():
    source = cited([part("testbed", "See {cite}`glover1999,hasson2004` and {cite:t}`nadeau2003`.")])
    for key in ("glover1999", "hasson2004", "nadeau2003"):
        assert f"<{address(WORKS[key])}>" in source
    assert "simulated testbed" in source and "10.1016/j.bandl" not in source


def test_a_part_that_is_left_out_counts_for_nothing():
    source = cited([part("testbed"), part("petitprince-en", note="Not on this machine.")])
    assert "petitprince" not in source and "li2022" not in source


def test_each_study_has_its_own_sources():
    wanted = {
        "published": {"bonnassegahot2024"},
        "alice": {"brennan2016"},
        "petitprince-en": {"bonnassegahot2024", "li2022"},
        "petitprince-fr": {"bonnassegahot2024", "li2022", "ds003643"},
        "petitprince-cn": {"bonnassegahot2024", "li2022", "ds003643"},
        "concepts": {"ryskina2025", "pereira2018"},
        "testbed": set(),
        "concepts-testbed": set(),
    }
    assert set(wanted) == {"published", *study_names()}
    for study, keys in wanted.items():
        sources = citing.data_sources(study)
        assert {key for source in sources for key in source.keys} == keys, study
        assert all(source.licence for source in sources) and sources
    assert citing.data_sources("") == []


def test_bibtex_can_be_read_back():
    source = cited([part("petitprince-en", "See {cite}`spearman1910`.")])
    block = re.search(r"```bibtex\n(.*?)\n```", source, re.DOTALL)[1]
    found = parse_string(block, "bibtex").entries
    assert set(found) == {"brainalign-is-it", "bonnassegahot2024", "li2022", "spearman1910"}
    for key in set(found) - {"brainalign-is-it"}:
        assert found[key].fields["doi"] == WORKS[key].fields["doi"]
        assert found[key].persons == WORKS[key].persons
    assert found["brainalign-is-it"].fields["title"] == "Is it?"


def test_a_study_of_ones_own_is_cited_as_it_says(tmp_path):
    import own_study

    folder = own_study.make_study(tmp_path / "my-study")
    described = yaml.safe_load((folder / "study.yml").read_text())
    [source] = citing.data_sources(str(folder))
    assert described["name"] in source.name and str(tmp_path) not in source.name


def test_the_page_about_citing_names_every_source():
    text = citing.page_text(ROOT)
    for collection in set(SOURCES) - {"published", "glove"}:
        assert f"Files of `{collection}`" in text
    for study in set(study_names()) - set(citing._OWN):
        assert f"`{study}`" in text
    block = re.findall(r"```bibtex\n(.*?)\n```", text, re.DOTALL)[-1]
    assert bibtex(parse_string(block, "bibtex").entries) == block


# --- files for other software ---


def faults(record) -> list[str]:
    return [error.message for error in Draft7Validator(SCHEMA).iter_errors(record)]


@pytest.mark.parametrize(
    "project",
    [
        read_project(ROOT),
        Project(
            ("Doe, Jane", "A Group"), "https://github.com/a/b", "1.0", homepage="https://a.org"
        ),
    ],
)
def test_citation_cff_is_valid(project):
    assert faults(yaml.safe_load(citation_text(project))) == []


PLANTED = {
    "no title": lambda record: record.pop("title"),
    "an unknown key": lambda record: record.update(journal="x"),
    "no DOI": lambda record: record["references"][0].update(doi="not-a-doi"),
    "an unknown kind": lambda record: record["references"][0].update(type="leaflet"),
    "no author": lambda record: record.update(authors=[]),
    "a version of the format": lambda record: record.update({"cff-version": "0.9"}),
}


@pytest.mark.parametrize("plant", PLANTED.values(), ids=PLANTED)
def test_a_fault_in_citation_cff_is_found(plant):
    record = citation(read_project(ROOT))
    plant(record)
    assert faults(record)


def test_citation_cff_names_the_paper_and_the_data():
    record = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    found = {one["doi"]: one for one in record["references"]}
    assert found["10.48550/arXiv.2405.17992"]["type"] == "conference-paper"
    assert found["10.18112/openneuro.ds003643.v2.0.7"]["type"] == "data"
    for doi, one in found.items():
        [work] = [work for work in WORKS.values() if work.fields.get("doi") == doi]
        assert len(one["authors"]) == len(work.persons["author"])
        assert one["year"] == int(work.fields["year"])


def test_codemeta_follows_from_the_settings():
    # python -m brainalign.companion.project codemeta > codemeta.json
    assert (ROOT / "codemeta.json").read_text() == codemeta_text(read_project(ROOT))


def test_codemeta_says_what_the_format_asks_for():
    project = Project(("Doe, Jane", "A Group"), "https://github.com/a/b", "1.0")
    record = codemeta(project)
    assert record["@context"] == "https://w3id.org/codemeta/3.0"
    assert record["author"] == [
        {"type": "Person", "familyName": "Doe", "givenName": "Jane"},
        {"type": "Organization", "name": "A Group"},
    ]
    assert record["codeRepository"] == "https://github.com/a/b" and record["version"] == "1.0"
    assert any(one.startswith("himalaya") for one in record["softwareRequirements"])
    assert "codeRepository" not in codemeta(Project(("A Group",), "", "1"))


def test_a_book_without_a_bibliography_has_no_works(tmp_path):
    assert bibliography.entries(tmp_path) == {}
