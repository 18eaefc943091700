#!/usr/bin/env python3
"""Decoders against the official libraries: random messages, as they are and mutated.

usage: differ.py --driver PATH [--java FOLDER] [--messages N] [--seed N] [FORMAT...]

Where the official parser takes a message, ours takes it and finds the same, or refuses for one of the reasons in STRICTER; where it
refuses, ours has its own answer, but has one. FORMAT: see FORMATS. Those of Zipkin ask zipkin2 (--java: where the compiled
zipkin_spans/SpanOracle.java and the library are); the others ask the Python runtimes of protobuf and thrift."""

import argparse
import json
import pathlib
import random
import re
import subprocess
import sys

import jaeger_model
import schemas
import zipkin_model

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "corpus"))
import run as corpus  # noqa: E402


class Pipe:
    """A program that answers lines by lines."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)

    def ask(self, line):
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit("%s ended with %s at: %s" % (self.process.args[0], self.process.wait(), line))
        return answer.decode()


# ---- messages ----


def mutate(rng, data, others):
    """A few changes of bytes; or a part of another message in place of one of this."""
    data = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at = rng.randrange(len(data) + 1)
        end = min(len(data), at + rng.choice((1, 1, 2, 8, 30)))
        what = rng.randrange(7)
        if what == 0 and at < len(data):
            data[at] ^= 1 << rng.randrange(8)
        elif what == 1 and at < len(data):
            data[at] = rng.choice((0, 1, 2, 10, 11, 12, 15, 127, 128, 255, rng.randrange(256)))
        elif what == 2:
            del data[at:end]
        elif what == 3:
            data[at:at] = data[at:end]
        elif what == 4:
            data[at:at] = bytes(rng.randrange(256) for _ in range(rng.randrange(1, 4)))
        elif what == 5:
            other = rng.choice(others)
            start = rng.randrange(len(other) + 1)
            data[at:end] = other[start : start + rng.choice((1, 4, 40))]
        else:
            del data[at:]
    return bytes(data)


JSON_WORDS = (b"null", b"true", b"false", b"0", b"-1", b"1.5", b"1e3", b'""', b'"1"', b"[]", b"{}", b"[{}]", b'{"a":[1,{"b":null}]}', b"9223372036854775807",
              b"18446744073709551616", b'"\\u00e9"', b'"\\ud83d\\ude00"', b'"x"')  # fmt: skip


def mutate_json(rng, data, others):
    """Words of JSON in place of others, so that the text stays JSON more often than not."""
    if rng.randrange(4) == 0:
        return mutate(rng, data, others)
    document = json.loads(data)
    span = rng.choice(document) if document else {}
    spots = [span] + [v for v in span.values() if isinstance(v, dict)]
    spots += [item for v in span.values() if isinstance(v, list) for item in v if isinstance(item, dict)]
    spot = rng.choice(spots)
    marker = "\x00mark"
    if spot and rng.randrange(5):
        key = rng.choice(list(spot))
        if rng.randrange(6) == 0:
            del spot[key]
        elif rng.randrange(6) == 0:
            spot[key + "x"] = spot.pop(key)
        else:
            spot[key] = marker
    else:
        spot["unknown"] = marker
    return json.dumps(document, ensure_ascii=False).encode().replace(json.dumps(marker).encode(), rng.choice(JSON_WORDS))


# ---- formats ----


def one_each(text):
    """Java's U+FFFD stands for several bytes, ours for one."""
    return re.sub("\ufffd+", "\ufffd", text)


class Zipkin:
    """A format of Zipkin: zipkin2's decoder is the oracle. `generate` makes the text of a message."""

    def __init__(self, codec, official, generate, mutate=mutate):
        self.codec, self.official, self.generate, self.mutate = codec, official, generate, mutate
        self.needs_java = True

    def expected(self, java, data):
        """What the library finds; None when it refuses."""
        answer = java.ask("decode %s %s" % (self.official, data.hex()))
        try:
            return zipkin_model.canonical_list(json.loads(one_each(answer[3:]))) if answer.startswith("ok ") else None
        except ValueError:  # zipkin2 writes broken JSON for some texts that were not UTF-8
            return None

    def question(self, data):
        return "%s zipkin_json %s" % (self.codec, data.hex())

    def found(self, answer):
        return zipkin_model.canonical_list(json.loads(one_each(json.dumps(answer["encoded"], ensure_ascii=False))))


def zipkin_spans(rng):
    return [span for _ in range(rng.randrange(1, 3)) for span in zipkin_model.random_trace(rng, 3)]


def zipkin_v1_spans(rng):
    return [zipkin_model.random_v1_span(rng) for _ in range(rng.randrange(1, 4))]


