"""The plan's counts beside torch's own counter, the package's own, and numbers that are known."""

import socket
from dataclasses import replace
from itertools import product

import numpy as np
import pandas as pd
import pytest
import tiny_models
import torch
import transformers
from hypothesis import given
from hypothesis import strategies as st
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from brainalign import calibration, costs, planning
from brainalign.activations import ActivationSettings, extract
from brainalign.calibration import CHIPS, Speeds
from brainalign.cli import main
from brainalign.costs import cost, counted, material, window_lengths
from brainalign.fitting import EncodingSettings, encoding_settings
from brainalign.model_sizes import Model, find_model
from brainalign.models import paper_names
from brainalign.planning import TOTAL, chosen_subjects, cost_table, elsewhere_table, study_files
from brainalign.ridge import count_operations
from brainalign.scores import study_settings

FAMILIES = sorted(
    set(tiny_models.TOKENIZERS) - {"gemma"}
)  # its tiny heads are narrower than its blocks
SPEEDS = Speeds({100: 1e9, 400: 4e9}, 1e-5, 1e10, 2.5e9, 0.01, 1e10, 0.25)
PETITPRINCE = encoding_settings(**study_settings("petitprince-en"))


@pytest.fixture(autouse=True)
def no_network(monkeypatch, tmp_path):
    """Whatever a plan does, it opens no connection; the hub's cache is empty."""

    def refuse(*_):
        raise AssertionError("a connection was opened")

    monkeypatch.setattr(socket.socket, "connect", refuse)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path / "hub"))


@pytest.fixture
def fast(monkeypatch):
    monkeypatch.setattr(planning, "measure", lambda device, precision: SPEEDS)
    monkeypatch.setattr(planning, "time_resampling", lambda grid: 0.5)


def tiny_model(tmp_path, monkeypatch, family):
    monkeypatch.setattr(tiny_models, "WIDTH", 64)
    return str(tiny_models.save_model(tmp_path / family, family, 48))


@pytest.mark.parametrize("family", FAMILIES)
def test_operations_of_reading_are_those_that_torch_counts(tmp_path, monkeypatch, family):
    name = tiny_model(tmp_path, monkeypatch, family)
    study = tiny_models.study_of([tiny_models.text_of(20, seed) for seed in range(3)])
    settings = ActivationSettings(window=30)
    with sdpa_kernel(SDPBackend.MATH), FlopCounterMode(display=False) as counter:
        extract(study, name, settings, tmp_path / "activations")
    found = cost(counted(study), find_model(name), EncodingSettings(activations=settings))
    assert found.forward == pytest.approx(counter.get_total_flops(), rel=0.08)


def test_operations_of_a_pass_are_those_of_its_products():
    width, n_layers, length = 256, 2, 64
    shape = {"n_embd": width, "n_layer": n_layers, "n_head": 4, "vocab_size": 50}
    model = transformers.GPT2Model(
        transformers.GPT2Config(**shape, bos_token_id=None, eos_token_id=None)
    ).eval()
    with (
        torch.no_grad(),
        sdpa_kernel(SDPBackend.MATH),
        FlopCounterMode(display=False) as counter,
    ):
        model(torch.zeros(3, length, dtype=int))
    body = sum(parameter.numel() for parameter in model.h.parameters())
    ours = costs.forward_operations(Model("m", 0, 0, body, n_layers, width), [length] * 3)
    assert ours == pytest.approx(counter.get_total_flops(), rel=0.02)


def parameters_of(config) -> tuple[int, int]:
    """Parameters of a model as it is loaded, and of its blocks, by an empty one of its size."""
    with torch.device("meta"):
        model = transformers.AutoModel.from_config(config)
    tables = [module for module in model.modules() if isinstance(module, torch.nn.Embedding)]
    total = sum(parameter.numel() for parameter in model.parameters())
    return total, total - sum(table.weight.numel() for table in tables)


def llama_like(kind, vocabulary, width, inner, n_layers, heads, groups):
    return getattr(transformers, f"{kind}Config")(
        vocab_size=vocabulary,
        hidden_size=width,
        intermediate_size=inner,
        num_hidden_layers=n_layers,
        num_attention_heads=heads,
        num_key_value_heads=groups,
    )


