"""The report on this machine: what is there, what is not, and the command that mends it."""

import re
from importlib import metadata
from types import SimpleNamespace

import pytest

from brainalign import models
from brainalign.companion import availability, doctor, overview
from brainalign.studies import registry


@pytest.fixture
def machine(monkeypatch, tmp_path):
    """A machine that has everything; tests take something away."""
    monkeypatch.setenv("BRAINALIGN_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr(registry, "missing_files", lambda study: [])
    monkeypatch.setattr(registry, "damaged_files", lambda study: [])
    monkeypatch.setattr(registry, "data_folders", lambda: [tmp_path / "data"])
    monkeypatch.setattr(models, "available", lambda name: True)
    monkeypatch.setattr(doctor, "_device", lambda: "cpu")
    monkeypatch.setattr(metadata, "version", {"brainalign": "0.1", "numpy": "2.4.6"}.__getitem__)
    monkeypatch.setattr(metadata, "requires", lambda name: ["numpy>=2.0", 'ruff; extra == "test"'])
    monkeypatch.setattr(doctor, "_pins", lambda: {"numpy": "2.4.6"})
    return monkeypatch


def section(text, name):
    return text.split(f"{name}\n")[1].split("\n\n")[0]


def test_nothing_is_missing(machine):
    text = doctor.doctor_text()
    assert text.endswith("Nothing is missing.")
    assert re.fullmatch(
        r"  python +\d[\d.]+\n  brainalign +0\.1\n  numpy +2\.4\.6", section(text, "Versions")
    )
    assert section(text, "Studies").count("at hand") == 7
    assert "minilm" in section(text, "Language models")


def test_every_lack_has_its_command(machine):
    machine.setattr(models, "available", lambda name: False)
    lack = [SimpleNamespace(size=1_000_000)]
    machine.setattr(registry, "missing_files", lambda study: lack if study == "alice" else [])
    text = doctor.doctor_text()
    assert re.search(r"alice +not at hand: data of alice \(1 file, 1\.0 MB\)\n", text)
    assert text.split("To get what is missing:\n")[1].split("\n") == [
        "  brainalign fetch alice",
        f"  {models.MINILM_COMMAND}",
    ]


def test_damaged_files_are_not_missing(machine):
    found = {"alice": ["a.txt has 3 bytes; delete it.", "b.txt has 4 bytes; delete it."]}
    machine.setattr(registry, "damaged_files", lambda study: found.get(study, []))
    text = doctor.doctor_text()
    assert re.search(r"alice +damaged: see below\n", text)
    assert section(text, "Studies").count("at hand") == 6
    assert text.endswith("\n\nDamaged files\n  " + "\n  ".join(found["alice"]))
    lack = [SimpleNamespace(size=1_000_000)]
    machine.setattr(registry, "missing_files", lambda study: lack if study == "alice" else [])
    text = doctor.doctor_text()
    assert re.search(r"alice +not at hand: data of alice \(1 file, 1\.0 MB\)\n", text)
    assert found["alice"][0] in text and text.endswith("missing:\n  brainalign fetch alice")


def test_an_average_listener_that_is_not_fetched(machine):
    """The study itself is at hand, so that nothing counts as missing."""
    command = "brainalign fetch petitprince-en --all"
    text = section(doctor.doctor_text(), "Studies")
    assert f"petitprince-en    at hand; without the average listener ({command})" in text
    found = overview._at_hand("petitprince-en")
    assert found == f"at hand, without the average listener: {command}"
    machine.setattr(availability, "_missing_averages", lambda study: [])
    assert "average listener" not in section(doctor.doctor_text(), "Studies")
    assert overview._at_hand("petitprince-en") == "at hand"


def test_packages_that_differ_from_the_tested_ones(machine):
    machine.setattr(doctor, "_pins", lambda: {"numpy": "2.5.0"})
    assert re.search(r"numpy +2\.4\.6 +tested with 2\.5\.0\n", doctor.doctor_text())

    def version(name):
        if name == "numpy":
            raise metadata.PackageNotFoundError(name)
        return "2.13.0+cpu"

    machine.setattr(metadata, "version", version)
    machine.setattr(doctor, "_pins", lambda: {"brainalign": "2.13.0"})
    text = doctor.doctor_text()
    assert re.search(r"numpy +not installed", text) and "tested with" not in text
    assert text.endswith("  pip install -c constraints.txt -e .")


def test_pins_are_those_of_the_project(tmp_path, monkeypatch):
    monkeypatch.setattr(doctor, "project_root", lambda: tmp_path)
    assert doctor._pins() == {}
    (tmp_path / "constraints.txt").write_text("# exact\nJinja2==3.1.6\nhuggingface_hub==2.4\n")
    assert doctor._pins() == {"jinja2": "3.1.6", "huggingface-hub": "2.4"}


def test_folders_and_their_disks(machine, tmp_path):
    (tmp_path / "file").write_text("")
    folders = [tmp_path / "data", tmp_path / "file"]
    machine.setattr(registry, "data_folders", lambda: folders)
    machine.setenv("BRAINALIGN_DATA", str(folders[0]))
    rows = {row[0]: row[1:] for row in doctor._folders()}
    assert list(rows) == ["results", "data (BRAINALIGN_DATA)", "data", "temporary files"]
    assert rows["results"][0] == str(tmp_path / "cache") and rows["results"][2] == "writable"
    assert re.fullmatch(r"\d+\.\d GB free", rows["data (BRAINALIGN_DATA)"][1])
    assert rows["data"][2] == "is a file"


def test_the_device(monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.cuda.device_count", lambda: 2)
    monkeypatch.setattr("torch.cuda.get_device_name", "Card {}".format)
    assert doctor._device().endswith("cuda: Card 0, Card 1")
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert "no CUDA device" in doctor._device()
