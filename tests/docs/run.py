#!/usr/bin/env python3
"""Runs what README.md and the pages of docs/ show, with the built binary (SPANMILL, default build/release/spanmill).

Fenced blocks say by their words what becomes of them:
  ```sh daemon     started in the background; the block has come up when the daemon is ready; Ctrl-C ends it when the next
                   one starts or the page ends, and it must exit with 0
  ```sh test       run to its end, exit code 0. A ```text block behind it holds lines that its output must contain (`...` in
                   a line stands for anything); it is run again for a while until that is so
  ```sh elsewhere  shown only: needs another machine, minutes, or other people's programs
  ```yaml          a configuration: `spanmill check`; further blocks of the page find it as spanmill.yaml
  ```yaml NAME     the configuration of another program
Other words with sh are an error, so that no example is forgotten.

Addresses are the documented ones: everything runs in a network of its own, or, where the system does not allow that, in the machine's if the
ports are free (else exit code 77: skipped). Each page has a folder with scripts/run and build/release/spanmill in it."""
import fcntl
import os
import pathlib
import re
import shutil
import signal
import socket
import struct
import subprocess
import sys
import tempfile
import threading
import time
import urllib.error
import urllib.request

import segment

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
BINARY = pathlib.Path(os.environ.get("SPANMILL", ROOT / "build/release/spanmill")).resolve()
PORTS = (4317, 4318, 8888, 9411, 16686)
PAUSE_S = 0.1
READY_S = 60
OUTPUT_S = 90


class Failure(Exception):
    pass


def pages():
    yield ROOT / "README.md"
    yield from sorted((ROOT / "docs").rglob("*.md"))
    yield from sorted(p for p in ROOT.glob("*/**/README.md") if "build" not in p.relative_to(ROOT).parts)


class Block:
    def __init__(self, line, words, text):
        self.line, self.words, self.text = line, words, text


def blocks(page):
    found, inside = [], None
    for number, line in enumerate(page.read_text().splitlines(), 1):
        fence = re.fullmatch(r"\s*```(.*)", line)
        if not fence:
            if inside:
                inside.text += line + "\n"
        elif inside:
            found.append(inside)
            inside = None
        else:
            inside = Block(number, fence.group(1).split(), "")
    if inside:
        raise Failure(f"{inside.line}: the block does not end")
    return found


def poll(attempt, seconds, what):
    end = time.monotonic() + seconds
    pause = threading.Event()
    while True:
        said = attempt()
        if said is None:
            return
        if time.monotonic() > end:
            raise Failure(f"{what}: {said}")
        pause.wait(PAUSE_S)


class Sandbox:
    """One page's folder and the daemon that its examples started."""

    def __init__(self):
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix="spanmill-docs-"))
        (self.folder / "scripts").mkdir()
        (self.folder / "build/release").mkdir(parents=True)
        shutil.copy(ROOT / "scripts/run", self.folder / "scripts/run")
        (self.folder / "build/release/spanmill").symlink_to(BINARY)
        (self.folder / "bin").mkdir()
        (self.folder / "bin/spanmill").symlink_to(BINARY)
        self.environment = {**os.environ, "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}", "HOME": str(self.folder)}
        self.daemon = None

    def start(self, text):
        self.stop()
        log = open(self.folder / "daemon.log", "w")
        self.daemon = subprocess.Popen(["bash", "-euo", "pipefail", "-c", text], cwd=self.folder, env=self.environment,
                                       stdout=log, stderr=log, start_new_session=True)

        def ready():
            if self.daemon.poll() is not None:
                raise Failure(f"ended with {self.daemon.returncode}:\n" + (self.folder / "daemon.log").read_text())
            try:
                urllib.request.urlopen("http://127.0.0.1:8888/-/ready", timeout=2)
            except (urllib.error.URLError, OSError) as error:
                return str(error)

        poll(ready, READY_S, "not ready")

    def stop(self):
        if not self.daemon:
            return
        daemon, self.daemon = self.daemon, None
        os.killpg(daemon.pid, signal.SIGINT)
        try:
            code = daemon.wait(timeout=60)
        except subprocess.TimeoutExpired:
            os.killpg(daemon.pid, signal.SIGKILL)
            raise Failure("Ctrl-C did not end it within a minute") from None
        if code:
            raise Failure(f"ended with {code} after Ctrl-C:\n" + (self.folder / "daemon.log").read_text())

    def run(self, text):
        return subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=self.folder, env=self.environment, timeout=120,
                              capture_output=True, text=True)

    def test(self, text, expected):
        def attempt():
            done = self.run(text)
            if done.returncode:
                return f"exit code {done.returncode}: {done.stderr}"
            for line in filter(None, map(str.strip, expected.splitlines())):
                if line == "...":
                    continue
                if not re.search(".*".join(map(re.escape, line.split("..."))), done.stdout + done.stderr):
                    return f"not in the output: {line}\n{(done.stdout + done.stderr)[-2000:]}"

        poll(attempt, OUTPUT_S if self.daemon else 0, "example")

    def check(self, text):
        (self.folder / "spanmill.yaml").write_text(text)
        done = self.run("spanmill check spanmill.yaml")
        if done.returncode:
            raise Failure(done.stderr)

    def close(self):
        try:
            self.stop()
        finally:
            shutil.rmtree(self.folder, ignore_errors=True)


