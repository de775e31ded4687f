"""Files of texts and of scored pairs, as people have them."""

from __future__ import annotations

import csv
import gzip
import json
import os
import threading

import pytest

from webnn_runtime.evaluation import compare_classifiers, compare_embedders
from webnn_runtime.evaluation.texts import builtin_texts, digest_of, read_pairs, read_texts
from webnn_runtime.format.errors import EmbedError
from webnn_translator.quantize.texts import FITTING, MEASURING


def test_the_built_in_texts_are_many_different_ones() -> None:
    texts = builtin_texts()
    assert len(texts) == len(set(texts)) == 255
    lengths = sorted(len(text.split()) for text in texts)
    assert (lengths[0], lengths[-1] > 150) == (1, True)
    assert not any(text != text.strip() or not text for text in texts)


def test_a_model_is_not_judged_by_texts_that_its_weights_were_rounded_by() -> None:
    assert set(FITTING).isdisjoint(MEASURING)
    assert set(builtin_texts()).isdisjoint([*FITTING, *MEASURING])


def test_texts_are_one_a_line(tmp_path) -> None:
    path = tmp_path / "texts.txt"
    # Other characters that end lines for str.splitlines are part of the text.
    path.write_bytes("\ufeffone\r\n\n  two \u2028 still\rtwo\n\tthree".encode())
    assert read_texts(path) == ["one", "  two \u2028 still\rtwo", "\tthree"]


def test_texts_are_strings_or_objects_in_json_lines(tmp_path) -> None:
    path = tmp_path / "texts.jsonl"
    path.write_text('"one\\nline"\n\n{"id": 1, "text": "two"}\n{"sentence": "three"}\n', encoding="utf-8")
    assert read_texts(path) == ["one\nline", "two", "three"]


def test_pairs_that_are_all_alike_are_refused(tmp_path) -> None:
    (tmp_path / "pairs.tsv").write_text("a\tb\t1\nc\td\t1.0\n")
    with pytest.raises(EmbedError, match=r"pairs\.tsv: all 2 pairs have the score 1; a ranking needs different ones"):
        read_pairs(tmp_path / "pairs.tsv")