# Configurations as published, written down apart from the package's table of families.
CONFIGURATIONS = {
    "gpt2": transformers.GPT2Config(),
    "gpt2-xl": transformers.GPT2Config(n_embd=1600, n_layer=48, n_head=25),
    "opt-350m": transformers.OPTConfig(
        hidden_size=1024,
        num_hidden_layers=24,
        ffn_dim=4096,
        num_attention_heads=16,
        word_embed_proj_dim=512,
        do_layer_norm_before=False,
    ),
    "Llama-2-7b-hf": llama_like("Llama", 32000, 4096, 11008, 32, 32, 32),
    "Mistral-7B-v0.1": llama_like("Mistral", 32000, 4096, 14336, 32, 32, 8),
    "Qwen1.5-14B": llama_like("Qwen2", 152064, 5120, 13696, 40, 40, 40),
    "Qwen2-1.5B": llama_like("Qwen2", 151936, 1536, 8960, 28, 12, 2),
    "pythia-6.9b": transformers.GPTNeoXConfig(
        hidden_size=4096, num_hidden_layers=32, intermediate_size=16384, vocab_size=50432
    ),
    "mamba-130m-hf": transformers.MambaConfig(hidden_size=768, num_hidden_layers=24),
}


@pytest.mark.parametrize("name", CONFIGURATIONS)
def test_parameters_divide_as_in_a_model_of_that_size(name):
    total, body = parameters_of(CONFIGURATIONS[name])
    found = find_model(name)
    assert found.n_loaded == pytest.approx(total, rel=0.002)
    assert found.n_body == pytest.approx(body, rel=0.002)


@pytest.mark.parametrize("language", ["en", "fr", "cn"])
def test_every_model_of_the_paper_has_blocks_that_its_size_allows(language):
    for name in paper_names(language):
        found = find_model(name)
        # Attention and two products four times as wide; Gemma's are the widest.
        assert 0.5 < found.n_body / (12 * found.n_layers * found.n_hidden**2) < 2.5, name
        assert 0 < found.n_body < found.n_loaded <= found.n_parameters
        assert found.download in (2 * found.n_parameters, 4 * found.n_parameters)


def test_a_model_in_the_hubs_cache_is_counted_there(tmp_path, monkeypatch):
    local = find_model(tiny_model(tmp_path, monkeypatch, "llama"))
    home = tmp_path / "hub" / "models--somebody--tiny"
    for folder in ("refs", "snapshots"):
        (home / folder).mkdir(parents=True)
    (home / "refs" / "main").write_text("abc")
    (tmp_path / "llama").rename(home / "snapshots" / "abc")
    found = find_model("somebody/tiny")
    assert found.tokenizer.parent == home / "snapshots" / "abc" and found.download == 0
    assert replace(found, name=local.name, tokenizer=local.tokenizer) == local


def test_tokens_are_the_tokenizers_own(tmp_path, monkeypatch):
    name = tiny_model(tmp_path, monkeypatch, "llama")
    study = tiny_models.study_of([tiny_models.text_of(4, seed) for seed in range(3)])
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(name)
    own = [len(tokenizer.encode(run.text, add_special_tokens=False)) for run in study.runs]
    assert costs.count_tokens(counted(study), find_model(name)) == own
    without = replace(counted(study), texts=())
    assert costs.count_tokens(without, find_model(name)) == [
        round(1.3 * len(run.words)) for run in study.runs
    ]


