"""Kafka: a real broker (tests/kafka), real producers, consumer groups of one and two daemons.

Needs Java and Maven, so it runs with SPANMILL_ALL=1, which scripts/test --all sets."""
import json
import os
import pathlib
import signal
import struct
import subprocess
import sys
import threading
import time

import pytest

from clients import go  # fixture
from conftest import QUICK, get, otlp, otlp_request, poll
from otelcol import built, otelcol  # fixtures
from test_clients import CART, WITH_LARGEST, check_by_jaeger, check_by_zipkin, check_otel, start_ms, stored

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "kafka"))

pytestmark = pytest.mark.skipif(not os.environ.get("SPANMILL_ALL"), reason="only with SPANMILL_ALL=1, as scripts/test --all has it")

# A member that is killed is missed after a second.
SOON = "options: {session.timeout.ms: 1500, heartbeat.interval.ms: 300, auto.commit.interval.ms: 200}"
NOW_NS = time.time_ns()


@pytest.fixture(scope="module")
def kafka(tmp_path_factory):
    import broker

    if broker.missing():
        pytest.skip(f"not on this machine: {broker.missing()}")
    one = broker.Broker(tmp_path_factory.mktemp("kafka"))
    yield one
    one.stop()


class Topic:
    """A topic of its own name with `partitions`, and what its group has committed."""

    made = 0

    def __init__(self, broker, partitions=1):
        from confluent_kafka.admin import AdminClient, NewTopic

        Topic.made += 1
        self.broker = broker
        self.name = f"spans-{os.getpid()}-{Topic.made}"
        self.group = f"group-{self.name}"
        self.partitions = partitions
        admin = AdminClient({"bootstrap.servers": broker.bootstrap})
        for done in admin.create_topics([NewTopic(self.name, partitions, 1)], request_timeout=60).values():
            done.result()

    def settings(self, name="spans", **more):
        """An item of the list `kafka` as YAML."""
        keys = {"name": name, "brokers": self.broker.bootstrap, "topics": self.name, "group": self.group,
                "initial_offset": "earliest", **more}  # fmt: skip
        return "{" + ", ".join(f"{key}: {value}" for key, value in keys.items()) + f", {SOON}}}"

    def consumer(self, **more):
        return f"kafka=[{self.settings(**more)}]"

    def produce(self, messages, **options):
        """Values, or (value, key, headers, partition). Returns [(partition, offset)] in their order, once the broker has all."""
        from confluent_kafka import Producer

        places = {}
        producer = Producer({"bootstrap.servers": self.broker.bootstrap, "linger.ms": 5, "message.max.bytes": 7_000_000, **options})
        for i, message in enumerate(messages):
            value, key, headers, partition = message if isinstance(message, tuple) else (message, None, None, None)

            def on_delivery(error, sent, i=i):
                assert error is None, error
                places[i] = (sent.partition(), sent.offset())

            extra = {} if partition is None else {"partition": partition}
            producer.produce(self.name, value, key=key, headers=headers or [], on_delivery=on_delivery, **extra)
            producer.poll(0)
        assert producer.flush(30) == 0
        return [places[i] for i in range(len(messages))]

    def _with_consumer(self, ask):
        from confluent_kafka import Consumer, KafkaException, TopicPartition

        client = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": self.group, "enable.auto.commit": False})
        try:
            return ask(client, [TopicPartition(self.name, i) for i in range(self.partitions)])
        except KafkaException as error:
            raise AssertionError(f"the broker does not answer: {error}") from error  # on a busy machine; poll() tries again
        finally:
            client.close()

    def committed(self):
        """The committed offset of each partition; 0 where there is none."""
        return self._with_consumer(lambda client, parts: [max(p.offset, 0) for p in client.committed(parts, timeout=10)])

    def ends(self):
        return self._with_consumer(lambda client, parts: [client.get_watermark_offsets(p, timeout=10)[1] for p in parts])

    def read(self, count):
        """The first `count` messages of the topic."""
        from confluent_kafka import Consumer

        client = Consumer({"bootstrap.servers": self.broker.bootstrap, "group.id": f"reader-{self.name}", "auto.offset.reset": "earliest"})
        client.subscribe([self.name])
        messages = []
        try:
            def more():
                message = client.poll(0.2)
                if message is not None and message.error() is None:
                    messages.append(message)
                return len(messages) >= count

            poll(more, f"{count} messages in {self.name}")
        finally:
            client.close()
        return messages

    def members(self):
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        admin = AdminClient({"bootstrap.servers": self.broker.bootstrap})
        try:
            return len(admin.describe_consumer_groups([self.group])[self.group].result().members)
        except KafkaException as error:
            raise AssertionError(f"the broker does not know yet: {error}") from error