def test_a_pipe_is_as_good_as_a_file(tmp_path) -> None:
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    writer = threading.Thread(target=pipe.write_text, args=("one\ntwo\n",))
    writer.start()
    assert read_texts(pipe) == ["one", "two"]
    writer.join()


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("a.txt", b"\n \n", "holds no texts"),
        ("a.txt", b"caf\xe9", "not UTF-8 text at byte 3"),
        ("a.txt", gzip.compress(b"text"), "compressed by gzip; unpack it first, with gunzip -k"),
        ("a.jsonl", b'"one"\n{text: 1}', r"a\.jsonl:2: not JSON"),
        ("a.jsonl", b'{"id": 1}', r"a\.jsonl:1: no text; expected a string, or an object with 'text'"),
    ],
)
def test_files_without_texts_are_refused(name, content, message, tmp_path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(EmbedError, match=message):
        read_texts(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="there is no such file"):
        read_texts(tmp_path / "other")


def test_the_digest_tells_texts_apart() -> None:
    assert digest_of(["a", "bc"]) != digest_of(["ab", "c"]) != digest_of(["c", "ab"])
    assert digest_of(["a", "bc"]) == digest_of(["a", "bc"])


PAIRS = [
    ("A man plays.", "A man is playing.", 5.0),
    ('"Go home," she said', 'He said "no"', 0.5),
    ('"All of it is quoted."', "a, b; c", 2.25),
]
GLUE = "index\tgenre\tfilename\tyear\told_index\tsource1\tsource2\tsentence1\tsentence2\tscore"
FORMS = {
    "GLUE": [GLUE, *(f"{i}\tnews\tf\t2012\t{i}\tnone\tnone\t{a}\t{b}\t{s:.3f}" for i, (a, b, s) in enumerate(PAIRS))],
    "stsbenchmark": [f"main-news\tMSRvid\t2012test\t{i:04}\t{s:.3f}\t{a}\t{b}" for i, (a, b, s) in enumerate(PAIRS)],
    "stsbenchmark with sources": [
        f"main-captions\tMSRvid\t2012test\t{i:04}\t{s}\t{a}\t{b}" + "\tsource 1\tsource 2" * (i % 2)
        for i, (a, b, s) in enumerate(PAIRS)
    ],
    "SICK": ["pair_ID\tsentence_A\tsentence_B\trelatedness_score", *(f"1\t{a}\t{b}\t{s}" for a, b, s in PAIRS)],
    "three columns": [f"{a}\t{b}\t{s}" for a, b, s in PAIRS],
    "score first": [f"{s}\t{a}\t{b}" for a, b, s in PAIRS],
    "header in capitals": ["Score\tSentence1\tSentence2", *(f"{s}\t{a}\t{b}" for a, b, s in PAIRS)],
}


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("form", FORMS)
def test_pairs_are_read_in_the_forms_they_are_published_in(form, end, tmp_path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_bytes(("\ufeff" + end.join([*FORMS[form], "", ""])).encode())
    found = read_pairs(path)
    assert list(zip(found.first, found.second, found.scores, strict=True)) == PAIRS


@pytest.mark.parametrize("quoting", [csv.QUOTE_ALL, csv.QUOTE_MINIMAL, csv.QUOTE_NONNUMERIC])
def test_pairs_are_read_as_programs_quote_them(quoting, tmp_path) -> None:
    path = tmp_path / "pairs.tsv"
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, delimiter="\t", quoting=quoting)
        writer.writerows([("sentence1", "sentence2", "score"), *PAIRS])
    found = read_pairs(path)
    assert list(zip(found.first, found.second, found.scores, strict=True)) == PAIRS


def test_pairs_without_a_score_are_counted_and_left_out(tmp_path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("sentence1\tsentence2\tscore\na\tb\t1\nc\td\t\ne\tf\t2\n", encoding="utf-8")
    found = read_pairs(path)
    assert (found.first, found.scores, found.skipped) == (["a", "e"], [1.0, 2.0], 1)


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "is empty"),
        (["a\tb", "c\td"], "2 columns, and it is not clear which"),
        (["one\ttwo\tthree", "a\tb\tc"], "it is not clear which hold the sentences and the score"),
        (["sentence1\tsentence2\tscore", "a\tb"], r"pairs\.tsv:2: has 2 columns; expected 3 or more"),
        (["sentence1\tsentence2\tscore", "a\tb\t1", "a\tb\thigh"], r"pairs\.tsv:3: the score is 'high'"),
        (["sentence1\tsentence2\tscore", "a\tb\tnan"], r"pairs\.tsv:2: the score is 'nan'"),
        (["a\tb\t1"], "1 pairs have a score; a ranking needs at least 2"),
        (["sentence1\tsentence2\tlabel\tscore", "a\tb\t1\t2", "c\td\t2\t1"], r"tsv:1: .* which of label and score"),
        (["query\tsentence1\tsentence2\tscore"], "which of query and sentence1 to read; rename or remove the others"),
        (["1\ttext\t2", "2\ttext\t3"], "3 columns, and it is not clear which"),
        (["sentence1\tsentence2\tscore", "a\tb\t1_5", "c\td\t2"], r"tsv:2: the score is '1_5'"),
        (["sentence1\tsentence2\tscore", "a\tb\t\u0663", "c\td\t2"], r"tsv:2: the score is '\u0663'"),
        # The part of STS-B in GLUE whose scores are kept back.
        ([GLUE.removesuffix("\tscore"), "0\tnews\tf\t2012\t0\tnone\tnone\ta\tb"], "it is not clear which"),
    ],
)
def test_files_without_pairs_are_refused(lines, message, tmp_path) -> None:
    path = tmp_path / "pairs.tsv"
    path.write_text("\n".join(lines), encoding="utf-8")
    with pytest.raises(EmbedError, match=message):
        read_pairs(path)


def test_json_escapes_travel_whole(tmp_path) -> None:
    path = tmp_path / "texts.ndjson"
    texts = ['tab\tand "quotes"', "\u2028", "漢字"]
    path.write_text("".join(json.dumps(text) + "\n" for text in texts), encoding="utf-8")
    assert read_texts(path) == texts


def test_a_file_is_named_by_text_or_path_alike(tmp_path) -> None:
    path = tmp_path / "mine.txt"
    path.write_text("one\ttwo\t1\nthree\tfour\t2\n")
    assert read_texts(str(path)) == read_texts(path)
    assert read_pairs(str(path)).scores == read_pairs(path).scores == [1.0, 2.0]


def test_the_characters_of_a_text_are_no_texts() -> None:
    for compare in (compare_embedders, compare_classifiers):
        with pytest.raises(TypeError, match="texts are one str; expected a list"):
            compare(None, None, "hello")