class Protobuf:
    """A message of the official protobuf runtime; `read` makes of it what `found` makes of our answer."""

    needs_java = False

    def __init__(self, codec, message, encoder, generate, read, found):
        self.codec, self.message, self.encoder, self.generate, self.read, self.found = codec, message, encoder, generate, read, found
        self.mutate = mutate

    def expected(self, _, data):
        try:
            message = self.message.FromString(data)
        except Exception:  # the runtime's own class
            return None
        return self.read(message)

    def question(self, data):
        return "%s %s %s" % (self.codec, self.encoder, data.hex())


def other_wire(descriptor, data):
    """True when a known field has another wire type than its own, or the bytes hold a group: the runtime takes either for an unknown
    field; or when a number has more than 64 bits, which it cuts. None when the bytes are no message at all."""
    at, is_cut = 0, False

    def varint():
        nonlocal at, is_cut
        value = shift = 0
        while True:
            byte = data[at]
            at += 1
            value |= (byte & 127) << shift
            shift += 7
            if byte < 128:
                is_cut |= value >= 1 << 64
                return value & (1 << 64) - 1

    try:
        while at < len(data):
            tag = varint()
            field, wire = descriptor.fields_by_number.get(tag >> 3), tag & 7
            if wire in (3, 4):
                return True
            start = at
            if wire == 0:
                varint()
            elif wire == 2:
                size = varint()
                start = at
                at += size
            else:
                at += 8 if wire == 1 else 4
            if field is None:
                continue
            wires = {field.TYPE_FIXED64: 1, field.TYPE_DOUBLE: 1, field.TYPE_FIXED32: 5, field.TYPE_STRING: 2, field.TYPE_BYTES: 2, field.TYPE_MESSAGE: 2}
            if wires.get(field.type, 0) != wire:
                return True
            if field.message_type and other_wire(field.message_type, data[start:at]):
                return True
    except IndexError:
        return None
    return is_cut


class Thrift:
    """A batch of Jaeger's, read by the official runtime into jaeger-client's generated classes."""

    needs_java = False

    def __init__(self, codec, write):
        self.codec, self.write, self.mutate = codec, write, mutate

    def generate(self, rng):
        return self.write(jaeger_spans(rng), jaeger_model.random_process(rng))

    def expected(self, _, data):
        try:
            batch = jaeger_model.read_thrift(self.codec, data)
        except Exception:  # of thrift, of struct, of Python
            return None
        return batch and jaeger_model.from_thrift(batch)

    def question(self, data):
        return "%s jaeger_json %s" % (self.codec, data.hex())

    def found(self, answer):
        return jaeger_found(answer)


def jaeger_found(answer):
    return jaeger_model.sort_spans(span for trace in answer["encoded"] for span in jaeger_model.from_ui(trace))


def jaeger_spans(rng):
    return [span for _ in range(rng.randrange(1, 3)) for span in jaeger_model.random_trace(rng, 3)]


def otlp_request(rng):
    from otlp_model import random_request

    return random_request(rng).SerializeToString()


def otlp_message():
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    return ExportTraceServiceRequest


def otlp_read(message):
    from otlp_model import as_json

    return corpus.otlp_spans(as_json(message))


FORMATS = {
    "zipkin-v2-json": Zipkin("zipkin_json", "JSON_V2", lambda rng: zipkin_model.v2_json(zipkin_spans(rng)), mutate_json),
    "zipkin-v2-proto": Zipkin("zipkin_proto", "PROTO3", lambda rng: zipkin_model.v2_proto(zipkin_spans(rng))),
    "zipkin-v1-json": Zipkin("zipkin_v1_json", "JSON_V1", lambda rng: zipkin_model.raw_v1_json(zipkin_v1_spans(rng)), mutate_json),
    "zipkin-v1-thrift": Zipkin("zipkin_v1_thrift", "THRIFT", lambda rng: zipkin_model.raw_v1_thrift(zipkin_v1_spans(rng))),
    "jaeger-compact": Thrift("jaeger_compact", jaeger_model.compact),
    "jaeger-binary": Thrift("jaeger_binary", jaeger_model.binary),
    "jaeger-batch": Thrift("jaeger_batch", jaeger_model.batch),
    "jaeger-proto": Protobuf("jaeger_proto", schemas.jaeger["PostSpansRequest"], "jaeger_json",
                             lambda rng: jaeger_model.proto(jaeger_spans(rng), jaeger_model.random_process(rng), rng.random() < 0.5),
                             jaeger_model.from_proto, jaeger_found),
    "otlp-proto": Protobuf("otlp_proto", otlp_message(), "otlp_json", otlp_request, otlp_read,
                           lambda answer: corpus.otlp_spans(answer["encoded"])),
}  # fmt: skip

