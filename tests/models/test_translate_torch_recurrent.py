"""Recurrent networks as both exporters of torch write them: batch and length stay free, the numbers are torch's."""

from __future__ import annotations

import os
import subprocess
import sys

import numpy as np
import pytest

from webnn_runtime.backends import get_backend
from webnn_translator.sources import open_source
from webnn_translator.translate import translate

pytestmark = pytest.mark.torch

# In a process of its own: torch stays out of the tests' memory and of their warning filters.
EXPORT = """
import sys
from pathlib import Path

import numpy as np
import torch
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

torch.manual_seed(3)
out = Path(sys.argv[1])


class Plain(torch.nn.Module):
    def __init__(self, kind, **options):
        super().__init__()
        self.net = getattr(torch.nn, kind)(5, 6, **options)

    def forward(self, x):
        y, state = self.net(x)
        return (y, *state) if isinstance(state, tuple) else (y, state)


class Packed(Plain):
    def forward(self, x, lengths):
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        y, state = self.net(packed)
        return pad_packed_sequence(y, batch_first=True, total_length=x.shape[1])[0], state


def export(name, net, arguments, **options):
    wanted = net.eval()(*arguments)
    arrays = dict(zip(("x", "lengths"), (tensor.numpy() for tensor in arguments)))
    np.savez(out / f"{name}.npz", **arrays, **{f"y{i}": tensor.detach().numpy() for i, tensor in enumerate(wanted)})
    torch.onnx.export(net, arguments, str(out / f"{name}.onnx"), input_names=list(arrays), opset_version=18, **options)


x = torch.randn(3, 4, 5)
free = {"x": {0: "a", 1: "b"}}
named = {"x": {0: torch.export.Dim("a", min=2, max=50), 1: torch.export.Dim("b", min=2, max=50)}}
deep = {"num_layers": 2, "bidirectional": True, "batch_first": True}
export("lstm-script", Plain("LSTM", **deep), (x,), dynamo=False, dynamic_axes=free)
export("lstm-dynamo", Plain("LSTM", **deep), (x,), dynamo=True, dynamic_shapes=named)
export("gru-script", Plain("GRU", bias=False), (x,), dynamo=False, dynamic_axes=free)
export("rnn-script", Plain("RNN", nonlinearity="relu", num_layers=2), (x,), dynamo=False, dynamic_axes=free)
lengths = torch.tensor([4, 2, 3])
packed = Packed("GRU", bidirectional=True, batch_first=True)
export("packed-script", packed, (x, lengths), dynamo=False, dynamic_axes={"x": {1: "b"}})
"""


@pytest.fixture(scope="module")
def exported(tmp_path_factory, optional):
    optional("torch")
    folder = tmp_path_factory.mktemp("recurrent")
    command = [sys.executable, "-W", "ignore", "-c", EXPORT, str(folder)]
    subprocess.run(command, check=True, capture_output=True, env=os.environ | {"OMP_NUM_THREADS": "1"})
    return folder


@pytest.mark.timeout(180)
@pytest.mark.parametrize(
    ("name", "free"),
    [
        ("lstm-script", {"a", "b"}),
        ("lstm-dynamo", {"a", "b"}),
        ("gru-script", {"a", "b"}),
        ("rnn-script", {"a", "b"}),
        # The exporter writes the batch of the example into the reordering of the rows.
        ("packed-script", {"b"}),
    ],
)
def test_it_gives_the_numbers_of_torch(name, free, exported, backend) -> None:
    arrays = np.load(exported / f"{name}.npz")
    with open_source(str(exported / f"{name}.onnx")) as source:
        translation = translate(source.model, file=source.file)
    assert {dim.name for dim in translation.dims} == free
    feed = {final: arrays[name] for name, final in translation.input_names.items()}
    found = get_backend(backend.name).compile(translation.graph).run(feed)
    for index, output in enumerate(translation.output_names.values()):
        np.testing.assert_allclose(found[output], arrays[f"y{index}"], rtol=1e-5, atol=1e-6)
