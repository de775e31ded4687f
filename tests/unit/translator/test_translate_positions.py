"""Positions of tokens: counted up to a dimension, looked up in a table that bounds it, or computed from a mask."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import TensorProto, helper

from webnn_runtime.backends import get_backend
from webnn_runtime.format.errors import ShapeError
from webnn_translator.translate import translate

N = helper.make_node
F, I64 = np.float32, np.int64
DYNAMIC = {"x": (F, ("batch", "length", 8))}


def ints(*values):
    return np.asarray(values, I64)


def x_of(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(F)


def ops(translation):
    return [node.op for node in translation.graph.nodes]


@pytest.mark.parametrize("limit", [{}, {"max_dims": {"length": 100}}])
def test_positions_count_to_a_dimension(limit, build, agree) -> None:
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "one"], ["l"]),
        N("Range", ["zero", "l", "one"], ["y"]),
    ]
    constants = {"zero": np.asarray(0), "one": np.asarray(1)}
    model = build(nodes, {"x": (F, ("batch", "length"))}, constants=constants)
    model.graph.node.append(N("Cast", ["y"], ["f"], to=TensorProto.FLOAT))
    model.graph.node.append(N("Add", ["x", "f"], ["z"]))
    del model.graph.output[:]
    model.graph.output.append(helper.make_tensor_value_info("z", TensorProto.FLOAT, None))
    found = agree(model, {"x": x_of(2, 5)}, {"x": x_of(3, 100)}, **limit)
    assert ("cumulativeSum" in ops(found)) == (not limit)


def test_a_table_of_positions_bounds_the_length(build, agree) -> None:
    nodes = [
        N("Shape", ["x"], ["s"], start=1, end=2),
        N("Slice", ["ids", "zero", "s", "one"], ["p"]),
        N("Gather", ["table", "p"], ["e"]),
        N("Add", ["x", "e"], ["y"]),
    ]
    constants = {"zero": ints(0), "one": ints(1), "ids": np.arange(16).reshape(1, 16), "table": x_of(16, 8)}
    found = agree(build(nodes, DYNAMIC, constants=constants), {"x": x_of(2, 3, 8)}, {"x": x_of(1, 16, 8)})
    assert "gather" not in ops(found)
    assert found.graph.dims["length"].max_size == 16
    assert found.unbounded == ("batch",)
    assert found.notes == ()
    # What is asked for and cannot be had is said.
    asked = agree(build(nodes, DYNAMIC, constants=constants), {"x": x_of(2, 3, 8)}, max_dims={"length": 40})
    assert asked.graph.dims["length"].max_size == 16
    assert asked.notes == (
        "dimension 'length' takes 1 to 16, not 1 to 40; at most 16: a constant table of 16 is cut to it",
    )


def positions_of_a_mask(mask, *, rows=16, offset=1):
    # RoBERTa: positions are a running sum of the mask, and start behind those of the padding.
    return [
        *mask,
        N("CumSum", ["m", "one"], ["c"]),
        N("Cast", ["c"], ["c32"], to=TensorProto.INT32),
        N("Mul", ["c32", "m32"], ["p32"]),
        N("Cast", ["p32"], ["p64"], to=TensorProto.INT64),
        N("Add", ["p64", "offset"], ["p"]),
        N("Gather", ["table", "p"], ["y"]),
    ], {"one": np.asarray(1), "pad": np.asarray(1), "offset": np.asarray(offset), "table": x_of(rows, 3)}


IDS = {"ids": (I64, ("batch", "length"))}
BITS_OF_IDS = [
    N("Equal", ["ids", "pad"], ["e"]),
    N("Not", ["e"], ["n"]),
    N("Cast", ["n"], ["m32"], to=TensorProto.INT32),
    N("Cast", ["m32"], ["m"], to=TensorProto.INT64),
]


@pytest.mark.parametrize("offset", [1, 3])
def test_positions_computed_from_data_bound_the_length_by_their_table(offset, build, agree) -> None:
    nodes, constants = positions_of_a_mask(BITS_OF_IDS, offset=offset)
    ids = np.full((2, 16 - offset - 1), 7, I64)
    ids[1, 5:] = 1
    found = agree(build(nodes, IDS, constants=constants), {"ids": ids}, {"ids": ids[:, :1]})
    assert found.graph.dims["length"].max_size == 16 - offset - 1
    assert "16 rows" in found.dims[1].why
    assert found.unbounded == ("batch",)


def counted_rows(*, offset=2):
    """BART: positions of every row of a batch, although they are the same, start at 2."""
    return [
        N("Shape", ["ids"], ["s"]),
        N("Gather", ["s", "axis"], ["l"]),
        N("Range", ["zero", "l", "one"], ["r"]),
        N("Expand", ["r", "s"], ["rows"]),
        N("Add", ["rows", "offset"], ["p"]),
        N("Gather", ["table", "p"], ["y"]),
    ], {"axis": np.asarray(1), "zero": np.asarray(0), "one": np.asarray(1), "offset": np.asarray(offset)}


def test_positions_repeated_along_the_batch_are_bound_by_their_table_as_well(build, agree) -> None:
    nodes, constants = counted_rows()
    model = build(nodes, IDS, constants={**constants, "table": x_of(16, 3)})
    found = agree(model, {"ids": np.ones((2, 14), I64)}, {"ids": np.ones((3, 1), I64)})
    assert found.graph.dims["length"].max_size == 14
    assert "gather" not in ops(found)


CACHED = {"ids": (I64, ("batch", "length")), "past": (F, ("batch", "cached", 3))}


def places_behind_a_cache():
    return [N("Range", ["cached", "end", "one"], ["p"])]


def places_behind_a_cache_of_data():
    # No slice of the table: every row has positions of its own.
    return [
        N("Equal", ["ids", "zero"], ["e"]),
        N("Not", ["e"], ["n"]),
        N("Cast", ["n"], ["m"], to=TensorProto.INT64),
        N("CumSum", ["m", "one"], ["c"]),
        N("Sub", ["c", "one"], ["c0"]),
        N("Add", ["c0", "cached"], ["p"]),
    ]


def the_place_behind_a_cache():
    return [N("Add", ["cached", "zero"], ["p"])]


def a_slice_at_the_cache():
    # Whisper and M2M100, one token at a time.
    return [
        N("Unsqueeze", ["cached", "a0"], ["from"]),
        N("Add", ["from", "a1"], ["to"]),
        N("Slice", ["table", "from", "to", "a0"], ["y"]),
    ]


def with_cache(places, build):
    nodes = [
        N("Shape", ["past"], ["size"]),
        N("Gather", ["size", "one"], ["cached"]),
        N("Shape", ["ids"], ["s"]),
        N("Gather", ["s", "one"], ["l"]),
        N("Add", ["cached", "l"], ["end"]),
        *places(),
        *([] if places is a_slice_at_the_cache else [N("Gather", ["table", "p"], ["y"])]),
    ]
    constants = {"one": np.asarray(1), "zero": np.asarray(0), "a0": ints(0), "a1": ints(1), "table": x_of(16, 3)}
    return build(nodes, CACHED, constants=constants)


def cached(length, size):
    return {"ids": np.ones((2, length), I64), "past": x_of(2, size, 3)}


@pytest.mark.parametrize("places", [places_behind_a_cache, places_behind_a_cache_of_data])
def test_a_text_and_its_cache_share_a_table_or_the_run_is_refused(places, build, agree, optional) -> None:
    found = agree(with_cache(places, build), cached(15, 1), cached(1, 15), cached(9, 7), cached(2, 3))
    assert [found.graph.dims[name].max_size for name in ("length", "cached")] == [15, 15]
    for backend in ("numpy", "onnxruntime", "rust"):
        if backend != "numpy":
            optional({"rust": "webnn_kernels"}.get(backend, backend))
        with pytest.raises(ShapeError, match="16"):
            get_backend(backend).compile(found.graph).run(cached(9, 8))


def test_the_end_of_a_table_is_as_long_as_a_text_and_its_cache(build, agree) -> None:
    """MPT's slopes: the start of a Slice is what is left of the table."""
    nodes = [
        N("Shape", ["past"], ["s"], start=1, end=2),
        N("Shape", ["ids"], ["t"], start=1, end=2),
        N("Add", ["s", "t"], ["end"]),
        N("Sub", ["rows", "end"], ["from"]),
        N("Slice", ["table", "from", "many", "a0"], ["y"]),
    ]
    constants = {"rows": ints(16), "many": ints(2**62), "a0": ints(0), "table": x_of(16, 3)}
    found = agree(build(nodes, CACHED, constants=constants), cached(15, 1), cached(2, 3), cached(9, 7))
    assert [found.graph.dims[name].max_size for name in ("length", "cached")] == [15, 15]
    with pytest.raises(ShapeError, match="start"):
        get_backend("numpy").compile(found.graph).run(cached(9, 8))


