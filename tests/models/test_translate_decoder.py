"""A small decoder with a key-value cache, exported by torch: greedy generation gives the tokens of torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import numpy as np
import onnx
import pytest

from webnn_runtime.backends import get_backend
from webnn_translator.translate import translate

pytestmark = pytest.mark.torch

STEPS = 12
# In a process of its own: torch stays out of the tests' memory and of their warning filters.
EXPORT = """
import json, sys, torch
from transformers import DynamicCache, LlamaConfig, LlamaForCausalLM

torch.manual_seed(5)
config = LlamaConfig(vocab_size=97, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                     intermediate_size=64, max_position_embeddings=64, bos_token_id=1, eos_token_id=None)
model = LlamaForCausalLM(config)


class Step(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.model = model

    def forward(self, ids, mask, *past):
        cache = DynamicCache()
        for layer in range(2):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        out = self.model(input_ids=ids, attention_mask=mask, past_key_values=cache, use_cache=True)
        kept = [part for layer in out.past_key_values.layers for part in (layer.keys, layer.values)]
        return (out.logits, *kept)


names = ["k0", "v0", "k1", "v1"]
axes = {"ids": {0: "batch", 1: "length"}, "mask": {0: "batch", 1: "past + length"}}
axes |= {name: {0: "batch", 2: "past"} for name in names}
past = tuple(torch.randn(2, 2, 5, 8) for _ in names)
arguments = (torch.ones(2, 3, dtype=torch.long), torch.ones(2, 8, dtype=torch.long), *past)
with torch.no_grad():
    torch.onnx.export(Step().eval(), arguments, sys.argv[1], input_names=["ids", "mask", *names],
                      output_names=["logits", *("new_" + name for name in names)], dynamic_axes=axes,
                      dynamo=False, opset_version=17)
    prompt = torch.tensor([[1, 17, 42, 8]])
    tokens = model.eval().generate(prompt, do_sample=False, max_new_tokens=int(sys.argv[2]), pad_token_id=0)
print(json.dumps(tokens[0].tolist()))
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory, optional):
    optional("torch")
    optional("transformers")
    path = tmp_path_factory.mktemp("decoder") / "step.onnx"
    command = [sys.executable, "-W", "ignore", "-c", EXPORT, str(path), str(STEPS)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    return onnx.load(path), json.loads(done.stdout.splitlines()[-1])


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["numpy", "onnxruntime"])
def test_greedy_tokens_are_those_of_torch(exported, name, optional) -> None:
    optional(name)
    model, wanted = exported
    translation = translate(model, min_dims={"past": 0})
    assert str(translation.graph.inputs["mask"]) == "i64[batch, length + past]"
    run = get_backend(name).compile(translation.graph).run
    tokens = wanted[: len(wanted) - STEPS]
    caches = {part: np.zeros((1, 2, 0, 8), np.float32) for part in ("k0", "v0", "k1", "v1")}
    fresh = tokens
    for _ in range(STEPS):
        ids = np.asarray([fresh], np.int64)
        found = run({"ids": ids, "mask": np.ones((1, len(tokens)), np.int64), **caches})
        caches = {part: found[f"new_{part}"] for part in caches}
        fresh = [int(found["logits"][0, -1].argmax())]
        tokens = tokens + fresh
    assert tokens == wanted
