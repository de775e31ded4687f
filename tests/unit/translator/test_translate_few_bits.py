"""Weights of 2, 4 and 8 bits that a model keeps packed: products and tables, against ONNX Runtime."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from onnx import TensorProto, helper

from webnn_runtime.backends import get_backend
from webnn_translator._errors import TranslateError
from webnn_translator.translate import translate

N = helper.make_node
F, U8 = np.float32, np.uint8
RNG = np.random.default_rng(11)
MS = {"domain": "com.microsoft"}
DOMAINS = [("com.microsoft", 1)]


def numbers(*shape) -> np.ndarray:
    return RNG.integers(0, 256, shape).astype(U8)


def normal(*shape) -> np.ndarray:
    return RNG.standard_normal(shape).astype(F)


def agrees(build, agree, op, feed, constants, names, free, **options) -> None:
    """One node; `feed` are its inputs at run, `free` their dimensions."""
    inputs = {name: (array.dtype, free[name]) for name, array in feed.items()}
    model = build([N(op, names, ["y"], **options, **MS)], inputs, constants=constants, domains=DOMAINS)
    agree(model, feed)


# ONNX Runtime takes no float zero points beside weights of 8 bits.
@pytest.mark.parametrize(
    ("bits", "zeros"), [*itertools.product((2, 4), ("none", "packed", "float")), (8, "none"), (8, "packed")]
)
@pytest.mark.parametrize("inner", [64, 40])
def test_product_with_weights_of_a_few_bits(inner, bits, zeros, build, agree) -> None:
    columns, block = 6, 32
    blocks = -(-inner // block)
    constants = {
        "w": numbers(columns, blocks, block * bits // 8),
        "s": RNG.uniform(0.01, 0.1, (columns, blocks)).astype(F),
    }
    names = ["a", "w", "s"]
    if zeros == "packed":
        constants["z"] = numbers(columns, -(-blocks * bits // 8))
        names.append("z")
    elif zeros == "float":
        constants["z"] = RNG.uniform(0, 2**bits, (columns, blocks)).astype(F)
        names.append("z")
    constants["c"] = normal(columns)
    names += [""] * (5 - len(names)) + ["c"]
    options = {"K": inner, "N": columns, "bits": bits, "block_size": block}
    feed, free = {"a": normal(2, 3, inner)}, {"a": ("n", "t", inner)}
    agrees(build, agree, "MatMulNBits", feed, constants, names, free, **options)


def grouped(groups, bits, zeros, block=32):
    """Constants, names and options of a product whose inner places belong to `groups`."""
    columns, blocks = 6, -(-len(groups) // block)
    constants = {
        "w": numbers(columns, blocks, block * bits // 8),
        "s": RNG.uniform(0.01, 0.1, (columns, blocks)).astype(F),
        "g": np.asarray(groups, np.int32),
    }
    if zeros == "packed":
        constants["z"] = numbers(columns, -(-blocks * bits // 8))
    elif zeros == "float":
        constants["z"] = RNG.uniform(0, 2**bits, (columns, blocks)).astype(F)
    names = ["a", "w", "s", "z" if zeros != "none" else "", "g"]
    return constants, names, {"K": len(groups), "N": columns, "bits": bits, "block_size": block}


@pytest.mark.parametrize("zeros", ["none", "float"])
@pytest.mark.parametrize("is_sorted", [True, False])
@pytest.mark.parametrize("inner", [64, 40])
def test_groups_in_the_order_of_their_activations(inner, is_sorted, zeros, build, agree) -> None:
    """As GPTQ's act-order writes them: the scale of a place is that of its group, which need not lie together."""
    groups = np.arange(inner) // 32
    constants, names, options = grouped(groups if is_sorted else RNG.permutation(groups), 4, zeros)
    feed, free = {"a": normal(2, 3, inner)}, {"a": ("n", "t", inner)}
    agrees(build, agree, "MatMulNBits", feed, constants, names, free, **options)


