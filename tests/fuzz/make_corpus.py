#!/usr/bin/env python3
"""Makes the seed corpora of the fuzz targets from tests/data/vectors.

    tests/fuzz/make_corpus.py [directory of make_key_corpus and make_cluster_corpus, which the fuzz preset builds]

Rewrites tests/fuzz/corpus/<target>/. Without the programs the corpora of key_delta, snapshot, envelope and
cluster_message stay as they are.
"""
import json
import pathlib
import shutil
import subprocess
import sys

here = pathlib.Path(__file__).resolve().parent
vectors = here.parent / "data" / "vectors"
corpus = here / "corpus"
TYPES = ["GCounter", "PNCounter", "ORSet", "LwwRegister", "Presence", "CRDTMap", "RGA", "Tree"]
FILES_MAX = 100


def load(name):
    return json.loads((vectors / f"{name}.json").read_text(encoding="utf-8"))


def write(target, files):
    """files: name -> hex; equal contents are written once."""
    directory = corpus / target
    shutil.rmtree(directory, ignore_errors=True)
    directory.mkdir(parents=True)
    seen = set()
    for name, text in files.items():
        if text in seen or len(seen) == FILES_MAX:
            continue
        seen.add(text)
        (directory / name).write_bytes(bytes.fromhex(text))


ops, deltas, client, server, values = {}, {}, {}, {}, {}
typescript, others = load("client-ops"), load("client-ops-other")
for case in typescript["cases"]:
    ops[case["id"]] = case["op_hex"]
for case in others["rust"]:
    ops[case["id"]] = case["op_hex"]
for case in load("deltas-derived")["deltas"]:
    deltas[case["id"]] = f"{TYPES.index(case['type']):02x}" + case["hex"]
for case in typescript["frames"] + others["python"]:
    client[case["id"]] = case["frame_hex"]
for number, entry in enumerate(load("client-api-tables")["entries"]):
    name = f"api-{number:02}"
    if entry["kind"] == "op":
        ops[name] = entry["hex"]
    elif entry["kind"] == "delta":
        deltas[name] = f"{TYPES.index(entry['type']):02x}" + entry["hex"]
    elif entry["kind"] == "client_message":
        client[name] = entry["hex"]
    else:
        server[name] = entry["hex"]
for case in load("messages-derived")["messages"]:
    (server if case["id"].startswith("msg-") else values)[case["id"]] = case["hex"]
for case in load("states-derived")["states"]:
    values[case["id"]] = case["hex"]
values["example"] = "87a161ffa361727292c3c2a3626967cfffffffffffffffffa166cb3ff0000000000000a16ec0a173a2c3a9a17a01"

write("op", ops)
write("client_delta", deltas)
write("client_message", client)
write("server_message", server)
write("json", values)


def run(program, inputs, targets):
    for target in targets:
        shutil.rmtree(corpus / target, ignore_errors=True)
        (corpus / target).mkdir(parents=True)
    subprocess.run([program, *(corpus / name for name in inputs + targets)], check=True)


if len(sys.argv) > 1:
    programs = pathlib.Path(sys.argv[1])
    run(programs / "make_key_corpus", ["op"], ["key_delta", "snapshot"])
    run(programs / "make_cluster_corpus", [], ["envelope", "cluster_message"])
