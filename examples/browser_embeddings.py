"""Compare sentences in a browser: the model runs there, on the browser's own WebNN; this script only serves files.

    webnn-convert sentence-transformers/all-MiniLM-L6-v2 -o minilm-webnn
    python examples/browser_embeddings.py minilm-webnn

Open the address it prints in a browser that has WebNN. The text is split into tokens here, by the bundle's tokenizer;
the vectors are made there, by the module that `webnn emit-js` writes, as the mean over the tokens of each sentence. A
model whose vectors are made in another way is refused.
"""

from __future__ import annotations

import argparse
import http.server
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from webnn_runtime import Graph, WebNNEmbedder, WebnnError, load_bundle
from webnn_translator.emit import ModuleSource, emit_module

__all__ = ["main"]

PAGE: Final = Path(__file__).with_suffix(".html")
INPUTS: Final = {"input_ids", "attention_mask", "token_type_ids"}
LONGEST: Final = 128
PROBE: Final = "A Text"


def main(arguments: Sequence[str] | None = None) -> int:
    """Serve until interrupted."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("bundle", type=Path, help="a bundle's folder, with tokenizer.json")
    parser.add_argument("--port", type=int, default=8080, help="0 takes a free one")
    options = parser.parse_args(arguments)
    if not (options.bundle / "tokenizer.json").is_file():
        lack = "holds no tokenizer.json; convert the model from its folder, or with --tokenizer FOLDER"
        lack = lack if options.bundle.is_dir() else "there is no such folder; webnn-convert writes one"
        print(f"error: {options.bundle}: {lack}", file=sys.stderr)
        return 1
    try:
        bundle = load_bundle(options.bundle)
        longest = check_model(options.bundle, bundle.graph)
        module = emit_module(ModuleSource.of(bundle))
    except WebnnError as exc:
        print(f"error: {exc}", file=sys.stderr)
        return 1
    files = {"/": PAGE, "/model.mjs": module.encode(), "/model.weights": options.bundle / "model.weights"}
    handler = handler_of(files, tokenizer_of(options.bundle / "tokenizer.json", longest))
    try:
        # WebNN needs a secure context, and localhost is one.
        opened = http.server.ThreadingHTTPServer(("127.0.0.1", options.port), handler)
    except (OSError, OverflowError) as exc:
        print(f"error: --port {options.port}: {exc}; --port 0 takes a free one", file=sys.stderr)
        return 1
    with opened as server:
        print(f"http://localhost:{server.server_port}/", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            return 0
    return 0


def check_model(folder: Path, graph: Graph) -> int:
    """Refuse a model whose vectors the page would make in another way than the model's own.

    Returns:
        How many tokens the page takes of a text.

    Raises:
        WebnnError: it has no tokens, other ones, another pooling, more modules, or inputs that the page does not make.
    """
    embedder = WebNNEmbedder(folder, backend="numpy")
    found = embedder.backend_info()
    if found["pooling"] != "mean" or found["modules"] not in ([], ["Normalize"]):
        made = f"pooling {found['pooling']} and modules {found['modules']}"
        raise WebnnError(f"{folder}: its vectors are made by {made}; this page takes the mean over the tokens alone")
    if found["output"] != next(iter(graph.outputs)):
        raise WebnnError(f"{folder}: tokens are in the output '{found['output']}'; this page reads the first one")
    others = sorted(graph.inputs.keys() - INPUTS)
    if others:
        raise WebnnError(f"{folder}: the graph takes {', '.join(others)}; this page makes {', '.join(sorted(INPUTS))}")
    longest = min(LONGEST, embedder.max_seq_length or LONGEST)
    if tokenizer_of(folder / "tokenizer.json", longest).encode(PROBE).ids != embedder.tokenize(PROBE)[0]:
        raise WebnnError(f"{folder}: texts are changed before tokenizer.json splits them; this page changes none")
    if not np.array_equal(embedder.encode(PROBE), embedder.encode(PROBE, prompt="")):
        raise WebnnError(f"{folder}: a prompt stands before each text; this page puts none there")
    return longest


def tokenizer_of(path: Path, longest: int) -> Any:
    """The bundle's tokenizer, padding a batch to its longest text and cutting texts behind as many tokens."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    tokenizer.enable_truncation(longest)
    tokenizer.enable_padding()
    return tokenizer


def handler_of(files: dict[str, Path | bytes], tokenizer: Any) -> type[http.server.BaseHTTPRequestHandler]:
    """What answers: the files, and the tokens of a list of texts."""
    types = {"/": "text/html; charset=utf-8", "/model.mjs": "text/javascript"}

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            found = files.get(self.path)
            if found is None:
                self.send_error(404)
            else:
                body = found if isinstance(found, bytes) else found.read_bytes()
                self._answer(types.get(self.path, "application/octet-stream"), body)

        def do_POST(self) -> None:
            texts = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            rows = tokenizer.encode_batch(texts)
            tokens = {
                "input_ids": [row.ids for row in rows],
                "attention_mask": [row.attention_mask for row in rows],
                "token_type_ids": [row.type_ids for row in rows],
                "cut": sum(bool(row.overflowing) for row in rows),
            }
            self._answer("application/json", json.dumps(tokens).encode())

        def _answer(self, kind: str, body: bytes) -> None:
            self.send_response(200)
            self.send_header("Content-Type", kind)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BrokenPipeError:
        # Nobody reads the address; Python would complain once more when it ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(141)