def test_one_position_behind_a_cache_bounds_the_cache(build, agree) -> None:
    found = agree(with_cache(the_place_behind_a_cache, build), cached(1, 15), cached(1, 1))
    assert found.graph.dims["cached"].max_size == 15


def test_a_row_is_cut_from_a_table_at_the_length_of_a_cache(build, agree) -> None:
    feeds = [cached(1, size) for size in (0, 1, 15, 16)]
    agree(with_cache(a_slice_at_the_cache, build), *feeds, min_dims={"cached": 0})


def test_elements_picked_by_position_bound_the_length_as_well(build, agree) -> None:
    nodes, constants = counted_rows()
    nodes[-1] = N("GatherElements", ["table", "p"], ["y"], axis=1)
    model = build(nodes, {"ids": (I64, (2, "length"))}, constants={**constants, "table": x_of(2, 16)})
    found = agree(model, {"ids": np.ones((2, 14), I64)}, {"ids": np.ones((2, 1), I64)})
    assert found.graph.dims["length"].max_size == 14


@pytest.mark.parametrize("is_repeated", [False, True])
def test_a_buffer_of_zeros_read_at_the_positions_is_zeros(is_repeated, build, agree) -> None:
    # Types of tokens as transformers 5 reads them in BERT and RoBERTa. Chromium gathers at constant positions only.
    nodes, constants = counted_rows()
    nodes.pop()
    if is_repeated:
        nodes += [N("Shape", ["ids"], ["batch"], start=0, end=1), N("Concat", ["batch", "many"], ["to"], axis=0)]
        nodes.append(N("Expand", ["types", "to"], ["buffer"]))
    nodes += [
        N("GatherElements", ["buffer" if is_repeated else "types", "p"], ["kinds"], axis=1),
        N("Gather", ["table", "kinds"], ["y"]),
    ]
    rows = "batch" if is_repeated else 1
    constants |= {"types": np.zeros((1, 16), I64), "many": ints(16), "table": x_of(2, 3)}
    model = build(nodes, {"ids": (I64, (rows, "length"))}, constants=constants)
    found = agree(model, {"ids": np.ones((1, 14), I64)}, {"ids": np.ones((1, 1), I64)})
    assert "gatherElements" not in ops(found)
    assert found.graph.dims["length"].max_size == 14


