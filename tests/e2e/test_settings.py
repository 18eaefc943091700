"""What docs/clients.md tells people to set, set for their programs as it stands there; spans must arrive."""
import contextlib
import os
import re
import subprocess
import sys
import urllib.parse

import pytest
import yaml

from clients import SOURCES, go, java, node, only_with_all, rust  # fixtures
from conftest import QUICK, ROOT, poll
from test_envoy import Application, Envoy, request, sent_all

PAGE = (ROOT / "docs" / "clients.md").read_text()
LISTENERS = {"4317": "OTLP gRPC", "4318": "OTLP HTTP", "9411": "Zipkin", "14268": "Jaeger HTTP"}


def documented(heading, words):
    """The block ```words in the section of this heading."""
    section = re.search(rf"^### {re.escape(heading)}$(.*?)(?=^##)", PAGE, re.M | re.S).group(1)
    return re.search(rf"^```{re.escape(words)}$\n(.*?)^```$", section, re.M | re.S).group(1)


def address(daemon, port):
    return urllib.parse.urlsplit(daemon.urls[LISTENERS[port]]).netloc


def exports(daemon, heading, **changed):
    """An environment with the variables of the section's block, and these."""
    text = documented(heading, "sh elsewhere")
    variables = dict(pair.split("=", 1) for line in text.splitlines() for pair in line.split("#")[0].split()[1:])
    found = {**variables, **changed}
    for name, value in found.items():
        found[name] = re.sub(r"HOST:(\d+)", lambda match: address(daemon, match.group(1)), value)
    return {**os.environ, **found}


def kinds_of(daemon):
    """Kinds of the spans of the service shop, which is what the variables call it."""
    found = daemon.query("/api/traces?service=shop&limit=10")["data"]
    assert all(process["serviceName"] == "shop" for trace in found for process in trace["processes"].values())
    return sorted(tag["value"] for trace in found for span in trace["spans"] for tag in span["tags"] if tag["key"] == "span.kind")


def arrives(daemon, *kinds):
    poll(lambda: daemon.stat("spanmill_spans_kept_total") == len(kinds), f"{len(kinds)} spans")
    poll(lambda: kinds_of(daemon) == sorted(kinds), f"spans of the kinds {kinds}")
    assert daemon.stat("spanmill_spans_rejected_total") == 0
    daemon.check_balance()


GRPC = {"OTEL_EXPORTER_OTLP_PROTOCOL": "grpc", "OTEL_EXPORTER_OTLP_ENDPOINT": "http://HOST:4317"}
PROTOCOLS = {"http": {}, "grpc": GRPC}


@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_opentelemetry_python(daemon, protocol):
    d = daemon(*QUICK)
    program = os.path.join(os.path.dirname(sys.executable), "opentelemetry-instrument")
    environment = exports(d, "OpenTelemetry SDKs", **PROTOCOLS[protocol])
    subprocess.run([program, sys.executable, SOURCES / "python" / "app.py"], env=environment, check=True, timeout=60)
    arrives(d, "client", "server")


@only_with_all
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_opentelemetry_javascript(daemon, node, protocol):
    d = daemon(*QUICK)
    node("app.js", before=["--require", "@opentelemetry/auto-instrumentations-node/register"],
         env=exports(d, "OpenTelemetry SDKs", **PROTOCOLS[protocol]))
    arrives(d, "client", "server")


@only_with_all
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_opentelemetry_java(daemon, java, protocol):
    d = daemon(*QUICK)
    java("App", before=["-javaagent:opentelemetry-javaagent.jar"], env=exports(d, "OpenTelemetry SDKs", **PROTOCOLS[protocol]))
    arrives(d, "client", "server")


@only_with_all
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_opentelemetry_go(daemon, go, protocol):
    d = daemon(*QUICK)
    kind = "grpc" if protocol == "grpc" else "http/protobuf"
    go("otel", kind, "env", "1700000000000", env=exports(d, "OpenTelemetry SDKs", **PROTOCOLS[protocol]))
    poll(lambda: d.stat("spanmill_spans_kept_total") == 5, "its five spans")


