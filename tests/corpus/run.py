#!/usr/bin/env python3
"""Decodes captured payloads of real clients and compares every span with what the official libraries made of it.

usage: run.py --driver PATH [--corpus DIR] [PROTOCOL...]

The corpus is not part of the project: $SPANMILL_CORPUS, or ../shared/corpus beside the project's folder. Without it nothing is
checked and the exit status is 77 (skipped). A corpus has, per protocol and client, payloads <n>.bin with <n>.json (headers,
expected spans), and malformed/<protocol>/<n>.bin with the verdict that a correct receiver gives."""

import argparse
import base64
import gzip
import json
import os
import pathlib
import subprocess
import sys
import tempfile
import zlib

# protocol -> codec of the payload and codec to print the spans with
PROTOCOLS = {
    "zipkin-v2-json": ("zipkin_json", "zipkin_json"),
    "zipkin-proto3": ("zipkin_proto", "zipkin_json"),
    "zipkin-v1-json": ("zipkin_v1_json", "zipkin_json"),
    "zipkin-v1-thrift": ("zipkin_v1_thrift", "zipkin_json"),
    "otlp-http-json": ("otlp_json", "otlp_json"),
    "otlp-http-protobuf": ("otlp_proto", "otlp_json"),
    "otlp-grpc": ("otlp_proto", "otlp_json"),
    "jaeger-udp-compact": ("jaeger_compact", "jaeger_json"),
    "jaeger-udp-binary": ("jaeger_binary", "jaeger_json"),
    "jaeger-http-thrift": ("jaeger_batch", "jaeger_json"),
    "jaeger-grpc": ("jaeger_proto", "jaeger_json"),
}
SKIPPED = 77

# Where the verdict is not ours, on purpose.
OTHER_REPLIES = {
    "zipkin-v2-json/055-trace-id-upper": 202,  # upper-case hex digits are lowered
    "otlp-http-protobuf/178-group-unknown": 400,  # groups and known fields of another wire type are refused
    "otlp-http-protobuf/184-known-field-wrong-wiretype": 400,
    "otlp-http-protobuf/188-start-time-varint": 400,
}
CONTENT_TYPES = {
    "zipkin-v2-json": ("", "application/json"),
    "zipkin-proto3": ("application/x-protobuf",),
    "zipkin-v1-json": ("", "application/json"),
    "zipkin-v1-thrift": ("application/x-thrift",),
    "otlp-http-json": ("application/json",),
    "otlp-http-protobuf": ("application/x-protobuf",),
    "jaeger-http-thrift": ("application/x-thrift", "application/vnd.apache.thrift.binary"),
}
PATHS = {
    "zipkin-v2-json": "/api/v2/spans",
    "zipkin-proto3": "/api/v2/spans",
    "zipkin-v1-json": "/api/v1/spans",
    "zipkin-v1-thrift": "/api/v1/spans",
    "otlp-http-json": "/v1/traces",
    "otlp-http-protobuf": "/v1/traces",
    "jaeger-http-thrift": "/api/traces",
}
BODY_MAX = 64 << 20


def find_corpus(option):
    project = pathlib.Path(__file__).resolve().parents[2]
    for path in (option, os.environ.get("SPANMILL_CORPUS"), project.parent / "shared" / "corpus"):
        if path and pathlib.Path(path).is_dir():
            return pathlib.Path(path)
    return None


def header(info, name):
    for key, value in info.get("headers") or []:
        if key.lower() == name:
            return value.lower()
    return ""


def body_of(info, raw):
    """The payload without its content encoding; None when that is broken (which is not for the codec to find out)."""
    encoding = header(info, "content-encoding")
    try:
        if encoding == "gzip":
            return gzip.decompress(raw)
        if encoding == "deflate":
            return zlib.decompress(raw)
        return raw
    except (OSError, EOFError, zlib.error):
        return None


def run(driver, codecs, body):
    with tempfile.NamedTemporaryFile(suffix=".bin") as f:
        f.write(body)
        f.flush()
        done = subprocess.run([driver, codecs[0], f.name, codecs[1]], capture_output=True, timeout=60, check=False)
    if done.returncode != 0:
        return None, "driver failed: %d %s" % (done.returncode, done.stderr.decode(errors="replace")[-500:])
    return json.loads(done.stdout), None


