"""Small decoders with a cache, exported by torch and converted: greedy generation gives the tokens of torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from functools import cache

import numpy as np
import pytest

from webnn_runtime import load
from webnn_runtime.cli.exits import ExitCode

pytestmark = pytest.mark.torch

STEPS = 24
FAMILIES = ("gpt2", "llama", "qwen3")
# In a process of its own: torch stays out of the tests' memory and of their warning filters.
EXPORT = """
import json, sys, torch
from transformers import DynamicCache, GPT2Config, GPT2LMHeadModel, LlamaConfig, LlamaForCausalLM
from transformers import Qwen3Config, Qwen3ForCausalLM

small = dict(vocab_size=97, max_position_embeddings=64, bos_token_id=1, eos_token_id=None,
             initializer_range=0.3)
grouped = small | dict(hidden_size=32, num_hidden_layers=2, num_attention_heads=4, num_key_value_heads=2,
                       intermediate_size=64)
models = {
    "gpt2": lambda: GPT2LMHeadModel(GPT2Config(n_embd=32, n_layer=2, n_head=2, **small)),
    "llama": lambda: LlamaForCausalLM(LlamaConfig(**grouped)),
    "qwen3": lambda: Qwen3ForCausalLM(Qwen3Config(head_dim=16, **grouped)),
}


class Step(torch.nn.Module):
    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, ids, mask, *past):
        cache = DynamicCache()
        for layer in range(2):
            cache.update(past[2 * layer], past[2 * layer + 1], layer)
        # Where a row is padded, its tokens count on from the first that is not.
        places = (mask.cumsum(-1) - 1).clamp(min=0)[:, -ids.shape[1] :]
        out = self.model(input_ids=ids, attention_mask=mask, position_ids=places, past_key_values=cache, use_cache=True)
        kept = [part for layer in out.past_key_values.layers for part in (layer.keys, layer.values)]
        return (out.logits, *kept)


names = ["k0", "v0", "k1", "v1"]
axes = {"ids": {0: "batch", 1: "length"}, "mask": {0: "batch", 1: "past + length"}}
axes |= {name: {0: "batch", 2: "past"} for name in names}
prompt = torch.tensor([[1, 17, 42, 8, 66], [1, 5, 23, 90, 31]])
report = {}
for family, make in models.items():
    torch.manual_seed(5)
    model = make().eval()
    config = model.config
    heads = getattr(config, "num_key_value_heads", config.num_attention_heads)
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    past = tuple(torch.randn(2, heads, 5, width) for _ in names)
    arguments = (torch.ones(2, 3, dtype=torch.long), torch.ones(2, 8, dtype=torch.long), *past)
    with torch.no_grad():
        # First: after its export, GPT-2 generates other tokens in the same process.
        tokens = model.generate(prompt, attention_mask=torch.ones_like(prompt), do_sample=False,
                                max_new_tokens=int(sys.argv[2]), pad_token_id=0)
        torch.onnx.export(Step(model), arguments, f"{sys.argv[1]}/{family}.onnx", input_names=["ids", "mask", *names],
                          output_names=["logits", *("new_" + name for name in names)], dynamic_axes=axes,
                          dynamo=False, opset_version=17)
    report[family] = {"tokens": tokens.tolist(), "heads": heads, "width": width}
print(json.dumps(report))
"""


@pytest.fixture(scope="session")
def exported(tmp_path_factory, optional):
    """The folder with the models, and what torch makes of two prompts."""
    optional("torch")
    optional("transformers")
    folder = tmp_path_factory.mktemp("decoder")
    command = [sys.executable, "-W", "ignore", "-c", EXPORT, str(folder), str(STEPS)]
    done = subprocess.run(
        command, check=True, capture_output=True, text=True, env=os.environ | {"OMP_NUM_THREADS": "1"}
    )
    return folder, json.loads(done.stdout.splitlines()[-1])


@pytest.fixture(scope="session")
def decoder(exported, webnn_convert):
    """Family -> a bundle by `webnn-convert`, checked as always, and what torch generates."""
    folder, report = exported
    return cache(lambda family: (_converted(webnn_convert, folder, family), report[family]))


def _converted(webnn_convert, folder, family):
    target = folder / f"{family}-webnn"
    source = str(folder / f"{family}.onnx")
    done = webnn_convert(source, "-o", str(target), "--min-dim", "past=0", "--json")
    assert done.returncode == ExitCode.OK, done.stderr
    certificate = json.loads(done.stdout)["data"]["certificate"]
    assert certificate["verdict"] == "passed"
    assert any(point["dims"]["past"] == 0 for point in certificate["grid"])
    return target


@pytest.mark.timeout(180)
@pytest.mark.parametrize("family", FAMILIES)
def test_greedy_tokens_are_those_of_torch(family, decoder, backend) -> None:
    folder, torch = decoder(family)
    model = load(folder, backend=backend.name)
    assert str(model.graph.inputs["mask"]) == "i64[batch, length + past]"
    wanted = np.asarray(torch["tokens"], np.int64)
    assert all(len(set(row)) > STEPS // 3 for row in torch["tokens"])
    tokens = fresh = wanted[:, : wanted.shape[1] - STEPS]
    states = {part: np.zeros((2, torch["heads"], 0, torch["width"]), np.float32) for part in ("k0", "v0", "k1", "v1")}
    for _ in range(STEPS):
        found = model.run({"ids": fresh, "mask": np.ones(tokens.shape, np.int64), **states})
        states = {part: found[f"new_{part}"] for part in states}
        fresh = found["logits"][:, -1].argmax(-1)[:, None]
        tokens = np.concatenate([tokens, fresh], axis=1)
    np.testing.assert_array_equal(tokens, wanted)
