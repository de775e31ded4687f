"""Write the ONNX exports of one sentence encoder that the tests and the demo convert.

    python scripts/export_minilm.py MODEL_DIR OUT_DIR [VARIANT ...]

Each variant is the same model through another exporter, because exporters decompose attention and masks
differently and the translator has to understand all of them:

    ts-eager   torch script exporter, opset 17, attention written out as matmul and softmax
    ts-sdpa    torch script exporter, opset 17, `scaled_dot_product_attention`
    dynamo     torch.export based exporter, opset 18

Batch and sequence are symbolic in all of them. Needs the extra `export`.
"""

from __future__ import annotations

import argparse
import os
import warnings
from pathlib import Path
from typing import Any, Final

VARIANTS: Final = {
    "ts-eager": ("eager", 17, False),
    "ts-sdpa": ("sdpa", 17, False),
    "dynamo": ("sdpa", 18, True),
}
INPUTS: Final = ("input_ids", "attention_mask", "token_type_ids")
AXES: Final = {0: "batch_size", 1: "sequence_length"}


def export(model_dir: Path, out: Path, *, attention: str, opset: int, dynamo: bool) -> None:
    """Export `model_dir` to `out`; the file appears only when it is complete."""
    import torch
    from transformers import AutoModel

    model = AutoModel.from_pretrained(model_dir, attn_implementation=attention, dtype=torch.float32)
    model.eval()

    class LastHiddenState(torch.nn.Module):
        """The one output an embedding needs: the pooler would only add weights."""

        def __init__(self) -> None:
            super().__init__()
            self.encoder = model

        def forward(self, input_ids: Any, attention_mask: Any, token_type_ids: Any) -> Any:
            return self.encoder(
                input_ids=input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids
            ).last_hidden_state

    # Two rows of five tokens, one padded: an all-ones mask lets tracing drop the mask.
    ids = torch.tensor([[101, 7592, 2088, 999, 102], [101, 7592, 102, 0, 0]])
    mask = torch.tensor([[1, 1, 1, 1, 1], [1, 1, 1, 0, 0]])
    arguments = (ids, mask, torch.zeros_like(ids))
    staging = out.with_name(f".{out.name}.part")
    with torch.no_grad():
        if dynamo:
            batch, sequence = (torch.export.Dim(name) for name in AXES.values())
            shapes = {name: {0: batch, 1: sequence} for name in INPUTS}
            torch.onnx.export(
                LastHiddenState().eval(),
                arguments,
                str(staging),
                input_names=list(INPUTS),
                output_names=["last_hidden_state"],
                opset_version=opset,
                dynamic_shapes=shapes,
                dynamo=True,
                external_data=False,
                verbose=False,
            )
        else:
            torch.onnx.export(
                LastHiddenState().eval(),
                arguments,
                str(staging),
                input_names=list(INPUTS),
                output_names=["last_hidden_state"],
                opset_version=opset,
                dynamic_axes=dict.fromkeys((*INPUTS, "last_hidden_state"), AXES),
                do_constant_folding=True,
                dynamo=False,
            )
    os.replace(staging, out)


def main() -> None:
    """Export every variant named on the command line, by default all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("variants", nargs="*", default=list(VARIANTS), metavar="VARIANT")
    arguments = parser.parse_args()
    arguments.out_dir.mkdir(parents=True, exist_ok=True)
    for name in arguments.variants:
        attention, opset, dynamo = VARIANTS[name]
        out = arguments.out_dir / f"minilm-{name}.onnx"
        with warnings.catch_warnings():
            # The tracing exporter warns about every shape it reads; the numeric check is the judge.
            warnings.simplefilter("ignore")
            export(arguments.model_dir, out, attention=attention, opset=opset, dynamo=dynamo)
        print(out)


if __name__ == "__main__":
    main()
