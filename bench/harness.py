"""Starting, loading and watching daemons: what run.py and compare.py share.

The daemon runs on core 0, sender and sink on core 1. Everything listens on the loopback, on ports that were free a moment ago.
"""

import contextlib
import dataclasses
import json
import os
import pathlib
import signal
import socket
import subprocess
import tempfile
import time
import urllib.request

ROOT = pathlib.Path(__file__).resolve().parent.parent
BUILD = ROOT / "build" / "release"
DAEMON_CORE, LOAD_CORE = "0", "1"
WINDOW_SECONDS = 5

# ---- spanmill: its configuration and its metrics, in one place ----

SPANMILL_CONFIG = """\
workers: 1
listen:
  otlp_grpc: 127.0.0.1:{otlp_grpc}
  otlp_http: 127.0.0.1:{otlp_http}
  zipkin: 127.0.0.1:{zipkin}
  jaeger_udp_compact: 127.0.0.1:{jaeger_udp}
  jaeger_udp_binary: off
  jaeger_http: 127.0.0.1:{jaeger_http}
  jaeger_grpc: 127.0.0.1:{jaeger_grpc}
  jaeger_sampling: off
  jaeger_sampling_grpc: off
  query: off
  metrics: 127.0.0.1:{metrics}
windows:
  after_root: {window}
  idle: {window}
memory:
  budget: {budget}
rules:
  - name: errors
    when: '{{ status = error }}'
    keep: true
  - name: slow
    when: '{{ traceDuration > 500ms }}'
    keep: true
  - name: share
    ratio: 10%
analysis:
  graph: {{enabled: true}}
  span_metrics: {{enabled: true}}
store:
  enabled: false
sinks:
  - name: bench
    type: otlp_grpc
    endpoint: http://127.0.0.1:{sink}
    compression: none
"""
SPANMILL_MEMORY_BUDGET = "75%"

LOST_DATAGRAMS_METRIC = "spanmill_datagrams_lost_total"
RECEIVED_METRIC = "spanmill_spans_received_total"
OPEN_SPANS_METRIC = "spanmill_spans_open"
LONGEST_STALL_METRIC = "spanmill_shard_stall_seconds_max"

# Spans per second at which the CPU per span of a format is measured: well below what a core takes. At full rate the load swings: spans
# that come while no window closes are decided a window later, in the time of those that come then.
RATE = {
    "otlp-http": 600_000, "otlp-http-gzip": 500_000, "otlp-http-zstd": 500_000, "otlp-http-json": 300_000, "otlp-grpc": 600_000,
    "zipkin-json": 250_000, "zipkin-proto": 300_000, "zipkin-thrift": 300_000, "jaeger-http": 300_000, "jaeger-grpc": 300_000,
}  # fmt: skip
WARMUP_WINDOWS = 1.6  # before a measurement: traces must be decided in all of it

# Listener that a format is sent to, and the name of bench_sink's listener for it.
LISTENER_OF = {
    "otlp-http": "otlp_http",
    "otlp-http-gzip": "otlp_http",
    "otlp-http-zstd": "otlp_http",
    "otlp-http-json": "otlp_http",
    "otlp-grpc": "otlp_grpc",
    "otlp-grpc-gzip": "otlp_grpc",
    "zipkin-json": "zipkin",
    "zipkin-proto": "zipkin",
    "zipkin-thrift": "zipkin",
    "jaeger-http": "jaeger_http",
    "jaeger-grpc": "jaeger_grpc",
    "jaeger-udp": "jaeger_udp",
}
TCP_LISTENERS = ("otlp_grpc", "otlp_http", "zipkin", "jaeger_http", "jaeger_grpc")
# Formats of which bench_sink finds the spans.
FLOORS = ("otlp-http", "otlp-http-gzip", "otlp-grpc", "otlp-grpc-gzip", "zipkin-json")
SINK_LISTENER_OF = {"otlp_http": "otlp-http", "otlp_grpc": "otlp-grpc", "zipkin": "zipkin"}


