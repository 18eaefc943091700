#!/usr/bin/env python3
"""Where the CPU of the daemon's worker goes, by stage of the data path and by system call, from samples of `perf`.

Prints microseconds per span and per request for each stage. Stages are folders and files of the source (STAGES below); what the
compiler inlined counts where it was inlined. README.md says what the rows mean. Needs `perf` and the right to sample."""

import argparse
import bisect
import collections
import functools
import os
import pathlib
import re
import subprocess
import sys
import tempfile

import harness as h

DECODE = "decode"
# The first prefix of a symbol's file that matches names its stage; libraries stand by their own names.
STAGES = (
    ("HTTP and payloads", ("base/net/", "base/payload", "base/header", "ingest/", "libuv", "libnghttp2", "llhttp")),
    (DECODE, ("span/codec/", "span/names", "span/scope", "span/batch", "span/private", "span/lead", "span/attr", "span/wanted", "base/pb.h", "base/utf8")),
    ("tree and duplicates", ("span/view",)),
    ("analysis", ("analysis/", "span/series", "span/hist", "span/graph")),
    ("rules", ("pipeline/sample/", "span/traceql/", "span/threshold", "span/tracestate")),
    ("export", ("pipeline/fanout", "pipeline/sink_queue", "sinks/")),
    ("route and assemble", ("pipeline/", "span/", "base/")),
)  # fmt: skip
SYSTEM_CALLS = (
    ("kernel: receive", ("sys_recv", "sys_read")),
    ("kernel: send", ("sys_send", "sys_write")),
    ("kernel: wait", ("epoll_wait",)),
    ("kernel: page faults", ("page_fault", "madvise")),
)
OTHER_KERNEL = "kernel: other"
REQUEST = ("HTTP and payloads", "library: [vdso]", "kernel: wait", OTHER_KERNEL)  # beside its receiving, sending and decoding


