"""Files of packed weights: the same bits from them, and none from a file of other weights or for another engine."""

from __future__ import annotations

import json
import logging
import os
import re
import shutil
from binascii import crc32
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from webnn_runtime import load, load_bundle, save_bundle
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_runtime.format.errors import WeightsError, WriteError

pytestmark = pytest.mark.native

WIDTH = 48


def encoder(seed=0):
    """A table, two layers from the weights, and one whose weights are computed from two constants."""
    builder = GraphBuilder("layers", dims=[DynamicDim("batch", 64), DynamicDim("length", 32)])
    ids = builder.input("ids", DataType.INT64, (symbol("batch"), symbol("length")))
    random = np.random.default_rng(seed)
    table, first, second, left, right = (
        builder.constant(random.standard_normal(shape).astype(np.float32))
        for shape in [(50, WIDTH), (WIDTH, 70), (70, 30), (30, WIDTH), (30, WIDTH)]
    )
    x = builder.op("relu", builder.op("matmul", builder.op("gather", table, ids, axis=0), first))
    x = builder.op("matmul", x, second)
    return builder.build({"y": builder.op("matmul", x, builder.op("mul", left, right))})


@pytest.fixture
def bundle(tmp_path, rust):
    return save_bundle(encoder(), tmp_path / "model")


@pytest.fixture
def packed(bundle, write):
    """The file, written for a bundle."""
    return write(load_bundle(bundle)).path


@pytest.fixture
def whole(packed):
    """What is in the file before anybody damages it."""
    return Path(packed).read_bytes()


IDS = np.arange(60, dtype=np.int64).reshape(4, 15) % 50


def vectors(bundle, **options):
    model = load(bundle, "rust", **options)
    return model.run({"ids": IDS})["y"].tobytes(), model.describe()["packed_weights"]


def test_bits_are_the_same_with_the_file_and_without(bundle, write):
    for threads in (1, 2):
        wanted, where = vectors(bundle, threads=threads)
        assert where["from"] == "memory"
        assert "there is no such file; `webnn pack` writes it" in where["reason"]
        written = write(load_bundle(bundle))
        assert (written.in_file, written.in_memory) == (2, 1)
        assert os.path.getsize(written.path) == written.size
        found, where = vectors(bundle, threads=threads)
        assert found == wanted
        assert where == {"from": "file", "in_file": 2, "in_memory": 1}
        os.unlink(written.path)


def test_texts_take_the_same_layers(bundle, packed):
    model = load(bundle, "rust", threads=2)
    found = model.texts().run({"ids": IDS.reshape(-1)}, [15] * 4)["y"]
    assert found.tobytes() == model.run({"ids": IDS})["y"].tobytes()
    assert model.describe()["packed_weights"]["in_file"] == 2


def test_each_instruction_set_has_a_file_of_its_own(bundle, packed, isa):
    import webnn_kernels

    where = vectors(bundle, session_options={"isa": isa})[1]
    assert where["from"] == ("file" if isa == webnn_kernels.isa else "memory")


def test_a_file_for_another_instruction_set_is_refused(bundle, packed, isa):
    import webnn_kernels

    wanted = vectors(bundle, session_options={"isa": isa})[0]
    target = packed.replace(webnn_kernels.isa, isa)
    if isa != webnn_kernels.isa:
        shutil.copy(packed, target)
    found, where = vectors(bundle, session_options={"isa": isa})
    assert found == wanted
    if isa != webnn_kernels.isa:
        assert f"was packed for an engine with isa '{webnn_kernels.isa}', and this one has '{isa}'" in where["reason"]


def replaced_weights(bundle):
    """Other weights under the same manifest, of the same size."""
    path = bundle / "model.weights"
    content = bytearray(path.read_bytes())
    content[8:] = np.frombuffer(content[8:], np.float32).__mul__(2).tobytes()
    path.write_bytes(content)


def edited_weights(bundle):
    """One bit in place, by whoever keeps everything else as it was."""
    with (bundle / "model.weights").open("r+b") as file:
        file.seek(4096)
        byte = file.read(1)[0]
        file.seek(4096)
        file.write(bytes([byte ^ 1]))


def converted_again(bundle):
    packed = next(bundle.glob("*.packed.*"))
    kept = packed.read_bytes()
    save_bundle(encoder(1), bundle, force=True)
    assert not list(bundle.glob("*.packed.*")), "a bundle that is replaced is replaced whole"
    packed.write_bytes(kept)


def converted_again_at_the_same_time(bundle):
    before = (bundle / "model.weights").stat()
    converted_again(bundle)
    os.utime(bundle / "model.weights", ns=(before.st_atime_ns, before.st_mtime_ns))


def copied(bundle):
    shutil.copy(bundle / "model.weights", bundle / "copy")
    os.replace(bundle / "copy", bundle / "model.weights")


