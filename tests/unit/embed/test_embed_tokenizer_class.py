"""What stands beside tokenizer.json changes it as transformers does: its own tokenizer is the judge."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

from webnn_runtime.embed.tokenizer import TextTokenizer
from webnn_runtime.format.errors import EmbedError

SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
NAMES = {f"{name[1:-1].lower()}_token": name for name in SPECIAL}
WORDS = ["a", "A", "e", "é", "E", "É", "\u4e2d", "\u4e2d\u6587", "\u6587", "q", "[", "]", "[Q]"]
BERT = {"tokenizer_class": "BertTokenizer", **NAMES}
ADDED = {"13": {"content": "[Q]", "special": True}, "18": {"content": "[D]", "special": False, "normalized": True}}
WHOLE = {"single_word": True, "lstrip": False, "rstrip": False, "normalized": False}
TEXTS = ["a A", "É e", "\u4e2d\u6587", "q[Q]a", "[D] a", "[SEP]a[MASK]", "a ", ""]
BYTES = {"tokenizer_class": "RobertaTokenizer", "cls_token": "<s>", "sep_token": "</s>"}


def bert(folder: Path, **normalizer) -> None:
    tokenizer = Tokenizer(models.WordPiece({w: i for i, w in enumerate(SPECIAL + WORDS)}, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(**normalizer)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.add_special_tokens(SPECIAL)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=[("[CLS]", 2), ("[SEP]", 3)]
    )
    tokenizer.save(str(folder / "tokenizer.json"))


def byte_level(folder: Path, *, add_prefix_space: bool) -> None:
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {word: i for i, word in enumerate(["<s>", "<pad>", "</s>", "<unk>", "<mask>", *alphabet])}
    tokenizer = Tokenizer(models.BPE(vocabulary, []))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=add_prefix_space)
    tokenizer.add_special_tokens(list(vocabulary)[:5])
    tokenizer.post_processor = processors.RobertaProcessing(("</s>", 2), ("<s>", 0))
    tokenizer.save(str(folder / "tokenizer.json"))


def prefixed(folder: Path) -> None:
    byte_level(folder, add_prefix_space=True)


def unprefixed(folder: Path) -> None:
    byte_level(folder, add_prefix_space=False)


# name -> (what writes tokenizer.json, files beside it, whether they change what a text becomes)
FOLDERS = {
    "cased by the settings": (bert, {"tokenizer_config": BERT | {"do_lower_case": False}}, True),
    "lowered by default": (lambda folder: bert(folder, lowercase=False), {"tokenizer_config": BERT}, True),
    "class by config.json": (
        lambda folder: bert(folder, lowercase=False),
        {"config": {"model_type": "bert", "architectures": ["BertModel"]}},
        True,
    ),
    "accents kept": (bert, {"tokenizer_config": BERT | {"strip_accents": False}}, True),
    "Chinese as words": (bert, {"tokenizer_config": BERT | {"tokenize_chinese_chars": False}}, True),
    "fast class": (bert, {"tokenizer_config": BERT | {"tokenizer_class": "BertTokenizerFast"}}, False),
    "a class that takes the file as it is": (
        bert,
        {"tokenizer_config": NAMES | {"tokenizer_class": "PreTrainedTokenizerFast", "do_lower_case": False}},
        False,
    ),
    "tokens of the settings": (bert, {"tokenizer_config": BERT | {"added_tokens_decoder": ADDED}}, True),
    "tokens found as the settings say": (
        bert,
        {"tokenizer_config": BERT | {"added_tokens_decoder": {"3": {"content": "[SEP]", "special": True} | WHOLE}}},
        True,
    ),
    "special tokens of the settings": (
        bert,
        {"tokenizer_config": BERT | {"additional_special_tokens": ["[Q]", "[D]"]}},
        True,
    ),
    "tokens of the special map": (
        bert,
        {"tokenizer_config": BERT, "special_tokens_map": {"additional_special_tokens": ["[Q]"]}},
        True,
    ),
    "tokens of the older file": (bert, {"tokenizer_config": BERT, "added_tokens": {"[D]": 18}}, True),
    "special tokens as text": (bert, {"tokenizer_config": BERT | {"split_special_tokens": True}}, True),
    "space before a text": (unprefixed, {"tokenizer_config": BYTES | {"add_prefix_space": True}}, True),
    "no space by default": (prefixed, {"tokenizer_config": BYTES}, True),
    "space as in the file": (prefixed, {"tokenizer_config": BYTES | {"add_prefix_space": True}}, False),
}


@pytest.fixture
def write(tmp_path: Path, kit) -> Callable[[str], tuple[Path, bool]]:
    def write(name: str) -> tuple[Path, bool]:
        save, files, changes = FOLDERS[name]
        save(tmp_path)
        for stem, content in files.items():
            kit.save_json(tmp_path / f"{stem}.json", content)
        return tmp_path, changes

    return write


def ids(tokenizer: TextTokenizer) -> list[list[int]]:
    return [each.ids.tolist() for each in tokenizer.encode(TEXTS, None)]


@pytest.mark.torch
@pytest.mark.parametrize("name", FOLDERS)
def test_a_folder_gives_the_tokens_of_transformers(name, write, optional) -> None:
    folder, _ = write(name)
    theirs = optional("transformers").AutoTokenizer.from_pretrained(folder, local_files_only=True)
    assert ids(TextTokenizer.load(folder)) == theirs(TEXTS)["input_ids"]


@pytest.mark.torch
@pytest.mark.parametrize("class_name", ["XLMRobertaTokenizer", "CamembertTokenizerFast", "T5Tokenizer"])
def test_the_file_counts_until_transformers_writes_the_rules_of_a_class_into_it(
    class_name, tmp_path, kit, optional
) -> None:
    transformers = optional("transformers")
    pieces = ["<s>", "<pad>", "</s>", "<unk>", "\u2581", "\u2581a", "a", "e", "<mask>"]
    file = Tokenizer(models.Unigram([(piece, -float(i)) for i, piece in enumerate(pieces)], unk_id=3))
    file.normalizer = normalizers.NFC()
    file.pre_tokenizer = pre_tokenizers.Metaspace()
    file.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 2)])
    file.save(str(tmp_path / "tokenizer.json"))
    named = {"eos_token": "</s>", "unk_token": "<unk>", "pad_token": "<pad>", "extra_ids": 0}
    kit.save_json(tmp_path / "tokenizer_config.json", {"tokenizer_class": class_name, **named})
    found = ids(TextTokenizer.load(tmp_path))
    assert found == [file.encode(text).ids for text in TEXTS]
    # The page says so: release 5 leaves out what is only space, here behind the last word.
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert (theirs(TEXTS)["input_ids"] == found) is (int(transformers.__version__.split(".")[0]) < 5)
    theirs.save_pretrained(tmp_path)
    assert ids(TextTokenizer.load(tmp_path)) == theirs(TEXTS)["input_ids"]


@pytest.mark.parametrize("name", FOLDERS)
def test_what_changes_a_tokenizer_changes_its_digest_and_nothing_else_does(name, write, tmp_path) -> None:
    folder, changes = write(name)
    found = TextTokenizer.load(folder)
    for each in folder.glob("*.json"):
        if each.name != "tokenizer.json":
            each.unlink()
    plain = TextTokenizer.load(folder)
    assert ((ids(found) != ids(plain)), (found.digest != plain.digest)) == (changes, changes)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"do_lower_case": "yes"}, "'do_lower_case' is a string; expected true or false"),
        ({"added_tokens_decoder": {"1": "x"}}, "an added token is 'x'; expected an object with its 'content'"),
        ({"added_tokens_decoder": {"1": {"content": "x", "lstrip": 1}}}, "'lstrip' is an integer"),
        ({"additional_special_tokens": "x"}, "'additional_special_tokens' is a string; expected a list or an object"),
        ({"tokenizer_class": 1}, "'tokenizer_class' is an integer; expected a string"),
    ],
)
def test_settings_of_another_kind_are_refused(settings, complaint, tmp_path, kit) -> None:
    bert(tmp_path)
    kit.save_json(tmp_path / "tokenizer_config.json", BERT | settings)
    with pytest.raises(EmbedError, match=complaint):
        TextTokenizer.load(tmp_path)


@pytest.mark.torch
@pytest.mark.parametrize("names", [["input_ids", "attention_mask"], ["input_ids", "token_type_ids"]])
def test_a_model_gets_segments_where_its_tokenizer_gives_them(names, tmp_path, kit, optional) -> None:
    bert(tmp_path)
    kit.save_json(tmp_path / "tokenizer_config.json", BERT | {"model_input_names": names})
    theirs = optional("transformers").AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)("a", "e")
    (ours,) = TextTokenizer.load(tmp_path).encode_pairs([("a", "e")], None)
    assert ours.ids.tolist() == theirs["input_ids"]
    assert ours.types.tolist() == theirs.get("token_type_ids", [0] * len(ours))
    assert max(ours.types) == ("token_type_ids" in names)


def framed(folder: Path, kit, **settings) -> None:
    byte_level(folder, add_prefix_space=False)
    named = {"tokenizer_class": "LlamaTokenizerFast", "bos_token": "<s>", "eos_token": "</s>"}
    kit.save_json(folder / "tokenizer_config.json", named | settings)


@pytest.mark.parametrize("agreeing", [{}, {"add_bos_token": True, "add_eos_token": True}])
def test_settings_that_put_the_same_tokens_around_a_text_change_nothing(agreeing, tmp_path, kit) -> None:
    framed(tmp_path, kit, **agreeing)
    assert ids(TextTokenizer.load(tmp_path))[-1] == [0, 2]


@pytest.mark.parametrize(("end", "token", "place"), [("bos", "<s>", "before"), ("eos", "</s>", "behind")])
def test_settings_that_put_other_tokens_around_a_text_are_refused(end, token, place, tmp_path, kit) -> None:
    framed(tmp_path, kit, **{f"add_{end}_token": False})
    with pytest.raises(EmbedError, match=f"'add_{end}_token' is false, and tokenizer.json puts a '{token}' {place} a"):
        TextTokenizer.load(tmp_path)


@pytest.mark.torch
def test_releases_of_transformers_disagree_where_settings_and_file_do(tmp_path, kit, optional) -> None:
    transformers = optional("transformers")
    framed(tmp_path, kit, add_eos_token=False)
    theirs = transformers.AutoTokenizer.from_pretrained(tmp_path, local_files_only=True)
    assert (theirs("")["input_ids"] == [0, 2]) is (int(transformers.__version__.split(".")[0]) >= 5)


@pytest.mark.parametrize("content", [[], {"x": "y"}])
def test_an_older_file_of_tokens_that_is_no_such_file_is_refused(content, tmp_path, kit) -> None:
    bert(tmp_path)
    kit.save_json(tmp_path / "added_tokens.json", content)
    with pytest.raises(EmbedError, match=r"added_tokens\.json: expected an object of tokens and their numbers"):
        TextTokenizer.load(tmp_path)


def test_a_pair_needs_room_for_its_special_tokens(tmp_path) -> None:
    bert(tmp_path)
    tokenizer = TextTokenizer.load(tmp_path)
    assert [each.ids.tolist() for each in tokenizer.encode_pairs([("a", "a")], 3)] == [[2, 3, 3]]
    with pytest.raises(EmbedError, match="pairs of texts have at most 2 tokens here, and 3 special ones are added"):
        tokenizer.encode_pairs([("a", "a")], 2)
