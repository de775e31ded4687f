"""What type checkers are told of the results of `encode` is what comes out, and of all its arguments."""

from __future__ import annotations

import inspect
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from webnn_runtime.embed import WebNNEmbedder
from webnn_runtime.embed.calls import EncodeOptions

ROOT = Path(__file__).resolve().parents[3]
TYPES = {
    "float32": np.float32,
    "float16": np.float16,
    "int8": np.int8,
    "binary": np.int8,
    "uint8": np.uint8,
    "ubinary": np.uint8,
}
CALLS = """
from typing import Any
import numpy as np
import numpy.typing as npt
from typing_extensions import assert_type
from webnn_runtime import WebNNEmbedder

def check(embedder: WebNNEmbedder, kind: str, options: dict[str, Any]) -> None:
    for call in (embedder.encode, embedder.encode_query, embedder.encode_document):
        assert_type(call("a"), npt.NDArray[np.float32])
        assert_type(call(["a"], 8, False, prompt="x", truncate_dim=3), npt.NDArray[np.float32])
"""
CALLS += "".join(
    f'        assert_type(call(["a"], precision="{name}"), npt.NDArray[np.{kind.__name__}])\n'
    for name, kind in TYPES.items()
)
CALLS += """
        assert_type(call(["a"], precision=kind), npt.NDArray[Any])
        assert_type(call(["a"], device=None), npt.NDArray[Any])
        call(3)  # type: ignore[call-overload]
        call("a", prompt="x", precision=8)  # type: ignore[call-overload]
    embedder.max_seq_length = 5
    embedder.max_seq_lenght = 5  # type: ignore[attr-defined]
    embedder.truncate_dim = 5  # type: ignore[misc]
    embedder.device  # type: ignore[attr-defined]
    call()  # type: ignore[call-overload]
"""


def test_a_type_checker_knows_each_result(optional: Callable[[str], object], tmp_path: Path) -> None:
    optional("mypy")
    (tmp_path / "calls.py").write_text(CALLS)
    settings = ["--strict", "--config-file", str(ROOT / "pyproject.toml"), "--follow-imports=silent"]
    found = subprocess.run(
        [sys.executable, "-m", "mypy", *settings, "--cache-dir", str(tmp_path / "cache"), str(tmp_path / "calls.py")],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stdout + found.stderr


@pytest.mark.parametrize("precision", TYPES)
def test_the_result_has_the_type_that_is_promised(precision: str, make: Callable[..., WebNNEmbedder]) -> None:
    embedder = make()
    embedder.calibrate(["a", "b", "c"])
    assert embedder.encode(["a", "b"], precision=precision).dtype == TYPES[precision]


def test_the_arguments_that_are_promised_are_those_there_are() -> None:
    own = inspect.signature(WebNNEmbedder.encode).parameters.values()
    named = {one.name for one in own if one.kind is inspect.Parameter.KEYWORD_ONLY}
    assert named - {"precision"} == EncodeOptions.__annotations__.keys()
    positional = [one.name for one in own if one.kind is inspect.Parameter.POSITIONAL_OR_KEYWORD]
    assert positional == ["self", "texts", "batch_size", "normalize", "show_progress"]
