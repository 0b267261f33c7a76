"""Models from a hub on this machine: what is fetched, refused, and found again without it."""

import errno
import json
import os
import pickle
import shutil
import subprocess
import sys

import pytest
import tiny_models
import torch
import transformers
from hub_server import hub_server
from huggingface_hub import constants

from brainalign import hub, loading, models
from brainalign.errors import InputError
from brainalign.states import probe

TOKEN = "hf_" + "q7" * 17


@pytest.fixture(scope="module")
def folders(tmp_path_factory):
    """Two tiny models: one in safetensors, one with other weights in a PyTorch file."""
    root = tmp_path_factory.mktemp("models")
    saved = tiny_models.save_model(root / "safe", "gpt_neox")
    step = shutil.copytree(saved, root / "step")
    model = transformers.AutoModelForCausalLM.from_pretrained(saved, dtype=torch.float32)
    with torch.no_grad():
        model.gpt_neox.embed_in.weight += 1
    torch.save(model.state_dict(), step / "pytorch_model.bin")
    for file in ("model.safetensors", "tokenizer.json"):
        (step / file).unlink()
    return {"safe": saved, "step": step}


@pytest.fixture
def server(folders, tmp_path, monkeypatch):
    """A hub with one model at two revisions, an empty cache, and nobody logged in."""
    with hub_server() as running:
        running.repositories = {
            ("lab/tiny", "main"): folders["safe"],
            ("lab/tiny", "step1000"): folders["step"],
        }
        monkeypatch.setattr(constants, "ENDPOINT", running.url)
        template = running.url + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub"))
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(tmp_path / "token"))
        monkeypatch.setattr(constants, "HF_HUB_DISABLE_XET", True)
        monkeypatch.delenv("HF_TOKEN", raising=False)
        monkeypatch.setattr("time.sleep", lambda seconds: None)  # between attempts
        yield running


def embedding(name):
    return loading.load_language_model(name).model.get_input_embeddings().weight


def fetched(server):
    """Names of the files that were sent."""
    return [
        path.rpartition("/")[2]
        for method, path, _ in server.requests
        if method == "GET" and "/resolve/" in path
    ]


def refused(name):
    """The sentence with which a model is refused."""
    with pytest.raises(InputError) as error:
        loading.load_language_model(name)
    assert "\n" not in str(error.value)
    return str(error.value)


