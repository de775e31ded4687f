"""`webnn calibrate` and `webnn embed --precision`, on a small encoder."""

from __future__ import annotations

import json

import numpy as np
import pytest

from webnn_runtime.embed import WebNNEmbedder


@pytest.fixture
def texts(tmp_path):
    path = tmp_path / "texts.jsonl"
    words = ["a", "b", "c", "d", "e", "f", "sun", "rain"]
    path.write_text("".join(json.dumps({"text": f"{one} {two}"}) + "\n" for one in words for two in words))
    return path


def test_bounds_are_learnt_once_and_used_from_then_on(run, encoder, texts) -> None:
    ran = run("webnn", "embed", encoder, "a b", "--precision", "int8", "--json")
    assert ran.code == 2
    assert "webnn calibrate MODEL texts.txt" in ran.json["errors"][0]["message"]

    ran = run("webnn", "calibrate", encoder, texts, "--truncate-dim", "4", "--truncate-dim", "6", "--json")
    assert ran.code == 0
    assert [entry["dimension"] for entry in ran.json["data"]["ranges"]] == [4, 6]
    assert ran.json["data"]["file"] == str(encoder / "embedding_ranges.json")
    assert "bounds of 64 texts" in ran.json["warnings"][0]

    ran = run("webnn", "embed", encoder, "a b", "sun", "--precision", "int8", "--truncate-dim", "4", "--quiet")
    got = [json.loads(line) for line in ran.out.splitlines()]
    expected = WebNNEmbedder(encoder).encode(["a b", "sun"], precision="int8", truncate_dim=4)
    assert got == expected.tolist()


def test_bounds_may_lie_in_a_file_of_their_own(run, encoder, texts, tmp_path) -> None:
    assert run("webnn", "calibrate", encoder, texts, "-o", "bounds.json", "--quiet").out == "bounds.json\n"
    assert not (encoder / "embedding_ranges.json").exists()
    arguments = ("--precision", "uint8", "--ranges", "bounds.json", "--out", "vectors.npy")
    assert run("webnn", "embed", encoder, "a b", *arguments).code == 0
    stored = np.load(tmp_path / "vectors.npy")
    assert (stored.dtype, stored.shape) == (np.uint8, (1, 6))


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--precision", "int4"], 2, "--precision int4: one of float32, float16"),
        (["--ranges", "x.json"], 2, "--ranges is for int8 and uint8, not for float32"),
        (["--precision", "int8", "--ranges", "absent.json"], 3, "absent.json: there is no such file"),
    ],
)
def test_switches_that_do_not_fit_are_refused(arguments, code, message, run, encoder) -> None:
    ran = run("webnn", "embed", encoder, "a", *arguments)
    assert (ran.code, message in ran.err) == (code, True)


@pytest.mark.filterwarnings("default::webnn_runtime.embed.PromptWarning")
def test_a_prompt_goes_before_every_text(run, encoder) -> None:
    ran = run("webnn", "embed", encoder, "a", "b", "--prompt", "sun ", "--json")
    written = run("webnn", "embed", encoder, "sun a", "sun b", "--json")
    assert ran.json["data"]["vectors"] == written.json["data"]["vectors"]
    (encoder / "config_sentence_transformers.json").write_text(json.dumps({"prompts": {"query": "sun "}}))
    # A model with prompts is not asked twice: none on purpose is told nothing.
    assert "was trained with prompts" in run("webnn", "embed", encoder, "a").err
    plain = run("webnn", "embed", encoder, "a", "--prompt", "", "--json")
    assert (plain.json["warnings"], plain.code) == ([], 0)
    named = run("webnn", "embed", encoder, "a", "--prompt-name", "query", "--json")
    assert named.json["data"]["vectors"] == ran.json["data"]["vectors"][:1]
    both = run("webnn", "embed", encoder, "a", "--prompt-name", "query", "--prompt", "x")
    assert (both.code, both.out) == (2, "")
    assert "--prompt and --prompt-name both say what goes before a text; pass one of them" in both.err


def test_a_missing_file_of_texts_is_not_found(run, encoder) -> None:
    assert run("webnn", "calibrate", encoder, "absent.txt").code == 3


def test_a_bundle_that_does_not_say_how_is_told(run, encoder, texts) -> None:
    (encoder / "modules.json").unlink()
    ran = run("webnn", "embed", encoder, "a b")
    assert "pass pooling= (--pooling), one of cls, max, mean" in ran.err
    told = ("--pooling", "max+cls", "--max-seq-length", "5")
    expected = WebNNEmbedder(encoder, pooling="max+cls", max_seq_length=5, on_truncation="ignore").encode(["a b c d"])
    ran = run("webnn", "embed", encoder, "a b c d", *told, "--json")
    assert ran.json["data"]["vectors"] == [[float(f"{value:.9g}") for value in row] for row in expected]
    assert "1 of 1 texts are longer than 5 tokens (max_seq_length)" in ran.json["warnings"][0]
    # Bounds belong to what makes the vectors.
    assert run("webnn", "calibrate", encoder, texts, *told, "--prompt", "sun ", "--quiet").code == 0
    assert run("webnn", "embed", encoder, "a b", *told, "--precision", "int8").code == 0
    assert run("webnn", "embed", encoder, "a b", *told[:2], "--precision", "int8").code != 0
    for arguments in (("--pooling", "meen"), ("--max-seq-length", "1000")):
        ran = run("webnn", "embed", encoder, "a b", *told, *arguments)
        assert (ran.code, "Traceback" in ran.err) == (2, False)


def test_bounds_are_learnt_behind_a_prompt(run, encoder, texts) -> None:
    learnt = [
        run("webnn", "calibrate", encoder, texts, *prompt, "--json").json["data"]["ranges"][0]["sha256"]
        for prompt in ((), ("--prompt", "sun "))
    ]
    assert learnt[0] != learnt[1]
    assert run("webnn", "calibrate", encoder, texts, "--prompt", "a", "--prompt-name", "b").code == 2
