"""Verifies an exported ledger and a bundle without a line of Bastide: elsewhere.py FOLDER BUNDLE

What the C2SP formats define is verified by the package aics-tlog; openings by the standard library alone. The keys are
taken from the folders: whether they are the right ones has to be learnt from whoever runs the log.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import sys

from aics_tlog import (
    FileSystemTileReader,
    audit_tiles,
    parse_checkpoint,
    parse_note,
    parse_vkey,
    verify_checkpoint,
    verify_leaf_inclusion,
)


def checkpoint(note, keys):
    """Origin, size and root of a note that the log signed and every witness cosigned."""
    log = [key for key in keys if key.key_type == 0x01]
    witnesses = [key for key in keys if key.key_type == 0x04]
    result = verify_checkpoint(note, log[0], witnesses, len(witnesses), expected_origin=log[0].name)
    assert result.ok, result.error
    assert witnesses, "no witness"
    return parse_checkpoint(note.text)


def folder(root):
    keys = [parse_vkey(line) for line in (root / "keys").read_text().splitlines()]
    head = checkpoint(parse_note((root / "checkpoint").read_bytes()), keys)
    report = audit_tiles(FileSystemTileReader(root), head.size, head.root)
    assert report.bundles == (head.size + 255) // 256
    return report


def bundle(root):
    keys = [parse_vkey(line) for line in (root / "keys").read_text().splitlines()]
    proved = 0
    for path in root.glob("*.tlog-proof"):
        before, _, note = path.read_text().partition("\n\n")
        header, index, *hashes = before.split("\n")
        assert header == "c2sp.org/tlog-proof@v1" and index == f"index {path.stem}"
        head = checkpoint(parse_note(note), keys)
        leaf = (root / f"{path.stem}.json").read_bytes()
        proof = [base64.b64decode(line, validate=True) for line in hashes]
        assert verify_leaf_inclusion(leaf, int(path.stem), head.size, proof, head.root), f"{path.stem}: not proved"
        opened(root / f"{path.stem}.openings", json.loads(leaf))
        proved += 1
    return proved


def opened(path, decision):
    for line in path.read_text().splitlines() if path.exists() else []:
        shown = json.loads(line)
        committed = decision["who"]["id"] if shown["part"] == "who" else decision["details"]
        salt = base64.b64decode(shown["salt"], validate=True)
        found = hmac.new(salt, shown["value"].encode(), hashlib.sha256).digest()
        assert hmac.compare_digest(found, base64.b64decode(committed)), f"{path.name}: {shown['part']}"


if sys.argv[1:] != ["--installed"]:
    whole, part = map(pathlib.Path, sys.argv[1:])
    report = folder(whole)
    print(f"{report.size} leaves, {report.tiles} tiles, {report.bundles} bundles; {bundle(part)} leaves of the bundle proved")
