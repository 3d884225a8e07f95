"""Processes of a study: several at once, and each after the one that it begins from."""

from __future__ import annotations

import os
import pathlib
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence


def in_order(
    wanted: Sequence[int], bases: Mapping[int, int], jobs: int, start: Callable[[int], subprocess.Popen]
) -> list[int]:
    """Starts trials, several at once, and each after the one whose runs it begins from.

    Args:
      wanted: numbers of the trials.
      bases: of a trial, the number of the one that comes first.
      jobs: trials at once.
      start: of a number, its process.

    Returns:
      Those that failed, and those that began from them.
    """
    waiting, running, failed = list(wanted), {}, []
    while waiting or running:
        failed += [number for number in waiting if bases.get(number) in failed]
        waiting = [number for number in waiting if number not in failed]
        ready = [number for number in waiting if bases.get(number) not in (*waiting, *running)]
        for number in ready[: jobs - len(running)]:
            waiting.remove(number)
            running[number] = start(number)
        time.sleep(0.1)
        for number, process in list(running.items()):
            if process.poll() is not None:
                del running[number]
                failed += [number] if process.returncode else []
    return failed


def started(command: Sequence[str], log: pathlib.Path) -> subprocess.Popen:
    """A process that writes what it says to a file."""
    # Without the flag a training step with FFTs hung on a CPU with jaxlib 0.11, see `mgen.parallel`.
    flags, flag = os.environ.get("XLA_FLAGS", ""), "--xla_cpu_multi_thread_eigen"
    environment = os.environ if flag in flags else {**os.environ, "XLA_FLAGS": f"{flags} {flag}=false".strip()}
    with log.open("w") as file:
        return subprocess.Popen(command, stdout=file, stderr=subprocess.STDOUT, env=environment)
