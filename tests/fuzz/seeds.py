#!/usr/bin/env python3
"""Writes a few inputs for a reader of readers.cpp, or for programs.cpp, into a folder: tests/fuzz/seeds.py NAME FOLDER

A fuzzer gets further from files that are nearly right than from nothing.
"""
import base64
import gzip
import io
import json
import pathlib
import random
import struct
import sys
import tarfile
import zlib

# 9 x 8 pixels of two gradients, a baseline JPEG and a progressive one; nothing here writes JPEG files.
GREY_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDACgcHiMeGSgjISMtKygwPGRBPDc3PHtYXUlkkYCZlo+AjIqgtObDoKrarYqMyP/L2u71////m8H////6"
    "/+b9//j/wAALCAAIAAkBAREA/8QAFQABAQAAAAAAAAAAAAAAAAAABAX/xAAWEAEBAQAAAAAAAAAAAAAAAAAABUH/2gAIAQEAAD8APPxWf//Z")
COLOUR_JPEG = base64.b64decode(
    "/9j/4AAQSkZJRgABAQAAAQABAAD/2wBDACgcHiMeGSgjISMtKygwPGRBPDc3PHtYXUlkkYCZlo+AjIqgtObDoKrarYqMyP/L2u71////m8H////6"
    "/+b9//j/2wBDASstLTw1PHZBQXb4pYyl+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj4+Pj/wgAR"
    "CAAIAAkDASIAAhEBAxEB/8QAFQABAQAAAAAAAAAAAAAAAAAAAAL/xAAVAQEBAAAAAAAAAAAAAAAAAAAAAv/aAAwDAQACEAMQAAABiyX/xAAXEAEA"
    "AwAAAAAAAAAAAAAAAAAAAQIS/9oACAEBAAEFAoqy/8QAFxEAAwEAAAAAAAAAAAAAAAAAAAECEf/aAAgBAwEBPwGKeH//xAAVEQEBAAAAAAAAAAAA"
    "AAAAAAABAP/aAAgBAgEBPwFb/8QAFBABAAAAAAAAAAAAAAAAAAAAEP/aAAgBAQAGPwI//8QAFBABAAAAAAAAAAAAAAAAAAAAEP/aAAgBAQABPyEf"
    "/9oADAMBAAIAAwAAABBz/8QAFBEBAAAAAAAAAAAAAAAAAAAAAP/aAAgBAwEBPxAH/8QAFhEAAwAAAAAAAAAAAAAAAAAAAAER/9oACAECAQE/EG0/"
    "/8QAFhABAQEAAAAAAAAAAAAAAAAAAGFx/9oACAEBAAE/EJsv/9k=")


def chunk(name, body):
    return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))


def png(depth, colour, per_pixel, extra=b""):
    """3 x 2 pixels of `per_pixel` bits."""
    row = b"\0" + bytes(range(1, 1 + (3 * per_pixel + 7) // 8))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 3, 2, depth, colour, 0, 0, 0)) + extra +
            chunk(b"IDAT", zlib.compress(row * 2)) + chunk(b"IEND", b""))


def bmp():
    pixels = bytes(range(12)) * 2  # two rows of 3 x 3 bytes and 3 of padding
    header = struct.pack("<IHHI", 54 + 24, 0, 0, 54) + struct.pack("<IiiHHIIiiII", 40, 3, 2, 1, 24, 0, 24, 0, 0, 0, 0)
    return b"BM" + header + pixels


def images():
    palette = chunk(b"PLTE", bytes(range(12)))
    return [png(8, 0, 8), png(8, 2, 24), png(8, 6, 32), png(8, 4, 16), png(16, 2, 48), png(2, 3, 2, palette),
            png(1, 0, 1), bmp(), b"P5\n# grey\n3 2\n255\n" + bytes(6), b"P6 3 2 255\n" + bytes(18),
            GREY_JPEG, COLOUR_JPEG]


def idx():
    plain = struct.pack(">BBBBII", 0, 0, 8, 2, 3, 2) + bytes(range(6))
    return [plain, gzip.compress(plain, mtime=0), struct.pack(">BBBBI", 0, 0, 8, 1, 4) + bytes(4)]


def npy():
    def file(descr, shape, body, order="False"):
        header = f"{{'descr': '{descr}', 'fortran_order': {order}, 'shape': {shape}, }}"
        header += " " * (-(len(header) + 11) % 64) + "\n"
        return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(header)) + header.encode() + body

    return [file("<f4", "(2, 3)", bytes(24)), file(">f8", "(2,)", bytes(16), "True"), file("|b1", "()", b"\1"),
            file("<f2", "(3, 1)", bytes(6)), file("<i2", "(0, 4)", b"")]


