"""The page that compares sentences serves models whose vectors it makes as they are meant, and no others."""

from __future__ import annotations

import importlib.util
import json
import socket
from pathlib import Path
from types import ModuleType

import pytest

from webnn_runtime import load_bundle

EXAMPLE = Path(__file__).resolve().parents[3] / "examples" / "browser_embeddings.py"


@pytest.fixture(scope="module")
def example() -> ModuleType:
    spec = importlib.util.spec_from_file_location("browser_embeddings", EXAMPLE)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def takes_first(folder: Path) -> None:
    place = folder / "1_Pooling" / "config.json"
    config = json.loads(place.read_text(encoding="utf-8"))
    swapped = {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}
    place.write_text(json.dumps({**config, **swapped}), encoding="utf-8")


def puts_a_prompt(folder: Path) -> None:
    config = {"prompts": {"query": "sun "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(config), encoding="utf-8")


def lowers(folder: Path) -> None:
    """By a setting, where the tokenizer itself would not."""
    place = folder / "tokenizer.json"
    place.write_text(
        json.dumps({**json.loads(place.read_text(encoding="utf-8")), "normalizer": None}), encoding="utf-8"
    )
    (folder / "sentence_bert_config.json").write_text(json.dumps({"do_lower_case": True}), encoding="utf-8")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (puts_a_prompt, "a prompt stands before each text; this page puts none there"),
        (lowers, "texts are changed before tokenizer.json splits them; this page changes none"),
        (takes_first, "its vectors are made by pooling cls and modules []; this page takes the mean"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "holds no tokenizer.json"),
    ],
)
def test_a_model_that_the_page_would_read_otherwise_is_refused(example, encoder, change, message, capsys) -> None:
    change(encoder)
    assert example.main([str(encoder), "--port", "0"]) == 1
    assert message in capsys.readouterr().err


def test_a_mean_over_tokens_is_what_the_page_takes(example, encoder) -> None:
    # No more tokens of a text than the model takes.
    assert example.check_model(encoder, load_bundle(encoder).graph) == 16


def test_a_port_that_is_taken_is_told_without_a_traceback(example, encoder, capsys) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        assert example.main([str(encoder), "--port", str(taken.getsockname()[1])]) == 1
    assert "--port 0 takes a free one" in capsys.readouterr().err
