"""End-to-end tests drive the built binary (SPANMILL, default build/release/spanmill) as its users do.

Daemons listen on ports of the kernel's choice, told by the lines they print at the start, and keep their data in a directory
of the test. Nothing waits for a fixed time: poll() tries until a deadline."""
import os
import pathlib
import subprocess
import threading
import time

import pytest

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = os.environ.get("SPANMILL", str(ROOT / "build" / "release" / "spanmill"))


def poll(attempt, what, seconds=20.0):
    """Calls attempt() until it returns something true, which is the result. AssertionErrors and OSErrors mean not yet."""
    deadline = time.monotonic() + seconds
    pause = threading.Event()
    last = None
    while True:
        try:
            result = attempt()
            if result:
                return result
        except (AssertionError, OSError) as error:
            last = error
        if time.monotonic() > deadline:
            raise AssertionError(f"not within {seconds} s: {what}" + (f" ({last})" if last else ""))
        pause.wait(0.02)


def run(*arguments, **options):
    """One run of the binary to its end."""
    return subprocess.run([BINARY, *map(str, arguments)], capture_output=True, text=True, timeout=60, **options)


@pytest.fixture
def spanmill():
    return run
