"""What the command line takes: commands, arguments, help; nothing heavy is imported here."""

import argparse
from pathlib import Path

_NOTEBOOK = "its name (brainalign list)"
_STUDY = "a name (brainalign list), or the path of a folder with a study.yml"
_MODELS = "names, folders, hub addresses, or paper: the paper's in the study's language"


class _Parser(argparse.ArgumentParser):
    """Argument parser that reports wrong usage in one sentence."""

    def error(self, message: str):
        self.exit(2, f"{self.prog}: {message} ({self.prog} --help)\n")


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a positive integer")
    return int(text)


def _add_assignments(parser: argparse.ArgumentParser, text: str) -> None:
    parser.add_argument(
        "-p", dest="texts", action="append", default=[], metavar="NAME=VALUE", help=text
    )


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("-f", dest="file", type=Path, help="YAML file with parameters")


def build_parser() -> argparse.ArgumentParser:
    """Parser of all commands; `call` is the name of the function in `cli` that carries one out."""
    parser = _Parser(prog="brainalign", description="Language models and the brain, re-executable.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(call=name)
        return added

    command("list", "notebooks, studies and language models")
    params = command("params", "a notebook's parameters: type, default, meaning")
    params.add_argument("notebook", help=_NOTEBOOK)
    params.add_argument("--json", action="store_true", help="as a JSON schema")
    run = command("run", "execute a notebook with parameters of your own")
    run.add_argument("notebook", help=_NOTEBOOK)
    _add_assignments(run, "change one parameter; may be given several times")
    _add_file(run)
    run.add_argument(
        "-o", dest="folder", type=Path, help="folder for the results (default: my-NOTEBOOK)"
    )
    compare = command("compare", "put two runs side by side on a web page")
    for which in ("first", "second"):
        compare.add_argument(which, type=Path, help="folder that brainalign run left")
    compare.add_argument(
        "-o",
        dest="target",
        type=Path,
        default="my-comparison.html",
        help="file for the page (my-comparison.html)",
    )
    book = command("book", "execute what is out of date and build the website")
    book.add_argument("--jobs", type=_positive, help="notebooks executed side by side")
    book.add_argument("--only", nargs="+", metavar="NOTEBOOK", help="look at these pages only")
    _add_file(book)
    export = command("export", "write the whole book into one file")
    export.add_argument("kind", choices=["html", "pdf"], help="pdf is printed by Chromium")
    export.add_argument(
        "-o", dest="target", type=Path, help="the file (default: my-book.html or my-book.pdf)"
    )
    _add_teach(command)
    command("status", "which pages are out of date, and why")
    _add_study_commands(command)
    command("doctor", "what this machine has and lacks: versions, disk, data, models")
    _add_zoo(command("zoo", "the testbed's language models"))
    return parser


def _add_teach(command) -> None:
    teach = command("teach", "write the notebooks for a course, with exercises that check answers")
    for readers, how in (("student", "without solutions"), ("instructor", "with solutions")):
        teach.add_argument(
            f"--{readers}", type=Path, metavar="FOLDER", help=f"write them here {how}"
        )
    teach.add_argument("notebooks", nargs="*", metavar="NOTEBOOK", help="default: all")


def _add_study_commands(command) -> None:
    fetch = command("fetch", "download the files of a study; those at hand stay")
    fetch.add_argument("study", help="its name (brainalign list), or glove: vectors of words")
    fetch.add_argument(
        "--dry-run", action="store_true", help="list files, sizes and licences; fetch nothing"
    )
    fetch.add_argument("--all", action="store_true", help="the large optional files, too")
    fetch.add_argument(
        "--subjects", nargs="+", default=[], help="responses of these subjects, or of all, too"
    )
    fetch.add_argument(
        "--files", nargs="+", default=[], metavar="PATH", help="these, too; * is for anything"
    )
    fetch.add_argument("--mirror", metavar="URL", help="address that is asked for each file first")
    fetch.add_argument(
        "--jobs", type=_positive, default=4, help="files fetched side by side (default 4)"
    )
    prepare = command("prepare", "resample and clean the images of a study's listeners")
    prepare.add_argument("study", help=_STUDY)
    prepare.add_argument(
        "--subjects", nargs="+", default=[], help="these, or all (default: those at hand)"
    )
    prepare.add_argument("--jobs", type=_positive, help="runs prepared side by side")
    _add_assignments(prepare, "option of the study; may be given several times")
    extract = command("extract", "read a study's text into language models")
    encode = command("encode", "scores of language models on a study")
    plan = command("plan", "what models on a study will cost: bytes, memory, hours")
    for parser in (extract, encode, plan):
        parser.add_argument("study", help=_STUDY)
        parser.add_argument("--models", nargs="+", required=True, metavar="MODEL", help=_MODELS)
        parser.add_argument("--window", type=_positive, help="tokens read at once")
        parser.add_argument(
            "--precision",
            choices=["float32", "bfloat16", "bfloat16-weights"],
            help="of the model's products, and of its weights (default: float32)",
        )
        parser.add_argument(
            "--device",
            choices=["auto", "cpu", "cuda"],
            default="auto",
            help="auto (default): a GPU where there is one",
        )
        _add_assignments(parser, "option of the study; may be given several times")
    for parser in (extract, encode):
        parser.add_argument(
            "--scheduler",
            metavar="SCHEDULER",
            help="local: one process per core or GPU; slurm: jobs; or tcp://host:port of a running one",
        )
        parser.add_argument(
            "--workers",
            type=_positive,
            help="processes that local (the default then) or slurm starts",
        )
    encode.add_argument("--subject", help="a listener, or average (default)")
    encode.add_argument("--hrf", help="haemodynamic response (default: glover)")
    encode.add_argument(
        "--alphas",
        nargs=3,
        type=float,
        metavar=("LOW", "HIGH", "NUMBER"),
        help="ridge penalties: exponents of ten of the lowest and highest, and how many",
    )
    encode.add_argument(
        "--alpha-per-voxel", action="store_true", default=None, help="a penalty for each voxel"
    )
    encode.add_argument(
        "--validation",
        choices=["all", "first"],
        help="runs that choose the penalty: all training runs (default), or the first",
    )
    plan.add_argument(
        "--subjects", nargs="+", default=[], help="images of these, of so many, or of all, too"
    )
    plan.add_argument("--no-calibration", action="store_true", help="do not measure this machine")
    for parser in (encode, plan):
        parser.add_argument("-o", dest="output", type=Path, help="write the table to this CSV file")


def _add_zoo(zoo: argparse.ArgumentParser) -> None:
    actions = zoo.add_subparsers(dest="action", required=True, metavar="ACTION")
    shown = actions.add_parser("list", help="the models and how well they predict words")
    shown.set_defaults(call="zoo_list")
    train = actions.add_parser("train", help="train them again from their seeds")
    train.set_defaults(call="zoo_train")
    train.add_argument("names", nargs="*", metavar="MODEL", help="default: all")
    train.add_argument("--jobs", type=_positive, help="models trained side by side")
    train.add_argument(
        "-o", dest="folder", type=Path, default="my-zoo", help="folder for the models (my-zoo)"
    )
    check = actions.add_parser("check", help="what the testbed recovers: trained, untrained, null")
    check.set_defaults(call="zoo_check")
    check.add_argument("--seeds", type=_positive, default=5, help="simulated brains (default 5)")
    check.add_argument(
        "--null-seeds",
        type=_positive,
        default=20,
        help="simulated brains with both sides alike (default 20)",
    )
