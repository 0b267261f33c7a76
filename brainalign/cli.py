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

from brainalign.arguments import build_parser
from brainalign.companion import DISK_FULL, WorkError, is_disk_full, unexpected
from brainalign.errors import InputError

#: What is said of a command that was interrupted or terminated.
INTERRUPTED = "interrupted; what was computed is kept: call it again to go on."


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


def _say(line: str) -> None:
    """Tell what goes on, beside what a command prints."""
    print(line, file=sys.stderr, flush=True)


def _run(arguments: argparse.Namespace) -> None:
    from brainalign.companion.parameters import parse_assignments, read_schema
    from brainalign.companion.run import plan, run_to

    notebook = arguments.notebook
    schema = read_schema(notebook)
    values = _file_values(arguments.file, notebook)
    values |= parse_assignments(schema, arguments.texts, notebook)
    folder = arguments.folder or Path(f"my-{notebook}")
    run_to(plan(notebook, values), folder, _say)
    print(folder / f"{notebook}.html")


def _compare(arguments: argparse.Namespace) -> None:
    from brainalign.companion.compare import compare

    print(compare(arguments.first, arguments.second, arguments.target))


def _book(arguments: argparse.Namespace) -> None:
    from brainalign.companion.book import make_book
    from brainalign.companion.yaml_files import read_mapping

    changes = read_mapping(arguments.file) if arguments.file else {}
    print(make_book(arguments.jobs, arguments.only, changes))


def _export(arguments: argparse.Namespace) -> None:
    from brainalign.companion.site.export import export

    print(export(arguments.kind, arguments.target, say=_say))


def _teach(arguments: argparse.Namespace) -> None:
    from brainalign.companion.teach import teach

    print(*teach(arguments.student, arguments.instructor, arguments.notebooks), sep="\n")


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
        globals()[f"_{parsed.call}"](parsed)
        sys.stdout.flush()
    except InputError as error:
        print(f"brainalign: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print(f"brainalign: {INTERRUPTED}", file=sys.stderr)
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