def test_positions_that_nothing_bounds_stay_as_in_the_model(build) -> None:
    # The mask is an input: nothing says that it holds only 0 and 1.
    nodes, constants = positions_of_a_mask([N("Cast", ["m"], ["m32"], to=TensorProto.INT32)])
    found = translate(build(nodes, {"m": (I64, ("batch", "length"))}, constants=constants))
    assert found.unbounded == ("batch", "length")


def test_a_mask_gathered_at_its_own_positions_is_the_mask(build, agree) -> None:
    nodes = [
        N("Shape", ["m"], ["s"]),
        N("Gather", ["s", "zero"], ["b"]),
        N("Gather", ["s", "one"], ["l"]),
        N("Range", ["zero", "b", "one"], ["rb"]),
        N("Range", ["zero", "l", "one"], ["rl"]),
        N("Unsqueeze", ["rb", "a1"], ["rb1"]),
        N("Unsqueeze", ["rl", "a0"], ["rl1"]),
        N("Mul", ["rb1", "l"], ["row"]),
        N("Add", ["row", "rl1"], ["flat"]),
        N("Reshape", ["m", "minus"], ["line"]),
        N("Gather", ["line", "flat"], ["y"]),
    ]
    constants = {"zero": np.asarray(0), "one": np.asarray(1), "a0": ints(0), "a1": ints(1), "minus": ints(-1)}
    model = build(nodes, {"m": (F, ("batch", "length"))}, constants=constants)
    found = agree(model, {"m": x_of(2, 5)}, {"m": x_of(1, 1)})
    assert ops(found) == ["identity"]


