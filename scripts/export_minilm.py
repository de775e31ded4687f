"""Write the ONNX exports of one sentence encoder that the tests and the demo convert.

    python scripts/export_minilm.py MODEL_DIR OUT_DIR [VARIANT ...]

Each variant is the same model through another exporter, because exporters decompose attention and masks
differently and the translator has to understand all of them. Needs the extra `export`.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Final

from webnn_translator.sources.export import export_onnx

# name -> (attention implementation, opset); opset 18 goes through the exporter based on torch.export
VARIANTS: Final = {"ts-eager": ("eager", 17), "ts-sdpa": ("sdpa", 17), "dynamo": ("sdpa", 18)}


def main() -> None:
    """Export every variant named on the command line, by default all of them."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model_dir", type=Path)
    parser.add_argument("out_dir", type=Path)
    parser.add_argument("variants", nargs="*", type=_variant, default=list(VARIANTS), metavar="VARIANT")
    arguments = parser.parse_args()
    arguments.out_dir.mkdir(parents=True, exist_ok=True)
    for name in arguments.variants:
        attention, opset = VARIANTS[name]
        out = arguments.out_dir / f"minilm-{name}.onnx"
        export_onnx(arguments.model_dir, out, task="feature-extraction", opset=opset, attention=attention)
        print(out)


def _variant(name: str) -> str:
    if name not in VARIANTS:
        raise argparse.ArgumentTypeError(f"there is no variant '{name}'; one of {', '.join(VARIANTS)}")
    return name


if __name__ == "__main__":
    main()
