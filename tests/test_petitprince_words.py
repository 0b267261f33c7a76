"""Words and texts of *Le Petit Prince*: the paper's corrections, and copies of the book."""

import re
import unicodedata
import zipfile

import numpy as np
import pandas as pd
import pytest

from brainalign.alignment import locate_words
from brainalign.errors import InputError
from brainalign.studies.petitprince.languages import LANGUAGES, N_SECTIONS
from brainalign.studies.petitprince.text import read_texts, section_texts, text_digest
from brainalign.studies.petitprince.words import CORRECTIONS, join_words, read_words

ENGLISH, FRENCH, CHINESE = (LANGUAGES[f"petitprince-{code}"] for code in ("en", "fr", "cn"))
TABLE = "petitprince-annotation/annotation/lppEN_word_information.csv"


def table_of(words, **columns):
    """A table of equally long sections with the columns that all languages have."""
    n = len(words)
    onset = np.arange(n) * 0.25
    section = 1 + np.arange(n) * N_SECTIONS // n
    return pd.DataFrame(
        {"word": words, "onset": onset, "offset": onset + 0.2, "section": section, **columns}
    )


def write(folder, table, encoding="utf-8"):
    path = folder / "words.csv"
    table.to_csv(path, encoding=encoding)
    return path


def french_words():
    """As many words as the paper's corrections reach, with the errors that the authors found."""
    rules = CORRECTIONS["fr"]
    words = [f"mot{row}" for row in range(12_400)]
    for row, found in rules.dropped.items():
        words[row] = found
    for row, (found, _) in rules.repaired.items():
        words[row] = found
    return words


# Tables -------------------------------------------------------------------------------------------


def test_french_words_are_dropped_and_repaired_as_in_the_paper(tmp_path):
    given = french_words()
    runs = read_words(write(tmp_path, table_of(given)), FRENCH)
    assert [list(run.columns) for run in runs] == [["word", "onset", "offset"]] * N_SECTIONS
    words = pd.concat(runs)
    assert len(words) == len(given) - 3
    by_onset = dict(zip((words["onset"] / 0.25).round().astype(int), words["word"], strict=True))
    assert {row for row in range(len(given)) if row not in by_onset} == {338, 1204, 3333}
    changed = {row: word for row, word in by_onset.items() if word != given[row]}
    assert changed == {
        **{3332: "de", 3379: "trois", 3405: "trois", 4587: "l", 5325: "la", 5326: "première"},
        **{5328: "habitée", 11257: "À", 12249: "il"},
    }


@pytest.mark.parametrize("row", [338, 1204, 3379, 12249])
def test_another_release_is_told_by_the_words_to_be_corrected(tmp_path, row):
    words = french_words()
    words[row] = "autre"
    path = write(tmp_path, table_of(words))
    with pytest.raises(InputError, match=f"{path} has 'autre' in row {row}, .* another release"):
        read_words(path, FRENCH)


def test_apostrophes_and_capitals_make_no_other_release(tmp_path):
    words = french_words()
    for words[338], words[3332] in [("S\u2019", " Du"), ("s", "DU")]:
        assert len(pd.concat(read_words(write(tmp_path, table_of(words)), FRENCH))) == 12_397


def test_accents_beside_their_letters_make_no_other_release(tmp_path):
    words = french_words()
    words[5328] = unicodedata.normalize("NFD", words[5328])
    assert words[5328] != french_words()[5328]
    assert len(pd.concat(read_words(write(tmp_path, table_of(words)), FRENCH))) == 12_397


@pytest.mark.parametrize("language", [ENGLISH, FRENCH, CHINESE])
def test_rows_without_a_word(tmp_path, language):
    words = np.array(["un", "", " ", "null"] * 18, dtype=object)
    extra = dict.fromkeys(("lemma", "logfreq", "pos", "top_down", "bottom_up", "left_corner"), 1)
    runs = read_words(write(tmp_path, table_of(words, **extra)), language)
    if language is CHINESE:
        assert runs[2]["word"].isna().tolist() == [False, True, True, False] * 2
        assert runs[2]["onset"].tolist() == pytest.approx(np.arange(16, 24) * 0.25)
    else:
        assert [run["word"].tolist() for run in runs] == [["un", "null"] * 2] * N_SECTIONS
    assert {"lemma", "log_frequency", "part_of_speech", "top_down"} <= set(runs[0].columns)


def test_rows_that_are_left_out_may_lack_times(tmp_path):
    table = table_of(["un", ""] * 18)
    table.loc[table["word"] == "", ["onset", "offset", "section"]] = np.nan
    path = write(tmp_path, table)
    assert [len(run) for run in read_words(path, FRENCH)] == [2] * N_SECTIONS
    with pytest.raises(InputError, match="has the sections .*nan.*; those from 1 to 9"):
        read_words(path, CHINESE)


