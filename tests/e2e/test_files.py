"""Followed files: what the collector's file exporter writes, while it is written, rotated and cut."""
import json
import os
import struct

import pytest

from conftest import QUICK, otlp_request, poll

NOW = 1_700_000_000_000_000_000


def line(trace, id_, name="line"):
    return json.dumps({"resourceSpans": [{"resource": {"attributes": [{"key": "service.name", "value": {"stringValue": "file"}}]},
                                          "scopeSpans": [{"spans": [{"traceId": f"{trace:032x}", "spanId": f"{id_:016x}", "name": name,
                                                                     "startTimeUnixNano": str(NOW), "endTimeUnixNano": str(NOW + 5)}]}]}]}) + "\n"  # fmt: skip


def append(path, text):
    with open(path, "a") as file:
        file.write(text)


def follow(pattern, from_="end"):
    return f"files=[{{path: '{pattern}', from: {from_}}}]"


def taken(d, count):
    poll(lambda: d.stat("spanmill_spans_received_total") >= count, f"{count} spans")
    assert d.stat("spanmill_spans_received_total") == count


def positions(d):
    """Offsets by name, as they are kept."""
    path = d.directory / "data" / "files.positions"
    lines = path.read_text().splitlines() if path.exists() else []
    assert not lines or lines[0] == "spanmill positions 1"
    return {os.path.basename(text.split(" ", 4)[4]): int(text.split()[1]) for text in lines[1:]}


def test_lines_as_they_come(daemon, tmp_path):
    file = tmp_path / "spans.jsonl"
    file.write_text(line(1, 1) + line(1, 2)[:40])
    d = daemon(follow(file), *QUICK)
    append(file, line(1, 2)[40:])  # began before: left out
    append(file, line(1, 3))
    taken(d, 1)
    whole = line(1, 4)
    append(file, whole[:100])
    append(file, whole[100:-1])
    poll(lambda: d.stat("spanmill_file_bytes_total") >= file.stat().st_size - len(line(1, 1)) - 40, "all is read")
    taken(d, 1)  # the last line has no end yet
    append(file, "\n\n\r\n" + line(1, 5).replace("\n", "\r\n"))
    taken(d, 3)
    poll(lambda: d.stored_spans(1) == ["line"] * 3, "stored")
    poll(lambda: positions(d).get("spans.jsonl") == file.stat().st_size, "the position is kept")
    assert d.end() == 0


def test_garbage_is_counted_and_left_behind(daemon, tmp_path):
    file = tmp_path / "spans.jsonl"
    file.write_text(line(1, 1) + "garbage\n" + '{"resourceSpans": 7}\n' + "x" * 3000 + "\n" + "{" * 2000 + "\n" + line(1, 2))
    d = daemon(follow(file, "start"), "limits.inflated_bytes_max=1KiB", *QUICK)
    taken(d, 2)
    append(file, "y" * 300000)
    append(file, "y" * 300000 + "\n" + line(1, 3))
    taken(d, 3)
    refused = lambda reason: d.stat("spanmill_payloads_refused_total", reason=reason)  # noqa: E731
    assert refused("undecodable") + refused("truncated") == 5
    (tmp_path / "other").write_bytes(b"\x1f\x8b" + bytes(100))
    assert d.end() == 0