def test_windows_overlap_as_in_the_paper():
    model, about = find_model("gpt2"), replace(material("petitprince-en"), words=(1600,))
    lengths = window_lengths(about, model, ActivationSettings(stride=64))
    # 2,080 tokens: one window of 1,024, and one more for every 64 tokens that are left.
    assert len(lengths) == 1 + -(-(2080 - 1024) // 64)
    assert set(lengths[:-1]) == {1024} and 1024 - 64 < lengths[-1] <= 1024
    unlimited = replace(model, positions=None)
    assert window_lengths(about, unlimited, ActivationSettings(stride=64)).tolist() == [2080]


def test_operations_of_the_fit_are_the_packages_own():
    about = material("petitprince-en")
    every = replace(PETITPRINCE, alpha_per_voxel=True)
    expected = count_operations(about.folds, 768, about.n_voxels, 16)
    assert costs.ridge_operations(about, 768, every) == expected
    few = replace(about, n_voxels=100)
    assert costs.ridge_operations(few, 768, PETITPRINCE) == count_operations(
        about.folds, 768, 100, 16
    )
    sampled = costs.ridge_operations(about, 768, PETITPRINCE)
    assert sampled.total < 0.7 * expected.total
    fir = replace(PETITPRINCE, hrf="fir", delays=(1, 2, 3))
    found = cost(about, find_model("random-vectors-100"), fir)
    assert found.ridge == costs.ridge_operations(about, 300, PETITPRINCE)


def test_known_answers_of_the_little_prince():
    about = material("petitprince-en")
    assert about.source.startswith("published") and sum(about.words) == 15_342
    assert about.n_scans == 2816 and sum(about.folds) == 2636 and about.n_voxels == 25_870
    found = cost(about, find_model("gpt2"), PETITPRINCE)
    assert found.activations == 13 * 15_342 * 768 * 2
    assert found.model.download == 4 * 124_439_808 and found.n_fits == 13
    listeners = chosen_subjects("petitprince-en", ["all"])
    files = study_files("petitprince-en", listeners)
    images = [file.size for file in files if file.path.startswith("derivatives/")]
    assert len(listeners) == 49 and len(images) == 441 and sum(images) == 31_941_425_834
    assert [material(f"petitprince-{code}").n_voxels for code in ("fr", "cn")] == [27_773, 26_050]


def test_files_at_hand_are_counted_and_not_fetched(real_data):
    about = material("petitprince-en")
    assert about.source == "counted in the files at hand" and len(about.texts) == 9
    expected = (1516, 1690, 1851, 1615, 1518, 1810, 1785, 1583, 1974)
    assert about.words == expected
    assert material("alice").words == (2127,) and material("alice").n_voxels == 6
    assert not [file for file in study_files("petitprince-en") if file.size and not file.option]


def test_scores_on_disk_are_as_large_as_counted(tmp_path):
    import xarray as xr

    about = replace(material("petitprince-en"), n_voxels=500)
    shape = {"fold": np.arange(9), "layer": np.arange(13), "voxel": np.arange(500)}
    full = np.zeros((9, 13, 500), dtype=np.float32)
    made = xr.Dataset(
        {
            "r_fold": (tuple(shape), full),
            "r_inner": (tuple(shape), full),
            "r": (("layer", "voxel"), full[0]),
            "alpha": (("fold", "layer"), full[..., 0].astype(float)),
        }
    )
    assert made.nbytes == costs.score_bytes(about, 13, alpha_per_voxel=False)


@given(st.integers(20, 3000), st.integers(1, 3000), st.integers(2, 40))
def test_more_of_anything_costs_no_less(n_voxels, n_regressors, n_alphas):
    about = replace(material("petitprince-en"), n_voxels=n_voxels)
    settings = EncodingSettings(alphas=(2.0, 7.0, n_alphas), alpha_per_voxel=True)
    more = replace(about, n_voxels=2 * n_voxels)
    least, most = (costs.ridge_operations(a, n_regressors, settings) for a in (about, more))
    assert most.total >= least.total
    memory = [costs.ridge_memory(a, n_regressors, n_alphas) for a in (about, more)]
    assert memory[1] > memory[0] > 4 * 2636 * n_voxels


def paper_costs(names=("gpt2", "mamba-130m-hf", "Llama-2-13b-hf", "random-vectors-300")):
    about = material("petitprince-en")
    return [cost(about, find_model(name), PETITPRINCE) for name in names]


def test_the_table_adds_up_and_names_what_does_not_fit():
    found = paper_costs()
    table = cost_table(found, SPEEDS, 20e9)
    models = table.drop(TOTAL)
    for name in ("download_bytes", "activation_bytes", "score_bytes", "reading_seconds", "layers"):
        assert table.loc[TOTAL, name] == pytest.approx(models[name].sum())
    assert table.loc[TOTAL, "memory_bytes"] == models["memory_bytes"].max()
    assert table["fits"].tolist() == [True, True, False, True, False]
    gpt2, mamba = found[:2]
    assert table.loc["gpt2", "reading_seconds"] == pytest.approx(
        gpt2.forward / 4e9 + gpt2.weights / 500e6
    )
    assert table.loc["mamba-130m-hf", "reading_seconds"] == pytest.approx(
        mamba.forward / 4e9 + mamba.weights / 500e6 + 24 * mamba.n_tokens * 1e-5
    )
    layer = gpt2.ridge.products / 1e10 + gpt2.ridge.decompositions / 2.5e9 + 0.01
    layer += gpt2.regressors / 1e10
    assert table.loc["gpt2", "fitting_seconds"] == pytest.approx(13 * layer)
    unknown = cost_table(found, None, 20e9)
    assert unknown["reading_seconds"].isna().all() and unknown["reading_flop"].equals(
        table["reading_flop"]
    )


def test_half_the_bytes_of_weights_in_half_precision():
    llama, about = find_model("Llama-2-7b-hf"), material("petitprince-en")
    half = encoding_settings(**study_settings("petitprince-en", precision="bfloat16-weights"))
    full, less = (cost(about, llama, settings) for settings in (PETITPRINCE, half))
    assert full.weights == 4 * llama.n_loaded == 2 * less.weights
    assert full.memory - less.memory == less.weights
    assert full.memory > 24e9 > less.memory


def test_elsewhere_is_never_faster_than_the_longest_model():
    found = paper_costs()
    table = cost_table(found, SPEEDS, 20e9)
    elsewhere = elsewhere_table(found, "float32", table)
    clusters = [f"{n} machines like this one" for n in planning.WORKERS]
    longest = table.drop(TOTAL)["reading_seconds"].max()
    together = table.loc[TOTAL]
    for n, place in zip(planning.WORKERS, clusters, strict=True):
        row = elsewhere.loc[place]
        assert row["reading"] >= max(longest, together["reading_seconds"] / n)
        assert row["fitting"] == pytest.approx(together["fitting_seconds"] / n)
        assert row["too_large"] == "Llama-2-13b-hf"
    assert list(elsewhere.index) == [*(chip.name for chip in CHIPS), *clusters]
    assert elsewhere.loc["RTX 4090, 24 GB", "too_large"] == "Llama-2-13b-hf"
    assert not elsewhere.loc["H100, 80 GB", "too_large"]


def test_half_precision_is_faster_on_every_chip():
    for chip, precision in product(CHIPS, ["bfloat16", "bfloat16-weights"]):
        full, half = (calibration.assumed(chip, p).forward_at(768) for p in ("float32", precision))
        assert full == pytest.approx(0.4 * chip.float32) and half > full


def test_speeds_between_the_measured_sizes():
    assert [SPEEDS.forward_at(n) for n in (10, 100, 200, 400, 9000)] == pytest.approx(
        [1e9, 1e9, 2e9, 4e9, 4e9]
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "bfloat16-weights"])
def test_this_machine_is_measured(monkeypatch, precision):
    monkeypatch.setattr(calibration, "WIDTHS", {64: (1, 16), 128: (1, 16)})
    monkeypatch.setattr(calibration, "RIDGE", ((12,) * 4, 8, 16))
    monkeypatch.setattr(calibration, "_COPIED", 2**10)
    monkeypatch.setattr(calibration, "_SMALL_RIDGE", ((6,) * 3, 2, 4))
    found = calibration.measure("cpu", precision, least=0.0)
    assert set(found.forward) == {64, 128} and min(found.forward.values()) > 0
    assert found.products == pytest.approx(4 * found.decompositions) and found.products > 0
    assert min(found.step, found.fit, found.bandwidth) > 0 <= found.others <= 1


