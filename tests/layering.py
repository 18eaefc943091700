#!/usr/bin/env python3
"""Checks of the tree that no compiler makes. Prints one line per check and `N passed, N failed` at the end.

  layers     includes point only downwards: base < span < store < pipeline < {ingest, analysis, sinks} < query < app;
             the three in braces never include each other; bench includes nothing of the product but base, only
             what measures single parts calls them
  targets    CMakeLists.txt gives each folder only folders below it
  defs       every entry of a .def list has its help, its reference text and its test, as far as its list asks for one
  clocks     tests do not sleep: they poll with a deadline or move the virtual clock
  paths      nothing names a place of one machine
  links      relative links and file names in tables of the documentation point to something
  headers    files of the product begin with a comment that says what they are for; headers have an include guard
"""
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent

# What each folder may include beside itself.
BELOW = {
    "base": [],
    "span": ["base"],
    "store": ["base", "span"],
    "pipeline": ["base", "span", "store"],
    "ingest": ["base", "span", "store", "pipeline"],
    "analysis": ["base", "span", "store", "pipeline"],
    "sinks": ["base", "span", "store", "pipeline"],
    "query": ["base", "span", "store", "pipeline", "ingest", "analysis", "sinks"],
    "app": ["base", "span", "store", "pipeline", "ingest", "analysis", "sinks", "query"],
    "bench": ["base"],
    "bench/store_main.c": ["bench", "base", "span", "store"],
    "bench/map_main.c": ["bench", "base", "span", "store", "pipeline"],
    "bench/micro": ["bench", "base", "span", "store", "pipeline", "ingest", "analysis", "sinks"],
}

# Lists whose entries users see: the page that must name each, which argument of the entry is that name, and what stands before it.
REFERENCE = {
    "app/config.def": ("docs/reference/configuration.md", 1, ""),
    "app/receivers.def": ("docs/reference/configuration.md", 0, "listen."),
}

INCLUDE = re.compile(r'^\s*#\s*include\s+"([^"]+)"', re.M)
ENTRY = re.compile(r"^(SM_[A-Z_]+)\((.*?)\)\s*$", re.M | re.S)
SLEEP = re.compile(r"\b(sleep|usleep|nanosleep|clock_nanosleep|uv_sleep)\s*\(|\btime\.sleep\b|^\s*sleep\s+[0-9.]", re.M)
HOME = re.compile(r"(?<![\w.])/(home|root|Users)/[A-Za-z_.]")


def tracked():
    """Files under version control; without git (an unpacked archive) everything outside build and data folders."""
    try:
        out = subprocess.run(["git", "-C", str(ROOT), "ls-files", "-z"], check=True, capture_output=True).stdout
        names = [n for n in out.decode().split("\0") if n]
    except (OSError, subprocess.CalledProcessError):
        names = [str(p.relative_to(ROOT)) for p in ROOT.rglob("*") if p.is_file()]
    skip = ("build/", "data/", ".git/", ".cache/")
    return [n for n in names if not n.startswith(skip) and (ROOT / n).is_file()]


FILES = tracked()
TEXTS = {}


def text(name):
    if name not in TEXTS:
        data = (ROOT / name).read_bytes()
        TEXTS[name] = "" if b"\0" in data else data.decode("utf-8", "replace")
    return TEXTS[name]


def layer_of(name):
    """The entry of BELOW that a path from the root belongs to, or its first folder."""
    folders = [f for f in BELOW if name == f or name.startswith(f + "/")]
    return max(folders, key=len) if folders else name.split("/")[0]


def line_of(name, offset):
    return text(name).count("\n", 0, offset) + 1


def sources(*suffixes):
    return [n for n in FILES if n.endswith(suffixes)]


def check_layers():
    for name in sources(".c", ".h", ".def"):
        folder = layer_of(name)
        if folder not in BELOW:
            continue
        for match in INCLUDE.finditer(text(name)):
            target = match.group(1)
            where = f"{name}:{line_of(name, match.start())}"
            layer = layer_of(target)
            if "/" not in target or not (ROOT / target).is_file():
                yield f'{where}: includes "{target}", which is not a path from the root of the tree'
            elif layer != folder and layer not in BELOW[folder]:
                yield f"{where}: {folder} must not include {target}"