@pytest.mark.parametrize(
    ("size", "zeros", "why"),
    [
        (40, "none", "groups of other sizes than 32; quantise without it"),
        # It makes 8 of them, which its documentation does not say.
        (32, "packed", "packed zero points beside a group index, which ONNX Runtime passes over"),
    ],
)
def test_group_indices_of_other_kinds_are_refused(size, zeros, why, build) -> None:
    constants, names, options = grouped(np.arange(64) // size, 4, zeros)
    model = build([N("MatMulNBits", names, ["y"], **options, **MS)], {"a": (F, (1, 64))}, constants=constants)
    model.opset_import.append(helper.make_opsetid(*DOMAINS[0]))
    with pytest.raises(TranslateError, match=why):
        translate(model)


@pytest.mark.parametrize("zeros", [False, True])
@pytest.mark.parametrize("bits", [2, 4, 8])
def test_rows_of_a_table_of_a_few_bits(bits, zeros, build, agree) -> None:
    width, block = 64, 16
    constants = {"t": numbers(10, width * bits // 8), "s": RNG.uniform(0.01, 0.1, (10, width // block)).astype(F)}
    if zeros:
        constants["z"] = numbers(10, -(-width // block * bits // 8))
    # The last two indices are not in the table.
    feed = {"i": np.asarray([[0, 9, -1], [-10, 10, -11]], np.int64)}
    names = ["t", "i", "s", *(["z"] if zeros else [])]
    options = {"bits": bits, "block_size": block, "gather_axis": 0, "quantize_axis": 1}
    agrees(build, agree, "GatherBlockQuantized", feed, constants, names, {"i": ("n", 3)}, **options)


@pytest.mark.parametrize(
    ("node", "why"), [({"weight_prepacked": 1}, "weight_prepacked=0"), ({"bits": 3}, "not supported; 2, 4 and 8 are")]
)
def test_weights_in_other_forms_are_refused(node, why, build) -> None:
    attributes = {"K": 32, "N": 2, "bits": 4, "block_size": 32, **node}
    constants = {"w": numbers(2, 1, 16), "s": normal(2, 1)}
    model = build(
        [N("MatMulNBits", ["a", "w", "s"], ["y"], **attributes, **MS)],
        {"a": (F, (1, 32))},
        constants=constants,
        domains=DOMAINS,
    )
    with pytest.raises(TranslateError, match=why):
        translate(model)


@pytest.mark.parametrize("scales", [(), (6,), (3, 6)])
def test_scales_that_come_at_run_without_zero_points(scales, build, agree) -> None:
    options = {(): {}, (6,): {"axis": 1}, (3, 6): {"axis": 0, "block_size": 4}}[scales]
    nodes = [N("DequantizeLinear", ["w", "s"], ["d"], **options), N("Add", ["d", "x"], ["y"])]
    model = build(nodes, {"s": (F, scales), "x": (F, ("n", 1, 1))}, opset=21)
    model.graph.initializer.append(helper.make_tensor("w", TensorProto.INT4, (12, 6), RNG.integers(-8, 8, 72)))
    agree(model, {"s": np.asarray(normal(*scales)), "x": normal(2, 1, 1)})


# Scales: of the whole table, per row, per column, per block of a row, and per block of rows.
@pytest.mark.parametrize("scales", [(), (12,), (6,), (12, 2), (3, 6)], ids=str)
@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4])
@pytest.mark.parametrize("axis", [0, 1])
def test_rows_and_columns_of_a_dequantised_table(axis, kind, scales, build, agree) -> None:
    options = {(12,): {"axis": 0}, (6,): {"axis": 1}, (12, 2): {"axis": 1, "block_size": 3}}
    options[3, 6] = {"axis": 0, "block_size": 4}
    nodes = [N("DequantizeLinear", ["t", "s", "z"], ["d"], **options.get(scales, {})), N("Gather", ["d", "i"], ["y"])]
    nodes[1].attribute.append(helper.make_attribute("axis", axis))
    constants = {"s": RNG.uniform(0.01, 0.1, scales).astype(F)}
    model = build(nodes, {"i": (np.int64, ("n", 3))}, opset=21, constants=constants)
    low = -8 if kind == TensorProto.INT4 else 0
    for name, shape in (("t", (12, 6)), ("z", scales)):
        count = int(np.prod(shape, dtype=int))
        model.graph.initializer.append(helper.make_tensor(name, kind, shape, RNG.integers(low, low + 16, count)))
    found = agree(model, {"i": np.asarray([[0, 5, -1], [-6, 2, 2]])}, {"i": np.asarray([[4, 3, 1]])})
    tables = {str(one.type) for one in found.graph.constants.values()} & {"u8[12, 3]", "i8[12, 6]", "u8[12, 6]"}
    # Rows stay packed, two values in a byte; of blocks of rows the whole table is dequantised, from 4 bits.
    assert tables == (set() if axis == 0 and scales == (3, 6) else {"u8[12, 3]"}) or axis == 1


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4])
@pytest.mark.parametrize("scales", [(), (6,), (3, 6)], ids=str)
@pytest.mark.parametrize("has_zero", [True, False])
def test_data_that_is_rounded_to_four_bits(kind, scales, has_zero, build, agree) -> None:
    """At run time it takes a byte for each value, and so does its zero point."""
    options = {(): {}, (6,): {"axis": 1}, (3, 6): {"axis": 0, "block_size": 4}}[scales]
    zero, more = (["z"], {}) if has_zero else ([], {"output_dtype": kind})
    nodes = [N("QuantizeLinear", ["x", "s", *zero], ["q"], **options, **more)]
    nodes.append(N("DequantizeLinear", ["q", "s", *zero], ["y"], **options))
    model = build(nodes, {"x": (F, (12, 6))}, opset=21, constants={"s": RNG.uniform(0.1, 0.3, scales).astype(F)})
    if has_zero:
        zeros = RNG.integers(0, 8, int(np.prod(scales, dtype=int)))
        model.graph.initializer.append(helper.make_tensor("z", kind, scales, zeros))
    agree(model, {"x": normal(12, 6)})


# 12 rows in blocks of 5, 5 and 2, or in one that has room for more; 6 columns in 4 and 2.
ENDS = {"rows": ((3, 6), 0, 5), "one block": ((1, 6), 0, 32), "columns": ((12, 2), 1, 4)}


@pytest.mark.parametrize("kind", [TensorProto.INT4, TensorProto.UINT4, TensorProto.INT8, TensorProto.UINT8])
@pytest.mark.parametrize("case", ENDS)
@pytest.mark.parametrize("has_zero", [True, False])
def test_a_last_block_that_is_not_full(kind, case, has_zero, build, agree) -> None:
    """As ONNX Runtime's quantiser leaves it where blocks do not divide the weights, and of data as well."""
    scales, axis, block = ENDS[case]
    zero, more = (["z"], {}) if has_zero else ([], {"output_dtype": kind})
    nodes = [
        N("DequantizeLinear", ["w", "s", *zero], ["d"], axis=axis, block_size=block),
        N("MatMul", ["x", "d"], ["product"]),
        N("QuantizeLinear", ["u", "s", *zero], ["q"], axis=axis, block_size=block, **more),
        N("DequantizeLinear", ["q", "s", *zero], ["whole"], axis=axis, block_size=block),
        N("MatMul", ["x", "whole"], ["other"]),
        N("Add", ["product", "other"], ["y"]),
    ]
    model = build(
        nodes,
        {"x": (F, ("n", 12)), "u": (F, (12, 6))},
        opset=21,
        constants={"s": RNG.uniform(0.1, 0.3, scales).astype(F)},
    )
    low = -8 if kind in (TensorProto.INT4, TensorProto.INT8) else 0
    for name, shape in (("w", (12, 6)), ("z", scales)):
        values = RNG.integers(low, low + 16, int(np.prod(shape)))
        model.graph.initializer.append(helper.make_tensor(name, kind, shape, values))
    agree(model, {"x": normal(2, 12), "u": normal(12, 6)}, tolerance=1e-4)


@pytest.mark.parametrize("kind", [0, 1], ids=["fp4", "nf4"])
@pytest.mark.parametrize(("inner", "columns", "block"), [(32, 6, 16), (40, 3, 32), (21, 3, 16)])
def test_weights_of_bitsandbytes(kind, inner, columns, block, build, agree) -> None:
    """Blocks go on from one column to the next, and the last byte may hold one weight."""
    options = {"K": inner, "N": columns, "block_size": block, "quant_type": kind}
    count = inner * columns
    agrees(
        build, agree, "MatMulBnb4", {"a": normal(2, 3, inner)},
        {"w": numbers((count + 1) // 2), "s": RNG.uniform(0.1, 2, -(-count // block)).astype(F)},
        ["a", "w", "s"], {"a": ("n", "m", inner)}, **options,
    )  # fmt: skip


def test_weights_of_bitsandbytes_that_are_not_transposed(build) -> None:
    options = {"K": 16, "N": 4, "block_size": 16, "quant_type": 1}
    constants = {"w": numbers(32), "s": normal(4)}
    found = []
    for is_transposed, data in ((1, np.eye(16, dtype=F)), (0, np.eye(4, dtype=F))):
        node = N("MatMulBnb4", ["a", "w", "s"], ["y"], transB=is_transposed, **options, **MS)
        model = build([node], {"a": (F, data.shape)}, constants=constants, domains=DOMAINS)
        found.append(get_backend("numpy").compile(translate(model).graph).run({"a": data})["y"])
    np.testing.assert_array_equal(found[0].T, found[1])
