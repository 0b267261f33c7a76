"""GloVe's vectors from an archive in its own layout: what is taken, averaged, and refused."""

import hashlib
import tracemalloc
from dataclasses import replace
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import pytest
import tiny_models

from brainalign import baselines, models
from brainalign.activations import extract
from brainalign.cli import main
from brainalign.companion.availability import model_lack
from brainalign.errors import InputError
from brainalign.studies import registry

WORDS = ["the", "two", "three", "five", "325", "boa", "constrictor", "n't", "caf\u00e9"]


def write_archive(path, width=50, words=WORDS, n_numbers=None, n_others=0):
    """An archive like GloVe's; gives the vectors that were written."""
    rng = np.random.default_rng(0)
    vectors = {word: rng.normal(size=n_numbers or width).round(5) for word in words}
    path.parent.mkdir(parents=True, exist_ok=True)
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        with archive.open(f"glove.6B.{width}d.txt", "w") as stream:
            for number in range(n_others):
                text = " ".join(map(str, rng.normal(size=width).round(5)))
                stream.write(f"other{number} {text}\n".encode())
            for word, vector in vectors.items():
                stream.write(f"{word} {' '.join(map(str, vector))}\n".encode())
    return vectors


@pytest.fixture
def at_hand(tmp_path, monkeypatch):
    """Function that makes an archive the one that is registered, and gives its vectors."""

    def make(**options):
        path = tmp_path / "data" / "glove" / "glove.6B.zip"
        vectors = write_archive(path, **options)
        checksum = f"sha256:{hashlib.sha256(path.read_bytes()).hexdigest()}"
        (file,) = registry.data_files("glove")
        known = [replace(file, size=path.stat().st_size, checksum=checksum)]
        monkeypatch.setattr(baselines, "data_files", lambda name: known)
        monkeypatch.setenv("BRAINALIGN_DATA", str(tmp_path / "data"))
        return vectors

    return make


def vectors_of(words, folder, name="glove-50"):
    study = tiny_models.study_of([" ".join(map(str, words))], [words])
    return extract(study, name, folder=folder)[0][:, 0].astype(float)


def test_known_forms_lower_case_and_parts(at_hand, tmp_path):
    known = at_hand()
    words = [
        "The",
        "CAF\u00c9",
        "325",
        "twothreefive",
        "boa-constrictor",
        "boa xyz",
        "n't",
        "xyz",
        None,
    ]
    found = vectors_of(words, tmp_path / "out")
    expected = [
        *(known["the"], known["caf\u00e9"], known["325"]),
        (known["two"] + known["three"] + known["five"]) / 3,
        (known["boa"] + known["constrictor"]) / 2,
        *(known["boa"], known["n't"], np.zeros(50), np.zeros(50)),
    ]
    np.testing.assert_allclose(found, expected, atol=2e-3)


def test_only_the_words_of_the_study_are_kept(at_hand, tmp_path):
    at_hand(n_others=30_000)
    vectors_of(["the", "two"], tmp_path / "before")  # imports take memory once
    tracemalloc.start()
    vectors_of(["the", "three"], tmp_path / "out")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # All vectors are six million bytes in float32, and more as text.
    assert most < 2e6


def test_another_archive_is_refused(at_hand, tmp_path, monkeypatch):
    at_hand(n_numbers=49)
    with pytest.raises(InputError, match="49 numbers for 'the' in glove.6B.50d.txt; 50 are expec"):
        vectors_of(["the"], tmp_path / "out")
    with pytest.raises(InputError, match="has no file 'glove.6B.300d.txt'"):
        vectors_of(["the"], tmp_path / "out", "glove-300")
    monkeypatch.undo()
    monkeypatch.setenv("BRAINALIGN_DATA", str(tmp_path / "data"))
    with pytest.raises(InputError, match="862,182,613 are expected"):
        vectors_of(["the"], tmp_path / "out")


def test_without_the_archive_the_command_is_named(tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_DATA", str(tmp_path))
    with pytest.raises(InputError, match="`brainalign fetch glove` fetches it"):
        vectors_of(["the"], tmp_path / "out")
    assert not models.available("glove-300")
    lack = model_lack("glove-300")
    assert (lack.what, lack.command) == ("word vectors glove-300", "brainalign fetch glove")


def test_what_is_known_of_it_without_its_file():
    info = models.describe("glove-300")
    assert (info.kind, info.n_hidden, info.n_layers) == ("word vectors", 300, 0)
    assert info.source == "GloVe 6B"
    assert models.check_name("glove-100") == "glove-100"
    prints = {models.fingerprint(f"glove-{width}") for width in (50, 100, 200, 300)}
    assert len(prints) == 4
    with pytest.raises(InputError, match="Unknown model 'glove-301'"):
        models.check_name("glove-301")


def test_it_is_fetched_like_a_study(capsys, tmp_path, monkeypatch):
    monkeypatch.setenv("BRAINALIGN_DATA", str(tmp_path))
    assert main(["fetch", "glove", "--dry-run"]) == 0
    said = capsys.readouterr().out
    assert "862,182,613 bytes  PDDL 1.0  glove/glove.6B.zip" in said
    (file,) = registry.data_files("glove")
    assert file.url == "https://nlp.stanford.edu/data/glove.6B.zip"
    assert file.mirrors[0] == "https://huggingface.co/stanfordnlp/glove/resolve/main/glove.6B.zip"
