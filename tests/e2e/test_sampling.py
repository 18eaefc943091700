"""Sampling rates for clients that ask: Jaeger's own client over HTTP, grpcio over gRPC; rates of a file and rates that follow the
traffic."""
import json
import threading
import urllib.error
import urllib.parse

import grpc
import jaeger_sampling
import pytest
from jaeger_client import Config
from jaeger_client.sampler import AdaptiveSampler

from conftest import QUICK, get, poll

STRATEGIES = {
    "service_strategies": [
        {"service": "shop", "type": "probabilistic", "param": 0.5,
         "operation_strategies": [{"operation": "GET /", "type": "probabilistic", "param": 0.25}]},
        {"service": "batch", "type": "ratelimiting", "param": 5},
    ],
    "default_strategy": {"type": "probabilistic", "param": 0.125},
}  # fmt: skip
ADAPTIVE = ("sampling.mode=adaptive", "sampling.adaptive.interval=1s", "windows.after_root=50ms", "windows.idle=200ms")


@pytest.fixture
def strategies(tmp_path):
    file = tmp_path / "strategies.json"
    file.write_text(json.dumps(STRATEGIES))
    return f"sampling.file={file}"


def channel(d, protocol):
    return grpc.insecure_channel(urllib.parse.urlsplit(d.urls[protocol]).netloc)


def ask(d, service):
    return json.loads(get(f"{d.urls['Jaeger sampling']}?service={urllib.parse.quote(service)}"))


def probabilities(d, service):
    operations = ask(d, service)["operationSampling"]["perOperationStrategies"]
    return {o["operation"]: o["probabilisticSampling"]["samplingRate"] for o in operations}


def tracer_of(d, service):
    """Of a client that asks every 0.2 s, as it does unless a sampler is set, and samples a thousandth before."""
    agent, sampling = (urllib.parse.urlsplit(d.urls[name]) for name in ("Jaeger UDP compact", "Jaeger sampling"))
    settings = {
        "sampling_refresh_interval": 0.2,
        "local_agent": {"reporting_host": agent.hostname, "reporting_port": agent.port, "sampling_port": sampling.port},
        "reporter_flush_interval": 0.05,
    }
    return Config(config=settings, service_name=service, validate=True).new_tracer()


@pytest.mark.parametrize("protocol", ["Jaeger sampling gRPC", "Jaeger sampling", "Jaeger gRPC"])
def test_rates_of_a_file_over_grpc(daemon, strategies, protocol):
    d = daemon(strategies)
    with channel(d, protocol) as c:
        shop = jaeger_sampling.ask(c, "shop")
        assert shop.strategyType == 0 and shop.probabilisticSampling.samplingRate == 0.5
        operations = shop.operationSampling
        assert operations.defaultSamplingProbability == 0.5 and operations.defaultLowerBoundTracesPerSecond == 0
        assert [(o.operation, o.probabilisticSampling.samplingRate) for o in operations.perOperationStrategies] == [("GET /", 0.25)]
        batch = jaeger_sampling.ask(c, "batch", compression=grpc.Compression.Gzip)
        assert batch.strategyType == 1 and batch.rateLimitingSampling.maxTracesPerSecond == 5
        assert not batch.HasField("operationSampling") and not batch.HasField("probabilisticSampling")
        assert jaeger_sampling.ask(c, "other").probabilisticSampling.samplingRate == 0.125
        with pytest.raises(grpc.RpcError) as error:
            c.unary_unary("/jaeger.api_v2.SamplingManager/Nothing")(b"", timeout=10)
        assert error.value.code() == grpc.StatusCode.UNIMPLEMENTED


def test_rates_of_a_file_over_http(daemon, strategies):
    d = daemon(strategies)
    assert ask(d, "batch") == {"strategyType": "RATE_LIMITING", "rateLimitingSampling": {"maxTracesPerSecond": 5}}
    base = d.urls["Jaeger sampling gRPC"]  # each port speaks both
    shop = {
        "probabilisticSampling": {"samplingRate": 0.5},
        "operationSampling": {
            "defaultSamplingProbability": 0.5, "defaultLowerBoundTracesPerSecond": 0, "defaultUpperBoundTracesPerSecond": 0,
            "perOperationStrategies": [{"operation": "GET /", "probabilisticSampling": {"samplingRate": 0.25}}],
        },
    }  # fmt: skip
    for path, kind in (("/sampling", "PROBABILISTIC"), ("/api/sampling", "PROBABILISTIC"), ("/", 0)):
        assert json.loads(get(f"{base}{path}?service=shop")) == {"strategyType": kind, **shop}
    with pytest.raises(urllib.error.HTTPError, match="400"):
        get(f"{base}/sampling?service=a&service=b")