def test_the_plan_of_the_paper_is_told_and_kept(fast, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(planning, "free_memory", lambda device: [32_000_000_000])
    output = tmp_path / "plan.csv"
    line = ["plan", "petitprince-en", "--models", "paper", "--subjects", "5", "-o", str(output)]
    assert main([*line, "--device", "cpu"]) == 0
    told = capsys.readouterr().out
    kept = pd.read_csv(output, index_col="model")
    assert list(kept.index) == [*paper_names("en"), TOTAL]
    about = material("petitprince-en")
    costs_of = [cost(about, find_model(name), PETITPRINCE) for name in paper_names("en")]
    expected = cost_table(costs_of, SPEEDS, 32e9)
    pd.testing.assert_frame_equal(kept, expected, check_exact=False)
    for name, row in expected.iterrows():
        shown = next(text for text in told.splitlines() if text.split()[:1] == [name])
        assert planning.amount(row["memory_bytes"]) in shown
        assert planning.duration(row["fitting_seconds"]) in shown
    large = [one for one in costs_of if one.memory > 32e9]
    helped = [one.model.name for one in large if one.memory - one.weights / 2 <= 32e9]
    assert 0 < len(helped) < len(large)
    assert f"With `--precision bfloat16-weights` these do: {', '.join(helped)}." in told
    assert "Preparing 5 listener(s), 14,080 volumes" in told
    assert "Other programs took 25% of the cores" in told
    assert all(
        label in told for label in ("Counted:", "Measured now:", "Assumed:", "At 100 Mbit/s")
    )


@pytest.mark.parametrize(
    ("study", "models"),
    [
        ("petitprince-fr", ["paper"]),
        ("petitprince-cn", ["paper", "glove-300"]),
        ("testbed", ["nano-gpt2-8x2", "nano-mamba-10x2", "random-embeddings-20"]),
    ],
)
def test_every_study_can_be_planned_without_measuring(study, models):
    told = planning.plan(study, models, {}, {}, "cpu", calibrate=False)
    row = next(text for text in told.splitlines() if text.split()[:1] == [TOTAL])
    assert " - " in row and "Measured now: nothing" in told


def test_a_study_with_real_listeners_can_be_planned(real_data):
    told = planning.plan("alice", ["gpt2"], {}, {}, "cpu", calibrate=False)
    assert "2,127 words in 1 run(s), 362 scans, 6 voxels, 6 folds" in told


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (["petitprince-xx", "--models", "gpt2"], "Unknown study 'petitprince-xx'"),
        (["concepts", "--models", "gpt2"], "is one of single concepts"),
        (["testbed", "--models", "gpt5"], "Unknown model 'gpt5'"),
        (["testbed", "--models", "somebody/model"], "size of model 'somebody/model' is not known"),
        (["testbed", "--models", "gpt2", "-p", "colour=red"], "colour"),
        (["petitprince-en", "--models", "gpt2", "-p", "colour=red"], "colour"),
        (["testbed", "--models", "gpt2", "--subjects", "2"], "no images of single listeners"),
        (["petitprince-en", "--models", "gpt2", "--subjects", "EN999"], "no listener 'EN999'"),
        (["petitprince-en", "--models", "gpt2", "--subjects", "50"], "a number up to 49"),
        (["testbed", "--models", "gpt2", "-o", "."], "is a folder"),
    ],
)
def test_what_cannot_be_planned_is_named_in_one_sentence(arguments, expected, capsys):
    assert main(["plan", *arguments, "--no-calibration", "--device", "cpu"]) == 2
    said = capsys.readouterr().err.strip()
    assert expected in said and "\n" not in said


@pytest.mark.parametrize(
    ("value", "text"),
    [(0, "0 kB"), (31_941_425_834, "31.9 GB"), (2.5e12, "2.5 TB"), (3e6, "3.0 MB")],
)
def test_bytes_for_reading(value, text):
    assert planning.amount(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(0.5, "0.5 s"), (119, "119.0 s"), (150, "2.5 min"), (7200, "2.0 h")]
)
def test_seconds_for_reading(value, text):
    assert planning.duration(value) == text and planning.duration(float("nan")) == "-"