def test_encodings_of_tables(tmp_path):
    table = table_of(["小", "王子"] * 18)
    for encoding in ("utf-8", "utf-8-sig"):
        runs = read_words(write(tmp_path, table, encoding), CHINESE)
        assert runs[0]["word"].tolist() == ["小", "王子"] * 2
        table.to_csv(tmp_path / "words.csv", index=False, encoding=encoding)
        assert read_words(tmp_path / "words.csv", CHINESE)[8].equals(runs[8])
    for encoding in ("utf-16", "gb18030", "big5"):
        with pytest.raises(InputError, match=r"words.csv is not in UTF-8 \(byte \d+\); save it"):
            read_words(write(tmp_path, table, encoding), CHINESE)


def test_columns_and_times_are_checked_in_every_language(tmp_path):
    table = table_of(["a", "b"] * 18)
    with pytest.raises(InputError, match="columns section, word, onset, offset, lemma, .*lemma"):
        read_words(write(tmp_path, table), ENGLISH)
    with pytest.raises(InputError, match="cannot be read as a word table .*offset"):
        read_words(write(tmp_path, table.drop(columns="offset")), FRENCH)
    table.loc[5, "onset"] = 0
    with pytest.raises(
        InputError, match=r"has word 5 \('b'\) from 0 to 1.45 s, and the word above"
    ):
        read_words(write(tmp_path, table), CHINESE)
    table.loc[5, ["onset", "offset"]] = [1.4, 1.3]
    with pytest.raises(InputError, match=r"has word 5 \('b'\) from 1.4 to 1.3 s; onsets"):
        read_words(write(tmp_path, table), FRENCH)
    with pytest.raises(InputError, match=r"has the sections \[1, 2\]"):
        read_words(write(tmp_path, table[:8]), CHINESE)


@pytest.mark.parametrize(
    "language, words, text",
    [
        (ENGLISH, ["did", "nt", " know"], "did nt know"),
        (FRENCH, ["j'", "ai", "l\u2019", "oeil", np.nan, "vert"], "j'ai l\u2019oeil vert"),
        (CHINESE, ["小", np.nan, "王子", "说"], "小王子说"),
    ],
)
def test_words_joined_for_want_of_a_text(language, words, text):
    table = pd.DataFrame({"word": words})
    assert section_texts(None, [table], language) == [join_words(table["word"], language)] == [text]
    spans, skipped = locate_words(words, text)
    assert [text[slice(*span)] for span in spans if span[0] >= 0] == [
        word.strip() for word in words if isinstance(word, str)
    ]
    assert skipped == 0


# The real English table ---------------------------------------------------------------------------


def as_written(words, rng):
    """A text of the words with capitals, punctuation, contractions and digits, and their places."""
    digits = {
        f"three two {said}": f"32{n}"
        for n, said in enumerate("five six seven eight nine".split(), 5)
    }
    forms = digits | {
        "three three zero": "330",
        "na\\ive": "na\u00efve",
        "i.": "I",
        "nt": "n\u2019t",
    }
    text, spans, before = "", [], ""
    for word in words:
        form = forms.get(
            word, re.sub("(?<=.)nt$", "n\u2019t", word) if word[:-2] in STEMS else word
        )
        form = "1" if (before, word) == ("number", "one") else form
        if word in CLITICS:
            text += "\u2019" * (word != "nt")
        elif text:
            text += rng.choice([" "] * 12 + [", ", "! ", "\n", " \u2014 ", ".\u201d \u201c"])
            form = form.capitalize() if rng.random() < 0.1 else form
        spans.append((len(text), len(text) + len(form)))
        text, before = text + form, word
    return text, spans


STEMS = ("did", "does", "do", "has", "have", "ca")
CLITICS = ("s", "d", "ll", "m", "ve", "re", "t", "nt")


@pytest.fixture(scope="module")
def english(real_data):
    return read_words(real_data / TABLE, ENGLISH)


def test_every_word_of_the_real_table_is_found_where_it_was_put(english):
    rng, n_found = np.random.default_rng(0), 0
    for run in english:
        words = run["word"].tolist()
        text, spans = as_written(words, rng)
        located, skipped = locate_words(words, text)
        assert skipped == 0
        for (first, stop), (start, end) in zip(located.tolist(), spans, strict=True):
            assert text[first:stop].strip("\u2019 ") == text[start:end].strip("\u2019 ")
            assert start <= first < stop <= end or text[first:start] == "\u2019"
            n_found += 1
        for lost in rng.integers(0, len(words), 5):
            shorter = text[: spans[lost][0]] + text[spans[lost][1] :]
            with pytest.raises(InputError, match="is not found in the text"):
                locate_words(words, shorter)
    assert n_found == 15_342


