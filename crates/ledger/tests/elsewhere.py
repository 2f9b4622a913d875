"""Verifies an exported ledger and a bundle without a line of Bastide: elsewhere.py FOLDER BUNDLE

Written from the texts of C2SP (signed-note, tlog-checkpoint, tlog-cosignature, tlog-tiles, tlog-proof) and RFC 6962 on
the standard library and the package `cryptography`. The keys are taken from the folders: whether they are the right
ones has to be learnt from whoever runs the log. A bundle may be the archive or what it was unpacked into.
"""

import base64
import hashlib
import hmac
import json
import pathlib
import sys
import tarfile
import tempfile

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

WIDTH = 256
# How many witnesses cosigned each checkpoint that was read.
WITNESSES = set()


def b64(text):
    return base64.b64decode(text, validate=True)


def verifier_keys(text):
    """c2sp.org/signed-note: NAME+ID+KEY, the id being the first bytes of a hash over name, type and key."""
    keys = []
    for line in text.splitlines():
        name, identity, key = line.split("+", 2)
        key = b64(key)
        assert hashlib.sha256(name.encode() + b"\n" + key).digest()[:4].hex() == identity, f"the id of {name}"
        keys.append((name, bytes.fromhex(identity), key[0], Ed25519PublicKey.from_public_bytes(key[1:])))
    return keys


def checkpoint(note, keys):
    """Size and root of a note that the log signed and every witness, where there is one, cosigned."""
    text, _, signatures = note.rpartition("\n\n")
    text += "\n"
    by = {}
    for line in signatures.splitlines():
        dash, name, signature = line.split(" ")
        assert dash == "\u2014"
        by[name, b64(signature)[:4]] = b64(signature)[4:]
    kinds = set()
    for name, identity, kind, key in keys:
        signature, message = by[name, identity], text
        if kind == 0x04:  # c2sp.org/tlog-cosignature
            time, signature = int.from_bytes(signature[:8], "big"), signature[8:]
            message = f"cosignature/v1\ntime {time}\n{text}"
        key.verify(signature, message.encode())
        kinds.add(kind)
    assert 0x01 in kinds, "expected the log"
    WITNESSES.add(sum(kind == 0x04 for _, _, kind, _ in keys))
    origin, size, root = text.splitlines()[:3]
    assert any(name == origin and kind == 0x01 for name, _, kind, _ in keys), "the key of another log"
    return int(size), b64(root)


def leaf_hash(leaf):
    return hashlib.sha256(b"\x00" + leaf).digest()


def node_hash(left, right):
    return hashlib.sha256(b"\x01" + left + right).digest()


def tree_hash(hashes):
    """RFC 6962, section 2.1."""
    if len(hashes) == 1:
        return hashes[0]
    middle = 1 << ((len(hashes) - 1).bit_length() - 1)
    return node_hash(tree_hash(hashes[:middle]), tree_hash(hashes[middle:]))


def path(index, width):
    digits = f"{index:03}"
    digits = digits.zfill(-(-len(digits) // 3) * 3)
    parts = [digits[at : at + 3] for at in range(0, len(digits), 3)]
    name = "/".join(["x" + part for part in parts[:-1]] + parts[-1:])
    return name if width == WIDTH else f"{name}.p/{width}"


def widths(count):
    return [(index, min(WIDTH, count - index * WIDTH)) for index in range(-(-count // WIDTH))]


def folder(root):
    keys = verifier_keys((root / "keys").read_text())
    size, expected = checkpoint((root / "checkpoint").read_text(), keys)
    leaves = []
    for index, width in widths(size):
        entries, first = (root / "tile/entries" / path(index, width)).read_bytes(), len(leaves)
        while entries:
            length = int.from_bytes(entries[:2], "big")
            leaf, entries = entries[2 : 2 + length], entries[2 + length :]
            assert len(leaf) == length, "a leaf is cut off"
            leaves.append(leaf)
        assert len(leaves) - first == width, f"bundle {index} has another number of leaves"
    hashes = level = [leaf_hash(leaf) for leaf in leaves]
    number, tiles = 0, 0
    while level:
        for index, width in widths(len(level)):
            tile = (root / f"tile/{number}" / path(index, width)).read_bytes()
            assert tile == b"".join(level[index * WIDTH : index * WIDTH + width]), f"tile {number}/{index}"
            tiles += 1
        whole = len(level) // WIDTH
        level = [tree_hash(level[index * WIDTH : (index + 1) * WIDTH]) for index in range(whole)]
        number += 1
    assert tree_hash(hashes) == expected, "the root"
    shown = 0
    for file in (root / "openings").rglob("*") if (root / "openings").exists() else []:
        if file.is_file():
            for line in file.read_text().splitlines():
                opened(line, leaves[json.loads(line)["leaf"]])
                shown += 1
    return size, tiles, shown


def included(leaf, index, size, proof, root):
    """RFC 9162, section 2.1.3.2."""
    assert index < size
    fn, sn, result = index, size - 1, leaf_hash(leaf)
    for sibling in proof:
        assert sn > 0, "the proof is too long"
        if fn & 1 or fn == sn:
            result = node_hash(sibling, result)
            while not fn & 1 and fn:
                fn, sn = fn >> 1, sn >> 1
        else:
            result = node_hash(result, sibling)
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0 and result == root, f"leaf {index} is not proved"


def bundle(root):
    keys = verifier_keys((root / "keys").read_text())
    proved = 0
    for file in root.glob("*.tlog-proof"):
        before, _, note = file.read_text().partition("\n\n")
        header, index, *proof = before.split("\n")
        assert header == "c2sp.org/tlog-proof@v1" and index == f"index {file.stem}"
        size, expected = checkpoint(note, keys)
        leaf = (root / f"{file.stem}.json").read_bytes()
        included(leaf, int(file.stem), size, [b64(line) for line in proof], expected)
        openings = root / f"{file.stem}.openings"
        for line in openings.read_text().splitlines() if openings.exists() else []:
            opened(line, leaf)
        proved += 1
    assert proved, "no leaf"
    return proved


def opened(line, leaf):
    shown, decision = json.loads(line), json.loads(leaf)
    committed = decision["who"]["id"] if shown["part"] == "who" else decision["details"]
    found = hmac.new(b64(shown["salt"]), shown["value"].encode(), hashlib.sha256).digest()
    assert hmac.compare_digest(found, b64(committed)), f"leaf {shown['leaf']}: {shown['part']}"


if sys.argv[1:] != ["--installed"]:
    whole, part = map(pathlib.Path, sys.argv[1:])
    size, tiles, shown = folder(whole)
    with tempfile.TemporaryDirectory() as unpacked:
        if part.is_file():
            tarfile.open(part).extractall(unpacked)
            part = pathlib.Path(unpacked)
        proved = bundle(part)
    print(f"{size} leaves, {tiles} tiles, {shown} openings; {proved} leaves of the bundle proved;")
    print(f"each checkpoint signed by its log and {min(WITNESSES)} witness{'es' * (min(WITNESSES) != 1)}")
