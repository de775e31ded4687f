"""Small encoders after ONNX Runtime's transformer optimiser and quantiser: converted, they keep their numbers."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import onnx
import pytest

from webnn_runtime.backends import get_backend
from webnn_runtime.passes.simplify import simplify
from webnn_translator.bundling import ConvertOptions, convert_model
from webnn_translator.translate import translate
from webnn_translator.verify.cuts import find_cuts

pytestmark = [pytest.mark.torch, pytest.mark.timeout(180)]

# In a process of its own: torch stays out of the tests' memory and of their warning filters.
MAKE = """
import logging, sys, numpy as np, torch
logging.disable(logging.WARNING)
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_dynamic, quantize_static
from onnxruntime.transformers import optimizer
from onnxruntime.transformers.fusion_options import FusionOptions
from transformers import BertConfig, BertModel, RobertaConfig, RobertaModel

folder = sys.argv[1] + "/"
small = dict(vocab_size=200, max_position_embeddings=66, hidden_size=32, num_hidden_layers=2, num_attention_heads=4,
             intermediate_size=64, initializer_range=0.1, attn_implementation="eager")
torch.manual_seed(7)
models = {"bert": BertModel(BertConfig(**small), add_pooling_layer=False),
          "roberta": RobertaModel(RobertaConfig(**small), add_pooling_layer=False)}


class Hidden(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, mask):
        return self.model(input_ids=ids, attention_mask=mask).last_hidden_state


class Texts(CalibrationDataReader):
    def __init__(self):
        random = np.random.default_rng(1)
        self.rest = [{"ids": random.integers(5, 200, (2, 8)), "mask": np.ones((2, 8), np.int64)} for _ in range(3)]

    def get_next(self):
        return self.rest.pop() if self.rest else None


for name, model in models.items():
    ids, mask = torch.arange(5, 17).reshape(2, 6), torch.ones(2, 6, dtype=torch.long)
    mask[1, 4:] = 0
    axes = dict.fromkeys(("ids", "mask", "hidden"), {0: "batch", 1: "length"})
    with torch.no_grad():
        torch.onnx.export(Hidden(model.eval()), (ids, mask), f"{folder}{name}.onnx", input_names=["ids", "mask"],
                          output_names=["hidden"], dynamic_axes=axes, dynamo=False, opset_version=14)
    for level in (0, 2):
        made = optimizer.optimize_model(f"{folder}{name}.onnx", "bert", 4, 32, opt_level=level)
        made.save_model_to_file(f"{folder}{name}-level{level}.onnx")
source = folder + "bert.onnx"
asked = FusionOptions("bert")
asked.use_multi_head_attention = asked.enable_gelu_approximation = True
made = optimizer.optimize_model(source, "bert", 4, 32, optimization_options=asked, opt_level=0)
made.save_model_to_file(folder + "bert-heads.onnx")
# Products of unsigned and signed bytes saturate on some processors, those of unsigned ones never do.
for form in ("QDQ", "QOperator"):
    quantize_static(source, f"{folder}bert-{form}.onnx", Texts(), quant_format=getattr(QuantFormat, form),
                    per_channel=True, weight_type=QuantType.QUInt8, activation_type=QuantType.QUInt8)
quantize_dynamic(source, folder + "bert-dynamic.onnx", weight_type=QuantType.QUInt8)
"""
# The file, and an operator that shows that it is what its name says.
FILES = {
    "bert-level0": "EmbedLayerNormalization",
    "bert-level2": "BiasGelu",
    "bert-heads": "MultiHeadAttention",
    "roberta-level0": "SkipLayerNormalization",
    "roberta-level2": "Attention",
    "bert-QDQ": "QuantizeLinear",
    "bert-QOperator": "QLinearMatMul",
    "bert-dynamic": "DynamicQuantizeLinear",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, optional):
    """All files."""
    optional("torch")
    optional("transformers")
    optional("onnxruntime")
    made = tmp_path_factory.mktemp("optimised")
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-W", "ignore", "-c", MAKE, str(made)]
    subprocess.run(command, check=True, capture_output=True, env=environment, cwd=made)
    return made


@pytest.mark.parametrize("name", [name for name in FILES if name != "bert-QDQ"])
def test_files_of_the_optimiser_and_the_quantiser_keep_their_numbers(name, folder, backend, optional) -> None:
    check(name, folder, backend, optional("onnxruntime"))


def test_a_file_with_quantised_edges_keeps_its_numbers(folder, optional) -> None:
    # On the definitions: ONNX Runtime's integer kernels decide some ties in another way, by a whole step.
    check("bert-QDQ", folder, get_backend("numpy"), optional("onnxruntime"))


def check(name, folder, backend, runtime) -> None:
    """Run both."""
    model = onnx.load(folder / f"{name}.onnx")
    assert FILES[name] in {node.op_type for node in model.graph.node}
    ids = np.random.default_rng(3).integers(5, 200, (3, 9))
    mask = (np.arange(9) < np.asarray([[9], [7], [4]])).astype(np.int64)
    options = runtime.SessionOptions()
    options.graph_optimization_level = runtime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    session = runtime.InferenceSession(str(folder / f"{name}.onnx"), options, providers=["CPUExecutionProvider"])
    types = {value.name: np.int32 if "int32" in value.type else np.int64 for value in session.get_inputs()}
    feed = {key: array.astype(types[key]) for key, array in (("ids", ids), ("mask", mask))}
    translation = translate(model)
    found = backend.compile(translation.graph).run({translation.input_names[key]: feed[key] for key in feed})
    wanted = session.run(None, feed)[0]
    np.testing.assert_allclose(found[translation.output_names["hidden"]], wanted, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["bert-dynamic", "bert-QDQ", "bert-QOperator"])
def test_quantised_files_pass_the_check_that_every_model_has_to_pass(name, folder, tmp_path) -> None:
    # Ties and all: those of a file that quantises its data are told from differences.
    done = convert_model(str(folder / f"{name}.onnx"), tmp_path / "out", ConvertOptions(max_dims={"length": 16}))
    assert done.certificate is not None
    assert done.certificate.roundings > 10
    names = [made for node in onnx.load(folder / f"{name}.onnx").graph.node for made in node.output]
    assert find_cuts(done.graph, names) is not None


@pytest.mark.parametrize("name", ["bert-level0", "bert-level2", "bert-heads", "roberta-level0", "roberta-level2"])
def test_files_of_the_optimiser_run_without_padding(name, folder, optional) -> None:
    """Their masks are numbers of tokens."""
    optional("webnn_kernels")
    translation = translate(onnx.load(folder / f"{name}.onnx"))
    model = get_backend("rust").compile(simplify(translation.graph)[0])
    assert model.describe()["unpadded"] is True
    hidden, lengths = translation.output_names["hidden"], [9, 1, 4]
    texts = [np.random.default_rng(length).integers(5, 200, length) for length in lengths]
    names = {key: translation.input_names[key] for key in ("ids", "mask")}
    types = {key: model.graph.inputs[name].dtype.numpy for key, name in names.items()}
    packed = model.texts().run({names["ids"]: np.concatenate(texts).astype(types["ids"])}, lengths)[hidden]
    rows, keep = np.ones((3, 9), types["ids"]), np.zeros((3, 9), types["mask"])
    for row, text in enumerate(texts):
        rows[row, : len(text)], keep[row, : len(text)] = text, 1
    padded = get_backend("numpy").compile(translation.graph).run({names["ids"]: rows, names["mask"]: keep})[hidden]
    np.testing.assert_allclose(packed, padded[keep != 0], rtol=1e-5, atol=1e-5)
