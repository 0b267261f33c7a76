"""A process of its own: encode one model on Le Petit Prince with made-up responses of the true size.

Called with a folder to work in, the number of voxels that is expected, and the folder of the public
data. Prints the peak of its memory in bytes.
"""

import resource
import sys
from pathlib import Path

import joblib
import numpy as np
import tiny_models
import transformers

from brainalign.cli import main
from brainalign.studies import load_study, registry
from brainalign.studies.petitprince.languages import LANGUAGES

ENGLISH = LANGUAGES["petitprince-en"]
WIDTH, LAYERS = 256, 1


def write_average(folder: Path, n_voxels: int) -> None:
    """Files of the average listener as the paper's authors published them."""
    rng = np.random.default_rng(0)
    for number, n_scans in enumerate(ENGLISH.n_scans):
        path = folder / "petitprince" / ENGLISH.average(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        # Few digits, so that they are compressed in no time.
        values = rng.standard_normal((n_scans, n_voxels), dtype=np.float32).round(1)
        joblib.dump(values, path, compress=("gzip", 1))


def write_model(folder: Path) -> None:
    """Random GPT-2 with the positions of the paper's, small enough to be read in no time."""
    text = " ".join(run.text for run in load_study(ENGLISH.study).runs)
    tokenizer = tiny_models.word_level(text=text)
    shape = {"n_embd": WIDTH, "n_layer": LAYERS, "n_head": 4}
    special = {"bos_token_id": None, "eos_token_id": None}
    config = transformers.GPT2Config(vocab_size=len(tokenizer.get_vocab()), **shape, **special)
    transformers.GPT2Model(config).save_pretrained(folder)
    transformers.PreTrainedTokenizerFast(
        tokenizer_object=tokenizer, unk_token="[UNK]"
    ).save_pretrained(folder)


def link_all(source: Path, target: Path) -> None:
    """The public files, where made-up ones can lie beside them."""
    for path in source.rglob("*"):
        if path.is_file():
            place = target / path.relative_to(source)
            place.parent.mkdir(parents=True, exist_ok=True)
            place.symlink_to(path)


if __name__ == "__main__":
    work, n_voxels, source = Path(sys.argv[1]), int(sys.argv[2]), Path(sys.argv[3])
    for collection in ("petitprince", "petitprince-annotation"):
        link_all(source / collection, work / "data" / collection)
    write_average(work / "data", n_voxels)
    write_model(work / "model")
    known = registry.difference
    # The made-up files cannot have the published checksums; all others are checked.
    registry.difference = lambda file, path: None if "average" in file.path else known(file, path)
    status = main(
        ["encode", ENGLISH.study, "--models", str(work / "model"), "-o", str(work / "scores.csv")]
    )
    # In kB on Linux.
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1000)
    sys.exit(status)