# Words of our refusals of what zipkin2 takes; README.md has the reasons. Those of single spans are in docs/reference/drop-reasons.md.
STRICTER = ("control character in a string", "invalid UTF-8", "length > 16", "length > 32", "trailing bytes after the document",
            "invalid literal")
MESSAGES = {"zipkin-v2-proto": schemas.zipkin["ListOfSpans"], "jaeger-proto": schemas.jaeger["PostSpansRequest"], "otlp-proto": otlp_message()}


def holds(function, *arguments):
    """Whether it is true; what raises is not."""
    try:
        return bool(function(*arguments))
    except Exception:  # of thrift, of protobuf, of struct, of Python
        return False


def difference(name, data, answer, found, expected):
    """None, or what is wrong."""
    if expected is None or (name == "zipkin-v1-json" and zipkin_model.v1_is_odd(data)):
        return None
    if re.search(rb'"(id|traceId)": ?("?)0{1,15}\2[,}]', data) and "json" in name:
        return None  # no id, which zipkin2 only sees when all its digits are written
    if name == "zipkin-v2-json" and holds(zipkin_model.has_endpoint_twice, data):
        return None
    if name == "jaeger-proto" and not holds(lambda: jaeger_model.has_whole_references(MESSAGES[name].FromString(data))):
        return None
    if name == "zipkin-v1-thrift" and not holds(zipkin_model.is_clean_thrift, data):
        return None
    if name == "zipkin-v2-proto" and not holds(lambda: len(MESSAGES[name].FromString(data).spans) == len(expected)):
        return None  # zipkin2 goes on where protobuf's own runtime gives up, and takes unknown fields of the list for spans
    if answer["rc"] != "ok":
        known = any(words in answer["error"] for words in STRICTER)
        known = known or (name in MESSAGES and other_wire(MESSAGES[name].DESCRIPTOR, data) is True)
        return None if known else "refused: " + answer["error"]
    if answer["rejected"]:
        extra = [span for span in found if span not in expected]
        several = "v1" in name  # a refused one of version 1 may be several of version 2
        if extra or (len(found) + answer["rejected"] < len(expected) and not several):
            return "%d rejected (%s), beside: %s" % (answer["rejected"], answer["reject_text"], extra[:1])
        return None
    if len(found) != len(expected):
        return "%d spans, expected %d" % (len(found), len(expected))
    for a, b in zip(found, expected):
        for key in sorted(a.keys() | b.keys()):
            if json.dumps(a.get(key), sort_keys=True) != json.dumps(b.get(key), sort_keys=True):  # NaN is itself there
                return "%s is %.300r, expected %.300r" % (key, a.get(key), b.get(key))
    return None


def check(name, form, driver, java, messages, seed):
    rng = random.Random("%s %s" % (seed, name))
    taken = failed = 0
    pool = [form.generate(rng) for _ in range(50)]
    for i in range(messages):
        data = form.generate(rng)
        if i % 4:
            data = form.mutate(rng, data, pool)
        expected = form.expected(java, data)
        answer = json.loads(driver.ask(form.question(data)))
        found = form.found(answer) if answer["rc"] == "ok" else None
        problem = difference(name, data, answer, found, expected)
        if problem and isinstance(form, Thrift) and not holds(jaeger_model.is_clean_thrift, form.codec, data):
            problem = None
        if i % 4 == 0 and expected is None:
            problem = "the official parser refuses a message that nothing is wrong with"
        taken += expected is not None
        if problem:
            failed += 1
            if failed <= 10:
                print("%s: %s\n    %s" % (name, problem, data.hex() if "json" not in name else data))
    print("%s: %d messages, %d taken by the official parser, %d differences" % (name, messages, taken, failed), flush=True)
    return failed


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--driver", required=True)
    parser.add_argument("--java")
    parser.add_argument("--messages", type=int, default=2000)
    parser.add_argument("--seed", default="1")
    parser.add_argument("formats", nargs="*")
    args = parser.parse_args()
    driver = Pipe([args.driver, "--lines"])
    java = Pipe(["java", "-cp", "%s/*:%s" % (args.java, args.java), "SpanOracle"]) if args.java else None
    passed = failed = 0
    for name in args.formats or FORMATS:
        form = FORMATS[name]
        if form.needs_java and not java:
            continue
        wrong = check(name, form, driver, java, args.messages, args.seed)
        passed += not wrong
        failed += bool(wrong)
    print("%d passed, %d failed" % (passed, failed))
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
