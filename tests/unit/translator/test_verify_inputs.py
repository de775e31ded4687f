"""Which values the check draws for inputs that are no free numbers."""

from __future__ import annotations

import numpy as np

from webnn_runtime.format.builder import GraphBuilder
from webnn_runtime.format.dims import DynamicDim, symbol
from webnn_runtime.format.dtypes import DataType
from webnn_translator.verify.grid import Point
from webnn_translator.verify.inputs import InputPlan

I64 = DataType.INT64
BATCH = symbol("batch")


def test_no_row_of_a_mask_of_other_tokens_hides_all_of_them() -> None:
    # A decoder reads the mask of its encoder, whose ids it does not have.
    builder = GraphBuilder("decoder", dims=[DynamicDim("batch"), DynamicDim("encoded")])
    mask = builder.input("encoder_attention_mask", I64, (BATCH, symbol("encoded")))
    plan = InputPlan.of(builder.build({"y": builder.op("cast", mask, type="float32")}))
    drawn = plan.draw(Point({"batch": 9, "encoded": 2}), 1)["encoder_attention_mask"]
    assert set(np.unique(drawn)) == {0, 1}
    assert drawn.any(axis=1).all()
    # Nothing else is taken from the check: the first of a row is either, where another one is to be seen.
    assert set(np.unique(plan.draw(Point({"batch": 9, "encoded": 5}), 1)["encoder_attention_mask"][:, 0])) == {0, 1}


def test_what_is_compared_with_numbers_has_them_though_it_is_as_long_as_the_ids() -> None:
    builder = GraphBuilder("kinds", dims=[DynamicDim("batch"), DynamicDim("rows"), DynamicDim("length")])
    ids = builder.input("input_ids", I64, (BATCH, symbol("length")))
    kinds = builder.input("kinds", I64, (symbol("rows"), symbol("length")))
    mask = builder.input("attention_mask", I64, (symbol("rows"), symbol("length")))
    table = builder.constant(np.zeros((10, 4), np.float32))
    is_three = builder.op("equal", kinds, builder.constant(np.array(3, np.int64)))
    is_hidden = builder.op("equal", mask, builder.constant(np.array(0, np.int64)))
    graph = builder.build({"y": builder.op("gather", table, ids), "z": is_three, "hidden": is_hidden})
    plan = InputPlan.of(graph)
    drawn = plan.draw(Point({"batch": 2, "rows": 9, "length": 5}, padded=True), 1)
    assert set(np.unique(drawn["kinds"])) == {0, 3}
    assert plan.masks == {"attention_mask"}
