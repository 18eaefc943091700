"""What comes as Zipkin leaves as Zipkin, what comes as Jaeger leaves as Jaeger: random spans through the daemon and back through the
query APIs, while their windows are open and out of the store. ROUND_TRIP_SEED and ROUND_TRIP_TRACES change which and how many."""
import json
import os
import pathlib
import sys
import urllib.request

import pytest

from conftest import poll, post

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "oracle"))
import zipkin_model  # noqa: E402

SEED = os.environ.get("ROUND_TRIP_SEED", "1")
TRACES = int(os.environ.get("ROUND_TRIP_TRACES", "150"))
OPEN = ("windows.after_root=60s", "windows.idle=60s")


def batches(rng, spans, most=40):
    """The spans in other order, some in a request; spans of a trace come with several."""
    spans = rng.sample(spans, len(spans))
    while spans:
        size = rng.randrange(1, most)
        yield spans[:size]
        spans = spans[size:]


def fetch(url):
    with urllib.request.urlopen(url, timeout=10) as reply:
        return json.loads(reply.read())


def close_windows(d, count):
    """Another daemon on the same directory, which reads what the first one stored."""
    d.check_balance()
    assert d.stat("spanmill_spans_open") == count and d.stat("spanmill_spans_rejected_total") == 0, d.metrics()
    assert d.end() == 0


@pytest.mark.parametrize("form", zipkin_model.FORMATS)
def test_zipkin(daemon, form):
    path, content_type, write = zipkin_model.FORMATS[form]
    rng = zipkin_model.rng_of(SEED, form)
    traces = [zipkin_model.random_trace(rng) for _ in range(TRACES)]
    if "v1" in form:
        traces = [[zipkin_model.fit_for_v1(span) for span in trace] for trace in traces]
    if "protobuf" in form:  # zipkin2 leaves out annotations without a value there
        assert all(value for trace in traces for span in trace for _, value in span["annotations"])
    d = daemon(*OPEN)
    count = sum(map(len, traces))
    for batch in batches(rng, [span for trace in traces for span in trace]):
        assert post(d.urls["Zipkin"].removesuffix("/api/v2/spans") + path, write(batch), content_type)[0] == 202

    def check(one):
        for trace in traces:
            found = fetch(one.urls["Zipkin"].removesuffix("/api/v2/spans") + "/api/v2/trace/" + trace[0]["traceId"])
            assert zipkin_model.canonical_list(found) == zipkin_model.canonical_list(trace), "seed " + SEED

    poll(lambda: d.stat("spanmill_spans_open") == count, f"{count} spans are open")
    check(d)
    close_windows(d, count)
    check(daemon(again=d))
