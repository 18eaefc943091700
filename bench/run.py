#!/usr/bin/env python3
"""Measures spanmill and prints the figures beside what they must and should be. README.md says what each one means."""

import argparse
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import time

import harness as h
import stages

FIVE_SPANS = 5  # in a request, as Envoy's flushes have
UDP_RATE = 200_000  # datagrams hold nobody back: a rate that the daemon follows
UDP_SPANS = 40  # in a datagram; clients send up to 65,000 bytes
WIRE_BYTES_PER_SPAN = 468
PACED_RATE = 30_000
MAP_RATE = 400_000  # of the runs with 10,000 to 10 million open spans
OPEN_SPANS = (10_000, 100_000, 1_000_000, 10_000_000)


class Table:
    """Figures as they come: (name, value, unit, must, aim, note)."""

    def __init__(self):
        self.rows = []

    def heading(self):
        print(f"{'figure':<46} {'value':>12} {'unit':<10} {'must':>9} {'aim':>9}  {'':<5} note", flush=True)

    def add(self, name, value, unit, must=None, aim=None, note="", more_is_better=False):
        def reached(limit):
            return limit is not None and (value >= limit if more_is_better else value <= limit)

        verdict = "" if must is None else "aim" if reached(aim) else "must" if reached(must) else "MISS"
        self.rows.append(
            {"name": name, "value": value, "unit": unit, "must": must, "aim": aim, "verdict": verdict, "note": note}
        )
        print(
            f"{name:<46} {number(value):>12} {unit:<10} {number(must):>9} {number(aim):>9}  {verdict:<5} {note}", flush=True
        )


def number(value):
    if value is None:
        return ""
    if abs(value) >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3f}" if abs(value) < 10 else f"{value:.1f}"


# Must: 12 times less than the OpenTelemetry Collector takes (38 us a span of Zipkin JSON, 28 of Zipkin protobuf, 23 of Jaeger thrift).
CPU_LIMITS = {
    "otlp-http-zstd": (2.6, 2.0),
    "otlp-http-json": (3.0, 1.8),
    "zipkin-proto": (2.3, 1.6),
    "zipkin-thrift": (2.3, 1.8),
    "jaeger-http": (1.9, 1.5),
    "jaeger-grpc": (1.9, 1.5),
    "otlp-http": (1.2, 0.85),
    "otlp-http-gzip": (2.6, 2.0),
    "otlp-grpc": (1.4, 1.0),
    "zipkin-json": (3.0, 1.8),
}


def shares(r, floor):
    """Where the CPU went, and what is below it."""
    text = f"user {r['user_us_per_span']:.2f}, system {r['system_us_per_span']:.2f}"
    if floor:
        text += f"; {r['cpu_us_per_span'] / floor['cpu_us_per_span']:.1f} x the floor of {floor['cpu_us_per_span']:.2f}"
    return text


def bench_five(fmt):
    """Requests of five spans, and what a request costs beside the kernel's receiving and sending and beside its spans."""

    def run(table, quick):
        size = ("--spans-per-request", FIVE_SPANS)
        floor = h.measure_floor(fmt, 300_000 if quick else 1_000_000, *size)
        r, counts = stages.profile(fmt, FIVE_SPANS, 2 if quick else 5, window=2 if quick else h.WINDOW_SECONDS)
        us_per_request = FIVE_SPANS * r["cpu_us_per_span"] / sum(counts.values())
        request = us_per_request * stages.samples_of(counts, stages.REQUEST)
        decode = us_per_request * stages.samples_of(counts, (stages.DECODE,))
        table.add(f"{fmt}, 5 spans a request: CPU per span", r["cpu_us_per_span"], "us", note=shares(r, floor))
        table.add(
            f"{fmt}, 5 spans a request: the request itself", request, "us", 1.5, 1.0,
            f"of {FIVE_SPANS * r['cpu_us_per_span']:.2f} us a request; decoding its spans {decode:.2f}",
        )

    return run


def bench_udp(table, quick):
    """Datagrams at a rate that is followed; what the kernel drops is not in the CPU per span."""
    with h.running_daemon(h.spanmill_command(window=f"{2 if quick else h.WINDOW_SECONDS}s")) as daemon:
        r = h.send_to(
            daemon, "jaeger-udp", "--rate", UDP_RATE, "--spans-per-request", UDP_SPANS, "--conns", 1,
            "--warmup-seconds", 3 if quick else 7, "--seconds", 3 if quick else 8,
        )
        metrics = daemon.metrics()
    arrived = metrics[h.RECEIVED_METRIC] / max(r["spans_sent"], 1)
    table.add(
        "jaeger-udp: CPU per span", r["cpu_us_per_span"] / max(arrived, 1e-9), "us", 1.9, 1.5,
        f"user {r['user_us_per_span']:.2f}, system {r['system_us_per_span']:.2f} per span sent; {100 * arrived:.1f} % arrived, "
        f"{metrics[h.LOST_DATAGRAMS_METRIC]:.0f} datagrams dropped by the kernel at {r['spans_per_second']:,.0f} spans/s",
    )