class BenchError(Exception):
    """What went wrong, in words for a person."""


def free_ports(names):
    """A free port for each name; all are taken at once so that they differ."""
    sockets = {name: socket.create_server(("127.0.0.1", 0)) for name in names}
    ports = {name: s.getsockname()[1] for name, s in sockets.items()}
    for s in sockets.values():
        s.close()
    return ports


def pinned(core, *command):
    return ["taskset", "-c", core, *map(str, command)]


def wait_until(condition, what, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise BenchError(f"{what}: not within {seconds:.0f} s")
        time.sleep(0.02)


def accepts_connections(port):
    with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def stop(process, patience=60):
    """Ends a process that we started; kills it when it does not go."""
    if process.poll() is None:
        process.send_signal(signal.SIGTERM)
        try:
            process.wait(patience)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@contextlib.contextmanager
def running_sink(core=LOAD_CORE, verify=False):
    """bench_sink; yields (process, ports by listener). Its totals are read with sink_totals."""
    command = pinned(core, BUILD / "bench_sink", "--otlp-http", 0, "--otlp-grpc", 0, "--zipkin", 0)
    if verify:
        command.append("--verify")
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    try:
        ports = {}
        for line in process.stdout:
            words = line.split()
            if words == ["ready"]:
                break
            ports[words[1]] = int(words[2])
        yield process, ports
    finally:
        stop(process)


def sink_totals(ports):
    with urllib.request.urlopen(f"http://127.0.0.1:{ports['otlp-http']}/stats", timeout=10) as reply:
        return json.load(reply)


@dataclasses.dataclass
class Daemon:
    """A daemon under load."""

    process: subprocess.Popen
    ports: dict  # by listener
    log: pathlib.Path
    sink_ports: dict
    allocations_file: pathlib.Path = None

    def metrics(self):
        """{name: sum over its series} of the Prometheus listener."""
        values = {}
        with urllib.request.urlopen(f"http://127.0.0.1:{self.ports['metrics']}/metrics", timeout=30) as reply:
            for line in reply.read().decode().splitlines():
                if line and not line.startswith("#"):
                    series, _, value = line.partition("} ") if "{" in line else line.partition(" ")
                    name = series.split("{")[0]
                    values[name] = values.get(name, 0.0) + float(value.split()[0])
        return values

    def memory(self):
        """(resident now, peak) in bytes."""
        sizes = {}
        for line in pathlib.Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
            key, _, value = line.partition(":")
            if key in ("VmRSS", "VmHWM"):
                sizes[key] = int(value.split()[0]) * 1024
        return sizes["VmRSS"], sizes["VmHWM"]

    def log_tail(self, lines=15):
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])


@contextlib.contextmanager
def running_daemon(make_command, environment=None, verify=False):
    """Starts a sink, then the daemon that make_command(ports, sink ports, scratch folder) names; yields a Daemon."""
    with tempfile.TemporaryDirectory(prefix="bench-") as scratch, running_sink(verify=verify) as (_, sink_ports):
        scratch = pathlib.Path(scratch)
        ports = free_ports((*TCP_LISTENERS, "jaeger_udp", "metrics"))
        command, extra = make_command(ports, sink_ports, scratch)
        log = scratch / "log"
        with log.open("w") as out:
            process = subprocess.Popen(
                pinned(DAEMON_CORE, *command),
                stdout=out,
                stderr=subprocess.STDOUT,
                cwd=scratch,
                env={**os.environ, **extra, **(environment or {})},
            )
        daemon = Daemon(process, ports, log, sink_ports)
        try:
            for name in TCP_LISTENERS:
                wait_until(lambda: process.poll() is not None or accepts_connections(ports[name]), f"listener {name}")
            if process.poll() is not None:
                raise BenchError(f"the daemon ended at its start:\n{daemon.log_tail()}")
            yield daemon
        finally:
            stop(process)