def test_the_real_table_is_corrected(english, real_data):
    table = pd.read_csv(real_data / TABLE, keep_default_na=False)
    kept = table[(table["word"] != "") & ~table.index.isin([3919, 6775, 6781])]
    assert pd.concat(english)["word"].tolist() == kept["word"].tolist()
    assert sum(len(run) for run in english) == 15_342


# The user's copy of the book ----------------------------------------------------------------------


def sections(encoding="utf-8"):
    return {
        f"text_english_run{n}.txt": f"Section {n}: \u00ab l\u2019\u0153il \u00bb\r\n\u738b".encode(
            encoding
        )
        for n in range(1, N_SECTIONS + 1)
    }


EXPECTED = [f"Section {n}: \u00ab l\u2019\u0153il \u00bb\n\u738b" for n in range(1, N_SECTIONS + 1)]


def make_folder(path, files):
    path.mkdir()
    for name, content in files.items():
        (path / name).write_bytes(content)
    return path


def make_zip(path, files):
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_texts_from_a_folder_and_from_an_archive(tmp_path, encoding):
    files = sections(encoding)
    beside = {"readme 2022.txt": b"no", "notes.md": b"no", "._text_english_run1.txt": b"\0"}
    folder = make_folder(tmp_path / "texts", files | beside)
    (folder / "run 3.txt").mkdir()
    inside = {f"lpp_en_text/{name}": content for name, content in files.items()}
    archive = make_zip(
        tmp_path / "texts.zip",
        {"lpp_en_text/": b"", **inside, "__MACOSX/lpp_en_text/._text_english_run1.txt": b"\0"},
    )
    assert read_texts(folder) == read_texts(archive) == EXPECTED
    assert section_texts(str(archive), [], ENGLISH) == EXPECTED
    plain = make_folder(
        tmp_path / "plain", {f"{n}.TXT": t.encode() for n, t in enumerate(EXPECTED, 1)}
    )
    assert text_digest(str(folder)) == text_digest(str(archive)) == text_digest(str(plain)) != ""
    (plain / "9.TXT").write_text("other")
    assert text_digest(str(plain)) != text_digest(str(folder))
    assert text_digest(None) == ""


@pytest.mark.parametrize("make", [make_folder, make_zip])
def test_copies_that_are_not_complete(tmp_path, make):
    def read(name, files):
        return read_texts(make(tmp_path / name, files))

    files = sections()
    with pytest.raises(InputError, match=r"a has no text of section 4; one file for each section"):
        read("a", {name: text for name, text in files.items() if "4" not in name})
    with pytest.raises(
        InputError, match="b has two texts of section 2, .* and .*; one is expected"
    ):
        read("b", files | {"text_french_run02.txt": b"x"})
    with pytest.raises(InputError, match=r"run3.txt.* is empty; a text is expected"):
        read("c", files | {"text_english_run3.txt": b"\xef\xbb\xbf \n"})
    with pytest.raises(
        InputError, match=r"run5.txt.* is neither in UTF-8 nor in UTF-16 with a byte"
    ):
        read("d", files | {"text_english_run5.txt": "\u738b\u5b50".encode("gb18030")})
    with pytest.raises(InputError, match=r"run5.txt.* has null characters"):
        read("e", files | {"text_english_run5.txt": "text".encode("utf-16-le")})
    with pytest.raises(
        InputError, match=r"run6.txt.*2,000,000 bytes; at most 1,000,000 are expected"
    ):
        read("f", files | {"text_english_run6.txt": b"ab" * 1_000_000})


def test_copies_that_are_not_there_or_locked(tmp_path):
    with pytest.raises(InputError, match="There is no .*/none; a folder or a zip file with"):
        read_texts(tmp_path / "none")
    (tmp_path / "text.zip").write_text("Once when I was six years old")
    with pytest.raises(InputError, match="text.zip is not a complete zip archive") as caught:
        read_texts(tmp_path / "text.zip")
    assert "six years" not in str(caught.value)
    content = bytearray(make_zip(tmp_path / "locked.zip", sections()).read_bytes())
    place = content.index(b"PK\x01\x02")
    content[place + 8] |= 1
    (tmp_path / "locked.zip").write_bytes(content)
    with pytest.raises(
        InputError, match="locked.zip holds 'text_english_run1.txt', which is encry"
    ):
        read_texts(tmp_path / "locked.zip")
    with pytest.raises(InputError, match="leads out of the archive"):
        read_texts(make_zip(tmp_path / "out.zip", sections() | {"../x.txt": b"x"}))
