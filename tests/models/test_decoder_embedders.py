"""Decoders that embed texts, exported with a cache as Optimum and ONNX Runtime's builder do: the vectors of torch."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from webnn_runtime import WebNNEmbedder
from webnn_runtime.format.errors import EmbedError
from webnn_translator.bundling import convert_model
from webnn_translator.verify import check_bundle

pytestmark = pytest.mark.torch

TEXTS = ["red dog", "a red cat sees the blue dog", "the fish", "blue", "a dog sees a fish"]
# In a process of its own: torch stays out of the tests' memory and of their warning filters.
MAKE = """
import json, sys
from pathlib import Path
import numpy as np, onnx, torch
from onnx import TensorProto as T, helper, numpy_helper
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import (
    DynamicCache, GPT2Config, GPT2Model, PreTrainedTokenizerFast, Qwen3Config, Qwen3Model
)

root, texts = sys.argv[1], json.loads(sys.argv[2])
LAYERS, HEADS, FEW, WIDTH, HIDDEN, VOCAB = 2, 4, 2, 16, 32, 16
words = ["<pad>", "<end>", "<unk>", *"a the red blue dog cat fish sees".split()]
tokenizer = Tokenizer(models.WordLevel({word: at for at, word in enumerate(words)}, "<unk>"))
tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
tokenizer.post_processor = processors.TemplateProcessing(single="$A <end>", special_tokens=[("<end>", 1)])
small = dict(vocab_size=VOCAB, max_position_embeddings=64, initializer_range=0.3, attn_implementation="eager")
torch.manual_seed(7)
made = {
    "gpt2": GPT2Model(GPT2Config(n_embd=HIDDEN, n_layer=LAYERS, n_head=HEADS, **small)),
    "qwen3": Qwen3Model(Qwen3Config(
        hidden_size=HIDDEN, num_hidden_layers=LAYERS, num_attention_heads=HEADS, num_key_value_heads=FEW,
        intermediate_size=64, head_dim=WIDTH, **small)),
}
for weight in made["qwen3"].parameters():
    if weight.dim() == 1:
        torch.nn.init.uniform_(weight, 0.5, 1.5)


def write(path, value):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


for model in made.values():
    model.eval()


def saved(family, side):
    folder = Path(root, f"{family}-{side}")
    made[family].config.save_pretrained(folder)
    wrapped = PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="<pad>", eos_token="<end>",
                                      unk_token="<unk>", padding_side=side, model_max_length=32)
    wrapped.save_pretrained(folder)
    package = "sentence_transformers.models"
    write(folder / "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": f"{package}.Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": f"{package}.Pooling"},
    ])
    write(folder / "1_Pooling/config.json", {"word_embedding_dimension": HIDDEN, "pooling_mode_lasttoken": True,
                                             "pooling_mode_mean_tokens": False, "pooling_mode_cls_token": False})
    # One by one: GPT-2 in transformers counts padding on the left among the positions.
    rows = [made[family](**wrapped(text, return_tensors="pt")).last_hidden_state[0, -1] for text in texts]
    return [(row / row.norm()).tolist() for row in rows]