def bench_cpu(fmt):
    """CPU per span at a rate that the daemon follows."""

    def run(table, quick):
        window, seconds = (2, 2) if quick else (h.WINDOW_SECONDS, 5)
        floor = h.measure_floor(fmt, 1_000_000 if quick else 4_000_000)
        with h.running_daemon(h.spanmill_command(window=f"{window}s")) as daemon:
            r = h.send_steadily(daemon, fmt, h.RATE[fmt], window, seconds)
        must, aim = CPU_LIMITS[fmt]
        table.add(f"{fmt}: CPU per span", r["cpu_us_per_span"], "us", must, aim, shares(r, floor))
        table.add(
            f"{fmt}: spans a second of one core", 1e6 / r["cpu_us_per_span"], "spans/s",
            note=f"measured at {r['spans_per_second']:,.0f}: {100 * r['cpu_share']:.0f} % of the core, sender {r['sender_us_per_span']:.2f} us/span, "
            f"refused {r['spans_refused']}, exported {r['exported']}",
        )
        table.add(f"{fmt}: peak RSS at that rate", r["rss_bytes_peak"] / 1e6, "MB")

    return run


def paced(rate, seconds):
    """Memory at a paced rate, in windows of five seconds: (idle, peak, spans open at the end, CPU)."""
    with h.running_daemon(h.spanmill_command()) as daemon:
        idle, _ = daemon.memory()
        r = h.send_to(
            daemon, "otlp-grpc", "--rate", rate, "--warmup-seconds", 7, "--seconds", seconds,
            "--spans-per-second", rate, "--set-spans", rate * 10,
        )
        return idle, r["rss_bytes_peak"], daemon.metrics()[h.OPEN_SPANS_METRIC], r