def run_block(sandbox, block, following):
    language, marks = block.words[0], block.words[1:]
    if language == "yaml" and not marks:
        sandbox.check(block.text)
    elif language == "sh" and marks == ["daemon"]:
        sandbox.start(block.text)
    elif language == "sh" and marks == ["test"]:
        sandbox.test(block.text, following.text if following and following.words == ["text"] else "")
    elif language == "sh" and marks != ["elsewhere"]:
        raise Failure("a block of sh says daemon, test or elsewhere")
    else:
        return 0
    return 1


def run_page(page):
    """Returns how many examples passed; stops at the first that does not."""
    sandbox, passed = Sandbox(), 0
    all_blocks = blocks(page)
    line = 0
    try:
        for block, following in zip(all_blocks, all_blocks[1:] + [None]):
            line = block.line
            if block.words:
                passed += run_block(sandbox, block, following)
        sandbox.stop()
    except Failure as failure:
        raise Failure(f"{line}: {failure}") from None
    finally:
        sandbox.close()
    return passed


def check_segment_page(page):
    """The demo's traces in a store, which is then read by the page."""
    sandbox = Sandbox()
    try:
        segment.check_names(ROOT)
        sandbox.start("exec spanmill run --set store.path=data --set windows.after_root=100ms")
        done = sandbox.run("spanmill demo --count 2000 --rate 10000 --seed 1")
        if done.returncode:
            raise Failure(done.stderr)
        sandbox.stop()
        segment.check_store(sandbox.folder / "data", 2000)
    except AssertionError as error:
        raise Failure(f"not as written: {error}") from None
    finally:
        sandbox.close()


def check_example(page):
    done = subprocess.run([BINARY, "check", page], capture_output=True, text=True, timeout=60)
    if done.returncode:
        raise Failure(done.stderr)


def raise_loopback():
    """`ip link set lo up`, which not every machine has."""
    get_flags, set_flags, up = 0x8913, 0x8914, 1
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as s:
        request = bytearray(struct.pack("16sh14x", b"lo", 0))
        fcntl.ioctl(s, get_flags, request)
        flags = struct.unpack_from("h", request, 16)[0]
        fcntl.ioctl(s, set_flags, struct.pack("16sh14x", b"lo", flags | up))


def enter_own_network():
    """Starts this program again in a network namespace; returns when that cannot be done or has been."""
    if os.environ.get("SPANMILL_DOCS_NETWORK") == "own":
        raise_loopback()
        return
    for options in (["--net"], ["--user", "--map-root-user", "--net"]):
        if shutil.which("unshare") and subprocess.run(["unshare", *options, "true"], capture_output=True).returncode == 0:
            os.environ["SPANMILL_DOCS_NETWORK"] = "own"
            os.execvp("unshare", ["unshare", *options, sys.executable, __file__, *sys.argv[1:]])


def ports_are_free():
    for port in PORTS:
        with socket.socket() as s:
            s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                s.bind(("127.0.0.1", port))
            except OSError:
                return False
    return True


def main():
    enter_own_network()
    if not ports_are_free():
        print("skipped: no network of its own, and the default ports are taken")
        return 77
    passed = failed = 0
    wanted = [pathlib.Path(a).resolve() for a in sys.argv[1:]]
    tasks = [(run_page, p) for p in pages()]
    tasks.append((check_segment_page, ROOT / "docs/formats/segment.md"))
    tasks += [(check_example, p) for p in sorted((ROOT / "deploy").glob("*.yaml"))]
    for task, page in tasks:
        if wanted and page not in wanted:
            continue
        try:
            n = task(page)
            passed += 1 if n is None else n
        except (Failure, subprocess.TimeoutExpired) as failure:
            failed += 1
            print(f"{page.relative_to(ROOT)}:{failure}")
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