def safetensors(tensors, metadata=None):
    """tensors: name to (dtype, shape, bytes)."""
    header, body = {"__metadata__": metadata} if metadata else {}, b""
    for name, (dtype, shape, numbers) in tensors.items():
        header[name] = {"dtype": dtype, "shape": shape, "data_offsets": [len(body), len(body) + len(numbers)]}
        body += numbers
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text)) + text + body


def checkpoint():
    def number(x):
        return ("F64", [], struct.pack("<d", x))

    state = {"groups.0.parameters": number(2), "groups.0.lr": number(0.1), "groups.0.momentum": number(0.9)}
    for i, (shape, count) in enumerate([([2, 3], 6), ([2], 2)]):
        state[f"state.{i}.step"] = number(1)
        state.update({f"state.{i}.{name}": ("F32", shape, bytes(4 * count)) for name in ("exp_avg", "exp_avg_sq")})
    weights = {"weight": ("F32", [2, 3], bytes(24)), "bias": ("F32", [2], bytes(8))}
    return [safetensors({**weights, **{"optimizer/" + name: entry for name, entry in state.items()}}, {"epoch": "3"})]


def tokenizers():
    specials = ["<pad>", "<s>", "</s>", "<unk>", "<mask>"]
    return [json.dumps({"type": "bpe", "merges": ["a b", "ab Ġ", "Ġ a"]}).encode(),
            json.dumps({"type": "word", "lowercase": True, "language": "en",
                        "tokens": specials + ["a", "你好"]}).encode(),
            json.dumps({"type": "character", "lowercase": False, "language": "fr",
                        "tokens": specials + ["a"]}).encode()]


def gpt2():
    letters = {chr(c): c - 33 for c in range(33, 127)}
    return [json.dumps({**letters, "ab": len(letters)}).encode() + b"\0#version: 0.2\na b\n",
            json.dumps({"a": 0, "b": 1, "ab": 2}).encode() + b"\0a b\n"]


def archives():
    found = []
    long_name = "x" * 120 + "/a/1.png"
    for mode, form, files in (("w:", tarfile.USTAR_FORMAT, {"a/1.png": png(8, 0, 8), "b/2.jpg": GREY_JPEG}),
                              ("w:gz", tarfile.PAX_FORMAT, {"train/a/1.bmp": bmp(), long_name: png(8, 2, 24)}),
                              ("w:", tarfile.GNU_FORMAT, {long_name: png(8, 2, 24)})):
        file = io.BytesIO()
        with tarfile.open(fileobj=file, mode=mode, format=form) as tar:
            for name, body in files.items():
                entry = tarfile.TarInfo(name)
                entry.size = len(body)
                tar.addfile(entry, io.BytesIO(body))
        found.append(file.getvalue())
    return found


texts = ["I am a dog\t我 是 一只 狗\nDon't, e.g., 3.14!\tl'homme\r\n".encode(),
         "\ufeffe\u0301 \u2581 ﬁ\n".encode(),
         b"\xed\xa0\x80\xff\n"]
SEEDS = {
    "archive": archives,
    "checkpoint": checkpoint,
    "gpt2": gpt2,
    "gzip": lambda: [gzip.compress(b"text " * 20, mtime=0), b"no",
                     gzip.compress(b"", mtime=0) + gzip.compress(b"a", mtime=0)],
    "idx": idx,
    "image": images,
    "lines": lambda: [*texts, gzip.compress(texts[0], mtime=0)],
    "npy": npy,
    "options": lambda: [b"--count 3 --lr 0.5 --name b", b"--share=0.25 --flag --where 'a b'",
                        b"--lr 1e-3 --count=0x10"],
    "optdigits": lambda: [(",".join(["0", "16"] * 32) + ",7\n").encode() * 2],
    "pairs": lambda: texts,
    "programs": lambda: [random.Random(seed).randbytes(120) for seed in range(20)],
    "safetensors": lambda: [safetensors({"a": ("F32", [2, 1], bytes(8)), "b": ("I64", [], bytes(8))}, {"a": "b"}),
                            safetensors({"h": ("F16", [3], bytes(6)), "n": ("BF16", [0, 2], b"")})],
    "tokenizer": tokenizers,
    "unicode": lambda: texts,
}


def main():
    if len(sys.argv) != 3 or sys.argv[1] not in SEEDS:
        sys.exit(__doc__ + "\nNAME: " + ", ".join(SEEDS))
    for number, content in enumerate(SEEDS[sys.argv[1]]()):
        (pathlib.Path(sys.argv[2]) / f"seed{number}").write_bytes(content)


if __name__ == "__main__":
    main()
