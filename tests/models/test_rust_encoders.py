"""Small encoders of many families, as torch exports them: what is fused, that none needs padding, and their numbers."""

from __future__ import annotations

import os
import subprocess
import sys
from random import Random

import numpy as np
import pytest
from encoder_run import on_engine
from graph_mutations import mutated

from webnn_runtime.backends.base import CompileOptions
from webnn_runtime.passes.simplify import simplify

pytestmark = [pytest.mark.native, pytest.mark.torch, pytest.mark.timeout(300)]

# In a process of its own: torch stays out of the tests' memory and of their warning filters.
MAKE = """
import logging, sys, torch
logging.disable(logging.WARNING)
from transformers import (BertConfig, BertModel, DebertaV2Config, DebertaV2Model, DistilBertConfig, DistilBertModel,
                          ModernBertConfig, ModernBertModel, MPNetConfig, MPNetModel, Qwen3Config, Qwen3Model,
                          RobertaConfig, RobertaModel)

shared = dict(vocab_size=200, max_position_embeddings=66, initializer_range=0.2)
wide = dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64)
thin = dict(dim=32, n_layers=2, n_heads=4, hidden_dim=64)
torch.manual_seed(7)
eager = dict(attn_implementation="eager")
far = dict(relative_attention=True, position_biased_input=False, norm_rel_ebd="layer_norm", position_buckets=8)
models = {
    "bert": BertModel(BertConfig(**shared, **wide), add_pooling_layer=False),
    "roberta": RobertaModel(RobertaConfig(**shared, **wide), add_pooling_layer=False),
    "distilbert": DistilBertModel(DistilBertConfig(**shared, **thin)),
    "deberta": DebertaV2Model(DebertaV2Config(**shared, **wide, **far, pos_att_type=["c2p", "p2c"],
                                              share_att_key=True)),
    "deberta-keys": DebertaV2Model(DebertaV2Config(**shared, **wide, **far, pos_att_type=["p2c"])),
    "mpnet": MPNetModel(MPNetConfig(**shared, **wide, **eager), add_pooling_layer=False),
    "modernbert": ModernBertModel(ModernBertConfig(**shared, **wide, pad_token_id=0, bos_token_id=2, eos_token_id=3,
                                                   cls_token_id=2, sep_token_id=3, global_attn_every_n_layers=2,
                                                   local_attention=16)),
    "qwen3": Qwen3Model(Qwen3Config(**shared, **wide, num_key_value_heads=2, head_dim=16, use_cache=False)),
}


class Hidden(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, mask):
        return self.model(input_ids=ids, attention_mask=mask).last_hidden_state


class Pooled(Hidden):
    def forward(self, ids, mask):
        hidden = super().forward(ids, mask)
        keep = mask.unsqueeze(-1).expand(hidden.size()).float()
        mean = (hidden * keep).sum(1) / torch.clamp(keep.sum(1), min=1e-9)
        return torch.nn.functional.normalize(mean, p=2, dim=1)


ids, mask = torch.arange(5, 17).reshape(2, 6), torch.ones(2, 6, dtype=torch.long)
mask[1, 4:] = 0
axes = dict.fromkeys(("ids", "mask", "hidden"), {0: "batch", 1: "length"})
for name, model in models.items():
    whole = (Pooled if name == "bert" else Hidden)(model.eval())
    with torch.no_grad():
        torch.onnx.export(whole, (ids, mask), f"{sys.argv[1]}/{name}.onnx", input_names=["ids", "mask"],
                          output_names=["hidden"], dynamic_axes=axes, dynamo=False, opset_version=17)
# As ONNX Runtime's optimiser leaves it: heads set apart after their positions are turned.
import onnxruntime
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
options.optimized_model_filepath = f"{sys.argv[1]}/modernbert-optimised.onnx"
onnxruntime.InferenceSession(f"{sys.argv[1]}/modernbert.onnx", options, providers=["CPUExecutionProvider"])
"""
BERT = {
    "embedding+layerNormalization": 1,
    "attention+mask": 2,
    "layerNormalization": 4,
    "linear x3+bias": 2,
    "linear+bias+gelu": 2,
}
DEBERTA = {
    "layerNormalization": 5,
    "linear x3+bias": 2,
    "linear+bias+gelu": 2,
    "linear+bias+residual": 4,
}
FUSED = {
    "bert": {**BERT, "linear+bias+residual": 4},
    "roberta": {**BERT, "linear+bias+residual": 4},
    "distilbert": {**BERT, "linear+bias+residual": 4},
    "mpnet": {**BERT, "attention+mask": 0, "attention+bias+mask": 2, "linear+bias+residual": 4},
    "deberta": {**DEBERTA, "attention+relative+where": 2},
    "deberta-keys": {**DEBERTA, "attention+relative+where": 2},
    "modernbert": {
        "attention+mask": 2,
        "gelu+factor": 2,
        "layerNormalization": 5,
        "linear": 4,
        "linear+residual": 4,
        "rotary": 4,
    },
    "standard": {"attention+mask": 2, "linear": 2, "linear x3+bias": 2},
    "qwen3": {
        "attention+mask": 2,
        "linear": 8,
        "linear+residual": 4,
        "linear+silu+factor": 2,
        "rmsNormalization": 9,
        "rotary": 4,
    },
}
FUSED["modernbert-optimised"] = FUSED["modernbert"]
LENGTHS = [11, 3, 1, 7]


