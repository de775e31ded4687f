"""Rank six phrases by their similarity to one, and set the numbers beside those of the float32 model.

    python examples/weather_similarity.py --model-id all-MiniLM-L6-v2-webnn

The column "float32" was measured with ONNX Runtime on the float32 model. The column "published" is a table of
years ago for a quantised export of the same model: the same order, other values.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from typing import Final

import numpy as np

from webnn_runtime import WebNNEmbedder, WebnnError

__all__ = ["PHRASES", "QUERY", "main"]

QUERY: Final = "WeatherChannel Spain the weather is sunny and warm"
# phrase -> (float32 model, quantised export published years ago)
PHRASES: Final = {
    "jabberwocky awaits: lets not be late lest the lillies bloom in the garden of eden": (0.008, 0.055),
    "shipping forecast": (0.229, 0.189),
    "buffalo weather forecast": (0.316, 0.278),
    "weather forecast": (0.518, 0.470),
    "spain weather forecast": (0.733, 0.730),
    "weather forecast in Spain": (0.756, 0.744),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the example; returns 0 if every value equals the float32 column to the third decimal."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model-id", required=True, help="bundle folder or hub id")
    parser.add_argument("--backend", default="auto", help="auto, rust, onnxruntime or numpy")
    options = parser.parse_args(arguments)
    try:
        embedder = WebNNEmbedder(model_id=options.model_id, backend=options.backend)
        vectors = embedder.encode([QUERY, *PHRASES])
    except WebnnError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    similarities = np.asarray(embedder.compute_similarity(vectors[:1], vectors[1:]))[0]
    print(f"{QUERY!r} compared with")
    print(f"{'here':>7}{'float32':>9}{'published':>11}")
    for value, (phrase, (expected, published)) in zip(similarities, PHRASES.items(), strict=True):
        print(f"{value:7.3f}{expected:9.3f}{published:11.3f}  {phrase}")
    print(
        "float32: ONNX Runtime on the float32 model; published: a quantised export, years ago (order equal, values not)"
    )
    agree = all(
        abs(round(float(value), 3) - expected) < 5e-4
        for value, (expected, _) in zip(similarities, PHRASES.values(), strict=True)
    )
    print("equal to the float32 column to the third decimal" if agree else "NOT equal to the float32 column")
    return 0 if agree else 1


if __name__ == "__main__":
    # Piped into `head`, this ends as other programs do; Windows has no such signal.
    if hasattr(signal, "SIGPIPE"):
        signal.signal(signal.SIGPIPE, signal.SIG_DFL)
    sys.exit(main())