def altered(bundle, change):
    """A file whose head says something else, and is a proper head."""
    path = next(bundle.glob("*.packed.*"))
    content = path.read_bytes()
    size = int.from_bytes(content[8:12], "little")
    stated = json.loads(content[16 : 16 + size])
    change(stated)
    head = json.dumps(stated).encode()
    assert len(head) < 4080
    words = b"".join(word.to_bytes(4, "little") for word in (1, len(head), crc32(head)))
    path.write_bytes((b"WNPK" + words + head).ljust(4096, b"\0") + content[4096:])


def engine_of(key, value):
    return lambda bundle: altered(bundle, lambda stated: stated["engine"].update({key: value}))


def first_matrix(key, value):
    return lambda bundle: altered(bundle, lambda stated: stated["matrices"][0].update({key: value}))


def cut(bundle):
    path = next(bundle.glob("*.packed.*"))
    path.write_bytes(path.read_bytes()[:-1])


def extended(bundle):
    path = next(bundle.glob("*.packed.*"))
    path.write_bytes(path.read_bytes() + b"\0")


def of_format_2(bundle):
    path = next(bundle.glob("*.packed.*"))
    content = bytearray(path.read_bytes())
    content[4] = 2
    path.write_bytes(content)


def emptied(bundle):
    next(bundle.glob("*.packed.*")).write_bytes(b"")


def a_folder(bundle):
    path = next(bundle.glob("*.packed.*"))
    path.unlink()
    path.mkdir()


def a_pipe(bundle):
    path = next(bundle.glob("*.packed.*"))
    path.unlink()
    os.mkfifo(path)


def dangling(bundle):
    path = next(bundle.glob("*.packed.*"))
    path.unlink()
    path.symlink_to("nowhere")


@pytest.mark.parametrize(
    ("damage", "reason"),
    [
        (replaced_weights, "was packed before the weights were last written or copied"),
        (edited_weights, "was packed before the weights were last written or copied"),
        (copied, "was packed before the weights were last written or copied"),
        (converted_again, "was packed from other weights"),
        (converted_again_at_the_same_time, "was packed from other weights"),
        (engine_of("version", "0.0.1"), "was packed for an engine with version '0.0.1'"),
        (engine_of("revision", 0), "was packed for an engine with revision 0"),
        (engine_of("plans", 0), "was packed for an engine with plans 0"),
        (engine_of("panel", 8), "was packed for an engine with panel 8"),
        (engine_of("panel", True), "was packed for an engine with panel True"),
        (engine_of("endianness", "big"), "was packed for an engine with endianness 'big'"),
        (engine_of("more", 1), "has a head of other facts"),
        (lambda bundle: altered(bundle, lambda stated: stated.pop("weights")), "has a head of other facts"),
        (lambda bundle: altered(bundle, lambda stated: stated.update(engine=1)), "has a head of other facts"),
        (lambda bundle: altered(bundle, lambda stated: stated.update(matrices=1)), "lists no matrices"),
        (first_matrix("rows", -1), "a matrix that is not described as one"),
        (first_matrix("columns", [[1, 2, 3]]), "a matrix that is not described as one"),
        (first_matrix("columns", [1]), "a matrix that is not described as one"),
        (first_matrix("offset", 64), "a matrix that is not described as one"),
        (first_matrix("offset", 1 << 40), "is truncated"),
        (first_matrix("bytes", (1 << 62) - 1), "is truncated"),
        (cut, "is truncated"),
        (extended, "is too long"),
        (of_format_2, "is of format 2; this version reads 1"),
        (emptied, "is no file of packed weights"),
        (a_folder, "annot be read|not a regular file"),
        (a_pipe, "not a regular file"),
        (dangling, "cannot be read"),
    ],
)
def test_a_file_that_does_not_fit_is_not_used(bundle, packed, damage, reason, caplog, tmp_path):
    damage(bundle)
    plain = tmp_path / "plain"
    shutil.copytree(bundle, plain, ignore=shutil.ignore_patterns("*.packed.*"))
    with caplog.at_level(logging.WARNING):
        found, where = vectors(bundle)
    assert found == vectors(plain)[0]
    assert where.keys() == {"from", "reason"}
    assert where["from"] == "memory"
    assert where["reason"].startswith(f"{packed}: ")
    assert re.search(reason, where["reason"])
    assert where["reason"].endswith("; `webnn pack` makes a new one")
    assert [record.getMessage() for record in caplog.records] == [
        f"{where['reason']}; until then weights are packed in memory"
    ]


def test_an_image_that_keeps_whole_seconds_keeps_the_file(bundle, packed):
    for rounded in (round, int):
        second = rounded((bundle / "model.weights").stat().st_mtime_ns / 1e9) * 10**9
        os.utime(bundle / "model.weights", ns=(second, second))
        assert vectors(bundle)[1]["from"] == "file"
    os.utime(bundle / "model.weights", ns=(second, second + 2 * 10**9))
    assert vectors(bundle)[1]["from"] == "memory"


