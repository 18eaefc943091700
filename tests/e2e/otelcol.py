"""The OpenTelemetry Collector, built from the Go module proxy by bench/peers/build.sh, as a client of daemons."""
import json
import subprocess
import threading

import pytest
import yaml

from clients import do, tool
from conftest import ROOT, poll

BINARY = ROOT / "build" / "peers" / "otelcol" / "otelcol"
RETRY = {"initial_interval": "50ms", "randomization_factor": 0, "multiplier": 1}  # soon, unless told otherwise


class Otelcol:
    """A running collector: what comes in by OTLP (.grpc, .http) goes to the exporter. Its log lines are dictionaries in .log."""

    def __init__(self, directory, exporters, more):
        endpoint = {"endpoint": "127.0.0.1:0"}
        config = {
            "receivers": {"otlp": {"protocols": {"grpc": endpoint, "http": endpoint}}},
            "exporters": exporters,
            **more,
        }
        pipeline = {"receivers": ["otlp"], "exporters": list(exporters)}
        service = config.setdefault("service", {"pipelines": {"traces": pipeline}})
        service["telemetry"] = {"metrics": {"level": "none"}, "logs": {"encoding": "json", "level": "debug"}}
        file = directory / "otelcol.yaml"
        file.write_text(yaml.safe_dump(config))
        self.log = []
        self.process = subprocess.Popen([BINARY, "--config", file], stderr=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self._read, daemon=True)
        self.reader.start()
        try:
            poll(lambda: self.said("Everything is ready") or self.process.poll() is not None, "the collector is ready")
            assert self.process.poll() is None, self.log
        except AssertionError:
            self.close()
            raise
        self.grpc = "http://" + self.said("Starting GRPC server")[0]["endpoint"]
        self.http = "http://" + self.said("Starting HTTP server")[0]["endpoint"] + "/v1/traces"

    def _read(self):
        for line in self.process.stderr:
            self.log.append(json.loads(line) if line.startswith("{") else {"msg": line})

    def said(self, words):
        """Lines of the log whose message begins with the words."""
        return [line for line in self.log if line["msg"].startswith(words)]

    def end(self):
        """SIGTERM: it sends what it has, and ends."""
        self.process.terminate()
        assert self.process.wait(timeout=30) == 0, self.log

    def close(self):
        self.process.kill()
        self.process.wait()
        self.reader.join(timeout=10)


@pytest.fixture(scope="session")
def built():
    tool("go", (1, 25), "version")
    do("sh", ROOT / "bench" / "peers" / "build.sh", seconds=1800)


@pytest.fixture
def otelcol(built, tmp_path):
    """otelcol({"otlp_grpc": {...}}, processors={...}): starts one with these exporters, further sections of its configuration."""
    started = []

    def start(exporters, **more):
        directory = tmp_path / f"otelcol{len(started)}"
        directory.mkdir()
        started.append(Otelcol(directory, exporters, more))
        return started[-1]

    yield start
    for one in started:
        one.close()
