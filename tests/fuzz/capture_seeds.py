#!/usr/bin/env python3
"""Captured payloads of real clients as first inputs: capture_seeds.py FOLDER writes FOLDER/TARGET/*. They are a folder outside of the
project ($SPANMILL_CORPUS or ../shared/corpus), as in tests/corpus/run.py; without it nothing is written."""
import hashlib
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent / "corpus"))
from run import PROTOCOLS, body_of, find_corpus, header  # noqa: E402

SIZE_MAX = 16384  # larger inputs only make fuzzing slow
CODINGS = {"gzip": 1, "deflate": 2, "zstd": 3}  # as fuzz_inflate's first byte chooses


def write(folder, target, data):
    if len(data) <= SIZE_MAX:
        (folder / target).mkdir(parents=True, exist_ok=True)
        (folder / target / hashlib.sha1(data).hexdigest()[:16]).write_bytes(data)


def main(folder):
    corpus = find_corpus(None)
    for path in sorted(corpus.glob("**/*.bin")) if corpus else ():
        raw = path.read_bytes()
        info = json.loads(path.with_suffix(".json").read_text())
        protocol = info.get("protocol") or path.parent.name
        codec = PROTOCOLS.get(protocol, (None,))[0]
        body = body_of(info, raw)
        if header(info, "content-encoding") in CODINGS:
            write(folder, "inflate", bytes([CODINGS[header(info, "content-encoding")]]) + raw)
        if not codec or body is None:
            continue
        write(folder, codec, body)
        if codec.startswith("zipkin"):
            write(folder, "zipkin_any", body)
        if codec == "otlp_proto":
            write(folder, "views", body)
    for path in sorted(corpus.glob("**/*.h2")) + sorted(corpus.glob("**/*.http")) if corpus else ():
        write(folder, "http", b"\0\0" + path.read_bytes())


main(pathlib.Path(sys.argv[1]))