def test_a_layer_that_is_not_in_the_file_is_packed(bundle, packed):
    wanted = vectors(bundle)[0]
    altered(bundle, lambda stated: stated["matrices"][0]["columns"][0].__setitem__(1, 1))
    assert vectors(bundle) == (wanted, {"from": "file", "in_file": 1, "in_memory": 2})
    # Too few bytes for this shape: the next matrix is none of its.
    altered(bundle, lambda stated: stated["matrices"][1].update(rows=WIDTH + 1))
    assert vectors(bundle) == (wanted, {"from": "memory", "in_file": 0, "in_memory": 3})


@settings(deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_no_damaged_head_is_used(bundle, packed, whole, data):
    """Any bytes of the head changed, or the file cut anywhere in it: its checksum says so."""
    content = bytearray(whole)
    size = 16 + int.from_bytes(content[8:12], "little")
    if data.draw(st.booleans()):
        place, change = data.draw(st.integers(0, size - 1)), data.draw(st.integers(1, 255))
        content[place] ^= change
    else:
        del content[data.draw(st.integers(0, size)) :]
    Path(packed).write_bytes(content)
    assert load(bundle, "rust", threads=1).describe()["packed_weights"]["from"] == "memory"


@pytest.mark.parametrize(
    ("file", "matrices", "wrong"),
    [
        (256, [((1, [(0, 1, 1, 1)]), 0, 320)], "lies at 0 to 320 of 256 bytes"),
        (256, [((1, [(0, 1, 1, 1)]), 32, 64)], "lies at 32 to 96 of 256 bytes"),
        (256, [((1, []), 320, 0)], "lies at 320 to 320 of 256 bytes"),
        (0, [((1, []), 64, (1 << 64) - 1)], "lies at 64 to 18446744073709551615 of 0 bytes"),
    ],
)
def test_the_engine_refuses_matrices_outside_their_file(rust, file, matrices, wrong):
    import webnn_kernels

    weights, content = np.zeros(64, np.uint8), np.zeros(file, np.uint8)
    weights.flags.writeable = content.flags.writeable = False
    with pytest.raises(ValueError, match=wrong):
        webnn_kernels.PackedFile(weights, content, matrices)


def test_the_numbers_come_from_the_file_and_verifying_reads_them(bundle, packed):
    """Nobody packs behind our back: what is in the file is what is multiplied by."""
    from webnn_runtime.backends.rust.packed_writing import verify_packed as verify

    assert verify(load_bundle(bundle)) == (Path(packed).name,)
    with open(packed, "r+b") as file:
        size = os.path.getsize(packed)
        file.seek(4096)
        file.write(bytes(size - 4096))
    model = load(bundle, "rust")
    assert not model.run({"ids": IDS})["y"].any()
    with pytest.raises(WeightsError, match="is damaged: matrix 0 does not have its SHA-256; `webnn pack` makes a new"):
        verify(load_bundle(bundle))


@pytest.mark.skipif(not hasattr(os, "fork"), reason="the platform has no fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded, use of fork:DeprecationWarning")
def test_a_child_runs_on_the_same_file(bundle, packed):
    model = load(bundle, "rust", threads=2)
    wanted = model.run({"ids": IDS})["y"].tobytes()
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            again = load(bundle, "rust", threads=2)
            same = model.run({"ids": IDS})["y"].tobytes() == wanted == again.run({"ids": IDS})["y"].tobytes()
            same &= model.texts().run({"ids": IDS.reshape(-1)}, [15] * 4)["y"].tobytes() == wanted
            os.write(writing, b"same" if same and again.describe()["packed_weights"]["in_file"] == 2 else b"other")
        finally:
            os._exit(0)
    os.close(writing)
    with open(reading, "rb") as answer:
        assert answer.read() == b"same"
    os.waitpid(child, 0)


def test_weights_that_are_not_those_of_the_manifest_are_not_packed(bundle, write):
    before = sorted(bundle.iterdir())
    edited_weights(bundle)
    with pytest.raises(WeightsError, match="does not have the SHA-256 of the manifest"):
        write(load_bundle(bundle))
    assert sorted(bundle.iterdir()) == before


def test_weights_that_are_written_meanwhile_are_not_packed(bundle, packed, write):
    kept = Path(packed).read_bytes()
    loaded = load_bundle(bundle)
    with pytest.raises(WeightsError, match="are being written by somebody else"):
        write(loaded, progress=lambda *_: os.utime(bundle / "model.weights"))
    assert Path(packed).read_bytes() == kept
    assert len(list(bundle.glob("*.packed.*"))) == len(list(bundle.glob(".*"))) + 1 == 1


def test_a_disk_that_is_full_leaves_the_older_file(bundle, packed, write, monkeypatch):
    kept = Path(packed).read_bytes()

    def full(_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(WriteError, match=r"model\.packed\.\w+: cannot be written: No space left on device"):
        write(load_bundle(bundle))
    assert Path(packed).read_bytes() == kept
    assert not list(bundle.glob(".*"))
