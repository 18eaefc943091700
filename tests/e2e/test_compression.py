"""Bodies and messages in every coding, packed by the codings' own libraries. What SDKs send by themselves is in test_otel_sdk.py."""
import zlib

import cramjam
import httpx
import lz4.frame
import zstandard

from conftest import QUICK, otlp, poll, post


def bare_deflate(body):
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    return packer.compress(body) + packer.flush()


PACKERS = [
    ("deflate", zlib.compress),
    ("deflate", bare_deflate),
    ("zlib", zlib.compress),
    ("zstd", zstandard.ZstdCompressor(write_content_size=False).compress),
    ("snappy", lambda body: bytes(cramjam.snappy.compress_raw(body))),
    ("snappy", lambda body: bytes(cramjam.snappy.compress(body))),
    ("x-snappy-framed", lambda body: bytes(cramjam.snappy.compress(body))),
    ("lz4", lz4.frame.compress),
    ("lz4", lambda body: lz4.frame.compress(body, block_size=lz4.frame.BLOCKSIZE_MAX4MB, content_checksum=True, store_size=False)),
]


def request(first, count=200):
    return otlp(*((0xC0DE0000 + first, first + i + 1, 0, f"span {i}") for i in range(count)))


def test_bodies_of_other_libraries(daemon):
    d = daemon(*QUICK)
    for i, (name, pack) in enumerate(PACKERS):
        status, reply = post(d.urls["OTLP HTTP"], pack(request(1000 * i)), **{"content-encoding": name})
        assert (status, reply) == (200, b""), name
    assert d.stat("spanmill_spans_received_total") == 200 * len(PACKERS)
    zipkin = b'[{"traceId":"000000000000abcd","id":"000000000000abcd","name":"packed"}]'
    for name, pack in PACKERS:
        assert post(d.urls["Zipkin"], pack(zipkin), "application/json", **{"content-encoding": name})[0] == 202
    poll(lambda: d.stored_spans(0xABCD) == ["packed"], "Zipkin's span")
    assert d.stat("spanmill_payloads_refused_total") == 0


def test_messages_of_other_libraries(daemon):
    """gRPC's own library packs with gzip and deflate alone; the others travel as collectors send them, over plain HTTP/2."""
    d = daemon(*QUICK)
    url = d.urls["OTLP gRPC"] + "/opentelemetry.proto.collector.trace.v1.TraceService/Export"
    with httpx.Client(http1=False, http2=True) as client:
        for i, (name, pack) in enumerate([*PACKERS, ("br", zlib.compress)]):
            message = pack(request(1000 * i))
            reply = client.post(
                url, content=b"\1" + len(message).to_bytes(4, "big") + message,
                headers={"content-type": "application/grpc", "te": "trailers", "grpc-encoding": name},
            )
            assert reply.headers["grpc-accept-encoding"] == "identity,gzip,deflate,zstd,snappy,lz4"
            assert (reply.headers.get("grpc-status") == "12") == (name == "br"), name
    assert d.stat("spanmill_spans_received_total") == 200 * len(PACKERS)
    assert d.stat("spanmill_payloads_refused_total") == 1


def test_what_cannot_be_unpacked(daemon):
    d = daemon(*QUICK, "limits.inflated_bytes_max=1MiB")
    url = d.urls["OTLP HTTP"]
    for name, pack in PACKERS:
        assert post(url, pack(bytes(4 << 20)), **{"content-encoding": name})[0] == 413, name
        assert post(url, pack(request(0))[:-5], **{"content-encoding": name})[0] == 400, name
        assert post(url, b"not packed at all", **{"content-encoding": name})[0] == 400, name
    for name in ("br", "gzip, gzip", "zstd,gzip"):
        assert post(url, b"x", **{"content-encoding": name})[0] == 415
    assert d.stat("spanmill_spans_received_total") == 0
    assert d.stat("spanmill_payloads_refused_total", reason="undecodable") == 3 * len(PACKERS) + 3