def save_standard(path, onnx) -> None:
    """Two layers of the attention that ONNX itself defines: shared heads of keys, and in one later keys are hidden."""
    random, make = np.random.default_rng(2), onnx.helper.make_node
    numbers: dict[str, np.ndarray] = {"words": random.standard_normal((200, 32))}
    sizes = {"to_rows": np.array([1, 2]), "none": np.array(0), "first": np.array([0]), "second": np.array([1])}
    nodes = [
        make("Gather", ["words", "ids"], ["x0"]),
        make("Cast", ["mask"], ["kept"], to=onnx.TensorProto.BOOL),
        make("Unsqueeze", ["kept", "to_rows"], ["row"]),
        make("Shape", ["ids"], ["size"]),
        make("Gather", ["size", "first"], ["batch"], axis=0),
        make("Gather", ["size", "second"], ["length"], axis=0),
        make("Concat", ["batch", "second", "length", "length"], ["square"], axis=0),
        make("Expand", ["row", "square"], ["seen"]),
    ]
    for layer, is_causal in enumerate((0, 1)):
        for name, width in (("q", 32), ("k", 16), ("v", 16), ("o", 32)):
            numbers |= {
                f"{name}{layer}w": random.standard_normal((32, width)) / 6,
                f"{name}{layer}b": random.random(width),
            }
            source = f"mixed{layer}" if name == "o" else f"x{layer}"
            made = f"x{layer + 1}" if name == "o" else f"{name}{layer}p"
            if name == "o":
                heads = {"q_num_heads": 4, "kv_num_heads": 2, "is_causal": is_causal, "scale": 0.3}
                operands = [*(f"{name}{layer}" for name in "qkv"), "seen"]
                nodes.append(make("Attention", operands, [source], **heads))
            nodes.append(make("MatMul", [source, f"{name}{layer}w"], [made]))
            if name != "o":
                nodes.append(make("Add", [made, f"{name}{layer}b"], [f"{name}{layer}"]))
    values = [
        onnx.numpy_helper.from_array(array.astype(np.float32 if name in numbers else np.int64), name)
        for name, array in (numbers | sizes).items()
    ]
    texts = [
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.INT64, ["batch", "length"])
        for name in ("ids", "mask")
    ]
    hidden = onnx.helper.make_tensor_value_info("hidden", onnx.TensorProto.FLOAT, ["batch", "length", 32])
    nodes.append(make("Identity", ["x2"], ["hidden"]))
    graph = onnx.helper.make_graph(nodes, "standard", texts, [hidden], values)
    operators = [onnx.helper.make_opsetid("", 23)]
    onnx.save(onnx.helper.make_model(graph, opset_imports=operators, ir_version=10), path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, optional):
    """The models as ONNX files."""
    for library in ("torch", "transformers", "onnxruntime", "webnn_kernels"):
        optional(library)
    made = tmp_path_factory.mktemp("encoders")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    subprocess.run(
        [sys.executable, "-W", "ignore", "-c", MAKE, str(made)], check=True, capture_output=True, env=environment
    )
    save_standard(made / "standard.onnx", optional("onnx"))
    return made


@pytest.mark.parametrize("int64", ["keep", "int32"])
@pytest.mark.parametrize("name", FUSED)
def test_an_encoder_is_fused_runs_without_padding_and_equals_onnx_runtime(name, int64, folder, optional):
    from webnn_runtime.backends.rust import BACKEND
    from webnn_translator.translate import translate

    path = folder / f"{name}.onnx"
    session = optional("onnxruntime").InferenceSession(path, providers=["CPUExecutionProvider"])
    # What is computed of a text's length needs a bound to be proved to fit int32.
    most = {} if int64 == "keep" else {"length": 66}
    translation = translate(optional("onnx").load(path), int64=int64, max_dims=most)
    ids, mask, hidden = (
        translation.input_names["ids"],
        translation.input_names["mask"],
        translation.output_names["hidden"],
    )
    model = BACKEND.compile(simplify(translation.graph)[0], CompileOptions(threads=2))
    facts = model.describe()
    assert facts["fused"] == {pattern: count for pattern, count in FUSED[name].items() if count}
    assert facts["all_native"] is True
    assert facts["unpadded"] is True

    number = np.int64 if int64 == "keep" else np.int32
    texts = [np.random.default_rng(length).integers(5, 200, length).astype(number) for length in LENGTHS]
    rows, keep = np.ones((len(texts), max(LENGTHS)), np.int64), np.zeros((len(texts), max(LENGTHS)), np.int64)
    for row, text in enumerate(texts):
        rows[row, : len(text)], keep[row, : len(text)] = text, 1
    (wanted,) = session.run(None, {"ids": rows, "mask": keep})
    padded = model.run({ids: rows.astype(number), mask: keep.astype(number)})[hidden]
    unpadded = model.texts().run({ids: np.concatenate(texts)}, LENGTHS)[hidden]
    kept = keep != 0 if wanted.ndim == 3 else slice(None)
    np.testing.assert_allclose(padded[kept], wanted[kept], atol=2e-5)
    np.testing.assert_allclose(unpadded, wanted[kept], atol=2e-5)
    ends = np.cumsum(LENGTHS)
    for which, text in enumerate(texts):
        alone = model.run({ids: text[None], mask: np.ones((1, len(text)), number)})[hidden][0]
        own = unpadded[which] if wanted.ndim == 2 else unpadded[ends[which] - len(text) : ends[which]]
        assert own.tobytes() == alone.tobytes()


@pytest.mark.parametrize("name", FUSED)
def test_an_encoder_with_a_small_change_is_computed_as_it_is_written(name, folder, optional):
    from webnn_translator.translate import translate

    graph = simplify(translate(optional("onnx").load(folder / f"{name}.onnx")).graph)[0]
    for seed in range(8):
        random = Random(seed)
        other, changes = mutated(graph, random, random.choice([1, 1, 2]))
        assert on_engine(other, random) == [], (seed, changes)