def test_positions_may_be_counted_in_float(build, agree) -> None:
    # torch.arange(end=width) of a float type, as detectors make their anchors.
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "one"], ["l"]),
        N("Cast", ["l"], ["end"], to=TensorProto.FLOAT),
        N("Range", ["zero", "end", "step"], ["r"]),
        N("Add", ["r", "half"], ["y"]),
    ]
    constants = {"one": np.asarray(1), "zero": F(0), "step": F(1), "half": F(0.5)}
    agree(build(nodes, DYNAMIC, constants=constants), {"x": x_of(2, 5, 8)}, {"x": x_of(1, 1, 8)})


def counted(name, source):
    """Nodes that make 0, 1, ... up to the first dimension of an input, as torch's arange is exported."""
    shape, first = f"{name}_shape", f"{name}_size"
    return [
        N("Shape", [source], [shape], start=0, end=1),
        N("Squeeze", [shape], [first]),
        N("Range", ["zero", first, "one"], [name]),
    ]


def by_gather():
    return [*counted("p", "x"), N("Gather", ["rows", "p"], ["g"], axis=0)]


def by_gather_nd():
    places = [N("Unsqueeze", ["p", "last"], ["column"]), N("GatherND", ["rows", "column"], ["g"])]
    return [*counted("p", "x"), *places]


def by_a_grid():
    """How torch writes a mask that it vectorised: every pair of a row and a column."""
    return [
        *counted("p", "x"),
        *counted("c", "turned"),
        N("Unsqueeze", ["p", "last"], ["column"]),
        N("Add", ["column", "c"], ["sum"]),
        N("Shape", ["sum"], ["both"]),
        N("Expand", ["column", "both"], ["wide_rows"]),
        N("Expand", ["c", "both"], ["wide_columns"]),
        N("Unsqueeze", ["wide_rows", "last"], ["r1"]),
        N("Unsqueeze", ["wide_columns", "last"], ["c1"]),
        N("Concat", ["r1", "c1"], ["places"], axis=-1),
        N("GatherND", ["rows", "places"], ["g"]),
    ]


@pytest.mark.parametrize("picked", [by_gather, by_gather_nd, by_a_grid])
def test_positions_of_one_free_size_in_another_exist_or_the_run_is_refused(picked, build, agree, optional) -> None:
    # torch names the batch of every input anew where it is told nothing of them.
    nodes = [N("Transpose", ["x"], ["turned"], perm=[1, 0, 2]), *picked()]
    nodes += [N("Unsqueeze", ["g", "last"], ["u"]), N("Add", ["x", "u"], ["y"])]
    inputs = {"x": (F, ("batch", "length", 8)), "rows": (F, ("others", "length"))}
    constants = {"zero": np.asarray(0), "one": np.asarray(1), "last": ints(-1)}
    feeds = [{"x": x_of(n, 5, 8), "rows": x_of(rows, 5)} for n, rows in ((1, 1), (3, 3), (2, 7))]
    model = build(nodes, inputs, constants=constants)
    found = agree(model, *feeds)
    assert not {"gather", "gatherND"} & set(ops(found))
    few = {"x": x_of(3, 5, 8), "rows": x_of(2, 5)}
    for backend in ("numpy", "onnxruntime", "rust"):
        if backend != "numpy":
            optional({"rust": "webnn_kernels"}.get(backend, backend))
        with pytest.raises(ShapeError, match=r"needs others >= batch, but here they are 2 and 3"):
            get_backend(backend).compile(found.graph).run(few)


