"""Programs of tests/clients/ in other languages: their packages are fetched and they are built in build/clients/."""
import json
import os
import re
import shutil
import subprocess
import sys

import pytest

from conftest import ROOT

SOURCES = ROOT / "tests" / "clients"
BUILD = ROOT / "build" / "clients"
only_with_all = pytest.mark.skipif(not os.environ.get("SPANMILL_ALL"),
                                   reason="only with SPANMILL_ALL=1, as scripts/test --all has it")


def tool(name, least, *version):
    """Path of a program that is at least of version `least`; skips without it."""
    path = shutil.which(name)
    if not path:
        pytest.skip(f"{name} is not installed")
    told = subprocess.run([path, *version], capture_output=True, text=True, check=True)
    found = tuple(map(int, re.search(r"(\d+)\.(\d+)", told.stdout + told.stderr).groups()))
    if found < least:
        pytest.skip(f"{name} is {found[0]}.{found[1]}, older than {least[0]}.{least[1]}")
    return path


def do(*command, seconds=600, **options):
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True, timeout=seconds, **options)
    assert done.returncode == 0, f"{command}: {done.stdout}\n{done.stderr}"
    return done.stdout


def say(*command, **options):
    """What a client program says of itself: the last line that it prints, as JSON."""
    lines = do(*command, **options).splitlines()
    return json.loads(lines[-1]) if lines else None


def install(wanted, directory, *commands):
    """Runs the commands in the directory unless they were run before for the same list of packages."""
    stamp = directory / "installed"
    if not stamp.exists() or stamp.read_bytes() != wanted.read_bytes():
        for command in commands:
            do(*command, cwd=directory)
        shutil.copy(wanted, stamp)


@pytest.fixture(scope="session")
def node():
    """node("otel.js", ...) runs one of tests/clients/js; before=[...]: options of Node.js."""
    program = tool("node", (18, 19), "--version")
    npm = tool("npm", (7, 0), "--version")
    directory = BUILD / "js"
    shutil.copytree(SOURCES / "js", directory, dirs_exist_ok=True)
    install(SOURCES / "js" / "package-lock.json", directory, [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"])
    return lambda script, *arguments, before=(), **options: say(program, *before, directory / script, *arguments,
                                                                cwd=directory, **options)


@pytest.fixture(scope="session")
def go():
    """go("otel", ...) runs one of tests/clients/go."""
    directory, binaries = SOURCES / "go", BUILD / "go" / "bin"
    needed = re.search(r"^go (\d+)\.(\d+)", (directory / "go.mod").read_text(), re.M).groups()
    program = tool("go", tuple(map(int, needed)), "version")
    environment = {**os.environ, "GOMODCACHE": str(BUILD / "go" / "modules"),
                   "GOFLAGS": "-modcacherw -mod=readonly -buildvcs=false"}
    do(program, "build", "-o", f"{binaries}/", "./...", cwd=directory, env=environment)
    return lambda name, *arguments, **options: say(binaries / name, *arguments, **options)


@pytest.fixture(scope="session")
def rust():
    """rust("otel", ...) runs one of tests/clients/rust; with stdin=... it is only started, and its process given."""
    directory, target = SOURCES / "rust", BUILD / "rust"
    needed = re.search(r'^rust-version = "(\d+)\.(\d+)"', (directory / "Cargo.toml").read_text(), re.M).groups()
    program = tool("cargo", tuple(map(int, needed)), "--version")
    do(program, "build", "--locked", "--quiet", cwd=directory, env={**os.environ, "CARGO_TARGET_DIR": str(target)}, seconds=1500)

    def run(name, *arguments, stdin=None, **options):
        command = target / "debug" / name
        if stdin:
            return subprocess.Popen([command, *map(str, arguments)], stdin=stdin, stdout=subprocess.PIPE, text=True, **options)
        return say(command, *arguments, **options)

    return run


@pytest.fixture(scope="session")
def java():
    """java("Otel", ...) runs one of tests/clients/java, where OpenTelemetry's agent lies; before=[...]: options of Java."""
    program, maven = tool("java", (17, 0), "-version"), tool("mvn", (3, 6), "--version")
    tool("javac", (17, 0), "-version")
    directory = BUILD / "java"
    directory.mkdir(parents=True, exist_ok=True)
    do(maven, "-q", "-B", f"-Dbuild={directory}", f"-Dmaven.repo.local={directory}/m2", "compile", cwd=SOURCES / "java")
    classes = f"{directory}/target/classes:{directory}/target/lib/*"
    before_all = ["-XX:+UseSerialGC", "-Xmx128m", "-cp", classes]
    return lambda name, *arguments, before=(), **options: say(program, *before_all, *before, name, *arguments,
                                                              cwd=directory / "target" / "agent", **options)


@pytest.fixture(scope="session")
def old_python():
    """old_python("otel.py", ...) runs one of tests/clients/python, in an environment of their own."""
    directory, wanted = BUILD / "python", SOURCES / "python" / "requirements.txt"
    program = directory / "bin" / "python"
    directory.mkdir(parents=True, exist_ok=True)
    install(wanted, directory, [sys.executable, "-m", "venv", directory],
            [program, "-m", "pip", "install", "-q", "--disable-pip-version-check", "-r", wanted])
    return lambda script, *arguments: say(program, SOURCES / "python" / script, *arguments)
