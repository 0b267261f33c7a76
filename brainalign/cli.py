"""The command line: it reads arguments, calls one function and prints what comes back.

Exit status: 0 done; 1 the work failed; 2 wrong usage. Nothing heavy is imported before a command
is known.
"""

import argparse
import os
import signal
import sys
import threading
from pathlib import Path

from brainalign.companion import DISK_FULL, WorkError, is_disk_full, unexpected
from brainalign.errors import InputError

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
    """Parser of all commands."""
    parser = _Parser(prog="brainalign", description="Language models and the brain, re-executable.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, call, text: str) -> argparse.ArgumentParser:
        added = commands.add_parser(name, help=text, description=text)
        added.set_defaults(call=call)
        return added

    command("list", _list, "notebooks, studies and language models")
    params = command("params", _params, "a notebook's parameters: type, default, meaning")
    params.add_argument("notebook")
    params.add_argument("--json", action="store_true", help="as a JSON schema")
    run = command("run", _run, "execute a notebook with parameters of your own")
    run.add_argument("notebook")
    _add_assignments(run, "change one parameter; may be given several times")
    _add_file(run)
    run.add_argument(
        "-o", dest="folder", type=Path, help="folder for the results (default: my-NOTEBOOK)"
    )
    book = command("book", _book, "execute what is out of date and build the website")
    book.add_argument("--jobs", type=_positive, help="notebooks executed side by side")
    book.add_argument("--only", nargs="+", metavar="NOTEBOOK", help="look at these pages only")
    _add_file(book)
    command("status", _status, "which pages are out of date, and why")
    _add_study_commands(command)
    command("doctor", _doctor, "what this machine has and lacks: versions, disk, data, models")
    _add_zoo(command("zoo", _zoo_list, "the testbed's language models"))
    return parser


def _add_study_commands(command) -> None:
    fetch = command("fetch", _fetch, "download the files of a study; those at hand stay")
    fetch.add_argument("study")
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
    prepare = command("prepare", _prepare, "resample and clean the images of a study's listeners")
    prepare.add_argument("study", help=_STUDY)
    prepare.add_argument(
        "--subjects", nargs="+", default=[], help="these, or all (default: those at hand)"
    )
    prepare.add_argument("--jobs", type=_positive, help="runs prepared side by side")
    _add_assignments(prepare, "option of the study; may be given several times")
    extract = command("extract", _extract, "read a study's text into language models")
    encode = command("encode", _encode, "scores of language models on a study")
    plan = command("plan", _plan, "what models on a study will cost: bytes, memory, hours")
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
    encode.add_argument("--hrf", help="hemodynamic response (default: glover)")
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
    shown.set_defaults(call=_zoo_list)
    train = actions.add_parser("train", help="train them again from their seeds")
    train.set_defaults(call=_zoo_train)
    train.add_argument("names", nargs="*", metavar="MODEL", help="default: all")
    train.add_argument("--jobs", type=_positive, help="models trained side by side")
    train.add_argument(
        "-o", dest="folder", type=Path, default="my-zoo", help="folder for the models (my-zoo)"
    )
    check = actions.add_parser("check", help="what the testbed recovers: trained, untrained, null")
    check.set_defaults(call=_zoo_check)
    check.add_argument("--seeds", type=_positive, default=5, help="simulated brains (default 5)")
    check.add_argument(
        "--null-seeds",
        type=_positive,
        default=20,
        help="simulated brains with both sides alike (default 20)",
    )


def _list(arguments: argparse.Namespace) -> None:
    from brainalign.companion.overview import list_everything

    print(list_everything())


def _params(arguments: argparse.Namespace) -> None:
    from brainalign.companion.overview import schema_json, schema_text
    from brainalign.companion.parameters import read_schema

    schema = read_schema(arguments.notebook)
    print(schema_json(schema) if arguments.json else schema_text(schema))


def _file_values(path: Path | None, notebook: str) -> dict:
    """Parameters of one notebook from a file, which may have a section for each notebook."""
    if path is None:
        return {}
    from brainalign.companion.notebooks import notebook_names
    from brainalign.companion.yaml_files import read_mapping

    values = read_mapping(path)
    by_notebook = values and all(name in notebook_names() for name in values)
    values = (values.get(notebook) or {}) if by_notebook else values
    if not isinstance(values, dict):
        raise InputError(
            f"Parameter file: {notebook} holds {values!r}; a mapping of parameters is expected."
        )
    return values


def _run(arguments: argparse.Namespace) -> None:
    from brainalign.companion.parameters import parse_assignments, read_schema
    from brainalign.companion.run import plan, run_to

    notebook = arguments.notebook
    schema = read_schema(notebook)
    values = _file_values(arguments.file, notebook)
    values |= parse_assignments(schema, arguments.texts, notebook)
    folder = arguments.folder or Path(f"my-{notebook}")
    run_to(plan(notebook, values), folder)
    print(folder / f"{notebook}.html")


def _book(arguments: argparse.Namespace) -> None:
    from brainalign.companion.book import make_book
    from brainalign.companion.yaml_files import read_mapping

    changes = read_mapping(arguments.file) if arguments.file else {}
    print(make_book(arguments.jobs, arguments.only, changes))


def _status(arguments: argparse.Namespace) -> None:
    from brainalign.companion.overview import status_text

    print(status_text())


def _doctor(arguments: argparse.Namespace) -> None:
    from brainalign.companion.doctor import doctor_text

    print(doctor_text())


def _fetch(arguments: argparse.Namespace) -> None:
    from brainalign.studies.fetching import fetch

    fetch(
        arguments.study,
        dry_run=arguments.dry_run,
        optional=arguments.all,
        subjects=arguments.subjects,
        paths=arguments.files,
        mirror=arguments.mirror,
        jobs=arguments.jobs,
    )


def _prepare(arguments: argparse.Namespace) -> None:
    from brainalign.companion.steps import study_options
    from brainalign.studies.preparation import prepare

    options = study_options(arguments.texts)
    prepare(arguments.study, arguments.subjects, arguments.jobs, options=options)


def _settings(arguments: argparse.Namespace, *names: str) -> dict:
    """Settings that were given on the command line; the others keep their defaults."""
    given = {name: getattr(arguments, name) for name in names}
    return {name: value for name, value in given.items() if value is not None}


def _cluster(arguments: argparse.Namespace) -> dict:
    """Who computes; `--workers` alone means processes of this machine."""
    scheduler = arguments.scheduler or (arguments.workers and "local")
    return {"scheduler": scheduler, "workers": arguments.workers}


def _extract(arguments: argparse.Namespace) -> None:
    from brainalign.companion.steps import extract_table, study_options

    options = study_options(arguments.texts)
    settings = _settings(arguments, "window", "precision")
    table = extract_table(
        arguments.study,
        arguments.models,
        options,
        settings,
        arguments.device,
        **_cluster(arguments),
    )
    print(table.to_string(index=False, float_format="{:.1f}".format))


def _encode(arguments: argparse.Namespace) -> None:
    from brainalign.companion.steps import encode_table, study_options

    options = study_options(arguments.texts)
    names = ("window", "precision", "subject", "hrf", "alphas", "alpha_per_voxel")
    names += ("validation",)
    settings = _settings(arguments, *names)
    table = encode_table(
        arguments.study,
        arguments.models,
        options,
        settings,
        arguments.device,
        arguments.output,
        **_cluster(arguments),
    )
    columns = ["model", "roi", "hemisphere", "n_voxels", "score"]
    print(table[columns].to_string(index=False, float_format="{:.3f}".format))


def _plan(arguments: argparse.Namespace) -> None:
    from brainalign.companion.steps import study_options
    from brainalign.planning import plan

    text = plan(
        arguments.study,
        arguments.models,
        study_options(arguments.texts),
        _settings(arguments, "window", "precision"),
        arguments.device,
        subjects=arguments.subjects,
        calibrate=not arguments.no_calibration,
        output=arguments.output,
    )
    print(text)


def _zoo_list(arguments: argparse.Namespace) -> None:
    from brainalign.studies.testbed.zoo import zoo_table

    print(zoo_table().to_string())


def _zoo_check(arguments: argparse.Namespace) -> None:
    from brainalign.acceptance import acceptance_table

    table = acceptance_table(range(arguments.seeds), range(arguments.null_seeds))
    print(table.to_string(index=False))
    print(f"{table['holds'].sum()} of {len(table)} hold.")


def _zoo_train(arguments: argparse.Namespace) -> None:
    from brainalign.studies.testbed.zoo import train

    print(train(arguments.names or None, arguments.jobs, arguments.folder).to_string())


def main(arguments: list[str] | None = None) -> int:
    """Run one command.

    Parameters
    ----------
    arguments
        By default those of the process.

    Returns
    -------
    int
        Exit status.
    """
    parsed = build_parser().parse_args(arguments)
    if threading.current_thread() is threading.main_thread():
        # A command that is terminated tidies up like one that is interrupted.
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        parsed.call(parsed)
        sys.stdout.flush()
    except InputError as error:
        print(f"brainalign: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("brainalign: interrupted.", file=sys.stderr)
        return 130
    except BrokenPipeError:
        _close_output()  # the reader has enough
        return 0
    except WorkError as error:
        print(f"brainalign: {error}", *filter(None, [error.log]), sep="\n", file=sys.stderr)
        return error.status
    except Exception as error:
        if is_disk_full(error):
            _close_output()
            print(f"brainalign: {DISK_FULL}", file=sys.stderr)
        else:
            print(f"brainalign: {unexpected(error)}", file=sys.stderr)
        return 1
    return 0


def _close_output() -> None:
    """Let go of a standard output that takes no more; Python would complain when it ends."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


if __name__ == "__main__":
    sys.exit(main())
