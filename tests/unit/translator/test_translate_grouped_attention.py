"""GroupQueryAttention with its ragged cache, and rotary positions, against ONNX Runtime."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper

from webnn_runtime.backends import get_backend
from webnn_runtime.format.errors import WebnnError
from webnn_translator._errors import TranslateError
from webnn_translator.translate import translate
from webnn_translator.verify.reference import OnnxReference, SourceFailed

N = helper.make_node
F, I32, I64 = np.float32, np.int32, np.int64
RNG = np.random.default_rng(8)
MS = {"domain": "com.microsoft"}
DOMAINS = [("com.microsoft", 1)]
HEADS, FEW, WIDTH = 4, 2, 16
ANGLES = RNG.uniform(-3, 3, (16, WIDTH // 2))
TABLES = {"cos": np.cos(ANGLES).astype(F), "sin": np.sin(ANGLES).astype(F)}


def normal(*shape) -> np.ndarray:
    return RNG.standard_normal(shape).astype(F)


def grouped(build, feed, *, packed=False, optional=None, outputs=("y", "nk", "nv"), **attributes):
    """A model of one GroupQueryAttention whose total length is the length of a mask."""
    optional = optional or {}
    state = ("n", FEW, "past", WIDTH)
    free = {"q": ("n", "t", None), "k": ("n", "t", None), "v": ("n", "t", None), "pk": state, "pv": state}
    inputs = {
        name: (a.dtype, tuple(d or a.shape[i] for i, d in enumerate(free.get(name, a.shape))))
        for name, a in feed.items()
    }
    inputs |= {"len": (I32, ("n",)), "mask": (I64, ("n", "total"))}
    names = ["q", "", "", "pk", "pv"] if packed else ["q", "k", "v", "pk", "pv"]
    rotary = ["cos", "sin"] if attributes.get("do_rotary") else ["", ""]
    more = [optional.get(index, "") for index in range(9, 16)]
    while more and not more[-1]:
        more.pop()
    nodes = [
        N("Shape", ["mask"], ["whole"], start=1, end=2),
        N("Cast", ["whole"], ["total32"], to=6),
        N(
            "GroupQueryAttention",
            [*names, "len", "total32", *rotary, *more],
            list(outputs),
            num_heads=HEADS,
            kv_num_heads=FEW,
            **attributes,
            **MS,
        ),
    ]
    return build(nodes, inputs, outputs, constants=TABLES, domains=DOMAINS, opset=18)


def step(past, fresh, lengths, *, packed=False, **extra) -> dict[str, np.ndarray]:
    """Arrays of one step: `lengths` are the totals of the rows."""
    rows = len(lengths)
    feed = {"q": normal(rows, fresh, (HEADS + (2 * FEW if packed else 0)) * WIDTH)}
    if not packed:
        feed |= {"k": normal(rows, fresh, FEW * WIDTH), "v": normal(rows, fresh, FEW * WIDTH)}
    feed |= {"pk": normal(rows, FEW, past, WIDTH), "pv": normal(rows, FEW, past, WIDTH)}
    feed |= {"len": np.asarray(lengths, I32) - 1, "mask": np.ones((rows, past + fresh), I64), **extra}
    return feed


FIRST, NEXT = step(0, 5, [5, 5]), step(4, 1, [5, 5])
VARIANTS = {
    "plain": {},
    "scale": {"scale": 0.3},
    "softcap": {"softcap": 2.0},
    "rotary": {"do_rotary": 1},
    "interleaved": {"do_rotary": 1, "rotary_interleaved": 1},
    "window": {"local_window_size": 2},
    "smooth": {"smooth_softmax": 1},
    "both ways": {"causal": 0},
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_grouped_attention_over_two_steps(variant, build, agree) -> None:
    agree(grouped(build, FIRST, **VARIANTS[variant]), FIRST, NEXT, tolerance=1e-4, min_dims={"past": 0})


@pytest.mark.parametrize("rotary", [0, 1])
def test_grouped_attention_of_rows_of_different_length(rotary, build, agree) -> None:
    model = grouped(build, NEXT, do_rotary=rotary)
    agree(model, step(4, 1, [5, 3]), step(6, 1, [2, 7]), tolerance=1e-4)


def test_first_step_of_rows_of_different_length(build, optional) -> None:
    # What ONNX Runtime gives for queries beyond a row's end is not defined, and read by nobody.
    feed = step(0, 5, [5, 3])
    model = grouped(build, feed, do_rotary=1)
    session = optional("onnxruntime").InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    wanted = session.run(None, feed)
    translation = translate(model, min_dims={"past": 0})
    found = get_backend("numpy").compile(translation.graph).run(feed)
    np.testing.assert_allclose(found["y"][0], wanted[0][0], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["y"][1, :3], wanted[0][1, :3], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["nk"], wanted[1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(found["nv"], wanted[2], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("variant", ["plain", "rotary"])
def test_packed_grouped_attention(variant, build, agree) -> None:
    first, later = step(0, 3, [3, 3], packed=True), step(3, 1, [4, 4], packed=True)
    model = grouped(build, first, packed=True, **VARIANTS[variant])
    agree(model, first, later, tolerance=1e-4, min_dims={"past": 0})


def test_several_new_tokens_after_a_past(build, agree) -> None:
    agree(grouped(build, NEXT, do_rotary=1), step(4, 3, [7]), tolerance=1e-4)


def test_several_new_tokens_of_several_rows_are_compared_row_by_row(build, tmp_path) -> None:
    # ONNX Runtime takes them of one row only, so that no decoder of it could be checked at sizes of its own.
    model, feed = grouped(build, NEXT, do_rotary=1), step(4, 3, [7, 7, 7])
    # Every output begins with the batch, as an exporter states it.
    states = ["n", FEW, "all", WIDTH]
    for output, shape in (("y", ["n", "t", HEADS * WIDTH]), ("nk", states), ("nv", states)):
        model.graph.output.pop(0)
        model.graph.output.append(helper.make_tensor_value_info(output, TensorProto.FLOAT, shape))
    onnx.save(model, tmp_path / "m.onnx")
    sizes = {"n": 3, "t": 3, "past": 4, "total": 7}
    wanted = OnnxReference(tmp_path / "m.onnx").run(feed, ["y", "nk", "nv"], sizes)
    found = get_backend("numpy").compile(translate(model).graph).run(feed)
    for name, array in wanted.items():
        np.testing.assert_allclose(found[name], array, rtol=1e-4, atol=1e-5)
    # Two queries for three masks are no batch.
    with pytest.raises(SourceFailed, match="does not run"):
        OnnxReference(tmp_path / "m.onnx").run(feed | {"mask": feed["mask"][:2], "q": feed["q"][:2]}, ["y"], sizes)


@pytest.mark.parametrize("past_tokens", [0, 10])
def test_a_text_is_as_long_as_the_tables_of_angles_at_most(past_tokens, build, agree, optional) -> None:
    fresh = 16 - past_tokens
    fits, too_long = (step(past_tokens, new, [past_tokens + new]) for new in (fresh, fresh + 1))
    model = grouped(build, fits, do_rotary=1)
    translation = agree(model, fits, tolerance=1e-4, min_dims={"past": 0})
    assert {dim.name: dim.max_size for dim in translation.dims if dim.max_size is not None} == {
        "t": 16, "total": 16, "past": 15,
    }  # fmt: skip
    session = optional("onnxruntime").InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    with pytest.raises(Exception, match="shall not be less than total_sequence_length"):
        session.run(None, too_long)
    with pytest.raises(WebnnError, match=r"total|t = 17"):
        get_backend("numpy").compile(translation.graph).run(too_long)


@pytest.mark.parametrize("smooth", [0, 1])
def test_bias_and_sinks_of_grouped_attention(smooth, build, agree) -> None:
    feed = step(4, 1, [5, 5], bias=normal(1, HEADS, 1, 5), sink=normal(HEADS))
    model = grouped(build, feed, optional={10: "bias", 11: "sink"}, smooth_softmax=smooth)
    agree(model, feed, tolerance=1e-4, dims={"past": 4, "total": 5, "t": 1})


def test_position_ids_of_grouped_attention(build, agree) -> None:
    feed = step(4, 1, [5, 5], ids=np.asarray([[9], [2]], I64))
    agree(grouped(build, feed, optional={9: "ids"}, do_rotary=1), feed, tolerance=1e-4, dims={"t": 1})


def test_a_buffer_with_room_is_filled_up(build, agree) -> None:
    # The past has more room than the step needs: ONNX Runtime writes into it.
    feed = step(8, 1, [5, 3])
    feed["mask"] = np.ones((2, 5), I64)
    agree(grouped(build, feed, do_rotary=1), feed, tolerance=1e-4, dims={"past": 8, "total": 5, "t": 1})


def test_norm_of_queries_and_keys_is_that_of_normalised_inputs(build) -> None:
    # ONNX Runtime has it on GPUs only: the same done outside is what to compare with.
    def norm(x, heads, weight):
        apart = x.reshape(*x.shape[:2], heads, WIDTH).astype(np.float64)
        scaled = apart / np.sqrt((apart**2).mean(-1, keepdims=True) + 1e-6) * weight
        return scaled.reshape(x.shape).astype(F)

    weights = {"qw": normal(WIDTH), "kw": normal(WIDTH)}
    feed = step(4, 1, [5, 5])
    done = feed | {"q": norm(feed["q"], HEADS, weights["qw"]), "k": norm(feed["k"], FEW, weights["kw"])}
    results = []
    for arrays, optional in ((feed | weights, {14: "qw", 15: "kw"}), (done, {})):
        graph = translate(grouped(build, arrays, optional=optional, do_rotary=1)).graph
        results.append(get_backend("numpy").compile(graph).run(arrays)["y"])
    np.testing.assert_allclose(*results, rtol=1e-5, atol=1e-5)


def test_a_total_that_is_not_past_and_new_tokens_is_refused_at_run(build) -> None:
    feed = step(4, 1, [5, 5])
    run = get_backend("numpy").compile(translate(grouped(build, feed)).graph).run
    feed["mask"] = np.ones((2, 4), I64)
    with pytest.raises(WebnnError):
        run(feed)


@pytest.mark.parametrize(
    ("attributes", "why"),
    [
        ({"sliding_window_cache": 1, "local_window_size": 2}, "sliding_window_cache"),
        ({"k_quant_type": "PER_TENSOR"}, "k_quant_type"),
        ({"qk_output": 1}, "scores"),
    ],
)
def test_caches_of_other_kinds_are_refused(attributes, why, build) -> None:
    with pytest.raises(TranslateError, match=why):
        translate(grouped(build, NEXT, **attributes))


WIDE = {"cos": TABLES["cos"], "sin": TABLES["sin"]}


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize("form", ["offset", "ids"])
@pytest.mark.parametrize("rank", [3, 4])
def test_rotary_embedding_of_onnx_runtime(rank, form, interleaved, build, agree) -> None:
    x = normal(2, 3, HEADS * WIDTH) if rank == 3 else normal(2, HEADS, 3, WIDTH)
    shape = ("n", "t", HEADS * WIDTH) if rank == 3 else ("n", HEADS, "t", WIDTH)
    ids = np.asarray([4], I64) if form == "offset" else np.asarray([[0, 1, 2], [5, 6, 3]], I64)
    inputs = {"x": (F, shape), "ids": (I64, (1,) if form == "offset" else ("n", "t"))}
    node = N("RotaryEmbedding", ["x", "ids", "cos", "sin"], ["y"], interleaved=interleaved, **MS)
    agree(build([node], inputs, constants=WIDE, domains=DOMAINS), {"x": x, "ids": ids}, tolerance=1e-5)


@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotary_embedding_of_a_part_of_each_head(interleaved, build, agree) -> None:
    inputs = {"x": (F, ("n", "t", 2 * 20)), "ids": (I64, ("n", "t"))}
    options = {"num_heads": 2, "rotary_embedding_dim": WIDTH, "interleaved": interleaved, **MS}
    node = N("RotaryEmbedding", ["x", "ids", "cos", "sin"], ["y"], **options)
    feed = {"x": normal(2, 3, 40), "ids": np.asarray([[0, 1, 2], [5, 6, 3]], I64)}
    agree(build([node], inputs, constants=WIDE, domains=DOMAINS), feed, tolerance=1e-5)


@pytest.mark.parametrize("with_ids", [False, True])
@pytest.mark.parametrize("interleaved", [0, 1])
def test_rotary_embedding_of_onnx(interleaved, with_ids, build, agree) -> None:
    inputs = {"x": (F, ("n", "t", 2 * 20))}
    feed = {"x": normal(2, 3, 40)}
    ids = np.asarray([[0, 1, 2], [5, 6, 3]], I64)
    names = ["x", "cos", "sin"]
    constants = WIDE if with_ids else {}
    if with_ids:
        inputs["ids"], feed["ids"] = (I64, ("n", "t")), ids
        names.append("ids")
    else:
        for name in ("cos", "sin"):
            inputs[name], feed[name] = (F, ("n", "t", WIDTH // 2)), WIDE[name][ids]
    node = N("RotaryEmbedding", names, ["y"], num_heads=2, rotary_embedding_dim=WIDTH, interleaved=interleaved)
    agree(build([node], inputs, constants=constants, opset=23), feed, tolerance=1e-5)