@only_with_all
@pytest.mark.parametrize("protocol", PROTOCOLS)
def test_opentelemetry_rust(daemon, rust, protocol):
    d = daemon(*QUICK)
    rust("otel", env=exports(d, "OpenTelemetry SDKs", **PROTOCOLS[protocol]))
    arrives(d, "server")


def test_both_ports_take_both(daemon):
    d = daemon(*QUICK)
    swapped = {"http": "http://HOST:4317", "grpc": "http://HOST:4318"}
    program = os.path.join(os.path.dirname(sys.executable), "opentelemetry-instrument")
    for protocol, endpoint in swapped.items():
        changed = {**PROTOCOLS[protocol], "OTEL_EXPORTER_OTLP_ENDPOINT": endpoint}
        environment = exports(d, "OpenTelemetry SDKs", **changed)
        subprocess.run([program, sys.executable, SOURCES / "python" / "app.py"], env=environment, check=True, timeout=60)
    arrives(d, "client", "client", "server", "server")


def jaeger(daemon, way, protocol):
    """The variables for an agent, with the port that the daemon has instead of the usual one; or those for HTTP; or for an agent
    and remote sampling, which without a file of strategies samples everything."""
    agent = urllib.parse.urlsplit(daemon.urls[f"Jaeger UDP {protocol}"])
    changed = {"JAEGER_AGENT_HOST": agent.hostname, "JAEGER_AGENT_PORT": str(agent.port)}
    if way == "http":
        changed = {"JAEGER_AGENT_HOST": "", "JAEGER_ENDPOINT": "http://HOST:14268/api/traces"}
    if way == "remote sampling":
        where = daemon.urls["Jaeger sampling"]
        changed |= {"JAEGER_SAMPLER_TYPE": "remote", "JAEGER_SAMPLER_PARAM": "0", "JAEGER_SAMPLING_ENDPOINT": where,
                    "JAEGER_SAMPLER_MANAGER_HOST_PORT": urllib.parse.urlsplit(where).netloc,
                    "JAEGER_SAMPLER_REFRESH_INTERVAL": "100ms" if protocol == "compact" else "100"}
    return exports(daemon, "Jaeger clients", **changed)


WAYS = ["udp", "http", "remote sampling"]


@only_with_all
@pytest.mark.parametrize("way", WAYS)
def test_jaeger_go(daemon, go, way):
    d = daemon(*QUICK)
    go("jaeger", env=jaeger(d, way, "compact"))
    arrives(d, "server")


@only_with_all
@pytest.mark.parametrize("way", WAYS)
def test_jaeger_java(daemon, java, way):
    d = daemon(*QUICK)
    java("Jaeger", env={name: value for name, value in jaeger(d, way, "compact").items() if value})
    arrives(d, "server")


@only_with_all
@pytest.mark.parametrize("way", WAYS)
def test_jaeger_node(daemon, node, way):
    d = daemon(*QUICK)
    node("jaeger_env.js", env=jaeger(d, way, "binary"))
    arrives(d, "server")


def at(daemon, envoy):
    """A configuration of Envoy's with the daemon's address in place of HOST and the usual port."""
    def change(node):
        if isinstance(node, dict) and node.get("address") == "HOST":
            host, port = address(daemon, str(node["port_value"])).split(":")
            return {"address": host, "port_value": int(port)}
        if isinstance(node, dict):
            return {key: change(value) for key, value in node.items()}
        return [change(value) for value in node] if isinstance(node, list) else node

    return change(yaml.safe_load(envoy))


def as_documented(words):
    def provider(daemon, service):
        del service
        found = at(daemon, documented("Envoy", words))
        assert found["tracing"]["random_sampling"] == {"value": 100}
        return found["tracing"]["provider"], found["clusters"][0]
    return provider


@pytest.mark.parametrize("words", ["yaml envoy zipkin", "yaml envoy otlp"])
def test_envoy(daemon, tmp_path, words):
    d = daemon(*QUICK)
    app = Application(lambda *_: contextlib.nullcontext())
    envoy = Envoy(tmp_path, d, "ingress", "OUTBOUND", as_documented(words), app.url)
    try:
        request(envoy, 5, failed=0)
        poll(lambda: sent_all(envoy, 5), "it has reported")
        poll(lambda: len(d.query("/api/traces?service=ingress&limit=10")["data"]) == 5, "its traces")
    finally:
        envoy.close()
        app.close()