def bench_memory(table, quick):
    """Memory at the paced rate, and what one more open span costs: the difference to half of that rate."""
    seconds = 5 if quick else 25
    idle, peak, held, r = paced(PACED_RATE, seconds)
    _, half_peak, half_held, _ = paced(PACED_RATE // 2, 5 if quick else 10)
    wire = held * WIRE_BYTES_PER_SPAN
    each = (peak - half_peak) / max(held - half_held, 1)
    table.add("paced 30,000 spans/s: peak RSS", peak / 1e6, "MB", 150, 110, f"idle {idle / 1e6:.1f} MB")
    table.add(
        "paced: growth beyond wire bytes, all of it",
        (peak - idle - wire) / max(wire, 1),
        "x wire",
        0.3,
        0.2,
        f"{held:,.0f} open spans; caches of fixed size are in it",
    )
    table.add(
        "paced: growth per further open span",
        each / WIRE_BYTES_PER_SPAN - 1,
        "x wire",
        0.3,
        0.2,
        f"{each:.0f} bytes each, from {half_held:,.0f} open spans on",
    )
    table.add("paced: CPU per span", r["cpu_us_per_span"], "us", note=f"{100 * r['cpu_share']:.1f} % of the core")


def bench_open_spans(table, quick):
    """CPU per span as the number of open spans grows; the longest stall of a worker."""
    first = None
    for wanted in OPEN_SPANS[1:3] if quick else OPEN_SPANS:
        window = wanted / MAP_RATE
        with h.running_daemon(h.spanmill_command(window=f"{int(window * 1000)}ms")) as daemon:
            r = h.send_to(
                daemon, "otlp-grpc", "--rate", MAP_RATE, "--warmup-seconds", max(1.0, window * 1.3),
                "--seconds", 2 if quick else 5,
            )
            metrics = daemon.metrics()
        if wanted == 100_000:
            first = r["cpu_us_per_span"]
        compared = first is not None and wanted > 100_000
        table.add(
            f"{wanted:,} open spans: CPU per span",
            r["cpu_us_per_span"],
            "us",
            first * 1.25 if compared else None,
            first * 1.15 if compared else None,
            f"window {window:g} s, {metrics[h.OPEN_SPANS_METRIC]:,.0f} open, reached {r['spans_per_second']:,.0f} spans/s, "
            f"RSS {r['rss_bytes_end'] / 1e6:,.0f} MB",
        )
        stall = metrics[h.LONGEST_STALL_METRIC] * 1e3
        table.add(
            f"{wanted:,} open spans: longest piece of work", stall, "ms",
            note="by the wall clock: whatever else ran on the core is in it; closing a trace is one piece, however large",
        )


def bench_map(table, _):
    """How long the growing map of open traces holds its shard up: ten million open spans are half a million traces here."""
    for traces, spans in ((500_000, "10 million open spans"), (10_000_000, "10 million open traces")):
        done = subprocess.run(
            h.pinned(h.DAEMON_CORE, h.BUILD / "bench_map", "--json", "--traces", traces), stdout=subprocess.PIPE, check=True
        )
        result = json.loads(done.stdout)
        table.add(
            f"{spans}: longest stall, map growing", result["longest_ms"], "ms", 1.0, 1.0, f"of {result['growths']} steps"
        )


def bench_allocations(table, quick):
    """Calls of malloc and its kin per span, counted by a preloaded library."""
    window = 2 if quick else h.WINDOW_SECONDS
    for fmt in ("otlp-http", "otlp-grpc"):
        with tempfile.NamedTemporaryFile(prefix="bench-allocations-") as counts:
            environment = {"LD_PRELOAD": str(h.BUILD / "bench_malloc_count.so"), "BENCH_MALLOC_COUNT_FILE": counts.name}
            with h.running_daemon(h.spanmill_command(window=f"{window}s"), environment) as daemon:
                r = h.send_to(
                    daemon, fmt, "--rate", 200_000, "--warmup-seconds", window * 1.3, "--seconds", 1 if quick else 8,
                    "--watch-allocations", counts.name,
                )
        table.add(
            f"{fmt}: allocations per span on the data path",
            r["worker_allocations_per_span"],
            "calls",
            0.001,
            0.001,
            f"all threads, sinks included: {r['allocations_per_span']:.4f}",
        )


def bench_whole(table, quick):
    """Every kept trace arrives at the sink with all its spans, none twice."""
    with h.running_daemon(h.spanmill_command(window="2s"), verify=True) as daemon:
        h.send_to(daemon, "otlp-grpc", "--rate", 100_000, "--spans", 400_000 if quick else 1_200_000)
        h.stop(daemon.process)
        arrived = h.sink_totals(daemon.sink_ports)
    if arrived["traces"] == 0:
        raise h.BenchError("no trace arrived at the sink")
    table.add(
        "kept traces that did not arrive whole", arrived["partial"] + arrived["excess"], "traces", 0, 0,
        f"{arrived['traces']} arrived, {arrived['spans']} spans; missing {arrived['missing_spans']}, "
        f"twice {arrived['excess_spans']}",
    )


REPLAY_LIMITS = {"otlp-proto": (700_000, 1_100_000), "otlp-json": (300_000, 450_000)}


def bench_replay(fmt):
    """Replay of a recording on one core, nothing written."""

    def run(table, quick):
        spans = 400_000 if quick else 2_000_000
        extension = "pb" if fmt == "otlp-proto" else "jsonl"
        with tempfile.TemporaryDirectory(prefix="bench-replay-") as scratch:
            recording = pathlib.Path(scratch) / f"recording.{extension}"
            subprocess.run(
                [h.BUILD / "bench_gen", "--format", fmt, "--spans", "400k", "--rounds", str(spans // 400_000), "--out",
                 recording], check=True,
            )
            (pathlib.Path(scratch) / "replay.yaml").write_text(REPLAY_CONFIG)
            taken = replay_once(recording, scratch)
        must, aim = REPLAY_LIMITS[fmt]
        rate = spans / taken["wall"]
        table.add(
            f"replay of {fmt}", rate, "spans/s", must, aim,
            f"{1e6 * taken['cpu'] / spans:.3f} us CPU per span, peak RSS {taken['rss'] / 1e6:.0f} MB", more_is_better=True,
        )

    return run


REPLAY_CONFIG = "rules:" + h.SPANMILL_CONFIG.split("rules:")[1].split("store:")[0].format()


def replay_once(recording, scratch):
    """One `spanmill replay` of the recording in the page cache; seconds of wall and CPU, peak bytes."""
    command = h.pinned(h.DAEMON_CORE, h.BUILD / "spanmill", "replay", "-c", f"{scratch}/replay.yaml", recording)
    with open(f"{scratch}/log", "w+") as log:
        began = time.monotonic()
        process = subprocess.Popen(command, stdout=log, stderr=subprocess.STDOUT)
        _, status, used = os.wait4(process.pid, 0)
        wall = time.monotonic() - began
        log.seek(0)
        if status != 0:
            raise h.BenchError(f"spanmill replay: {log.read().strip()[-800:]}")
    return {"wall": wall, "cpu": used.ru_utime + used.ru_stime, "rss": used.ru_maxrss * 1024}


BENCHES = {
    **{fmt: bench_cpu(fmt) for fmt in h.RATE},
    **{f"{fmt}-5": bench_five(fmt) for fmt in ("otlp-http", "zipkin-json")},
    "jaeger-udp": bench_udp,
    "memory": bench_memory,
    "open-spans": bench_open_spans,
    "map": bench_map,
    "allocations": bench_allocations,
    "whole": bench_whole,
    "replay-proto": bench_replay("otlp-proto"),
    "replay-json": bench_replay("otlp-json"),
}


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="about a minute: shorter runs, windows of 2 s, no 10 million open spans")
    parser.add_argument("--only", action="append", choices=BENCHES, help="just this one; may be repeated")
    parser.add_argument("--json", metavar="FILE", help="also write the figures as JSON")
    parser.add_argument("--build", metavar="DIR", help="folder of the binaries (build/release)")
    args = parser.parse_args()
    if args.build:
        h.BUILD = pathlib.Path(args.build).resolve()
    table = Table()
    table.heading()
    failed = False
    for name in args.only or BENCHES:
        try:
            BENCHES[name](table, args.quick)
        except h.BenchError as e:
            failed = True
            print(f"{name}: {e}", file=sys.stderr, flush=True)
    if args.json:
        pathlib.Path(args.json).write_text(json.dumps(table.rows, indent=1) + "\n")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