def check_targets():
    cmake = text("CMakeLists.txt")
    found = {}
    for match in re.finditer(r"^sm_folder\((\w+)(.*?)\)", cmake, re.M | re.S):
        depends = re.search(r"DEPENDS\s+((?:[a-z]+\s*)+)", match.group(2))
        found[match.group(1)] = depends.group(1).split() if depends else []
    for folder in BELOW:
        if folder == "app" or folder.startswith("bench"):
            continue
        if folder not in found:
            yield f"CMakeLists.txt: folder {folder} has no target"
            continue
        for other in found[folder]:
            if other not in BELOW[folder]:
                yield f"CMakeLists.txt: {folder} must not depend on {other}"


def entries(name):
    """(macro, [arguments]) of each entry; string arguments without their quotes, neighbours joined."""
    for match in ENTRY.finditer(re.sub(r"/\*.*?\*/", "", text(name), flags=re.S)):
        arguments, depth, current, quoted = [], 0, "", False
        for char in match.group(2):
            if char == '"':
                quoted = not quoted
            if char == "," and not quoted and depth == 0:
                arguments.append(current)
                current = ""
                continue
            depth += (char in "([") - (char in ")]") if not quoted else 0
            current += char
        arguments.append(current)
        yield match.group(1), ["".join(re.findall(r'"([^"]*)"', a)) if '"' in a else a.strip() for a in arguments]


def tests_text():
    return "\n".join(text(n) for n in FILES if n.startswith("tests/") and n.endswith((".c", ".h", ".py", ".smt", ".sh")))


def check_defs():
    for name in sources(".def"):
        if not any(f'#include "{name}"' in text(n) for n in sources(".c", ".h")):
            yield f"{name}: nobody includes it"
        for macro, arguments in entries(name):
            if len(arguments) > 2 and not arguments[-1].strip():
                yield f"{name}: {arguments[0]}: its help is empty"
        if name in REFERENCE:
            page, position, prefix = REFERENCE[name]
            for macro, arguments in entries(name):
                if len(arguments) > position + 1 and f"`{prefix}{arguments[position]}`" not in text(page):
                    yield f"{name}: {arguments[position]} is not in {page}"
    tests = tests_text()
    for _, (command,) in entries("app/commands.def"):
        if f"app/cmd_{command}.c" not in FILES:
            yield f"app/commands.def: {command}: there is no app/cmd_{command}.c"
        if not re.search(rf'"{command}"|spanmill {command}\b', tests):
            yield f"app/commands.def: {command}: no test mentions it"
    for _, (key, receiver, *_) in entries("app/receivers.def"):
        if f"sm_receiver_{receiver}" not in tests and not re.search(rf"\b{key}\b", tests):
            yield f"app/receivers.def: {key}: no test opens it"


def check_clocks():
    for name in FILES:
        if not name.startswith("tests/") or name == "tests/layering.py" or not name.endswith((".c", ".h", ".py", ".sh")):
            continue
        for match in SLEEP.finditer(text(name)):
            yield f"{name}:{line_of(name, match.start())}: sleeps"


def check_paths():
    here = str(ROOT)
    for name in FILES:
        found = HOME.search(text(name))
        if name != "tests/layering.py" and (found or (here.count("/") > 1 and here in text(name))):
            yield f"{name}: names a place of one machine: {found.group(0) if found else here}"


def check_links():
    for name in sources(".md"):
        for match in re.finditer(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", text(name)):
            target = match.group(1)
            if not re.match(r"[a-z]+:", target) and not (ROOT / name).parent.joinpath(target).exists():
                yield f"{name}:{line_of(name, match.start())}: {target} does not exist"
    for match in re.finditer(r"`((?:[a-z_]+/)+[a-z0-9_]+\.(?:[ch]|def))`", text("docs/ARCHITECTURE.md")):
        if not (ROOT / match.group(1)).exists():
            yield f"docs/ARCHITECTURE.md:{line_of('docs/ARCHITECTURE.md', match.start())}: {match.group(1)} does not exist"


def check_headers():
    for name in sources(".c", ".h"):
        if layer_of(name) not in BELOW or name.startswith("bench/"):
            continue
        if not text(name).startswith("/*"):
            yield f"{name}: does not begin with a comment that says what it is for"
        if name.endswith(".h") and not re.search(r"#ifndef (SM_\w+_H)\n#define \1\n", text(name)):
            yield f"{name}: has no include guard SM_..._H"


def main():
    passed = failed = 0
    for check in (check_layers, check_targets, check_defs, check_clocks, check_paths, check_links, check_headers):
        problems = list(check())
        title = check.__name__.removeprefix("check_")
        print(f"{'not ok' if problems else 'ok'} - {title}")
        for problem in problems:
            print(f"    {problem}")
        passed += not problems
        failed += bool(problems)
    print(f"{passed} passed, {failed} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