def zipkin_span(s):
    """Our v2 JSON in the corpus's terms."""
    local = s.get("localEndpoint")
    return {
        "service": (local or {}).get("serviceName"),
        "name": s.get("name"),
        "kind": s.get("kind"),
        "trace_id": s["traceId"],
        "span_id": s["id"],
        "parent_id": s.get("parentId"),
        "start_us": s.get("timestamp"),
        "duration_us": s.get("duration"),
        "debug": s.get("debug", False),
        "shared": s.get("shared", False),
        "local_endpoint": local,
        "remote_endpoint": s.get("remoteEndpoint"),
        "tags": [{"k": k, "t": "string", "v": v} for k, v in sorted(s.get("tags", {}).items())],
        "events": [{"ts_us": a["timestamp"], "name": a["value"]} for a in s.get("annotations", [])],
    }


def zipkin_spans(document):
    return [zipkin_span(s) for s in document]


def otlp_value(v):
    if "stringValue" in v:
        return {"t": "string", "v": v["stringValue"]}
    if "boolValue" in v:
        return {"t": "bool", "v": v["boolValue"]}
    if "intValue" in v:
        return {"t": "int", "v": int(v["intValue"])}
    if "doubleValue" in v:
        return {"t": "double", "v": float(v["doubleValue"])}
    if "bytesValue" in v:
        return {"t": "bytes", "v": base64.b64encode(base64.b64decode(v["bytesValue"])).decode()}
    if "arrayValue" in v:
        return {"t": "array", "v": [otlp_value(x) for x in v["arrayValue"].get("values", [])]}
    if "kvlistValue" in v:
        return {"t": "kvlist", "v": otlp_attributes(v["kvlistValue"].get("values", []))}
    return {"t": "empty", "v": None}


def otlp_attributes(list_):
    return [dict(k=a.get("key", ""), **otlp_value(a.get("value", {}))) for a in list_ or []]


OTLP_KINDS = ["UNSPECIFIED", "INTERNAL", "SERVER", "CLIENT", "PRODUCER", "CONSUMER"]
OTLP_STATUS = ["UNSET", "OK", "ERROR"]


def named(names, number):
    """Numbers of tomorrow have no name yet."""
    return names[number] if 0 <= number < len(names) else number


def otlp_span(s, resource, resource_spans, scope_spans):
    start, end = int(s.get("startTimeUnixNano", 0)), int(s.get("endTimeUnixNano", 0))
    scope = scope_spans.get("scope", {})
    service = next((a["v"] for a in resource if a["k"] == "service.name"), None)
    return {
        "service": service,
        "resource": resource,
        "resource_schema_url": resource_spans.get("schemaUrl", ""),
        "scope": {
            "name": scope.get("name", ""),
            "version": scope.get("version", ""),
            "attributes": otlp_attributes(scope.get("attributes")),
            "schema_url": scope_spans.get("schemaUrl", ""),
        },
        "name": s.get("name", ""),
        "kind": named(OTLP_KINDS, s.get("kind", 0)),
        "trace_id": s["traceId"],
        "span_id": s["spanId"],
        "parent_id": s.get("parentSpanId") or None,
        "trace_state": s.get("traceState", ""),
        "flags": s.get("flags", 0),
        "start_ns": start,
        "end_ns": end,
        "start_us": start // 1000,
        "duration_us": (end - start) // 1000,
        "tags": otlp_attributes(s.get("attributes")),
        "dropped_attributes_count": s.get("droppedAttributesCount", 0),
        "events": [
            {
                "name": e.get("name", ""),
                "ts_ns": int(e.get("timeUnixNano", 0)),
                "tags": otlp_attributes(e.get("attributes")),
                "dropped_attributes_count": e.get("droppedAttributesCount", 0),
            }
            for e in s.get("events", [])
        ],
        "dropped_events_count": s.get("droppedEventsCount", 0),
        "links": [
            {
                "trace_id": k.get("traceId", ""),
                "span_id": k.get("spanId", ""),
                "trace_state": k.get("traceState", ""),
                "flags": k.get("flags", 0),
                "tags": otlp_attributes(k.get("attributes")),
            }
            for k in s.get("links", [])
        ],
        "dropped_links_count": s.get("droppedLinksCount", 0),
        "status": {
            "code": named(OTLP_STATUS, s.get("status", {}).get("code", 0)),
            "message": s.get("status", {}).get("message", ""),
        },
    }