def test_lines_of_other_formats(daemon, tmp_path):
    """As consumers of Kafka and the query APIs write them down."""
    trace = f"{5:032x}"
    zipkin = [{"traceId": trace, "id": "a", "name": "zipkin", "timestamp": NOW // 1000, "localEndpoint": {"serviceName": "z"}}]
    ui = {"traceID": trace, "spans": [{"traceID": trace, "spanID": "b", "operationName": "ui", "startTime": NOW // 1000, "duration": 1}]}
    span = {"traceId": "AAAAAAAAAAAAAAAAAAAABQ==", "spanId": "AAAAAAAAAAw=", "operationName": "kafka", "startTime": "2023-11-14T22:13:20Z"}
    for name, first, second in (("a", zipkin, ui), ("b", span, {"no": "spans"})):
        (tmp_path / name).write_text(json.dumps(first) + "\n" + json.dumps(second) + "\n")
    d = daemon(follow(tmp_path / "[ab]", "start"), *QUICK)
    poll(lambda: d.stored_spans(5) == ["kafka", "ui", "zipkin"], "stored")
    assert d.stat("spanmill_payloads_refused_total") == 0
    assert d.end() == 0


def test_rotation_by_renaming(daemon, tmp_path):
    """Nothing is lost or taken twice, whatever the names of a file are."""
    file = tmp_path / "spans.jsonl"
    d = daemon(follow(tmp_path / "spans*.jsonl"), *QUICK)
    count = 0
    for turn in range(3):
        for _ in range(20):
            count += 1
            append(file, line(7, count))
        taken(d, count)
        renamed = tmp_path / f"spans-{turn}.jsonl"
        file.rename(renamed)
        count += 1
        append(renamed, line(7, count))  # the writer has it open still
        count += 1
        append(file, line(7, count))
    taken(d, count)
    poll(lambda: len(d.stored_spans(7)) == count, "all are stored")
    assert d.end() == 0


def test_rotation_out_of_the_pattern(daemon, tmp_path):
    file = tmp_path / "spans.jsonl"
    d = daemon(follow(file, "start"), *QUICK)
    append(file, line(7, 1))
    taken(d, 1)
    file.rename(tmp_path / "old")
    append(tmp_path / "old", line(7, 2) + line(7, 3)[:-1])  # and no newline at the end
    append(file, line(7, 4))
    taken(d, 3)
    poll(lambda: d.event("file_ended"), "the old file is let go of")
    taken(d, 4)
    assert d.end() == 0


def test_a_file_that_is_cut_starts_again(daemon, tmp_path):
    file = tmp_path / "spans.jsonl"
    file.write_text(line(7, 1) * 1 + line(7, 2))
    d = daemon(follow(file, "start"), *QUICK)
    taken(d, 2)
    os.truncate(file, 0)
    poll(lambda: d.stat("spanmill_files_restarted_total") == 1, "noticed")
    append(file, line(7, 3))
    taken(d, 3)
    assert d.end() == 0


def test_protobuf_with_lengths(daemon, tmp_path):
    file = tmp_path / "spans.pb"
    framed = [struct.pack(">I", len(r)) + r for r in (otlp_request([{"trace": 9, "id": i, "name": "pb"}]) for i in range(1, 11))]
    file.write_bytes(b"".join(framed[:3]) + framed[3][:20])
    d = daemon(follow(file), *QUICK)
    with open(file, "ab") as out:
        out.write(framed[3][20:])
        out.flush()
        taken(d, 1)
        out.write(b"".join(framed[4:9]) + framed[9][:2])
        out.flush()
        taken(d, 6)
        out.write(framed[9][2:])
    taken(d, 7)
    assert d.end() == 0


def test_a_restart_goes_on_where_it_was(daemon, tmp_path):
    file = tmp_path / "spans.jsonl"
    d = daemon(follow(file), *QUICK)
    append(file, "".join(line(7, i) for i in range(1, 101)))
    taken(d, 100)
    assert d.end() == 0
    assert positions(d) == {"spans.jsonl": file.stat().st_size}
    append(file, "".join(line(7, i) for i in range(101, 111)))
    file.rename(tmp_path / "spans-1.jsonl")
    append(file, line(7, 111))
    again = daemon(follow(tmp_path / "spans*.jsonl"), *QUICK, again=d)
    taken(again, 11)
    poll(lambda: len(again.stored_spans(7)) == 111, "all are stored")
    assert again.end() == 0


@pytest.mark.parametrize("turns", [3])
def test_a_crash_loses_nothing(daemon, tmp_path, turns):
    """Killed while windows are open: what was not through is read again."""
    file = tmp_path / "spans.jsonl"
    settings = (follow(file, "start"), "windows.after_root=700ms", "windows.idle=700ms")
    d = daemon(*settings)
    count = 0
    for turn in range(turns):
        first = count
        for _ in range(200):
            count += 1
            append(file, line(count, 1, f"t{count}"))
        poll(lambda: d.stat("spanmill_file_bytes_total") > 0 and d.stat("spanmill_spans_received_total") >= count - first, "read")
        if turn % 2:
            poll(lambda: positions(d).get("spans.jsonl", 0) > 0, "positions are kept")
        d.kill()
        assert positions(d).get("spans.jsonl", 0) <= file.stat().st_size
        d = daemon(*settings, again=d)
    for trace in (1, 200, 201, 400, count - 1, count):
        poll(lambda: d.stored_spans(trace), f"trace {trace}")
    poll(lambda: positions(d) == {"spans.jsonl": file.stat().st_size}, "all is through")
    for trace in range(1, count + 1, 7):
        assert set(d.stored_spans(trace)) == {f"t{trace}"}
    assert d.end() == 0


def test_positions_wait_for_the_decision(daemon, tmp_path):
    file = tmp_path / "spans.jsonl"
    d = daemon(follow(file, "start"), "windows.after_root=3s", "windows.idle=3s")
    append(file, line(7, 1))
    taken(d, 1)
    poll(lambda: "spans.jsonl" in positions(d), "positions are kept")
    poll(lambda: d.stat("spanmill_spans_open") == 1, "open")
    assert positions(d)["spans.jsonl"] == 0
    poll(lambda: positions(d)["spans.jsonl"] == file.stat().st_size, "through")
    assert d.stored_spans(7) == ["line"]
    assert d.end() == 0