def test_a_client_takes_the_rates_of_its_operations(daemon, strategies):
    d = daemon(strategies)
    tracer = tracer_of(d, "shop")
    try:
        poll(lambda: isinstance(tracer.sampler.sampler, AdaptiveSampler), "the client has asked")
        sampler = tracer.sampler.sampler
        assert sampler.default_sampling_probability == 0.5 and sampler.samplers["GET /"].rate == 0.25
    finally:
        tracer.close()


class Traffic:
    """Starts traces at a steady rate until it is told to stop."""

    def __init__(self, tracer, operation, per_second):
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.run, args=(tracer, operation, per_second))
        self.thread.start()

    def run(self, tracer, operation, per_second):
        while not self.over.wait(0.02):
            for _ in range(round(per_second * 0.02)):
                tracer.start_span(operation).finish()

    def stop(self):
        self.over.set()
        self.thread.join()


def test_rates_follow_the_traffic(daemon):
    """1,000 traces a second of a client that is told to sample them all at first: soon it samples about the target of 20."""
    d = daemon(*ADAPTIVE, "sampling.adaptive.target=20", "sampling.adaptive.initial=100%")
    assert ask(d, "busy")["probabilisticSampling"]["samplingRate"] == 1 and probabilities(d, "busy") == {}
    tracer = tracer_of(d, "busy")
    traffic = Traffic(tracer, "GET /", 1000)
    try:
        poll(lambda: 0.01 < probabilities(d, "busy").get("GET /", 1) < 0.05, "the rate has fallen")
        sampler = poll(lambda: tracer.sampler.sampler.samplers.get("GET /"), "the client knows the operation")
        poll(lambda: 0.01 < sampler.rate < 0.05, "and its rate")
    finally:
        traffic.stop()
    with channel(d, "Jaeger sampling gRPC") as c:
        found = jaeger_sampling.ask(c, "busy").operationSampling.perOperationStrategies
        assert {o.operation: o.probabilisticSampling.samplingRate for o in found} == probabilities(d, "busy")
    assert d.stat("spanmill_sampling_operations") == 1 and d.stat("spanmill_sampling_roots_total") > 50
    traffic = Traffic(tracer, "GET /", 50)  # a twentieth: the target is missed, the rate rises
    try:
        poll(lambda: probabilities(d, "busy")["GET /"] > 0.2, "the rate has risen")
        poll(lambda: sampler.rate > 0.2, "and the client knows")
    finally:
        traffic.stop()
        tracer.close()
    assert d.end() == 0


def test_clients_bring_their_rates_back_after_a_restart(daemon):
    d = daemon(*ADAPTIVE, "sampling.adaptive.interval=1h")
    tracer = tracer_of(d, "shop")
    tracer.sampler.sampler = AdaptiveSampler(
        {"perOperationStrategies": [{"operation": "op", "probabilisticSampling": {"samplingRate": 0.75}}]}, 10)
    traffic = Traffic(tracer, "op", 100)
    try:
        poll(lambda: probabilities(d, "shop") == {"op": 0.75}, "the daemon has learnt it")
    finally:
        traffic.stop()
        tracer.close()


def test_both_sampling_listeners_on_one_port(daemon):
    d = daemon(*QUICK, "listen.jaeger_sampling=off", "listen.jaeger_sampling_grpc=127.0.0.1:0")
    assert "Jaeger sampling" not in d.urls
    address = d.urls["Jaeger sampling gRPC"].removeprefix("http://")
    d.end()
    d = daemon(*QUICK, f"listen.jaeger_sampling={address}", f"listen.jaeger_sampling_grpc={address}")
    assert d.urls["Jaeger sampling"] == f"http://{address}/sampling"
    with channel(d, "Jaeger sampling gRPC") as c:
        assert jaeger_sampling.ask(c, "a").probabilisticSampling.samplingRate == 1
    assert ask(d, "a")["probabilisticSampling"]["samplingRate"] == 1