def otlp_spans(document):
    spans = []
    for rs in document.get("resourceSpans", []):
        resource = otlp_attributes(rs.get("resource", {}).get("attributes"))
        for ss in rs.get("scopeSpans", []):
            spans += [otlp_span(s, resource, rs, ss) for s in ss.get("spans", [])]
    return spans


def jaeger_tag(t):
    kind = {"int64": "int", "float64": "double", "binary": "bytes"}.get(t["type"], t["type"])
    value = int(t["value"]) if kind == "int" else float(t["value"]) if kind == "double" else t["value"]
    return {"k": t["key"], "t": kind, "v": value}


def canonical(tags):
    tags = [dict(t, v=float(t["v"])) if t["t"] == "double" else t for t in tags]
    return sorted(tags, key=lambda t: json.dumps(t, sort_keys=True))


def long_id(text):
    return text.rjust(32, "0")


def jaeger_span(s, process):
    """Our Jaeger JSON in the corpus's terms; tags sorted, as their order means nothing."""
    return {
        "service": process["serviceName"],
        "resource": canonical(map(jaeger_tag, process["tags"])),
        "name": s["operationName"],
        "trace_id": long_id(s["traceID"]),
        "span_id": s["spanID"],
        "refs": [{"type": r["refType"], "trace_id": long_id(r["traceID"]), "span_id": r["spanID"]} for r in s["references"]],
        "flags": s.get("flags", 0),
        "debug": bool(s.get("flags", 0) & 2),
        "start_us": s["startTime"],
        "duration_us": s["duration"],
        "tags": canonical(map(jaeger_tag, s["tags"])),
        "events": [{"ts_us": e["timestamp"], "fields": canonical(map(jaeger_tag, e["fields"]))} for e in s["logs"]],
    }


def jaeger_spans(document):
    spans = [jaeger_span(s, trace["processes"][s["processID"]]) for trace in document for s in trace["spans"]]
    return sorted(spans, key=lambda s: (s["trace_id"], s["span_id"]))


def jaeger_expected(spans):
    """What the official library decoded, as Jaeger's collector stores it: parentSpanId becomes a reference, the first one."""
    out = []
    for s in spans:
        refs = s["refs"]
        parent = {"type": "CHILD_OF", "trace_id": s["trace_id"], "span_id": s["parent_id"]}
        if s["parent_id"] and not any((r["trace_id"], r["span_id"]) == (s["trace_id"], s["parent_id"]) for r in refs):
            refs = [parent] + refs
        e = {k: s[k] for k in ("service", "name", "trace_id", "span_id", "flags", "debug", "start_us", "duration_us")}
        e["resource"], e["tags"] = canonical(s["resource"]), canonical(s["tags"])
        e["events"] = [{"ts_us": x["ts_us"], "fields": canonical(x["fields"])} for x in s["events"]]
        out.append(dict(e, refs=refs))
    return sorted(out, key=lambda s: (s["trace_id"], s["span_id"]))


READERS = {"zipkin_json": zipkin_spans, "otlp_json": otlp_spans, "jaeger_json": jaeger_spans}


INT64_MAX = (1 << 63) - 1


def widened(expected, got):
    """Expected integers that were clamped to 64 bits, which we keep as doubles, made what they were."""
    if isinstance(expected, list) and isinstance(got, list):
        return [widened(e, g) for e, g in zip(expected, got)] + expected[len(got) :]
    if isinstance(expected, dict) and isinstance(got, dict):
        if expected.get("t") == "int" and abs(expected["v"]) >= INT64_MAX and got.get("t") == "double":
            return got if abs(got["v"]) >= INT64_MAX else expected
        return {k: widened(v, got.get(k)) for k, v in expected.items()}
    return expected


def differences(expected, got):
    """Members that differ. Expected members that are not there mean: whatever it is."""
    out = []
    if len(expected) != len(got):
        return ["%d spans, expected %d" % (len(got), len(expected))]
    for i, (e, g) in enumerate(zip(expected, got)):
        for key, value in e.items():
            if g.get(key) != widened(value, g.get(key)):
                out.append("span %d: %s is %.300r, expected %.300r" % (i, key, g.get(key), value))
    return out


def header_differences(expected, headers):
    """Parent and kind as the pipeline sees them; they are in none of the references and tags that are compared otherwise."""
    out = []
    for e, h in zip(expected, headers):
        want = e["span_id"], e["parent_id"] or "0" * 16, (e.get("kind") or "unspecified").lower()
        got = h["span_id"], h["parent_id"], h["kind"]
        if want != got:
            out.append("header %s, expected %s" % (got, want))
    return out