class Step(torch.nn.Module):
    def __init__(self, model, has_positions):
        super().__init__()
        self.model, self.has_positions = model, has_positions

    def forward(self, ids, mask, *more):
        cache = DynamicCache()
        past = more[self.has_positions:]
        for layer in range(LAYERS):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        places = more[0] if self.has_positions else (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        out = self.model(input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache, use_cache=True)
        kept = [part for layer in out.past_key_values.layers for part in (layer.keys, layer.values)]
        return (out.last_hidden_state, *kept)


def states(prefix):
    return [f"{prefix}.{layer}.{part}" for layer in range(LAYERS) for part in ("key", "value")]


def export(family, has_positions, total):
    heads, width = (HEADS, HIDDEN // HEADS) if family == "gpt2" else (FEW, WIDTH)
    past = [torch.randn(2, heads, 5, width) for _ in range(2 * LAYERS)]
    names = ["input_ids", "attention_mask", *["position_ids"][: has_positions], *states("past_key_values")]
    places = [torch.arange(5, 8).expand(2, 3)][: has_positions]
    arguments = (torch.ones(2, 3, dtype=torch.long), torch.ones(2, 8, dtype=torch.long), *places, *past)
    axes = {"input_ids": {0: "batch_size", 1: "sequence_length"}, "attention_mask": {0: "batch_size", 1: total}}
    axes |= {"position_ids": axes["input_ids"], "last_hidden_state": axes["input_ids"]}
    axes |= {name: {0: "batch_size", 2: "past_sequence_length"} for name in states("past_key_values")}
    outputs = ["last_hidden_state", *states("present")]
    axes = {name: value for name, value in axes.items() if name in (*names, *outputs)}
    torch.onnx.export(Step(made[family], has_positions), arguments, f"{root}/{family}.onnx", input_names=names,
                      output_names=outputs, dynamic_axes=axes, dynamo=False, opset_version=17)


def grouped():
    # Written by hand in the form of ONNX Runtime's model builder: its fused operators, lengths from a sum of the mask.
    weights = {name: value.detach().numpy() for name, value in made["qwen3"].state_dict().items()}
    eps, ms, nodes, held = 1e-6, "com.microsoft", [], {}

    def add(op, inputs, outputs=None, domain="", **attributes):
        outputs = outputs or [f"{op}_{len(nodes)}"]
        nodes.append(helper.make_node(op, inputs, outputs, domain=domain, **attributes))
        return outputs[0]

    def weight(name, value):
        held[name] = np.ascontiguousarray(value)
        return name

    def linear(x, name):
        return add("MatMul", [x, weight(name, weights[f"{name}.weight"].T)])

    def norm(x, name):
        return add("SimplifiedLayerNormalization", [x, weight(name, weights[f"{name}.weight"])], axis=-1, epsilon=eps)

    angles = np.arange(64)[:, None] / 10000 ** (np.arange(0, WIDTH, 2) / WIDTH)
    tables = [weight("cos_cache", np.cos(angles).astype("f")), weight("sin_cache", np.sin(angles).astype("f"))]
    one, first = weight("one", np.array([1])), weight("first", np.array(1))
    counted = add("Sub", [add("ReduceSum", ["attention_mask", one], keepdims=1), one])
    last = add("Cast", [counted], to=T.INT32)
    total = add("Cast", [add("Gather", [add("Shape", ["attention_mask"]), first])], to=T.INT32)
    x = add("Gather", [weight("embed_tokens", weights["embed_tokens.weight"]), "input_ids"])
    for layer in range(LAYERS):
        at = f"layers.{layer}"
        h = norm(x, f"{at}.input_layernorm")
        parts = []
        for part, heads in (("q", HEADS), ("k", FEW)):
            apart = add("Reshape", [linear(h, f"{at}.self_attn.{part}_proj"),
                                    weight(f"apart_{part}", np.array([0, 0, heads, WIDTH]))])
            joined = weight(f"joined_{part}", np.array([0, 0, heads * WIDTH]))
            parts.append(add("Reshape", [norm(apart, f"{at}.self_attn.{part}_norm"), joined]))
        value = linear(h, f"{at}.self_attn.v_proj")
        past, present = states("past_key_values")[2 * layer :][:2], states("present")[2 * layer :][:2]
        seen = add("GroupQueryAttention", [*parts, value, *past, last, total, *tables], [f"seen_{layer}", *present], ms,
                   num_heads=HEADS, kv_num_heads=FEW, do_rotary=1)
        x = add("Add", [x, linear(seen, f"{at}.self_attn.o_proj")])
        h = norm(x, f"{at}.post_attention_layernorm")
        gate = linear(h, f"{at}.mlp.gate_proj")
        gate = add("Mul", [gate, add("Sigmoid", [gate])])
        x = add("Add", [x, linear(add("Mul", [gate, linear(h, f"{at}.mlp.up_proj")]), f"{at}.mlp.down_proj")])
    add("SimplifiedLayerNormalization", [x, weight("norm", weights["norm.weight"])], ["last_hidden_state"], axis=-1,
        epsilon=eps)

    def value(name, kind, *dims):
        return helper.make_tensor_value_info(name, kind, ["batch_size", *dims])

    inputs = [value("input_ids", T.INT64, "sequence_length"), value("attention_mask", T.INT64, "total_sequence_length")]
    inputs += [value(name, T.FLOAT, FEW, "past_sequence_length", WIDTH) for name in states("past_key_values")]
    outputs = [value("last_hidden_state", T.FLOAT, "sequence_length", HIDDEN)]
    outputs += [value(name, T.FLOAT, FEW, "total_sequence_length", WIDTH) for name in states("present")]
    constants = [numpy_helper.from_array(array, name) for name, array in held.items()]
    graph = helper.make_graph(nodes, "decoder", inputs, outputs, constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(ms, 1)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=8), f"{root}/grouped.onnx")


with torch.no_grad():
    report = {f"{family}-{side}": saved(family, side) for family in made for side in ("left", "right")}
    export("gpt2", False, "past_sequence_length + sequence_length")
    export("qwen3", True, "total_sequence_length")
grouped()
print(json.dumps(report))
"""
# Model -> the family that it computes, and whether it is told positions.
MODELS = {"gpt2": "gpt2", "qwen3": "qwen3", "grouped": "qwen3"}


@pytest.fixture(scope="session")
def made(tmp_path_factory, optional):
    """The folder with models and tokenizers, and the vectors of transformers."""
    optional("torch")
    optional("transformers")
    folder = tmp_path_factory.mktemp("decoders")
    command = [sys.executable, "-W", "ignore", "-c", MAKE, str(folder), json.dumps(TEXTS)]
    environment = os.environ | {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    done = subprocess.run(command, check=False, capture_output=True, text=True, env=environment)
    assert done.returncode == 0, done.stderr
    return folder, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def converted(made):
    """Model and padding side -> the bundle that a folder is converted to, the conversion's record and its notes."""
    folder, _ = made
    first = {}

    @cache
    def convert(model, side):
        target = folder / f"{model}-{side}-webnn"
        if model in first:
            # The graph is the same; the side is a setting of the tokenizer.
            shutil.copytree(first[model][0], target)
            shutil.copy(folder / f"{MODELS[model]}-{side}" / "tokenizer_config.json", target)
            return target, first[model][1]
        source = folder / f"{model}-{side}-source"
        shutil.copytree(folder / f"{MODELS[model]}-{side}", source)
        (source / "onnx").mkdir()
        shutil.copy(folder / f"{model}.onnx", source / "onnx" / "model.onnx")
        told = []
        done = convert_model(str(source), target, note=told.append)
        first[model] = target, (done.record(), told)
        return first[model]

    return convert


@pytest.mark.timeout(180)
@pytest.mark.parametrize("side", ["left", "right"])
@pytest.mark.parametrize("model", MODELS)
def test_vectors_are_those_of_transformers(model, side, converted, made, backend) -> None:
    bundle, _ = converted(model, side)
    wanted = np.asarray(made[1][f"{MODELS[model]}-{side}"])
    embedder = WebNNEmbedder(bundle, backend=backend.name)
    together = embedder.encode(TEXTS, batch_size=3)
    np.testing.assert_allclose(together, wanted, atol=2e-5)
    np.testing.assert_allclose([embedder.encode(text) for text in TEXTS], wanted, atol=2e-5)


@pytest.mark.parametrize("model", MODELS)
def test_the_empty_cache_is_stated_everywhere(model, converted, made) -> None:
    bundle, (data, notes) = converted(model, "left")
    names = [f"{layer}.{part}" for layer in range(2) for part in ("key", "value")]
    past, present = ([f"{prefix}.{name}" for name in names] for prefix in ("past_key_values", "present"))
    told = "modules.json lies beside the model): past_sequence_length = 0 in 4 inputs past*, and 4 outputs present*"
    assert any(told in note for note in notes)
    assert set(data["inputs"]) - {"position_ids"} == {"input_ids", "attention_mask"}
    assert list(data["outputs"]) == ["last_hidden_state"]
    assert data["inputs"]["attention_mask"] == data["inputs"]["input_ids"]
    assert data["certificate"]["verdict"] == "passed"
    assert data["certificate"]["emptyInputs"] == past
    manifest = json.loads((bundle / "manifest.json").read_text())["x-webnn-runtime"]
    assert manifest["boundDimensions"] == {"past_sequence_length": {"size": 0, "from": "the empty cache"}}
    assert manifest["emptyCache"]["leftOut"] == present
    assert {(shape[0], shape[2]) for shape in manifest["emptyInputs"].values()} == {("batch_size", 0)}
    # The bundle knows how its source is to be fed.
    assert check_bundle(bundle, made[0] / f"{model}.onnx").certificate.passed


def test_a_decoder_that_keeps_its_cache_is_refused_with_what_would_help(made, webnn_convert, tmp_path) -> None:
    folder, _ = made
    source = shutil.copytree(folder / "qwen3-right", tmp_path / "source")
    shutil.copy(folder / "grouped.onnx", source / "model.onnx")
    done = webnn_convert(str(source), "-o", str(tmp_path / "out"), "--cache", "keep", "--no-verify", "--json")
    data = json.loads(done.stdout)["data"]
    assert (len(data["inputs"]), len(data["outputs"])) == (6, 5)
    with pytest.raises(EmbedError, match=r"is the cache of a decoder.*--cache empty"):
        WebNNEmbedder(tmp_path / "out")
