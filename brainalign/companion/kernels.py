"""Kernels for notebooks: each is a process of its own, started cold or forked from a warm one.

A cold kernel needs more than a second for imports that every page shares. Where several notebooks
are executed, a server imports those libraries once, and kernels are forked from it. It imports no
module of brainalign: every kernel does that itself, so that a page depends on those it uses.
"""

import multiprocessing
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import IO
from weakref import WeakSet

# What the modules of pages import. None of them starts threads, which would not survive a fork.
LIBRARIES = (
    *("ipykernel.kernelapp", "nbformat", "seaborn", "xarray", "h5netcdf", "scipy.stats"),
    *("statsmodels.formula.api", "nilearn.plotting"),
)
_managers: WeakSet = WeakSet()


def start_server() -> bool:
    """Start the server of warm kernels, from the main thread; False where there is no fork."""
    if "forkserver" not in multiprocessing.get_all_start_methods():
        return False
    from multiprocessing import forkserver

    # Imported here, because every warm kernel imports this module first.
    from brainalign.parallel import THREAD_VARIABLES, changed_environment

    # Read by Python, numpy and matplotlib. One thread for numpy, because notebooks run side by
    # side, and its threads wait for each other by spinning.
    backend = {"MPLBACKEND": "module://matplotlib_inline.backend_inline"}
    one_thread = dict.fromkeys(THREAD_VARIABLES, "1")
    forkserver.set_forkserver_preload(list(LIBRARIES))
    with changed_environment({**one_thread, **backend, "PYTHONHASHSEED": "0"}):
        forkserver.ensure_running()
    return True


def stop_all() -> None:
    """Kill all kernels that this process has started; who waits for one gets an error."""
    for manager in list(_managers):
        if process := getattr(manager.provisioner, "process", None):
            process.kill()


def manager_class(
    private: Path, environment: Mapping[str, str], log: IO[str], warm: bool = False
) -> type:
    """Manager class for one kernel: this very Python, private sockets, output into the log.

    Sockets in a private folder cannot collide when notebooks run side by side, which TCP ports
    do, and a kernel called "python3" in the user's home cannot take this Python's place.

    Parameters
    ----------
    private
        Empty folder for the sockets; its path must be short.
    environment
        Variables that the kernel has beside those of this process.
    log
        Open file that takes what the kernel prints outside of cells.
    warm
        Whether the kernel is forked from the server.

    Returns
    -------
    type
        Subclass of `jupyter_client.AsyncKernelManager`.
    """
    from ipykernel.kernelspec import get_kernel_dict
    from jupyter_client import AsyncKernelManager
    from jupyter_client.kernelspec import KernelSpec

    class Manager(AsyncKernelManager):
        def __init__(self, **options):
            if sys.platform != "win32":
                options |= {"transport": "ipc"}
            super().__init__(**options, connection_file=str(private / "kernel.json"))
            if warm:
                self.provisioner = _provisioner()(parent=self, kernel_spec=self.kernel_spec)
            _managers.add(self)

        @property
        def kernel_spec(self):
            return KernelSpec(resource_dir="", **get_kernel_dict())

        def start_kernel(self, **options):
            options["env"] = {**os.environ, **options.get("env", {}), **environment}
            return super().start_kernel(**options, stdout=log, stderr=log)

    return Manager


@cache
def _provisioner() -> type:
    """Class that starts a kernel by a fork of the server."""
    from jupyter_client.provisioning import LocalProvisioner

    class Provisioner(LocalProvisioner):
        async def launch_kernel(self, cmd, *, env, stdout, **_):
            arguments = cmd[cmd.index("-f") :]
            self.process = Kernel(target=_serve, args=(arguments, dict(env), stdout.name))
            self.process.start()
            self.pid = self.pgid = self.process.pid
            return self.connection_info

    return Provisioner


# Windows has no such processes; its kernels start cold.
_Process = getattr(multiprocessing.context, "ForkServerProcess", multiprocessing.Process)


class Kernel(_Process):
    """Process of a warm kernel, with what jupyter_client asks of one."""

    stdin = stdout = stderr = None

    def poll(self) -> int | None:
        """Exit status; None while it runs."""
        return self.exitcode

    def wait(self) -> int | None:
        """Exit status, once it has ended."""
        self.join()
        return self.exitcode

    def send_signal(self, number: int) -> None:
        """Send a signal to the kernel alone."""
        os.kill(self.pid, number)

    def kill(self) -> None:
        """Kill the kernel and what it has started."""
        with suppress(OSError):
            os.killpg(self.pid, signal.SIGKILL)


def _serve(arguments: list[str], environment: dict[str, str], log: str) -> None:
    """Be a kernel, in a process that was forked from the server."""
    for name in [name for name in sys.modules if name.partition(".")[0] == "brainalign"]:
        del sys.modules[name]
    os.setsid()
    os.environ.clear()
    os.environ.update(environment)
    with open(log, "a") as stream:
        for number in (1, 2):
            os.dup2(stream.fileno(), number)
    from ipykernel.kernelapp import IPKernelApp

    # It ends with the server, which ends with the process that started it.
    IPKernelApp.launch_instance(arguments, parent_handle=os.getppid())