def check_capture(driver, protocol, bin_path):
    info = json.loads(bin_path.with_suffix(".json").read_text())
    if "expected" not in info:
        return None
    body = body_of(info, bin_path.read_bytes())
    result, problem = run(driver, PROTOCOLS[protocol], body)
    if problem:
        return [problem]
    if result["rc"] != "ok" or result["rejected"]:
        return ["%s %s, rejected %d %s" % (result["rc"], result["error"], result["rejected"], result["reject_text"])]
    jaeger = PROTOCOLS[protocol][1] == "jaeger_json"
    expected = jaeger_expected(info["expected"]) if jaeger else info["expected"]
    problems = differences(expected, READERS[PROTOCOLS[protocol][1]](result["encoded"]))
    if jaeger:
        problems += header_differences(info["expected"], result["spans"])
    elif not result["again"]:
        problems.append("decoding and encoding what was encoded gives other bytes")
    return problems


def is_transport_case(protocol, info, body):
    """True when the reply is decided before a codec sees the body."""
    if protocol.startswith("jaeger-udp"):
        return False
    content_type = header(info, "content-type").split(";")[0].strip()
    return (
        protocol not in PATHS
        or body is None
        or len(body) >= BODY_MAX
        or info.get("method", "POST") != "POST"
        or info.get("path", PATHS[protocol]) != PATHS[protocol]
        or content_type not in CONTENT_TYPES[protocol]
        or info.get("reply") is None
    )


def check_malformed(driver, protocol, bin_path):
    info = json.loads(bin_path.with_suffix(".json").read_text())
    body = body_of(info, bin_path.read_bytes())
    if is_transport_case(protocol, info, body):
        return None
    reply = OTHER_REPLIES.get("%s/%s" % (protocol, bin_path.stem), info["reply"])
    replies = reply if isinstance(reply, list) else [reply]
    result, problem = run(driver, PROTOCOLS[protocol], body)
    if problem:
        return [problem]
    accepted = result["rc"] == "ok"
    if reply is None:  # a datagram: nobody answers
        fits = {"accept": accepted, "refuse": not accepted}.get(info["verdict"], True)
        return [] if fits else ["%s (%s), expected: %s: %s" % (result["rc"], result["error"], info["verdict"], info["why"])]
    if not any(200 <= r < 300 if accepted else r >= 400 for r in replies):
        return ["%s (%s), expected reply %s: %s" % (result["rc"], result["error"], reply, info.get("why"))]
    if accepted and "never store" in info["verdict"] and result["spans"]:
        return ["stored a span: %s" % info.get("why")]
    return []


def check_malformed_real(driver, protocol, bin_path):
    """Broken bodies that clients really sent."""
    info = json.loads(bin_path.with_suffix(".json").read_text())
    if protocol not in ("zipkin-v2-json", "zipkin-v1-json") or info.get("path") != PATHS[protocol]:
        return None
    result, problem = run(driver, PROTOCOLS[protocol], body_of(info, bin_path.read_bytes()))
    return [problem] if problem else ["accepted"] if result["rc"] == "ok" else []


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", required=True)
    parser.add_argument("--corpus")
    parser.add_argument("protocols", nargs="*")
    args = parser.parse_args()
    corpus = find_corpus(args.corpus)
    if corpus is None:
        print("corpus: skipped, no captured payloads here (set SPANMILL_CORPUS)")
        return SKIPPED
    passed = failed = 0
    for protocol in args.protocols or PROTOCOLS:
        checked = 0
        captures = [(check_capture, p) for p in sorted((corpus / protocol).glob("*/*.bin"))]
        malformed = [(check_malformed, p) for p in sorted((corpus / "malformed" / protocol).glob("*.bin"))]
        real = [(check_malformed_real, p) for p in sorted((corpus / "malformed-real").glob("*/*.bin"))]
        for check, path in captures + malformed + real:
            problems = check(args.driver, protocol, path)
            if problems is None:
                continue
            checked += 1
            for problem in problems[:5]:
                print("%s: %s" % (path.relative_to(corpus), problem))
            passed += not problems
            failed += bool(problems)
        print("corpus: %s: %d payloads checked" % (protocol, checked))
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