class Instruction:
    """An instruction in a pickle: it makes a file when it is followed."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


def test_a_model_is_fetched_once_and_found_without_the_hub(server, folders, monkeypatch, capfd):
    assert not models.available("lab/tiny")
    expected = embedding(str(folders["safe"]))
    assert torch.equal(embedding("lab/tiny"), expected)
    before = models.fingerprint("lab/tiny")
    assert models.available("lab/tiny")
    assert models.describe("lab/tiny").source == "hub: lab/tiny"
    wanted = ["config.json", "model.safetensors", "tokenizer.json", "tokenizer_config.json"]
    assert sorted(fetched(server)) == wanted
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    n_requests = len(server.requests)
    assert torch.equal(embedding("lab/tiny"), expected)
    assert models.fingerprint("lab/tiny") == before
    assert len(server.requests) == n_requests
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""


@pytest.mark.parametrize("cut_off", ["offline", "unreachable"])
def test_a_checkpoint_is_a_revision_with_the_tokenizer_of_the_main_one(
    server, folders, monkeypatch, cut_off
):
    name = "lab/tiny:step-1000"
    assert torch.equal(embedding(name), embedding(str(folders["safe"])) + 1)
    assert models.fingerprint(name) != models.fingerprint("lab/tiny")
    assert models.describe(name).source == "hub: lab/tiny, revision step1000"
    assert models.describe(name).n_parameters == models.describe("lab/tiny").n_parameters
    before = models.fingerprint(name)
    if cut_off == "offline":
        monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    else:
        closed = "http://127.0.0.1:9"
        template = closed + "/{repo_id}/resolve/{revision}/{filename}"
        monkeypatch.setattr(constants, "ENDPOINT", closed)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    assert models.available(name) and models.fingerprint(name) == before
    assert torch.equal(embedding(name), embedding("lab/tiny") + 1)
    assert "is not on this machine and could not be fetched" in refused("lab/tiny:step-7")


def test_a_checkpoint_that_is_not_there(server):
    assert "'lab/tiny' has no revision 'step7'" in refused("lab/tiny:step-7")
    weights, tokenizer = models.fetch_command("lab/tiny:step-7").split(" && ")
    assert weights == "hf download lab/tiny --revision step7"
    assert tokenizer.startswith("hf download lab/tiny config.json tokenizer.json ")
    assert models.fetch_command("lab/tiny") == "hf download lab/tiny"


def name_it(monkeypatch, name, address, tokenizer):
    """Give a model on the hub a short name."""
    row = hub.named_models().iloc[[0]].assign(hf_repo=address, tokenizer=tokenizer)
    monkeypatch.setattr(hub, "named_models", lambda: row.rename(index=lambda _: name))


def test_a_short_name_with_a_tokenizer_from_elsewhere(server, folders, tmp_path, monkeypatch):
    bare = shutil.copytree(folders["safe"], tmp_path / "bare")
    (bare / "tokenizer.json").unlink()
    (bare / "tokenizer_config.json").unlink()
    server.repositories["lab/bare", "main"] = bare
    name_it(monkeypatch, "bare", "lab/bare", "lab/tiny")
    loaded = loading.load_language_model("bare")
    local = loading.load_language_model(str(folders["safe"]))
    text = "Anna saw the boat"
    assert loaded.tokenizer(text)["input_ids"] == local.tokenizer(text)["input_ids"]
    assert torch.equal(loaded.model.embed_in.weight, local.model.embed_in.weight)
    before = models.fingerprint("bare")
    assert models.available("bare")
    shutil.rmtree(hub.tokenizer_folder("lab/tiny"))
    assert not models.available("bare")
    monkeypatch.setattr(hub, "commit", lambda address, revision=None: f"new {address}")
    assert models.fingerprint("bare") != before


def test_safetensors_are_preferred_and_other_files_stay(server, folders, tmp_path):
    both = shutil.copytree(folders["safe"], tmp_path / "both")
    for name in ("pytorch_model.bin", "modeling_tiny.py", "flax_model.msgpack"):
        (both / name).write_bytes(b"never read")
    server.repositories["lab/both", "main"] = both
    assert torch.equal(embedding("lab/both"), embedding(str(folders["safe"])))
    assert not {"pytorch_model.bin", "modeling_tiny.py", "flax_model.msgpack"} & set(
        fetched(server)
    )


def test_an_untrained_variant_needs_no_weights(server, monkeypatch):
    name_it(monkeypatch, "tiny", "lab/tiny", "lab/tiny")
    loading.load_language_model("tiny:untrained-1")
    assert "model.safetensors" not in fetched(server)
    assert not models.available("lab/tiny")


def test_weights_in_several_files(server, folders, tmp_path, monkeypatch):
    model = transformers.AutoModelForCausalLM.from_pretrained(folders["safe"], dtype=torch.float16)
    parts = shutil.copytree(folders["safe"], tmp_path / "parts")
    (parts / "model.safetensors").unlink()
    model.save_pretrained(parts, max_shard_size="8KB")
    assert len(list(parts.glob("*.safetensors"))) > 2
    server.repositories["lab/parts", "main"] = parts
    assert torch.equal(embedding("lab/parts"), embedding(str(folders["safe"])))
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    kept = hub.weights_folder("lab/parts")
    next(kept.glob("model-00002*")).unlink()
    assert not models.available("lab/parts")
    assert "is not on this machine" in refused("lab/parts")


def test_pytorch_weights_in_several_files(server, folders, tmp_path, monkeypatch):
    parts = shutil.copytree(folders["step"], tmp_path / "parts")
    weights = torch.load(parts / "pytorch_model.bin", weights_only=True)
    (parts / "pytorch_model.bin").unlink()
    names = [f"pytorch_model-0000{number}-of-00002.bin" for number in (1, 2)]
    places = {key: names[number % 2] for number, key in enumerate(weights)}
    for name in names:
        torch.save({key: weights[key] for key in weights if places[key] == name}, parts / name)
    index = {"metadata": {}, "weight_map": places}
    (parts / "pytorch_model.bin.index.json").write_text(json.dumps(index))
    server.repositories["lab/tiny", "step1000"] = parts
    name = "lab/tiny:step-1000"
    assert torch.equal(embedding(name), embedding("lab/tiny") + 1)
    assert models.describe(name).n_parameters == models.describe("lab/tiny").n_parameters
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    next(hub.weights_folder("lab/tiny", "step1000").glob("pytorch_model-00002*")).unlink()
    assert not models.available(name) and "is not on this machine" in refused(name)


def test_a_tokenizer_of_vocabulary_and_merges(server, tmp_path):
    """As of OPT on the hub: without tokenizer.json, with a token before every text."""
    folder = tiny_models.save_model(tmp_path / "opt", "opt")
    tokenizer = json.loads((folder / "tokenizer.json").read_text())
    expected = loading.load_language_model(str(folder)).tokenizer("Anna cut")["input_ids"]
    (folder / "tokenizer.json").unlink()
    (folder / "vocab.json").write_text(json.dumps(tokenizer["model"]["vocab"]))
    merges = "\n".join(" ".join(pair) for pair in tokenizer["model"]["merges"])
    (folder / "merges.txt").write_text(f"#version: 0.2\n{merges}\n")
    names = dict.fromkeys(("bos_token", "eos_token", "unk_token"), "</s>")
    about = names | {"tokenizer_class": "GPT2Tokenizer", "add_bos_token": True}
    (folder / "tokenizer_config.json").write_text(json.dumps(about))
    server.repositories["lab/opt", "main"] = folder
    loaded = loading.load_language_model("lab/opt")
    assert loaded.tokenizer("Anna cut")["input_ids"] == expected
    assert probe(loaded).prefix == (expected[0],)


@pytest.mark.parametrize("how", ["torch", "pickle"])
def test_a_foreign_instruction_is_refused_and_not_followed(server, folders, tmp_path, how):
    mark = tmp_path / "followed"
    folder = shutil.copytree(folders["step"], tmp_path / "foreign")
    shutil.copy(folders["safe"] / "tokenizer.json", folder)
    weights = {"gpt_neox.embed_in.weight": Instruction(mark)}
    if how == "torch":
        torch.save(weights, folder / "pytorch_model.bin")
        sentence = r"hold the foreign instruction (posix|nt).mkdir and are refused"
    else:
        (folder / "pytorch_model.bin").write_bytes(pickle.dumps(weights, protocol=4))
        sentence = "hold something else than tensors and are refused"
    server.repositories["lab/foreign", "main"] = folder
    for name in (str(folder), "lab/foreign"):
        for call in (loading.load_language_model, models.describe):
            with pytest.raises(InputError, match=sentence) as error:
                call(name)
            assert "\n" not in str(error.value)
    assert not mark.exists()
    pickle.loads(pickle.dumps(weights))
    assert mark.exists()  # what another reader would have done


@pytest.mark.parametrize("file", ["model.safetensors", "pytorch_model.bin"])
@pytest.mark.parametrize("how", ["half", "empty", "list"])
def test_damaged_weights_are_one_sentence(folders, tmp_path, file, how):
    source = folders["safe" if file.endswith("safetensors") else "step"]
    folder = shutil.copytree(source, tmp_path / "damaged")
    if not (folder / "tokenizer.json").is_file():
        shutil.copy(folders["safe"] / "tokenizer.json", folder)
    content = (folder / file).read_bytes()
    (folder / file).write_bytes({"half": content[: len(content) // 2]}.get(how, b""))
    if how == "list":
        torch.save([torch.zeros(3)], folder / file)
    for call in (loading.load_language_model, models.describe):
        with pytest.raises(InputError) as error:
            call(str(folder))
        assert "\n" not in str(error.value) and "damaged" in str(error.value)


def test_programs_of_a_model_are_never_executed(server, folders, tmp_path):
    mark = tmp_path / "executed"
    folder = shutil.copytree(folders["safe"], tmp_path / "own")
    (folder / "modeling_own.py").write_text(f"open({str(mark)!r}, 'w')\n")
    config = (folder / "config.json").read_text()
    auto = '"auto_map": {"AutoModel": "modeling_own.Own", "AutoConfig": "modeling_own.Own"}, '
    (folder / "config.json").write_text(config.replace("{", "{" + auto, 1))
    server.repositories["lab/own", "main"] = folder
    # A known architecture is loaded by what transformers knows of it, ...
    for name in (str(folder), "lab/own"):
        assert torch.equal(embedding(name), embedding(str(folders["safe"])))
    # ... an unknown one is not loaded.
    config = (folder / "config.json").read_text().replace('"gpt_neox"', '"own"')
    (folder / "config.json").write_text(config)
    assert "the architecture 'own', which transformers does not know" in refused(str(folder))
    assert not mark.exists() and "modeling_own.py" not in fetched(server)


def test_programs_of_the_hub_that_would_be_faster_are_not_asked_for():
    code = (
        "from brainalign import loading; import os, transformers.integrations.hub_kernels as hub; "
        "print(hub._TRANSFORMERS_USE_HUB_KERNELS)"
    )
    environment = os.environ | {"USE_HUB_KERNELS": "YES"}
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "NO"


def test_a_gated_model(server, folders, monkeypatch, caplog):
    server.gated["lab/tiny"] = TOKEN
    sentence = refused("lab/tiny")
    assert "no token was given: ask at " + server.url + "/lab/tiny" in sentence
    assert "HF_TOKEN" in sentence
    other = TOKEN[:-1] + "x"
    monkeypatch.setenv("HF_TOKEN", other)
    sentence = refused("lab/tiny")
    assert "the token in use has no access to it: ask at " in sentence
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    assert torch.equal(embedding("lab/tiny"), embedding(str(folders["safe"])))
    assert {token for *_, token in server.requests} >= {None, other, TOKEN}
    told = " ".join([sentence, caplog.text, str(models.describe("lab/tiny"))])
    assert TOKEN[:-1] not in told


def test_a_token_in_a_message_is_hidden(server, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", TOKEN)

    def tell(*arguments, **options):
        raise OSError(f"Illegal header value b'Bearer {TOKEN}'\nmore")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", tell)
    sentence = refused("lab/tiny")
    assert TOKEN not in sentence and "Bearer (token)" in sentence


def test_what_the_hub_does_not_give(server, folders, tmp_path):
    assert "There is no model 'lab/nothing' at " + server.url in refused("lab/nothing")
    empty = shutil.copytree(folders["safe"], tmp_path / "empty")
    (empty / "model.safetensors").unlink()
    server.repositories["lab/empty", "main"] = empty
    assert "neither all of its weights in safetensors nor" in refused("lab/empty")
    for status in (400, 403, 500):
        server.statuses["lab/tiny"] = status
        assert "'lab/tiny' is not on this machine and could not be fetched" in refused("lab/tiny")


def test_weights_of_the_wrong_size_get_no_name(server, folders):
    server.cut.add("model.safetensors")
    assert "'lab/tiny' is not on this machine and could not be fetched" in refused("lab/tiny")
    server.cut.clear()
    assert torch.equal(embedding("lab/tiny"), embedding(str(folders["safe"])))


def test_a_full_disk_is_not_taken_for_a_hub_that_does_not_answer(server, monkeypatch):
    def fill(*arguments, **options):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fill)
    with pytest.raises(OSError, match="No space left"):
        models.fingerprint("lab/tiny")