def spanmill_command(window=f"{WINDOW_SECONDS}s"):
    """make_command of spanmill for running_daemon."""

    def make(ports, sink_ports, scratch):
        config = scratch / "spanmill.yaml"
        config.write_text(
            SPANMILL_CONFIG.format(window=window, sink=sink_ports["otlp-grpc"], budget=SPANMILL_MEMORY_BUDGET, **ports)
        )
        return [BUILD / "spanmill", "run", "-c", config], {}

    return make


def otelcol_command():
    """make_command of the OpenTelemetry Collector for running_daemon."""

    def make(ports, sink_ports, _):
        binary = ROOT / "build" / "peers" / "otelcol" / "otelcol"
        environment = {
            "OTLP_GRPC_PORT": ports["otlp_grpc"],
            "OTLP_HTTP_PORT": ports["otlp_http"],
            "ZIPKIN_PORT": ports["zipkin"],
            "JAEGER_HTTP_PORT": ports["jaeger_http"],
            "JAEGER_GRPC_PORT": ports["jaeger_grpc"],
            "JAEGER_UDP_PORT": ports["jaeger_udp"],
            "METRICS_PORT": ports["metrics"],
            "SINK_PORT": sink_ports["otlp-grpc"],
            "GOMAXPROCS": 1,
        }
        config = ROOT / "bench" / "peers" / "otelcol.yaml"
        return [binary, "--config", config], {k: str(v) for k, v in environment.items()}

    return make


def send(port, fmt, watch_pid, *options):
    """Runs bench_send; returns what it measured."""
    command = [BUILD / "bench_send", "--to", f"127.0.0.1:{port}", "--format", fmt, "--watch", watch_pid, "--json", *options]
    done = subprocess.run(pinned(LOAD_CORE, *command), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    try:
        result = json.loads(done.stdout)
    except ValueError:
        raise BenchError(f"bench_send: {done.stderr.strip() or done.stdout.strip() or 'no result'}") from None
    if done.returncode != 0:
        raise BenchError(f"bench_send: {result['failure'] or 'wrong replies'} {done.stderr.strip()} {result['replies']}")
    return result


def send_to(daemon, fmt, *options):
    """Like send, to a daemon of running_daemon; a failure tells the end of its log."""
    try:
        return send(daemon.ports[LISTENER_OF[fmt]], fmt, daemon.process.pid, *options)
    except BenchError as e:
        raise BenchError(f"{e}\nThe daemon's log ends with:\n{daemon.log_tail()}") from None


def send_steadily(daemon, fmt, rate, window, seconds, *options):
    """Load at a rate that the daemon follows (None: at full rate), for `seconds` after more than one window of it; what bench_send
    measured, and the spans that arrived at the sink."""
    warmup = window * WARMUP_WINDOWS
    if rate:
        size = ("--rate", rate, "--warmup-spans", int(rate * warmup), "--spans", int(rate * seconds))
    else:
        size = ("--warmup-seconds", warmup, "--seconds", seconds)
    result = send_to(daemon, fmt, *size, *options)
    result["exported"] = sink_totals(daemon.sink_ports)["spans"]
    if rate and result["spans_per_second"] < 0.97 * rate:
        raise BenchError(f"{fmt}: {result['spans_per_second']:,.0f} spans a second taken, {rate:,} were wanted: this machine is too slow for it")
    if result["exported"] < result["spans_sent"] / 100:
        raise BenchError(f"{fmt}: {result['spans_sent']} spans sent, {result['exported']} exported: windows did not close in time")
    return result


def measure_floor(fmt, spans, *options):
    """CPU of a server that only reads the requests and finds the span ids; None where it cannot."""
    if fmt not in FLOORS:
        return None
    with running_sink(core=DAEMON_CORE) as (process, ports):
        port = ports[SINK_LISTENER_OF[LISTENER_OF[fmt]]]
        return send(port, fmt, process.pid, "--warmup-spans", 400000, "--spans", spans, *options)
