"""Where weights go: what fits, what does not, and what is said of it."""

import subprocess
import sys
from types import SimpleNamespace

import psutil
import pytest
import tiny_models
import torch

from brainalign import devices, loading
from brainalign.activations import ActivationSettings, extract
from brainalign.devices import place
from brainalign.errors import InputError
from brainalign.parallel import chosen_device

GB = 10**9


@pytest.fixture
def machine(monkeypatch):
    """Function that makes this machine one with so many free GB, on the CPU and on each GPU."""

    def make(cpu, *cards, accelerate=True):
        free = SimpleNamespace(available=cpu * GB)
        monkeypatch.setattr(psutil, "virtual_memory", lambda: free)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: len(cards))

        def of_card(card):
            number = int(str(card).removeprefix("cuda:").removeprefix("cuda") or 0)
            return int(cards[number] * GB), 100 * GB

        monkeypatch.setattr(torch.cuda, "mem_get_info", of_card)
        monkeypatch.setattr(devices, "find_spec", lambda name: accelerate or None)

    return make


def test_auto_is_a_gpu_where_there_is_one(machine):
    machine(8)
    assert chosen_device("auto") == chosen_device("cpu") == "cpu"
    for device in ("cuda", "cuda:0"):
        with pytest.raises(InputError, match=f"Device '{device}' is not available"):
            chosen_device(device)
    machine(8, 24, 24)
    assert chosen_device("auto") == "cuda" and chosen_device("cuda:1") == "cuda:1"
    with pytest.raises(InputError, match="Device 'cuda:2' is not available"):
        chosen_device("cuda:2")
    with pytest.raises(InputError, match="device is 'tpu'"):
        chosen_device("tpu")


def test_weights_go_where_they_fit(machine):
    machine(8)
    assert place("m", 7 * GB, "cpu", "") == {}
    machine(8, 24, 12)
    assert place("m", 23 * GB, "cuda", "") == {"device_map": {"": "cuda"}}
    assert place("m", 11 * GB, "cuda:1", "") == {"device_map": {"": "cuda:1"}}
    assert place("m", 30 * GB, "cuda", "") == {"device_map": "auto"}
    machine(32, 24, 12, accelerate=False)
    assert place("m", 23 * GB, "cuda", "") == {}


@pytest.mark.parametrize("device, free", [("cpu", "8.0"), ("cuda", "36.0"), ("cuda:1", "12.0")])
def test_weights_that_fit_nowhere_are_refused_with_the_numbers(machine, device, free):
    machine(8, 24, 12)
    with pytest.raises(InputError, match=rf"'m' need 40.0 GB, and '{device}' has {free} GB free; "):
        place("m", 40 * GB, device, "")


def test_what_is_missing_for_several_gpus_is_named(machine):
    machine(8, 24, 24, accelerate=False)
    with pytest.raises(InputError, match=r"accelerate, .* not installed: `pip install .*\[gpus\]"):
        place("m", 30 * GB, "cuda", "")
    # Without it weights lie in the machine's own memory on their way.
    with pytest.raises(InputError, match="need 20.0 GB, and 'cpu' has 8.0 GB free"):
        place("m", 20 * GB, "cuda", "")


def test_float32_that_does_not_fit_is_never_changed_silently(machine, tmp_path):
    folder = str(tiny_models.save_model(tmp_path / "model", "llama"))
    n_parameters = sum(
        one.numel() for one in loading.load_language_model(folder).model.parameters()
    )
    machine(3 * n_parameters / GB)
    with pytest.raises(InputError, match=r"with precision 'bfloat16-weights' they need half"):
        loading.load_language_model(folder)
    model = loading.load_language_model(folder, precision="bfloat16-weights").model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    fresh = loading.load_language_model(f"{folder}:untrained-1", precision="bfloat16-weights").model
    assert {parameter.dtype for parameter in fresh.parameters()} == {torch.bfloat16}


@pytest.mark.parametrize("family", ["gpt2", "opt-350m", "gemma", "mamba"])
def test_half_precision_weights_change_vectors_by_their_rounding(tmp_path, family):
    folder = str(tiny_models.save_model(tmp_path / "model", family))
    study = tiny_models.study_of([tiny_models.text_of(6)])
    full, half = (
        extract(study, folder, ActivationSettings(precision=precision), tmp_path / precision)[0][:]
        for precision in ("float32", "bfloat16-weights")
    )
    difference = abs(half.astype(float) - full).max() / abs(full.astype(float)).max()
    assert 1e-5 < difference < 0.1


def test_looking_at_the_memory_is_no_import_of_torch():
    code = "import sys, brainalign.devices; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
