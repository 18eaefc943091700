#!/usr/bin/env python3
"""Runs spanmill and the OpenTelemetry Collector on the same traffic in one go, on the same core, and prints the ratios.

The collector is built beforehand by bench/peers/build.sh; it does the same work (bench/peers/otelcol.yaml)."""

import argparse
import json
import pathlib
import sys

import harness as h

# Spans per second that each follows on a core (harness.py says why).
RATE = {
    "otelcol": {
        "otlp-http": 40_000, "otlp-http-gzip": 35_000, "otlp-http-zstd": 35_000, "otlp-http-json": 22_000, "otlp-grpc": 40_000,
        "zipkin-json": 12_000, "zipkin-proto": 20_000, "zipkin-thrift": 18_000, "jaeger-http": 22_000, "jaeger-grpc": 30_000,
    },
    "spanmill": h.RATE,
}  # fmt: skip
COMMANDS = {"otelcol": h.otelcol_command, "spanmill": h.spanmill_command}
PACED_RATE = 30_000


def cpu(peer, fmt):
    with h.running_daemon(COMMANDS[peer]()) as daemon:
        return h.send_steadily(daemon, fmt, RATE[peer][fmt], h.WINDOW_SECONDS, 5)


def paced(peer):
    """Memory at 30,000 spans a second, after more than two windows."""
    with h.running_daemon(COMMANDS[peer]()) as daemon:
        idle, _ = daemon.memory()
        result = h.send_to(
            daemon, "otlp-grpc", "--rate", PACED_RATE, "--warmup-seconds", 12, "--seconds", 12,
            "--spans-per-second", PACED_RATE, "--set-spans", PACED_RATE * 10,
        )
    result["idle"] = idle
    return result


def print_row(name, unit, values, ratio=True):
    cells = "".join(f"{values[peer]:>14,.2f}" for peer in values)
    times = f"{values['otelcol'] / values['spanmill']:>9.1f} x" if ratio and len(values) == 2 else ""
    print(f"{name:<38} {unit:<8}{cells}{times}", flush=True)


def compare(peers, formats, measured):
    print(f"{'':<38} {'':<8}" + "".join(f"{peer:>14}" for peer in peers) + "     ratio", flush=True)
    for fmt in formats:
        results = {peer: cpu(peer, fmt) for peer in peers}
        measured[fmt] = results
        print_row(f"{fmt}: CPU per span", "us", {p: r["cpu_us_per_span"] for p, r in results.items()})
        print_row(f"{fmt}: measured at, spans a second", "", {p: r["spans_per_second"] for p, r in results.items()}, ratio=False)
    results = measured["paced"] = {peer: paced(peer) for peer in peers}
    print_row("paced 30,000 spans/s: peak RSS", "MB", {p: r["rss_bytes_peak"] / 1e6 for p, r in results.items()})
    print_row("paced 30,000 spans/s: CPU per span", "us", {p: r["cpu_us_per_span"] for p, r in results.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", action="append", choices=COMMANDS, help="just this one; may be repeated")
    parser.add_argument("--format", action="append", choices=h.RATE, help="just this one; may be repeated")
    parser.add_argument("--json", metavar="FILE", help="also write everything measured as JSON")
    parser.add_argument("--build", metavar="DIR", help="folder of the binaries (build/release)")
    args = parser.parse_args()
    if args.build:
        h.BUILD = pathlib.Path(args.build).resolve()
    measured = {}
    try:
        compare(args.peer or list(COMMANDS), args.format or list(h.RATE), measured)
    except h.BenchError as e:
        print(e, file=sys.stderr)
        return 1
    finally:
        if args.json:
            pathlib.Path(args.json).write_text(json.dumps(measured, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
