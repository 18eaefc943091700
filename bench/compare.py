#!/usr/bin/env python3
"""Runs spanmill and the OpenTelemetry Collector on the same traffic in one go, on the same core, and prints the ratios.

The collector is built beforehand by bench/peers/build.sh; it does the same work (bench/peers/otelcol.yaml)."""

import argparse
import json
import pathlib
import sys

import harness as h

# Spans per second on a core that each may reach: sets how many spans fill more than one window.
FULL_RATE = {
    "otelcol": {
        "otlp-http": 65_000, "otlp-http-gzip": 55_000, "otlp-http-zstd": 55_000, "otlp-http-json": 25_000, "otlp-grpc": 65_000,
        "zipkin-json": 26_000, "zipkin-proto": 35_000, "zipkin-thrift": 30_000, "jaeger-http": 43_000, "jaeger-grpc": 45_000,
    },
    "spanmill": {**h.FULL_RATE, "otlp-http-gzip": 500_000, "otlp-http-zstd": 600_000},  # rounds are compressed beforehand: less memory
}  # fmt: skip
COMMANDS = {"otelcol": h.otelcol_command, "spanmill": h.spanmill_command}
PACED_RATE = 30_000


def full_rate(peer, fmt):
    rate = FULL_RATE[peer][fmt]
    with h.running_daemon(COMMANDS[peer]()) as daemon:
        result = h.send_to(daemon, fmt, "--warmup-spans", int(rate * h.WINDOW_SECONDS * 1.3), "--spans", rate * 5)
        result["exported"] = h.sink_totals(daemon.sink_ports)["spans"]
    return result


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


def print_row(name, unit, values):
    cells = "".join(f"{values[peer]:>14,.2f}" for peer in values)
    ratio = f"{values['otelcol'] / values['spanmill']:>9.1f} x" if len(values) == 2 else ""
    print(f"{name:<38} {unit:<8}{cells}{ratio}", flush=True)


def compare(peers, formats, measured):
    print(f"{'':<38} {'':<8}" + "".join(f"{peer:>14}" for peer in peers) + "     ratio", flush=True)
    for fmt in formats:
        results = {peer: full_rate(peer, fmt) for peer in peers}
        measured[fmt] = results
        print_row(f"{fmt}: CPU per span", "us", {p: r["cpu_us_per_span"] for p, r in results.items()})
        print_row(f"{fmt}: spans a second, one core", "", {p: r["spans_per_second"] for p, r in results.items()})
    results = measured["paced"] = {peer: paced(peer) for peer in peers}
    print_row("paced 30,000 spans/s: peak RSS", "MB", {p: r["rss_bytes_peak"] / 1e6 for p, r in results.items()})
    print_row("paced 30,000 spans/s: CPU per span", "us", {p: r["cpu_us_per_span"] for p, r in results.items()})


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--peer", action="append", choices=COMMANDS, help="just this one; may be repeated")
    parser.add_argument("--format", action="append", choices=FULL_RATE["otelcol"], help="just this one; may be repeated")
    parser.add_argument("--json", metavar="FILE", help="also write everything measured as JSON")
    parser.add_argument("--build", metavar="DIR", help="folder of the binaries (build/release)")
    args = parser.parse_args()
    if args.build:
        h.BUILD = pathlib.Path(args.build).resolve()
    measured = {}
    try:
        compare(args.peer or list(COMMANDS), args.format or list(FULL_RATE["otelcol"]), measured)
    except h.BenchError as e:
        print(e, file=sys.stderr)
        return 1
    finally:
        if args.json:
            pathlib.Path(args.json).write_text(json.dumps(measured, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
