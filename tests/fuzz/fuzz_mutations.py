"""Ways to damage files. Each takes what it damages and a source of randomness, and depends on nothing else.

A protobuf is damaged as `fuzz_protobuf` says, JSON as a tree, text as tokens, and everything as bytes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, MutableMapping, MutableSequence
from functools import cache
from random import Random
from typing import Any, Final

import onnx
from fuzz_protobuf import FLOATS, INTEGERS, MODEL, WORDS

from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.ops import OPS


def damage_model(data: bytes, rng: Random) -> bytes:
    """One change to a model; what is no model is changed as bytes."""
    if rng.random() < 0.12:
        return damage_bytes(data, rng)
    model = onnx.ModelProto()
    try:
        model.ParseFromString(data)
        rng.choice(MODEL)(model, rng)
        return model.SerializeToString()
    except _UNHELD:
        # What protobuf itself will not hold is written past it.
        return damage_bytes(data, rng)


def _unheld() -> tuple[type[Exception], ...]:
    from google.protobuf.message import Error

    ours = (ArithmeticError, AttributeError, LookupError, OSError, RuntimeError, TypeError, ValueError)
    return (*ours, Error, onnx.defs.SchemaError, onnx.checker.ValidationError)


_UNHELD: Final = _unheld()


# Text and JSON

_TOKEN: Final = re.compile(rb"\w+|\"[^\"\n]*\"|[^\w\s]|\s+")


@cache
def _tokens() -> tuple[bytes, ...]:
    names = [*OPS, *(kind.text for kind in DataType), *(kind.value for kind in DataType)]
    marks = [
        *"[](){}<>,;:=@.\"'#/*-+%\n\t ",
        '"',
        "//",
        "/*",
        "->",
        "dyn",
        "inputs",
        "outputs",
        "consts",
        "nodes",
        "v1",
    ]
    more = ["v2", "v3", "true", "null", "NaN", "@weights", "@scalar", "@bytes", "webnn_graph", "1e400", "1e-400", "-0"]
    return tuple(word.encode() for word in (*names, *marks, *more, *map(str, INTEGERS), *WORDS, "(" * 500, "[" * 500))


def damage_text(data: bytes, rng: Random) -> bytes:
    """One change to a text: of a token, or of a line."""
    what = rng.randrange(8)
    if what < 2:
        lines = data.splitlines(keepends=True) or [b""]
        here, there = rng.randrange(len(lines)), rng.randrange(len(lines))
        if what == 0:
            lines.insert(there, lines[here])
        else:
            lines[here], lines[there] = lines[there], lines[here]
        return b"".join(lines)
    tokens = _TOKEN.findall(data) or [b""]
    here, there = rng.randrange(len(tokens)), rng.randrange(len(tokens))
    if what == 2:
        del tokens[here]
    elif what == 3:
        tokens[here], tokens[there] = tokens[there], tokens[here]
    elif what == 4:
        tokens[here] = tokens[there]
    elif what == 5 and any(token.isdigit() for token in tokens):
        numbers = [place for place, token in enumerate(tokens) if token.isdigit()]
        tokens[rng.choice(numbers)] = str(rng.choice(INTEGERS)).encode()
    elif what == 6:
        tokens.insert(here, rng.choice(_tokens()))
    else:
        tokens[here] = rng.choice(_tokens())
    return b"".join(tokens)


def _places(tree: Any) -> Iterator[tuple[Any, Any]]:
    """Every container of a JSON tree with each of its keys."""
    waiting = [tree]
    while waiting:
        held = waiting.pop()
        if isinstance(held, dict):
            keys: Any = list(held)
        elif isinstance(held, list):
            keys = range(len(held))
        else:
            continue
        for key in keys:
            yield held, key
            waiting.append(held[key])


def _change_tree(tree: Any, rng: Random) -> None:
    places = list(_places(tree))
    if not places:
        return
    held, key = rng.choice(places)
    what = rng.randrange(6)
    if what == 0:
        del held[key]
    elif what == 1:
        other, place = rng.choice(places)
        held[key] = json.loads(json.dumps(other[place]))
    elif what == 2 and isinstance(held, MutableMapping):
        held[rng.choice((*WORDS, *(str(name) for _, name in places)))] = held.pop(key)
    elif what == 3 and isinstance(held, MutableSequence):
        held.insert(rng.randrange(len(held) + 1), held[key])
    elif what == 4 and isinstance(held[key], int) and not isinstance(held[key], bool):
        held[key] += rng.choice((-1, 1))
    else:
        deep: Any = rng.choice((0, [], {}))
        for _ in range(rng.choice((0, 1, 50, 2000))):
            deep = [deep]
        held[key] = rng.choice(
            (None, True, False, "", [], {}, deep, rng.choice(INTEGERS), rng.choice(FLOATS), rng.choice(WORDS))
        )


def damage_json(data: bytes, rng: Random) -> bytes:
    """One change to a JSON tree; what is no JSON is changed as text."""
    try:
        tree = json.loads(data)
        _change_tree(tree, rng)
        return json.dumps(tree).encode()
    except (LookupError, RecursionError, TypeError, ValueError):
        return damage_text(data, rng)


# Bytes


def damage_bytes(data: bytes, rng: Random) -> bytes:
    """One change to bytes."""
    if not data:
        return rng.randbytes(rng.choice((1, 8, 40)))
    here, there = sorted((rng.randrange(len(data) + 1), rng.randrange(len(data) + 1)))
    there = min(there, here + rng.choice((1, 4, 16, 1000)))
    what = rng.randrange(6)
    if what == 0:
        return data[:here]
    if what == 1:
        return data[:here] + data[there:]
    if what == 2:
        return data[:there] + data[here:]
    if what == 3:
        return data[:here] + rng.randbytes(rng.choice((1, 4, 9))) + data[here:]
    if what == 4:
        length = rng.choice((1, 2, 4, 8))
        stated = (rng.choice(INTEGERS) % 2 ** (8 * length)).to_bytes(length, "little")
        return data[:here] + stated + data[here + length :]
    changed = bytearray(data)
    changed[min(here, len(data) - 1)] ^= 1 << rng.randrange(8)
    return bytes(changed)


def _damage_safetensors(data: bytes, rng: Random) -> bytes:
    length = int.from_bytes(data[:8], "little")
    if rng.random() < 0.4 or length > len(data) - 8:
        return damage_bytes(data, rng)
    header = damage_json(data[8 : 8 + length], rng)
    return len(header).to_bytes(8, "little") + header + data[8 + length :]


def damage_file(name: str, data: bytes, rng: Random) -> bytes:
    """One change to a file of a bundle, by its kind."""
    if name.endswith(".onnx"):
        return damage_model(data, rng)
    if rng.random() < 0.1 or name.endswith((".weights", ".data")):
        return damage_bytes(data, rng)
    if name.endswith(".safetensors"):
        return _damage_safetensors(data, rng)
    if name.endswith(".json"):
        return damage_json(data, rng) if rng.random() < 0.8 else damage_text(data, rng)
    return damage_text(data, rng)


def damage_folder(files: dict[str, bytes], rng: Random) -> dict[str, bytes]:
    """One change: to a file, or to which files there are."""
    changed = dict(files)
    if not changed:
        return changed
    name = rng.choice(sorted(changed))
    if rng.random() < 0.96 or name.endswith(".onnx"):
        changed[name] = damage_file(name, changed[name], rng)
        return changed
    what = rng.randrange(3)
    if what == 0:
        del changed[name]
    elif what == 1:
        other = rng.choice(("b.webnn", "model.weights", "manifest.json", "model.manifest.json", "x.safetensors"))
        changed[other] = changed[name]
    else:
        changed[name] = b""
    return changed
