"""A `tokenizer.json` for a folder that only has `vocab.txt`: transformers' own tokenizer is the judge."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from webnn_runtime.embed.tokenizer import TextTokenizer, find_tokenizer
from webnn_runtime.embed.wordpiece import make_tokenizer
from webnn_runtime.format.errors import EmbedError

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
WORDS = [*"aAeéEÉq[]", "\u4e2d", "\u4e2d\u6587", "\u6587", "##s", "##ing", "sun", "sing", "!", "\u00a0x"]
BERT = {"tokenizer_class": "BertTokenizer"}
TEXTS = [
    "a A sun suns singing!",
    "É e q",
    "\u4e2d\u6587 a",
    "[SEP]a[MASK] [unk]",
    "",
    "x" * 120,
    "\u00e9\u0301 \x00 a\u200db",
    "[Q] a [D]",
    "<m> a </s>",
]


def put(folder: Path, name: str, value: Any) -> None:
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(value if isinstance(value, str) else json.dumps(value), encoding="utf-8", newline="")


def lines(*words: str, end: str = "\n") -> str:
    return end.join(words) + end


VOCABULARY = lines(*SPECIAL, *WORDS)
CONFIG = {"model_type": "bert", "architectures": ["BertModel"], "pad_token_id": 0}
ADDED = {"25": {"content": "[Q]", "special": True}, "26": {"content": "[D]", "special": False}}
OTHER_NAMES = {"cls_token": "<s>", "sep_token": "</s>", "pad_token": "<pad>", "unk_token": "<unk>", "mask_token": "<m>"}
MASK = {"__type": "AddedToken", "content": "<m>", "lstrip": True}
# name -> files
FOLDERS: dict[str, dict[str, Any]] = {
    "by its architecture": {"config.json": CONFIG},
    "by its class": {"tokenizer_config.json": BERT},
    "distilled": {"tokenizer_config.json": {"tokenizer_class": "DistilBertTokenizer"}},
    "electra": {"tokenizer_config.json": {"tokenizer_class": "ElectraTokenizerFast"}},
    "distilled by its architecture": {"config.json": CONFIG | {"model_type": "distilbert"}},
    "cased": {"config.json": CONFIG, "tokenizer_config.json": {"do_lower_case": False}},
    "accents kept": {"tokenizer_config.json": BERT | {"strip_accents": False}},
    "Chinese as words": {"tokenizer_config.json": BERT | {"tokenize_chinese_chars": False}},
    "tokens of the settings": {"tokenizer_config.json": BERT | {"added_tokens_decoder": ADDED}},
    "tokens of the older file": {"tokenizer_config.json": BERT, "added_tokens.json": {"[Q]": 22}},
    "limits and sides": {"tokenizer_config.json": BERT | {"model_max_length": 9, "padding_side": "left"}},
    "names of the settings": {
        "tokenizer_config.json": BERT
        | OTHER_NAMES
        | {"mask_token": {"__type": "AddedToken", "content": "<m>", "lstrip": True}},
        "vocab.txt": lines(*OTHER_NAMES.values(), *WORDS),
    },
    "names of the special map": {
        "tokenizer_config.json": BERT,
        "special_tokens_map.json": OTHER_NAMES,
        "vocab.txt": lines(*OTHER_NAMES.values(), *WORDS),
    },
    "the same names twice, once with their rules": {
        "tokenizer_config.json": BERT | OTHER_NAMES,
        "special_tokens_map.json": {role: {"content": name, "normalized": False} for role, name in OTHER_NAMES.items()},
        "vocab.txt": lines(*OTHER_NAMES.values(), *WORDS),
    },
    "another order, other ends of lines": {
        "tokenizer_config.json": BERT,
        "vocab.txt": lines(*WORDS, *SPECIAL, end="\r\n"),
    },
    "no end of the last line": {"tokenizer_config.json": BERT, "vocab.txt": VOCABULARY[:-1]},
}


@pytest.mark.torch
@pytest.mark.parametrize("name", FOLDERS)
def test_a_vocabulary_gives_the_tokens_of_transformers(name: str, tmp_path: Path, optional) -> None:
    theirs, ours = tmp_path / "theirs", tmp_path / "ours"
    for folder in (theirs, ours):
        for file, value in ({"vocab.txt": VOCABULARY} | FOLDERS[name]).items():
            put(folder, file, value)
    put(ours, "tokenizer.json", make_tokenizer(ours))
    (ours / "vocab.txt").unlink()
    expected = optional("transformers").AutoTokenizer.from_pretrained(theirs, local_files_only=True)
    tokenizer = TextTokenizer.load(ours)
    found = tokenizer.encode(TEXTS, None)
    assert [each.ids.tolist() for each in found] == expected(TEXTS)["input_ids"]
    assert (tokenizer.padding.id, tokenizer.padding.side) == (expected.pad_token_id, expected.padding_side)
    pairs = [(text, "a sun") for text in TEXTS]
    together = expected(TEXTS, ["a sun"] * len(TEXTS), return_token_type_ids=True)
    assert [each.ids.tolist() for each in tokenizer.encode_pairs(pairs, None)] == together["input_ids"]
    assert [each.types.tolist() for each in tokenizer.encode_pairs(pairs, None)] == together["token_type_ids"]


@pytest.mark.parametrize(
    ("files", "reason"),
    [
        ({}, "its tokenizer's class is not stated, and only BERT's"),
        ({"config.json": {"model_type": "mpnet"}}, "its tokenizer's class is not stated"),
        ({"tokenizer_config.json": {"tokenizer_class": "MPNetTokenizer"}}, "its tokenizer's class is MPNet"),
        ({"tokenizer_config.json": BERT | {"do_basic_tokenize": False}}, "do_basic_tokenize or never_split"),
        ({"tokenizer_config.json": BERT | {"never_split": ["a"]}}, "do_basic_tokenize or never_split"),
        ({"tokenizer_config.json": BERT | {"cls_token": "<s>"}}, "it has no '<s>'"),
        (
            {
                "tokenizer_config.json": BERT | {"cls_token": "sun"},
                "special_tokens_map.json": {"cls_token": "[CLS]"},
            },
            "special_tokens_map.json and tokenizer_config.json have another 'cls_token' each",
        ),
        (
            {
                "tokenizer_config.json": BERT | {"mask_token": "[MASK]"},
                "special_tokens_map.json": {"mask_token": {"content": "[MASK]", "single_word": True}},
            },
            "special_tokens_map.json and tokenizer_config.json have another 'mask_token' each",
        ),
        ({"tokenizer_config.json": BERT, "vocab.txt": lines(*SPECIAL, "a", "b", "a")}, "it has 'a' twice"),
        ({"tokenizer_config.json": BERT, "vocab.txt": lines(*SPECIAL, "a ")}, "line 6 is empty or ends in a blank"),
        ({"tokenizer_config.json": BERT, "vocab.txt": lines(*SPECIAL, "", "a")}, "line 6 is empty or ends in a blank"),
        (
            {"tokenizer_config.json": BERT | {"cls_token": "a:0 $B"}, "vocab.txt": lines(*SPECIAL, "a:0 $B")},
            r"'a:0 \$B' is no usual special token",
        ),
    ],
)
def test_what_is_not_certain_is_refused_with_the_command_that_makes_it(files, reason: str, tmp_path: Path) -> None:
    for file, value in ({"vocab.txt": VOCABULARY} | files).items():
        put(tmp_path, file, value)
    with pytest.raises(EmbedError, match=rf"vocab\.txt: no tokenizer\.json can be made of it, as {reason}") as caught:
        make_tokenizer(tmp_path)
    assert "T.from_pretrained('FOLDER').save_pretrained('FOLDER')" in str(caught.value)


@pytest.mark.parametrize("name", ["vocab.txt", "vocab.json", "sentencepiece.bpe.model"])
@pytest.mark.parametrize("is_given", [False, True])
def test_a_tokenizer_in_another_form_is_named_with_the_command_that_writes_this_one(name, is_given, tmp_path) -> None:
    put(tmp_path, name, "x")
    with pytest.raises(EmbedError, match=rf"has no tokenizer\.json; it has {name}, and python -c .*save_pretrained"):
        find_tokenizer(tmp_path if is_given else None, [tmp_path])
