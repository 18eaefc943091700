"""Reads the segments of a store by docs/formats/segment.md alone: headers, magic numbers, checksums, order. What is compressed stays so
(Python has no zstd). Raises AssertionError at the first byte that is not as the page says."""
import pathlib
import re
import struct

BLOCK, DICTIONARY = 0x4B4C424D, 0x4349444D


def make_table():
    table = []
    for i in range(256):
        for _ in range(8):
            i = i >> 1 ^ (0x82F63B78 if i & 1 else 0)
        table.append(i)
    return table


TABLE = make_table()


def crc32c(data, salt=None):
    crc = 0xFFFFFFFF
    for byte in (struct.pack("<Q", salt) if salt is not None else b"") + data:
        crc = crc >> 8 ^ TABLE[(crc ^ byte) & 255]
    return crc ^ 0xFFFFFFFF


def check_names(root):
    """The page and store/format.h name the same numbers."""
    page = (root / "docs/formats/segment.md").read_text()
    header = (root / "store/format.h").read_text()
    magics = dict(re.findall(r"#define SM_FORMAT_(\w+)_MAGIC\s+UINT32_C\((0x\w+)\)", header))
    assert len(magics) == 4
    for name, value in magics.items():
        text = bytes.fromhex(value[2:])[::-1].decode()
        assert f"`{text}`, `{value}`" in page, f"magic of {name}"
    sizes = {n: int(v) for n, v in re.findall(r"#define SM_FORMAT_(\w+)_SIZE\s+(\d+)\b", header)}
    said = {
        "FILE_HEADER": "32 bytes.", "BLOCK_HEADER": "a header of 40 bytes", "RECORD_HEADER": "The header has 80 bytes",
        "FOOTER_HEADER": "The header has 16 bytes", "DIRECTORY": "104 bytes, then 24 for each", "TRAILER": "the last 32 bytes",
        "ROW": "| 3 | rows | one per record, by ordinal | 32 |", "ZONE": "| 4 | zones | one per block | 56 |",
        "ID": "sorted by these three | 20 |", "TERM": "| 6 | terms | what posting lists are about | 24 |",
        "SECTION": "then 24 for each",
    }
    assert set(sizes) - {"NAME"} == set(said), "a structure is not described"
    for name, text in said.items():
        assert text in page and re.search(rf"\b{sizes[name]}\b", text), f"size of {name}"
    assert "format version: 1" in page and re.search(r"SM_FORMAT_VERSION UINT32_C\(1\)", header)


def read_chunk(data, at, salt):
    """A block or dictionary chunk: (magic, header fields, offset behind it)."""
    head = data[at:at + 40]
    magic, crc, size, raw_size, payload_crc, records, first_seq, dictionary, zero = struct.unpack("<IIIIIIQII", head)
    assert magic in (BLOCK, DICTIONARY), f"magic at {at}"
    assert crc == crc32c(head[8:], salt), f"header checksum at {at}"
    payload = data[at + 40:at + 40 + size]
    assert len(payload) == size and payload_crc == crc32c(payload), f"payload at {at}"
    assert zero == 0 and size <= 67_108_864 and raw_size <= 33_554_432
    assert payload[:4] == bytes.fromhex("28b52ffd"), "a zstd frame"
    return magic, (records, first_seq, dictionary), at + 40 + size


def read_active(path, next_seq):
    """Checks a segment without footer; returns (blocks, records, dictionary chunks, next sequence number)."""
    name = re.fullmatch(r"([0-9a-f]{16})-([0-9a-f]{16})\.seg", path.name)
    number, salt = (int(part, 16) for part in name.groups())
    data = path.read_bytes()
    magic, version, zero, named, zero_too, crc = struct.unpack("<8sIIQII", data[:32])
    assert (magic, version, zero, named, zero_too) == (b"spanmill", 1, 0, number, 0), "file header"
    assert crc == crc32c(data[:28], salt), "checksum of the file header"
    at, blocks, records, dictionaries = 32, 0, 0, []
    while at < len(data):
        magic, (count, first, dictionary), at = read_chunk(data, at, salt)
        if magic == DICTIONARY:
            assert (count, first) == (0, 0) and dictionary, "a dictionary chunk"
            dictionaries.append(dictionary)
            continue
        assert first == next_seq and dictionary in (0, *dictionaries), "a block"
        next_seq += count
        records += count
        blocks += 1
    return blocks, records, dictionaries, next_seq


def check_store(folder, traces):
    """Every segment of a store that holds `traces` records."""
    paths = sorted(pathlib.Path(folder).glob("*.seg"))
    assert paths and re.fullmatch(r"\d+\n?", (pathlib.Path(folder) / "LOCK").read_text())
    next_seq, records, dictionaries = 1, 0, []
    for path in paths:
        _, n, found, next_seq = read_active(path, next_seq)
        records += n
        dictionaries += found
    assert records == traces, f"{records} records of {traces}"
    assert len(dictionaries) == 2 and len(set(dictionaries)) == 1, "the dictionary lies there twice"


assert crc32c(b"123456789") == 0xE3069283
