"""Quantise a float32 bundle in every way, and print the table of docs/quantizing.md.

    python scripts/measure_quantizing.py all-MiniLM-L6-v2-webnn /tmp/quantized ["the switches of one row"]

What is measured on are 512 paragraphs of Python's own documentation, which no weight was rounded by.
"""

from __future__ import annotations

import argparse
import pydoc_data.topics
from pathlib import Path
from typing import Final

from webnn_runtime import WebNNEmbedder
from webnn_runtime.evaluation import cosine_statistics
from webnn_translator.quantize import QuantizeOptions, quantize_bundle

COUNT: Final = 512
CALIBRATING: Final = 200


def paragraphs(shortest: int = 200) -> list[str]:
    """Prose of `shortest` to 900 characters, in the order of its topics."""
    texts = (
        " ".join(paragraph.split())
        for topic in sorted(pydoc_data.topics.topics)
        for paragraph in pydoc_data.topics.topics[topic].split("\n\n")
    )
    return [text for text in texts if shortest <= len(text) <= 900 and text.count(" ") > shortest // 8]


def main() -> None:
    """Print the table, row by row as it is measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="in float32")
    parser.add_argument("out", type=Path, help="folder for the quantised ones")
    parser.add_argument("switches", nargs="?", help="those of the only row to measure")
    arguments = parser.parse_args()
    bundle, out = arguments.bundle, arguments.out
    out.mkdir(parents=True, exist_ok=True)
    every = paragraphs()
    step = len(every) // COUNT
    texts = every[::step][:COUNT]
    calibrating = out / "texts.txt"
    calibrating.write_text("\n".join(every[1::step][:CALIBRATING]), encoding="utf-8")
    ways = {
        "--quantize float16": QuantizeOptions("float16"),
        "--quantize int8": QuantizeOptions("int8"),
        "--quantize int8 --reduce-range": QuantizeOptions("int8", reduce_range=True),
        "--quantize int8 --no-per-channel": QuantizeOptions("int8", per_channel=False),
        "--quantize int8 --calibrate": QuantizeOptions("int8", calibrate=calibrating),
        "--quantize int8 --calibrate --weight-only": QuantizeOptions("int8", calibrate=calibrating, weight_only=True),
        "--quantize uint8": QuantizeOptions("uint8"),
        "--quantize int4": QuantizeOptions("int4"),
        "--quantize int4 --block-size 128": QuantizeOptions("int4", block_size=128),
        "--quantize int4 --calibrate": QuantizeOptions("int4", calibrate=calibrating),
        "--quantize int4 --target-cosine 0.99": QuantizeOptions("int4", target_cosine=0.99),
    }
    if arguments.switches not in (None, *ways):
        parser.error(f"there is no row '{arguments.switches}'; one of {', '.join(map(repr, ways))}")
    exact = WebNNEmbedder(bundle, backend="onnxruntime").encode(texts)
    print("| switches | weights, MB | mean cosine | 1st percentile | minimum |\n|---|---|---|---|---|", flush=True)
    for number, (switches, options) in enumerate(ways.items()):
        if arguments.switches not in (None, switches):
            continue
        done = quantize_bundle(bundle, out / str(number), options, force=True, is_verified=False)
        size = f"{done.weights_bytes / 1e6:.1f}"
        ways_to_run = {"": WebNNEmbedder(done.folder, backend="onnxruntime")}
        if options.compute == "int8" and not options.has_fixed_ranges:
            ways_to_run[", in integers"] = WebNNEmbedder(done.folder, backend="rust", compute="int8")
        for how, embedder in ways_to_run.items():
            found = cosine_statistics(exact, embedder.encode(texts))
            row = f"| `{switches}`{how} | {size} | {found.mean:.5f} | {found.p01:.5f} | {found.minimum:.5f} |"
            print(row, flush=True)


if __name__ == "__main__":
    main()