def traces(first, count, spans=2):
    """One message per trace, each with a root and children; the traces' ids are first, first + 1, ..."""
    return [otlp(*((t, 100 * t + i, 100 * t if i else 0, f"op{i}") for i in range(spans))) for t in range(first, first + count)]


def missing_in(daemons, ids, spans=2):
    """Traces that none of the daemons has whole."""
    return [t for t in ids if not any(len(d.stored_spans(t)) >= spans for d in daemons)]


def wait_until_taken(topic, seconds=40):
    """Everything that is in the topic has been committed."""
    poll(lambda: topic.committed() == topic.ends(), f"{topic.name} is committed to its end", seconds=seconds)


# ---- encodings ----


def jaeger_span(trace, name):
    """A Span of api_v2 with its process, of a class made from the protobuf file's fields."""
    from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, message_factory, timestamp_pb2

    pool = descriptor_pool.DescriptorPool()
    for known in (timestamp_pb2, duration_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    file = descriptor_pb2.FileDescriptorProto(name="model.proto", package="jaeger.api_v2", syntax="proto3",
                                              dependency=["google/protobuf/timestamp.proto", "google/protobuf/duration.proto"])
    kinds = {"string": 9, "bytes": 12, "bool": 8, "int64": 3, "double": 1, "uint32": 13}
    enums = {"ValueType": ("STRING", "BOOL", "INT64", "FLOAT64", "BINARY"), "SpanRefType": ("CHILD_OF", "FOLLOWS_FROM")}
    for enum, values in enums.items():
        made = file.enum_type.add(name=enum)
        for number, value in enumerate(values):
            made.value.add(name=value, number=number)
    messages = {
        "KeyValue": "key string, v_type ValueType, v_str string, v_bool bool, v_int64 int64, v_float64 double, v_binary bytes",
        "Log": "timestamp .google.protobuf.Timestamp, fields *KeyValue",
        "SpanRef": "trace_id bytes, span_id bytes, ref_type SpanRefType",
        "Process": "service_name string, tags *KeyValue",
        "Span": "trace_id bytes, span_id bytes, operation_name string, references *SpanRef, flags uint32, "
                "start_time .google.protobuf.Timestamp, duration .google.protobuf.Duration, tags *KeyValue, logs *Log, process Process, "
                "process_id string, warnings *string",
    }  # fmt: skip
    for message, fields in messages.items():
        made = file.message_type.add(name=message)
        for number, field in enumerate(fields.split(", "), 1):
            name_, kind = field.split()
            added = made.field.add(name=name_, number=number, label=3 if kind[0] == "*" else 1)
            kind = kind.lstrip("*")
            if kind in kinds:
                added.type = kinds[kind]
            else:
                added.type = 14 if kind in enums else 11
                added.type_name = kind if kind[0] == "." else f".jaeger.api_v2.{kind}"
    pool.Add(file)
    span = message_factory.GetMessageClass(pool.FindMessageTypeByName("jaeger.api_v2.Span"))()
    span.trace_id = trace.to_bytes(16, "big")
    span.span_id = (7).to_bytes(8, "big")
    span.operation_name = name
    span.flags = 1
    span.start_time.FromNanoseconds(NOW_NS)
    span.duration.FromNanoseconds(2_500_000)
    for key, value in (("s", {"v_str": 'text "quoted" \u00e9'}), ("b", {"v_type": 1, "v_bool": True}), ("i", {"v_type": 2, "v_int64": -5}),
                       ("f", {"v_type": 3, "v_float64": 1.5}), ("y", {"v_type": 4, "v_binary": b"\1\2"})):  # fmt: skip
        span.tags.add(key=key, **value)
    log = span.logs.add()
    log.timestamp.FromNanoseconds(NOW_NS)
    log.fields.add(key="event", v_str="happened")
    span.references.add(trace_id=span.trace_id, span_id=(6).to_bytes(8, "big"))
    span.process.service_name = "svc"
    return span


def zipkin_thrift(trace, name):
    """A list of one v1 span: TBinary without a message around it."""
    def text(field, value):
        return struct.pack(">bhI", 11, field, len(value)) + value

    endpoint = text(3, b"svc") + b"\0"
    annotation = struct.pack(">bhq", 10, 1, NOW_NS // 1000) + text(2, b"sr") + struct.pack(">bh", 12, 3) + endpoint + b"\0"
    span = struct.pack(">bhq", 10, 1, trace) + text(3, name.encode()) + struct.pack(">bhq", 10, 4, 7)
    span += struct.pack(">bhbI", 15, 6, 12, 1) + annotation + struct.pack(">bhq", 10, 10, NOW_NS // 1000) + struct.pack(">bhq", 10, 11, 2500)
    return struct.pack(">bI", 12, 1) + span + b"\0"


def zipkin_proto(trace, name):
    def field(number, value):
        return bytes([number << 3 | 2, len(value)]) + value

    span = field(1, trace.to_bytes(16, "big")) + field(3, (7).to_bytes(8, "big")) + bytes([4 << 3, 2]) + field(5, name.encode())
    span += bytes([6 << 3 | 1]) + (NOW_NS // 1000).to_bytes(8, "little") + bytes([7 << 3, 0x64]) + field(8, field(1, b"svc"))
    return field(1, span)


def msgpack_batch(trace, name):
    """A batch of the agent protocol."""
    import msgpack

    span = {"trace": trace.to_bytes(16, "big"), "id": (7).to_bytes(8, "big"), "name": name, "kind": 2, "start": NOW_NS,
            "end": NOW_NS + 2_500_000, "attrs": {"n": 7, "list": [1, "a"]}}  # fmt: skip
    return msgpack.packb({"v": 1, "resource": {"service.name": "svc"}, "spans": [span]})


def every_encoding():
    """{encoding: (trace id, message)} of those that `auto` tells by their bytes: all but msgpack."""
    from google.protobuf import json_format

    v2 = [{"traceId": f"{3:032x}", "id": "0000000000000007", "name": "op", "kind": "SERVER", "timestamp": NOW_NS // 1000, "duration": 2500,
           "localEndpoint": {"serviceName": "svc"}}]  # fmt: skip
    span = {"traceId": f"{2:032x}", "spanId": f"{7:016x}", "name": "op", "kind": 2, "startTimeUnixNano": str(NOW_NS),
            "endTimeUnixNano": str(NOW_NS + 2_500_000)}  # fmt: skip
    service = {"attributes": [{"key": "service.name", "value": {"stringValue": "svc"}}]}
    return {
        "otlp_proto": (1, otlp((1, 7, 0, "op"))),
        "otlp_json": (2, json.dumps({"resourceSpans": [{"resource": service, "scopeSpans": [{"spans": [span]}]}]}).encode()),
        "zipkin_json": (3, json.dumps(v2).encode()),
        "zipkin_proto": (4, zipkin_proto(4, "op")),
        "zipkin_thrift": (5, zipkin_thrift(5, "op")),
        "jaeger_proto": (6, jaeger_span(6, "op").SerializeToString()),
        "jaeger_json": (7, json_format.MessageToJson(jaeger_span(7, "op"), indent=None).encode()),
    }


def test_every_encoding(kafka, daemon):
    messages = {**every_encoding(), "msgpack": (8, msgpack_batch(8, "op"))}
    topics = {encoding: Topic(kafka) for encoding in messages}
    d = daemon(*QUICK, "kafka=[" + ", ".join(t.settings(encoding, encoding=encoding) for encoding, t in topics.items()) + "]")
    for encoding, (trace, message) in messages.items():
        topics[encoding].produce([message])
    for topic in topics.values():
        wait_until_taken(topic)
    for encoding, (trace, _) in messages.items():
        assert poll(lambda: d.stored_spans(trace), encoding) == ["op"]
        assert d.query(f"/api/traces/{trace:032x}")["data"][0]["processes"]["p1"]["serviceName"] == "svc"
    by_json, by_proto = (d.query(f"/api/traces/{trace:032x}")["data"][0]["spans"][0] for trace in (7, 6))
    for span in (by_json, by_proto):
        del span["traceID"]
        span["references"][0].pop("traceID")
    assert by_json == by_proto and len(by_json["tags"]) >= 5 and len(by_json["logs"]) == 1
    (packed,) = d.query(f"/api/traces/{8:032x}")["data"][0]["spans"]
    assert packed["spanID"] == f"{7:016x}" and packed["startTime"] == NOW_NS // 1000 and packed["duration"] == 2500
    tags = {tag["key"]: tag["value"] for tag in packed["tags"]}
    assert (tags["span.kind"], tags["n"], tags["list"]) == ("server", 7, '[1,"a"]')
    assert d.stat("spanmill_kafka_messages_total") == len(messages)
    assert d.stat("spanmill_kafka_messages_passed_total") == 0
    d.check_balance()
    assert d.end() == 0


def test_one_topic_for_all_encodings(kafka, daemon):
    """As it is with Jaeger's and OpenTelemetry's collectors, which write different formats to a topic of one name."""
    topic = Topic(kafka)
    d = daemon(*QUICK, topic.consumer(encoding="auto"))
    messages = every_encoding()
    topic.produce([message for _, message in messages.values()])
    for encoding, (trace, _) in messages.items():
        assert poll(lambda: d.stored_spans(trace), encoding) == ["op"]
    assert d.stat("spanmill_kafka_messages_passed_total") == 0
    topic.produce([msgpack_batch(8, "op")])
    wait_until_taken(topic)
    assert d.stat("spanmill_kafka_messages_passed_total", reason="undecodable") == 1, "msgpack is taken where it is asked for"


@pytest.mark.parametrize("encoding, setting", [("JSON", "zipkin_json"), ("PROTO3", "zipkin_proto"), ("THRIFT", "zipkin_thrift"),
                                               ("PROTO3", "auto"), ("THRIFT", "auto")])  # fmt: skip
def test_zipkins_own_sender(kafka, daemon, encoding, setting):
    topic = Topic(kafka)
    d = daemon(*QUICK, topic.consumer(encoding=setting))
    kafka.run_source("ZipkinSender.java", kafka.bootstrap, topic.name, encoding, "9")
    assert poll(lambda: d.stored_spans(9), "the span is stored") == ["op"]
    trace = d.query(f"/api/traces/{9:032x}")["data"][0]
    assert {"key": "k", "type": "string", "value": "v"} in trace["spans"][0]["tags"]
    assert trace["processes"]["p1"]["serviceName"] == "svc"


# encoding: what reads back what the collector was told to send, and with which difference
EXPORTED = {
    "otlp_proto": (check_otel, {"attributes": WITH_LARGEST}), "otlp_json": (check_otel, {"attributes": WITH_LARGEST}),
    "jaeger_proto": (check_by_jaeger, {"attributes": WITH_LARGEST}), "jaeger_json": (check_by_jaeger, {"attributes": WITH_LARGEST}),
    "zipkin_proto": (check_by_zipkin, {"error": "true"}), "zipkin_json": (check_by_zipkin, {"error": "true"}),
}  # fmt: skip


@pytest.mark.parametrize("encoding", EXPORTED)
@pytest.mark.parametrize("how", ["told", "auto"])
def test_the_collectors_exporter(kafka, daemon, otelcol, go, encoding, how):
    topic, start = Topic(kafka, partitions=3), start_ms()
    d = daemon(*QUICK, topic.consumer(encoding=encoding if how == "told" else "auto"))
    c = otelcol({"kafka": {"brokers": [kafka.bootstrap], "partition_traces_by_id": True,
                           "traces": {"topic": topic.name, "encoding": encoding}}})  # fmt: skip
    said = go("otel", "grpc", c.grpc, start)
    stored(d, len(CART))
    check, more = EXPORTED[encoding]
    check(d, said, start, **more)
    assert sorted(topic.ends())[:2] == [0, 0], "one partition has the whole trace"


def test_compressed_batches(kafka, daemon):
    topic = Topic(kafka, partitions=2)
    d = daemon(*QUICK, topic.consumer())
    for i, codec in enumerate(("none", "gzip", "snappy", "lz4", "zstd")):
        topic.produce(traces(1 + 100 * i, 50), **{"compression.type": codec})
    ids = [1 + 100 * i + k for i in range(5) for k in range(50)]
    poll(lambda: not missing_in([d], ids), "all are stored")
    wait_until_taken(topic)


def test_topics_by_regular_expression(kafka, daemon):
    topics = [Topic(kafka), Topic(kafka)]
    for i, topic in enumerate(topics):
        topic.produce(traces(10 + i, 1))
    pattern = f"'^{topics[0].name[:-1]}({topics[0].name[-1]}|{topics[1].name[-1]})$'"
    if topics[0].name[:-1] != topics[1].name[:-1]:
        pattern = f"'^({topics[0].name}|{topics[1].name})$'"
    d = daemon(*QUICK, topics[0].consumer(topics=pattern))
    poll(lambda: not missing_in([d], [10, 11]), "both topics are read")


# ---- at least once ----


def test_a_clean_end_commits_everything(kafka, daemon):
    """Windows that are open are decided and stored; the next one reads nothing again."""
    topic = Topic(kafka, partitions=3)
    forever = ("windows.after_root=1h", "windows.idle=1h", "windows.max_age=1h")
    topic.produce(traces(1, 60))
    d = daemon(*forever, topic.consumer())
    poll(lambda: d.stat("spanmill_kafka_messages_total") == 60, "all are read")
    poll(lambda: d.stat("spanmill_spans_open") == 120, "all are open")
    assert topic.committed() == [0, 0, 0], "nothing is decided yet"
    started = time.monotonic()
    assert d.end() == 0
    assert time.monotonic() - started < 10
    assert topic.committed() == topic.ends()
    assert topic.members() == 0, "it has left the group"
    again = daemon(*QUICK, topic.consumer(), again=d)
    assert missing_in([again], range(1, 61)) == []
    topic.produce(traces(100, 1))
    poll(lambda: again.stored_spans(100), "a new one")
    assert again.stat("spanmill_kafka_messages_total") == 1


def test_offsets_wait_for_the_sync(kafka, daemon):
    """What is written but not synced can be read, and would not survive a crash of the machine."""
    topic = Topic(kafka)
    d = daemon(*QUICK, "store.sync=1h", topic.consumer())
    topic.produce(traces(1, 20))
    poll(lambda: d.stat("spanmill_sink_spans_delivered_total", sink="store") == 40, "the sink is through", seconds=60)
    assert missing_in([d], range(1, 21)) == []
    assert d.stat("spanmill_store_sequence_durable") < 20
    until = time.monotonic() + 3
    poll(lambda: time.monotonic() > until, "some ticks and commits")
    assert topic.committed() == [0]
    assert d.end() == 0
    assert topic.committed() == topic.ends() == [20], "the end syncs"


def test_without_a_store_offsets_wait_for_the_sinks(kafka, daemon, collector):
    topic = Topic(kafka)
    sink = collector(script=[503] * 8)
    d = daemon(*QUICK, "store.enabled=false", topic.consumer(), sink.sink(retry="{initial: 300ms, max: 300ms}"))
    topic.produce(traces(1, 10))
    poll(lambda: sink.requests >= 5, "it is refused")
    assert topic.committed() == [0]
    sink.wait(20)
    wait_until_taken(topic)
    assert len(sink.spans) == 20


def test_static_members_have_names_of_their_own(kafka, daemon):
    from confluent_kafka.admin import AdminClient

    topic = Topic(kafka, partitions=2)
    d = daemon(*QUICK, topic.consumer().replace("options: {", "options: {group.instance.id: me, "))
    poll(lambda: d.stat("spanmill_kafka_partitions") == 2, "it has both")
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    members = admin.describe_consumer_groups([topic.group])[topic.group].result().members
    assert sorted(m.group_instance_id for m in members) == ["me-0", "me-1"]
    topic.produce(traces(1, 5))
    poll(lambda: not missing_in([d], range(1, 6)), "it reads")
    assert d.end() == 0
    assert topic.members() == 2, "static members stay until their session ends"


def test_lag_is_told(kafka, daemon):
    topic = Topic(kafka, partitions=2)
    topic.produce([(m, None, None, i % 2) for i, m in enumerate(traces(1, 10))])
    d = daemon(*QUICK, topic.consumer())
    poll(lambda: d.stat("spanmill_kafka_partition_lag", topic=topic.name, partition="1") == 0 and d.stat("spanmill_kafka_partitions") == 2
         and f'spanmill_kafka_partition_lag{{consumer="spans",topic="{topic.name}",partition="1"}}' in d.metrics(), "lags are there")  # fmt: skip
    assert d.stat("spanmill_kafka_lag") == 0
    assert d.stat("spanmill_kafka_rebalances_total") >= 1


class Load:
    """Produces traces of two spans each from `first` on, until told to stop. `places` says where each one is."""

    def __init__(self, topic, first=1, pause=0.005):
        self.topic, self.next, self.pause = topic, first, pause
        self.places = {}
        self.stopping = threading.Event()
        self.thread = threading.Thread(target=self.run, daemon=True)
        self.thread.start()

    def run(self):
        while not self.stopping.wait(self.pause):
            ids = range(self.next, self.next + 20)
            for t, place in zip(ids, self.topic.produce(traces(self.next, 20))):
                self.places[t] = place
            self.next += 20

    def stop(self):
        self.stopping.set()
        self.thread.join(60)
        return self.places


@pytest.mark.parametrize("moment", [None, 0.1, 0.5, 0.9])
def test_kill_9_loses_nothing(kafka, daemon, moment):
    """What was committed when it was killed is in its store, and what was not is read again by the next one."""
    topic = Topic(kafka, partitions=3)
    windows = ("windows.after_root=300ms", "windows.idle=500ms")
    d = daemon(*windows, topic.consumer())
    load = Load(topic)
    poll(lambda: d.stat("spanmill_kafka_messages_total") > 100, "it reads")
    if moment:
        poll(lambda: sum(topic.committed()) > 0, "it commits")
        load.stopping.wait(moment)
    d.kill()
    places = load.stop()
    committed = topic.committed()
    behind = daemon(*windows, again=d)  # without Kafka: what the store holds
    must = [t for t, (partition, offset) in places.items() if offset < committed[partition]]
    print(f"{len(places)} traces, {len(must)} in front of the committed offsets {committed}")
    assert len(must) < len(places), "some were still open"
    assert must or not moment
    assert missing_in([behind], must) == []
    assert behind.end() == 0
    again = daemon(*windows, topic.consumer(), again=d)
    wait_until_taken(topic)
    assert missing_in([again], places) == []
    again.check_balance()
    assert again.end() == 0


def test_a_group_of_two_when_one_dies(kafka, daemon):
    topic = Topic(kafka, partitions=6)
    windows = ("windows.after_root=300ms", "windows.idle=500ms")
    one = daemon(*windows, topic.consumer())
    poll(lambda: one.stat("spanmill_kafka_partitions") == 6, "one has all partitions")
    load = Load(topic)
    two = daemon(*windows, topic.consumer())
    poll(lambda: one.stat("spanmill_kafka_partitions") + two.stat("spanmill_kafka_partitions") == 6
         and 0 < two.stat("spanmill_kafka_partitions") < 6, "they share", seconds=30)  # fmt: skip
    poll(lambda: two.stat("spanmill_spans_kept_total") > 100 and one.stat("spanmill_spans_kept_total") > 100, "both store")
    one.kill()
    poll(lambda: two.stat("spanmill_kafka_partitions") == 6, "the other one has all", seconds=30)
    places = load.stop()
    wait_until_taken(topic)
    again = daemon(again=one)  # its store
    assert missing_in([again, two], places) == []
    two.check_balance()
    assert two.end() == 0


def test_a_group_of_two_when_one_leaves(kafka, daemon):
    """A clean end hands partitions over without reading anything twice."""
    topic = Topic(kafka, partitions=4)
    one, two = daemon(*QUICK, topic.consumer()), daemon(*QUICK, topic.consumer())
    poll(lambda: one.stat("spanmill_kafka_partitions") == two.stat("spanmill_kafka_partitions") == 2, "they share", seconds=30)
    load = Load(topic)
    poll(lambda: one.stat("spanmill_spans_kept_total") > 100, "it stores")
    poll(lambda: sum(topic.committed()) > 0, "it commits")
    assert one.end() == 0
    poll(lambda: two.stat("spanmill_kafka_partitions") == 4, "the other one has all", seconds=30)
    places = load.stop()
    wait_until_taken(topic)
    assert missing_in([daemon(again=one), two], places) == []


# ---- what goes wrong ----


def test_poison_is_passed_and_copied(kafka, daemon):
    topic, letters = Topic(kafka), Topic(kafka)
    d = daemon(*QUICK, topic.consumer(encoding="otlp_proto", dead_letter=letters.name, message_bytes_max="64KiB"))
    good = traces(1, 3)
    bad = [(b"\xff\xff rubbish", b"a key", [("h", b"v")], 0), (b"x" * 70_000, None, None, 0)]
    places = topic.produce([good[0], bad[0], good[1], bad[1], good[2]])
    poll(lambda: not missing_in([d], [1, 2, 3]), "what is around it is taken")
    copies = {int(dict(c.headers())["spanmill.offset"]): c for c in letters.read(2)}
    first, second = copies[places[1][1]], copies[places[3][1]]
    assert first.value() == bad[0][0] and first.key() == b"a key"
    headers = dict(first.headers())
    assert headers["h"] == b"v"
    assert headers["spanmill.reason"] == b"undecodable" and headers["spanmill.error"]
    assert headers["spanmill.topic"].decode() == topic.name and headers["spanmill.partition"] == b"0"
    assert second.value() == bad[1][0] and dict(second.headers())["spanmill.reason"] == b"too_large"
    assert d.stat("spanmill_kafka_messages_passed_total", reason="undecodable") == 1
    assert d.stat("spanmill_kafka_messages_passed_total", reason="too_large") == 1
    poll(lambda: d.stat("spanmill_kafka_dead_letters_total", outcome="sent") == 2, "the broker has confirmed both")
    assert d.stat("spanmill_payloads_refused_total", reason="undecodable") == 2
    wait_until_taken(topic)
    assert d.event("kafka_message_passed")["topic"] == topic.name


def test_dead_letters_that_are_read_are_not_copied_again(kafka, daemon):
    topic, letters = Topic(kafka), Topic(kafka)
    d = daemon(*QUICK, topic.consumer(topics=f"[{topic.name}, {letters.name}]", encoding="otlp_proto", dead_letter=letters.name))
    # What is read while a second member joins may be read again by it.
    poll(lambda: topic.members() == 2 and d.stat("spanmill_kafka_partitions") == 2, "both workers have joined")
    topic.produce([b"\xff rubbish"])
    poll(lambda: d.stat("spanmill_kafka_messages_passed_total") == 2, "it and its copy")
    topic.produce(traces(1, 1))
    poll(lambda: d.stored_spans(1), "what comes later")
    letters.group = topic.group
    wait_until_taken(letters)
    assert letters.ends() == [1]
    assert d.stat("spanmill_kafka_messages_passed_total") == 2, [line for line in d.log if line["event"].startswith("kafka")]


def test_a_topic_that_is_made_anew(kafka, daemon):
    """Offsets begin again at 0: the daemon reads on from there."""
    from confluent_kafka.admin import AdminClient, NewTopic

    topic = Topic(kafka)
    d = daemon(*QUICK, topic.consumer())
    topic.produce(traces(1, 30))
    wait_until_taken(topic)
    admin = AdminClient({"bootstrap.servers": kafka.bootstrap})
    admin.delete_topics([topic.name])[topic.name].result()
    poll(lambda: topic.name not in admin.list_topics(timeout=10).topics, "it is gone")
    admin.create_topics([NewTopic(topic.name, 1, 1)])[topic.name].result()
    topic.produce(traces(100, 5))
    poll(lambda: not missing_in([d], range(100, 105)), "the new ones are read", seconds=60)


def test_poison_without_a_dead_letter_topic(kafka, daemon):
    topic = Topic(kafka)
    d = daemon(*QUICK, topic.consumer(encoding="jaeger_proto"))
    topic.produce([b"rubbish", (None, b"deleted", None, 0), jaeger_span(9, "op").SerializeToString()])
    assert poll(lambda: d.stored_spans(9), "what is behind it") == ["op"]
    wait_until_taken(topic)
    assert d.stat("spanmill_kafka_messages_passed_total") == 1
    assert d.stat("spanmill_kafka_messages_total") == 3


def test_a_backlog_larger_than_memory(kafka, daemon):
    """Partitions are paused; nothing is dropped, nothing is refused for good."""
    topic = Topic(kafka, partitions=2)
    padding = "x" * 6000
    messages = [otlp_request([{"trace": t, "id": t, "name": padding}]) for t in range(1, 12001)]
    topic.produce(messages)
    d = daemon("memory.budget=64MiB", "memory.soft=50%", "windows.after_root=4s", "windows.idle=4s", topic.consumer())
    wait_until_taken(topic, seconds=120)
    assert d.event("kafka_paused") and d.event("kafka_resumed")
    assert d.stat("spanmill_spans_dropped_total") == 0
    assert d.stat("spanmill_sink_spans_dropped_total") == 0
    assert d.stat("spanmill_sink_spans_delivered_total", sink="store") == 12000
    assert d.stat("spanmill_store_spans") == 12000, "nothing was read twice"
    assert d.stat("spanmill_kafka_members_paused") == 0
    d.check_balance()


def test_a_broker_that_comes_later(daemon, tmp_path):
    import broker

    if broker.missing():
        pytest.skip(f"not on this machine: {broker.missing()}")
    (tmp_path / "kafka").mkdir()
    late = broker.Broker(tmp_path / "kafka")
    try:
        topic = Topic(late)
        topic.produce(traces(1, 1))
        late.stop()
        d = daemon(*QUICK, topic.consumer())
        assert get(d.urls["Prometheus"].replace("/metrics", "/-/ready"))
        poll(lambda: d.event("kafka_unreachable"), "the log says so")
        late.start()
        poll(lambda: d.stored_spans(1), "it reads", seconds=60)
        assert d.event("kafka_reachable")
        late.stop()
        poll(lambda: len([line for line in d.log if line["event"] == "kafka_unreachable"]) > 1, "gone again")
        started = time.monotonic()
        assert d.end(signal.SIGTERM) == 0
        assert time.monotonic() - started < 20, "it does not wait for ever"
    finally:
        late.stop()


def test_tls_and_a_password(daemon, tmp_path):
    import broker

    if broker.missing():
        pytest.skip(f"not on this machine: {broker.missing()}")
    home = tmp_path / "kafka"
    home.mkdir()
    subprocess.run(["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=127.0.0.1", "-addext",
                    "subjectAltName=IP:127.0.0.1", "-keyout", str(home / "key.pem"), "-out", str(home / "cert.pem")],
                   check=True, capture_output=True)  # fmt: skip
    (home / "both.pem").write_text((home / "key.pem").read_text() + (home / "cert.pem").read_text())
    (home / "password").write_text("open sesame\n")
    login = 'org.apache.kafka.common.security.plain.PlainLoginModule required user_ali="open sesame";'
    one = broker.Broker(home, listener="SASL", more=(
        f"ssl.keystore.type=PEM\nssl.keystore.location={home / 'both.pem'}\nlistener.name.sasl.sasl.enabled.mechanisms=PLAIN\n"
        f"listener.name.sasl.plain.sasl.jaas.config={login}\n"))  # fmt: skip
    try:
        topic = Topic(one)
        topic.produce(traces(1, 1))
        security = {"brokers": f"127.0.0.1:{one.other_port}", "tls": f"{{enabled: true, ca: {home / 'cert.pem'}}}",
                    "sasl": f"{{mechanism: plain, username: ali, password_file: {home / 'password'}}}"}  # fmt: skip
        d = daemon(*QUICK, topic.consumer(**security))
        poll(lambda: d.stored_spans(1), "it reads", seconds=40)
        assert "sesame" not in "".join(d.raw)
        (home / "password").write_text("open barley")
        wrong = daemon(*QUICK, "log.level=debug", topic.consumer(**security))
        poll(lambda: wrong.event("kafka_refused"), "a wrong password is told", seconds=40)
        assert "barley" not in "".join(wrong.raw)
    finally:
        one.stop()
