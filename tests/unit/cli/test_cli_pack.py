"""`webnn pack`: the file it writes, what it says, and what it leaves alone."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from webnn_runtime import save_bundle
from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType

pytestmark = pytest.mark.native


def test_the_file_is_written_beside_the_bundle_and_used(
    run: Callable[..., Any], bundle: Path, optional: Callable[..., Any]
) -> None:
    kernels = optional("webnn_kernels")
    ran = run("webnn", "pack", bundle, "--json")
    assert ran.code == 0
    path = bundle / f"model.packed.{kernels.isa}"
    assert ran.json["data"] == {
        "file": str(path),
        "isa": kernels.isa,
        "bytes": path.stat().st_size,
        "inFile": 1,
        "inMemory": 0,
    }
    from webnn_runtime import load

    assert load(bundle, "rust").describe()["packed_weights"] == {"from": "file", "in_file": 1, "in_memory": 0}
    ran = run("webnn", "pack", bundle)
    assert ran.code == 0, "an older file is replaced"
    assert f"{path}: written" in ran.out


def test_other_commands_take_a_bundle_with_the_file(run: Callable[..., Any], bundle: Path, optional: Any) -> None:
    kernels = optional("webnn_kernels")
    assert run("webnn", "pack", bundle, "--quiet").code == 0
    name = f"model.packed.{kernels.isa}"
    ran = run("webnn", "verify", bundle)
    assert ran.code == 0
    assert f"{name} has the SHA-256 that it states itself" in ran.out
    for command in (["inspect", bundle], ["emit-js", bundle], ["pack", bundle / "model.webnn"]):
        assert run("webnn", *command).code == 0, command
    copy = bundle.with_name("copy")
    shutil.copytree(bundle, copy)
    assert run("webnn", "verify", copy).code == 0
    content = (copy / name).read_bytes()
    (copy / name).write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    ran = run("webnn", "verify", copy)
    assert ran.code == 4
    assert "does not have its SHA-256; `webnn pack` makes a new one" in ran.err


def test_a_quantised_copy_goes_without_the_file(run: Callable[..., Any], optional: Any) -> None:
    optional("webnn_kernels")
    builder = GraphBuilder("wide", dims=[DynamicDim("batch", 64)])
    x = builder.input("x", DataType.FLOAT32, (symbol("batch"), 64))
    weights = builder.constant(np.random.default_rng(0).standard_normal((64, 64)).astype(np.float32))
    wide = save_bundle(builder.build({"y": builder.op("matmul", x, weights)}), "wide")
    assert run("webnn", "pack", wide).code == 0
    assert run("webnn", "quantize", wide, "-o", "smaller", "--no-verify", "--quantize", "float16").code == 0
    assert not list(Path("smaller").glob("*.packed.*"))


def test_what_cannot_be_packed_is_said_and_nothing_is_written(
    run: Callable[..., Any], bundle: Path, optional: Any
) -> None:
    optional("webnn_kernels")
    assert run("webnn", "pack", "nowhere").code == 3
    builder = GraphBuilder("sum", dims=[DynamicDim("batch", 64)])
    x = builder.input("x", DataType.FLOAT32, (symbol("batch"), 4))
    graph = builder.build({"y": builder.op("add", x, builder.constant(np.ones(4, np.float32)))})
    plain = save_bundle(graph, "plain")
    before = sorted(plain.iterdir())
    ran = run("webnn", "pack", plain)
    assert ran.code == 2
    assert "plain/model.webnn: has no linear layer of float32 weights" in ran.err
    assert sorted(plain.iterdir()) == before
    weights = bundle / "model.weights"
    content = weights.read_bytes()
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    ran = run("webnn", "pack", bundle)
    assert ran.code == 4
    assert "does not have the SHA-256 of the manifest" in ran.err
    assert not [*bundle.glob("*.packed.*"), *bundle.glob(".*")]