class Symbols:
    """Source files of the functions of our binary, by offset in its file."""

    def __init__(self, binary):
        found = []
        for line in subprocess.run(["nm", "-l", "--defined-only", binary], stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines():
            head, _, place = line.partition("\t")
            address, kind, name = head.split()
            if kind in "tT":
                file = place.rsplit(":", 1)[0]
                found.append((int(address, 16), self.relative(file, name)))
        found.sort()
        self.starts = [address for address, _ in found]
        self.files = [file for _, file in found]

    @staticmethod
    @functools.cache
    def relative(file, name):
        """The path from the project's root; a compiler cache may have kept that of another checkout."""
        if "llhttp" in file:
            return "llhttp"
        parts = pathlib.PurePath(os.path.normpath(file)).parts[1:]
        for n in range(len(parts)):
            path = "/".join(parts[n:])
            if (h.ROOT / path).is_file():
                return path
        return f"elsewhere: {name}"

    def file_at(self, offset):
        at = bisect.bisect_right(self.starts, offset) - 1
        return self.files[at] if at >= 0 else "elsewhere"


def stage_of_file(file):
    for stage, prefixes in STAGES:
        if file.startswith(prefixes):
            return stage
    return f"library: {file}" if not file.startswith("elsewhere") else "other"


def stage_of_kernel(functions):
    for stage, parts in SYSTEM_CALLS:
        if any(part in function for function in functions for part in parts):
            return stage
    return OTHER_KERNEL


HEAD = re.compile(r"^(.*?)\s+([0-9]+\.[0-9]+):")
FRAME = re.compile(r"^\s+([0-9a-f]+) (.*) \((.*)\)$")


def samples(data):
    """Yields (thread, time in seconds, [(address in the object, function, object), ...] from the innermost frame outwards) for each sample."""
    command = ["perf", "script", "-i", data, "-F", "comm,time,ip,sym,dso"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True) as script:
        thread, at, chain = None, 0.0, []
        for line in script.stdout:
            frame = FRAME.match(line)
            head = None if frame else HEAD.match(line)
            if frame:
                chain.append((int(frame[1], 16), frame[2], frame[3]))
            elif head:
                thread, at = head[1].strip(), float(head[2])
            elif chain:
                yield thread, at, chain
                chain = []


def stage_of(chain, binary, symbols):
    address, _, where = chain[0]
    if where == str(binary):
        return stage_of_file(symbols.file_at(address))
    if where == "[kernel.kallsyms]":
        return stage_of_kernel([function for _, function, place in chain if place == where])
    return stage_of_file(re.sub(r"[.-].*", "", pathlib.PurePath(where).name))


def count_samples(data, binary, seconds):
    """{(stage, function): samples} of the threads `worker*` in the last `seconds`."""
    symbols = Symbols(binary)
    found = [(at, (stage_of(chain, binary, symbols), chain[0][1])) for thread, at, chain in samples(data) if thread.startswith("worker")]
    end = max((at for at, _ in found), default=0.0)
    return collections.Counter(place for at, place in found if at > end - seconds)


def profile(fmt, spans_per_request, seconds, window=h.WINDOW_SECONDS, rate=None):
    """Load at a steady rate (None: what suits the format; requests of a few spans: at full rate) for `seconds`, after more than one window of
    it: (what bench_send measured, {(stage, function): samples})."""
    binary = (h.BUILD / "spanmill").resolve()
    with h.running_daemon(h.spanmill_command(window=f"{window}s")) as daemon, tempfile.TemporaryDirectory(prefix="bench-stages-") as scratch:
        data = f"{scratch}/perf.data"
        record = ["perf", "record", "-q", "-e", "cpu-clock", "-F", "5000", "-g", "-p", str(daemon.process.pid), "-o", data]
        try:
            recorder = subprocess.Popen(h.pinned(h.LOAD_CORE, *record), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except FileNotFoundError as e:
            raise h.BenchError(f"{e.filename} is missing") from None
        rate = rate or (h.RATE[fmt] if spans_per_request >= 50 else None)
        try:
            measured = h.send_steadily(daemon, fmt, rate, window, seconds, "--spans-per-request", spans_per_request)
        finally:
            h.stop(recorder)
        counts = count_samples(data, binary, seconds)
    if not counts:
        raise h.BenchError("perf took no samples: is it installed and allowed?")
    return measured, counts


def samples_of(counts, stages):
    return sum(samples for (stage, _), samples in counts.items() if stage in stages)


def show(args, us_per_span, counts):
    n = args.spans_per_request
    us_per_sample = us_per_span / sum(counts.values())
    print(f"{args.format}, {n} spans a request: {us_per_span:.3f} us per span, {sum(counts.values())} samples")
    print(f"{'stage':<34} {'us/span':>9} {'us/request':>11}")

    def row(name, samples):
        print(f"{name:<34} {us_per_sample * samples:>9.3f} {us_per_sample * samples * n:>11.2f}")

    stages = collections.Counter()
    for (stage, _), samples in counts.items():
        stages[stage] += samples
    for stage, samples in stages.most_common():
        row(stage, samples)
        functions = collections.Counter({function: k for (of, function), k in counts.items() if of == stage})
        for function, k in functions.most_common(args.functions):
            row(f"  {function}", k)
    row("the request itself", samples_of(counts, REQUEST))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--format", choices=h.RATE, default="otlp-http")
    parser.add_argument("--spans-per-request", type=int, default=200, metavar="N")
    parser.add_argument("--functions", type=int, default=0, metavar="N", help="also the N dearest functions of each stage")
    parser.add_argument("--seconds", type=float, default=5)
    parser.add_argument("--rate", type=int, metavar="N", help="spans a second (what suits the format; few spans a request: at full rate)")
    parser.add_argument("--build", metavar="DIR", help="folder of the binaries (build/release)")
    args = parser.parse_args()
    if args.build:
        h.BUILD = pathlib.Path(args.build).resolve()
    try:
        measured, counts = profile(args.format, args.spans_per_request, args.seconds, rate=args.rate)
    except h.BenchError as e:
        print(e, file=sys.stderr)
        return 1
    show(args, measured["cpu_us_per_span"], counts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
