#!/usr/bin/env python3
"""Makes the seed corpus of fuzz_lmdb_file: small snapshot databases with pages of 256 bytes.

    tests/fuzz/make_database_corpus.py
"""
import pathlib
import struct

PAGE = 256
NONE = 2**64 - 1
BRANCH, LEAF, LARGE, META = 1, 2, 4, 8
corpus = pathlib.Path(__file__).resolve().parent / "corpus" / "lmdb_file"


def tree(root, depth=1, branches=0, leaves=1, large=0, rows=0, pad=0, flags=0):
    if root is None:
        root, depth, leaves = NONE, 0, 0
    return struct.pack("<IHHQQQQQ", pad, flags, depth, branches, leaves, large, rows, root)


def meta(number, transaction, last, free, main):
    head = struct.pack("<QHHI", number, 0, META, 0)
    body = struct.pack("<IIQQ", 0xBEEFC0DE, 1, 0, 1 << 20) + free + main + struct.pack("<QQ", last, transaction)
    return (head + body).ljust(PAGE, b"\0")


def row(key, value=b"", large=None, size=0, is_tree=False):
    if large is not None:
        return struct.pack("<HHHH", size & 0xFFFF, size >> 16, 1, len(key)) + key + struct.pack("<Q", large)
    return struct.pack("<HHHH", len(value), 0, 2 if is_tree else 0, len(key)) + key + value


def child(page, key=b""):
    return struct.pack("<HHHH", page & 0xFFFF, page >> 16 & 0xFFFF, page >> 32, len(key)) + key


def page(number, kind, nodes):
    area, offsets = b"", []
    for node in nodes:
        area = node + b"\0" * (len(node) % 2) + area
        offsets.append(PAGE - len(area))
    lower = 16 + 2 * len(offsets)
    head = struct.pack("<QHHHH", number, 0, kind, lower, PAGE - len(area))
    return (head + struct.pack(f"<{len(offsets)}H", *offsets)).ljust(PAGE - len(area), b"\0") + area


def large(number, size):
    count = (15 + size) // PAGE + 1
    return (struct.pack("<QHHI", number, 0, LARGE, count) + b"v" * size).ljust(count * PAGE, b"\0")


def number(value):
    return struct.pack("<Q", value)


# The tables do not fit one leaf of this size.
def database(snapshots, pages, free=None, free_pages=b""):
    fixed = 6
    last = fixed + len(pages) // PAGE + len(free_pages) // PAGE - 1
    tables = {b"deadlines": tree(None), b"deletions": tree(None), b"metadata": tree(5, rows=2),
              b"snapshots": snapshots, b"system": tree(None)}
    rows = [row(name, info, is_tree=True) for name, info in sorted(tables.items())]
    main = tree(2, depth=2, branches=1, leaves=2, rows=5)
    body = page(2, BRANCH, [child(3), child(4, b"metadata")])
    body += page(3, LEAF, rows[:2]) + page(4, LEAF, rows[2:])
    body += page(5, LEAF, [row(b"a", b"value"), row(b"m", b"another")])
    free = tree(None, pad=PAGE, flags=8) if free is None else free
    return meta(0, 4, last, free, main) + meta(1, 3, last, free, main) + body + pages + free_pages


corpus.mkdir(parents=True, exist_ok=True)
files = {
    "empty": database(tree(None), b""),
    "leaf": database(tree(6, rows=2), page(6, LEAF, [row(b"a", b"1"), row(b"m", b"2" * 40)])),
    "large": database(tree(6, rows=1, large=2), page(6, LEAF, [row(b"m", large=7, size=300)]) + large(7, 300)),
    "branch": database(
        tree(6, depth=2, branches=1, leaves=2, rows=4),
        page(6, BRANCH, [child(7), child(8, b"k")])
        + page(7, LEAF, [row(b"a", b"1"), row(b"b", b"2")])
        + page(8, LEAF, [row(b"k", b"3"), row(b"z", b"4")])),
    "free": database(
        tree(None), b"", tree(6, rows=2, pad=PAGE, flags=8),
        free_pages=page(6, LEAF, [row(number(1), number(2) + number(8) + number(7)), row(number(2), number(0))])
        + b"\0" * 2 * PAGE),
}
for name, content in files.items():
    (corpus / name).write_bytes(content)