def into_rows():
    return [N("Transpose", ["x"], ["u"], perm=[1, 0, 2]), N("Unsqueeze", ["p", "last"], ["i"])]


@pytest.mark.parametrize(
    "placed",
    [
        [*into_rows(), N("ScatterND", ["rows", "i", "u"], ["y"])],
        [*into_rows(), N("ScatterND", ["rows", "i", "u"], ["y"], reduction="add")],
        [
            *into_rows(),
            N("Unsqueeze", ["i", "last"], ["ii"]),
            N("Shape", ["u"], ["all"]),
            N("Expand", ["ii", "all"], ["e"]),
            N("ScatterElements", ["rows", "e", "u"], ["y"], axis=0),
        ],
        [
            N("Unsqueeze", ["p", "last"], ["i"]),
            N("Sub", ["i", "i"], ["z"]),
            N("Concat", ["i", "z", "z"], ["places"], axis=-1),
            N("GatherND", ["rows", "places"], ["g"]),
            N("Unsqueeze", ["g", "last"], ["w"]),
            N("Add", ["x", "w"], ["y"]),
        ],
    ],
)
def test_places_that_are_written_to_bound_the_length_as_well(placed, build, agree) -> None:
    """A cache of 16 places: WebNN would write the seventeenth into the last."""
    nodes = [N("Transpose", ["x"], ["turned"], perm=[1, 0, 2]), *counted("p", "turned"), *placed]
    inputs = {"x": (F, (2, "length", 3)), "rows": (F, (16, 2, 3))}
    constants = {"zero": np.asarray(0), "one": np.asarray(1), "last": ints(-1)}
    feeds = [{"x": x_of(2, size, 3), "rows": x_of(16, 2, 3)} for size in (1, 5, 16)]
    found = agree(build(nodes, inputs, constants=constants), *feeds)
    assert found.graph.dims["length"].max_size == 16


def test_a_table_with_a_free_size_is_read_at_a_few_positions(build, agree) -> None:
    nodes = [N("Range", ["zero", "four", "one"], ["p"]), N("Add", ["p", "one"], ["q"]), N("Gather", ["x", "q"], ["y"])]
    constants = {"zero": np.asarray(0), "one": np.asarray(1), "four": np.asarray(4)}
    found = agree(build(nodes, {"x": (F, ("n", 3))}, constants=constants), {"x": x_of(5, 3)}, {"x": x_of(9, 3)})
    assert found.graph.dims["n"].min_size == 5


@pytest.mark.parametrize("op", ["ReduceMax", "ReduceMin"])
@pytest.mark.parametrize("keep", [0, 1])
def test_the_extremes_of_copies_are_one_of_them(op, keep, build, agree) -> None:
    nodes = [
        N("Shape", ["x"], ["s"]),
        N("Gather", ["s", "one"], ["l"]),
        N("Range", ["zero", "l", "one"], ["r"]),
        N("Expand", ["r", "s"], ["all"]),
        N(op, ["all"], ["n"], axes=[0], keepdims=keep),
        N("Cast", ["n"], ["f"], to=TensorProto.FLOAT),
        N("Add", ["x", "f"], ["y"]),
    ]
    constants = {"one": np.asarray(1), "zero": np.asarray(0)}
    model = build(nodes, {"x": (F, ("batch", "length"))}, constants=constants)
    agree(model, {"x": x_of(2, 5)}, {"x": x_of(1, 1)})
