"""From what the user named to the ONNX file, and to the files that travel with it."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from webnn_runtime.format.errors import FormatError, HubError, MissingFile
from webnn_translator.sources import find, open_source
from webnn_translator.sources.export import export_onnx, task_of


def put(path: Path, content: bytes = b"{}") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


@pytest.mark.parametrize("name", ["tokenizer_config.json", "1_Pooling/config.json"])
def test_a_link_to_nothing_is_not_left_behind(tmp_path: Path, tiny_model: bytes, name: str) -> None:
    put(tmp_path / "model.onnx", tiny_model)
    link = put(tmp_path / name)
    link.unlink()
    link.symlink_to(tmp_path / "nowhere")
    with pytest.raises(MissingFile, match=f"{name}: a link to a file that is not there"), open_source(str(tmp_path)):
        pass


def test_a_file_alone_brings_nothing_with_it(tmp_path: Path, tiny_model: bytes) -> None:
    path = put(tmp_path / "net.onnx", tiny_model)
    with open_source(str(path)) as source:
        assert source.name == "net"
        assert dict(source.companions) == {}
        assert source.record() == {"file": "net.onnx", "sha256": source.sha256}


@pytest.mark.parametrize("place", ["model.onnx", "onnx/model.onnx"])
@pytest.mark.parametrize("named", ["folder", "file"])
def test_the_tokenizer_and_the_pipeline_travel_with_a_model(
    tmp_path: Path, tiny_model: bytes, place: str, named: str
) -> None:
    folder = tmp_path / "encoder"
    path = put(folder / place, tiny_model)
    travelling = ["tokenizer.json", "config.json", "modules.json", "1_Pooling/config.json", "2_Dense/model.safetensors"]
    for name in [*travelling, "pytorch_model.bin", "model.safetensors", "2_Dense/pytorch_model.bin", "notes.md"]:
        put(folder / name)
    with open_source(str(folder if named == "folder" else path)) as source:
        assert sorted(source.companions) == sorted(travelling)
        assert source.file == path
        assert source.name == ("encoder" if named == "folder" else "model")


BERT_WORDS = b"[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\nsun\n"
OLD_MODULES = b'[{"path": "0_Transformer", "type": "sentence_transformers.models.Transformer"}]'


@pytest.mark.parametrize("place", ["", "0_Transformer"])
@pytest.mark.parametrize("named", ["folder", "file"])
def test_a_vocabulary_of_bert_becomes_the_tokenizer_that_travels(
    tmp_path: Path, tiny_model: bytes, place: str, named: str
) -> None:
    path = put(tmp_path / "onnx" / "model.onnx", tiny_model)
    put(tmp_path / place / "vocab.txt", BERT_WORDS)
    put(tmp_path / place / "tokenizer_config.json", b'{"tokenizer_class": "BertTokenizer"}')
    if place:
        put(tmp_path / "modules.json", OLD_MODULES)
    name = f"{place}/tokenizer.json".strip("/")
    with open_source(str(tmp_path if named == "folder" else path)) as source:
        assert json.loads(source.companions[name].read_bytes())["model"]["vocab"]["sun"] == 5
        assert source.notes == (f"vocab.txt: made {name} of it, as BertTokenizer does",)
        assert not any(file.endswith("vocab.txt") for file in source.companions)
    assert not (tmp_path / name).exists()


def test_a_vocabulary_of_an_unknown_kind_is_said_to_be_left_out(tmp_path: Path, tiny_model: bytes) -> None:
    put(tmp_path / "model.onnx", tiny_model)
    put(tmp_path / "vocab.txt", BERT_WORDS)
    with open_source(str(tmp_path)) as source:
        assert "tokenizer.json" not in source.companions
        assert "AutoTokenizer" in source.notes[0]
        assert source.notes[0].endswith("without it the bundle embeds no texts")


def test_a_tokenizer_that_is_there_is_not_made(tmp_path: Path, tiny_model: bytes) -> None:
    put(tmp_path / "model.onnx", tiny_model)
    put(tmp_path / "vocab.txt", BERT_WORDS)
    put(tmp_path / "tokenizer.json")
    with open_source(str(tmp_path)) as source:
        assert (source.companions["tokenizer.json"], source.notes) == (tmp_path / "tokenizer.json", ())


def test_the_onnx_folder_of_a_repository_wins(tmp_path: Path, tiny_model: bytes) -> None:
    put(tmp_path / "model.onnx", b"not this one")
    put(tmp_path / "onnx" / "model.onnx", tiny_model)
    with open_source(str(tmp_path)) as source:
        assert source.file_name == "onnx/model.onnx"


@pytest.mark.parametrize(("option", "flag"), [({"task": "fill-mask"}, "--task"), ({"opset": 18}, "--opset")])
def test_export_options_are_refused_for_an_onnx_file(
    tmp_path: Path, tiny_model: bytes, option: dict[str, Any], flag: str
) -> None:
    path = put(tmp_path / "net.onnx", tiny_model)
    with pytest.raises(HubError, match=f"{flag} only matters for an export"), open_source(str(path), **option):
        pass


@pytest.mark.parametrize("name", ["absent.onnx", "./absent", "not an id!"])
def test_what_is_not_there_is_said_to_be_not_there(name: str) -> None:
    with pytest.raises(HubError, match="no such"), open_source(name):
        pass


def test_a_folder_without_any_model_says_what_it_looked_for(tmp_path: Path) -> None:
    with pytest.raises(HubError, match=r"onnx/model\.onnx or model\.onnx"), open_source(str(tmp_path)):
        pass


@pytest.mark.parametrize(
    ("module", "way"),
    [
        ("Router", r"each route is a model of its own: save it .*sub_modules\['query'\]"),
        ("Asym", "each route is a model of its own"),
        ("WordEmbeddings", "a StaticEmbedding with a tokenizer of the tokenizers library .* is supported"),
        ("BoW", "scikit-learn's CountVectorizer"),
    ],
)
@pytest.mark.parametrize("has_config", [False, True])
def test_a_first_module_that_cannot_be_exported_is_refused_with_a_way_out(
    tmp_path: Path, module: str, way: str, has_config: bool
) -> None:
    listing = [{"path": "", "type": f"sentence_transformers.models.{module}"}]
    put(tmp_path / "modules.json", json.dumps(listing).encode())
    if has_config:
        put(tmp_path / "config.json", b'{"types": {}, "structure": {}}')
    with (
        pytest.raises(HubError, match=f"its first module is {module}, which cannot be exported; .*{way}"),
        open_source(str(tmp_path)),
    ):
        pass


def test_a_missing_torch_is_answered_with_the_command_that_installs_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put(tmp_path / "config.json", b'{"architectures": ["BertModel"]}')
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(HubError) as caught, open_source(str(tmp_path)):
        pass
    assert 'pip install "webnn-runtime[export]"' in str(caught.value)


@pytest.mark.parametrize("config", [None, b'{"architectures": ["BertModel"]}'])
def test_onnx_files_of_other_names_are_listed_where_nothing_can_be_exported(
    tmp_path: Path, tiny_model: bytes, config: bytes | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "torch", None)
    put(tmp_path / "onnx" / "model_quantized.onnx", tiny_model)
    if config is not None:
        put(tmp_path / "config.json", config)
    with pytest.raises(HubError, match=r"; it has onnx/model_quantized\.onnx: pass the file that is meant$") as caught:
        open_source(str(tmp_path)).__enter__()
    assert "there is no ONNX file" not in str(caught.value)
    with open_source(str(tmp_path / "onnx" / "model_quantized.onnx")) as source:
        assert source.name == "model_quantized"


@pytest.mark.parametrize(
    ("architecture", "task"),
    [
        ("BertModel", "feature-extraction"),
        ("BertForMaskedLM", "fill-mask"),
        ("DistilBertForSequenceClassification", "text-classification"),
        ("GPT2LMHeadModel", "text-generation"),
        ("LlamaForCausalLM", "text-generation"),
    ],
)
def test_the_task_is_what_the_architecture_states(tmp_path: Path, architecture: str, task: str) -> None:
    put(tmp_path / "config.json", json.dumps({"architectures": [architecture]}).encode())
    assert task_of(tmp_path) == task


def test_a_sentence_encoder_is_exported_for_its_features(tmp_path: Path) -> None:
    put(tmp_path / "config.json", b'{"architectures": ["BertForMaskedLM"]}')
    put(tmp_path / "modules.json", b"[]")
    assert task_of(tmp_path) == "feature-extraction"


@pytest.mark.parametrize(
    ("stated", "task"),
    [("sequence-classification", "text-classification"), ("fill-mask", "fill-mask"), (None, "feature-extraction")],
)
def test_what_sentence_transformers_saves_is_exported_for_the_task_it_states(tmp_path: Path, stated, task) -> None:
    put(tmp_path / "modules.json", b"[]")
    put(tmp_path / "sentence_bert_config.json", json.dumps({"transformer_task": stated}).encode())
    assert task_of(tmp_path) == task


@pytest.mark.parametrize("content", [b"{", b"[]"])
def test_settings_of_a_module_that_are_no_object_are_refused(tmp_path: Path, content: bytes) -> None:
    put(tmp_path / "modules.json", b"[]")
    put(tmp_path / "sentence_bert_config.json", content)
    with pytest.raises(HubError, match=r"sentence_bert_config\.json.*(not JSON|expected a JSON object)"):
        task_of(tmp_path)


@pytest.mark.parametrize("config", [b"{}", b"[]", b"{", b'{"architectures": ["Odd"]}', b"\xef\xbb\xbf{}"])
def test_a_configuration_that_does_not_say_the_task_asks_for_it(tmp_path: Path, config: bytes) -> None:
    put(tmp_path / "config.json", config)
    with pytest.raises(HubError, match=r"--task|needed to export"):
        task_of(tmp_path)


@pytest.mark.parametrize(("arguments", "complaint"), [({"task": "dance"}, "task 'dance'"), ({"opset": 3}, "opset 3")])
def test_an_unknown_task_or_opset_lists_the_known_ones(
    tmp_path: Path, arguments: dict[str, Any], complaint: str
) -> None:
    put(tmp_path / "config.json", b'{"architectures": ["BertModel"]}')
    with pytest.raises(HubError, match=complaint):
        export_onnx(tmp_path, tmp_path / "out.onnx", **arguments)
    assert not (tmp_path / "out.onnx").exists()


@pytest.mark.timeout(20)
def test_a_pipe_is_refused_and_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "model")
    with pytest.raises(FormatError, match="not a regular file"), open_source(str(tmp_path / "model")):
        pass


def test_an_adapter_that_an_export_would_leave_out_is_refused(tmp_path: Path) -> None:
    put(tmp_path / "config.json", b'{"architectures": ["BertModel"]}')
    put(tmp_path / "adapter_config.json", b'{"peft_type": "LORA"}')
    with pytest.raises(HubError, match=r"adapter_config\.json says .*merge_and_unload\(\)"):
        export_onnx(tmp_path, tmp_path / "out.onnx")


@pytest.mark.parametrize("key", ["config_args", "config_kwargs", "model_args", "model_kwargs"])
def test_arguments_that_change_the_model_are_refused_by_name(tmp_path: Path, key: str) -> None:
    put(tmp_path / "config.json", b'{"architectures": ["BertModel"]}')
    settings = {key: {"trust_remote_code": True, "num_hidden_layers": 1}}
    put(tmp_path / "sentence_bert_config.json", json.dumps(settings).encode())
    with pytest.raises(HubError, match=f"sets 'num_hidden_layers' by '{key}', which an export does not follow"):
        export_onnx(tmp_path, tmp_path / "out.onnx")


def test_arguments_that_change_nothing_are_no_reason_to_refuse(tmp_path: Path, monkeypatch) -> None:
    put(tmp_path / "config.json", b'{"architectures": ["BertModel"]}')
    settings = {"model_args": {"attn_implementation": "sdpa", "torch_dtype": "float16"}, "config_args": None}
    put(tmp_path / "sentence_bert_config.json", json.dumps(settings).encode())
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(HubError, match="exporting needs torch"):
        export_onnx(tmp_path, tmp_path / "out.onnx")


@pytest.fixture(scope="module")
def t5(optional, tmp_path_factory) -> tuple[Path, Any]:
    """What a sentence encoder made of T5 stores: the first half of the model."""
    torch, transformers = optional("torch"), optional("transformers")
    torch.manual_seed(0)
    config = transformers.T5Config(vocab_size=40, d_model=16, d_kv=4, d_ff=32, num_layers=1, num_heads=4)
    model = transformers.T5EncoderModel(config).eval()
    folder = tmp_path_factory.mktemp("t5")
    model.save_pretrained(folder)
    return folder, model


@pytest.mark.torch
def test_the_encoder_of_a_model_with_two_halves_is_exported_alone(t5, optional, tmp_path) -> None:
    folder, model = t5
    export_onnx(folder, tmp_path / "t5.onnx")
    ids = np.array([[3, 9, 27, 1], [5, 1, 0, 0]])
    inputs = {"input_ids": ids, "attention_mask": (ids != 0).astype(np.int64)}
    found = optional("onnxruntime").InferenceSession(tmp_path / "t5.onnx").run(["last_hidden_state"], inputs)[0]
    expected = model(**{name: optional("torch").from_numpy(array) for name, array in inputs.items()})
    np.testing.assert_allclose(found, expected.last_hidden_state.detach().numpy(), rtol=1e-5, atol=1e-6)


@pytest.mark.torch
@pytest.mark.parametrize("is_there", [True, False])
def test_pieces_that_no_tokenizer_can_be_made_of_are_said(is_there: bool, t5, tmp_path, monkeypatch) -> None:
    for file in t5[0].iterdir():
        put(tmp_path / file.name, file.read_bytes())
    put(tmp_path / "tokenizer_config.json", b'{"tokenizer_class": "T5Tokenizer"}')
    with open_source(str(tmp_path)) as source:
        # Of nothing transformers 5 makes a tokenizer that knows its special tokens.
        assert "tokenizer.json" not in source.companions
        assert source.notes == ()
    put(tmp_path / "spiece.model", b"no pieces")
    monkeypatch.setattr(find, "find_spec", lambda _: object() if is_there else None)
    with open_source(str(tmp_path)) as source:
        (note,) = source.notes
    assert note.startswith("no tokenizer.json could be made of spiece.model: ")
    assert note.endswith("; without it the bundle embeds no texts")
    assert ("; pip install sentencepiece;" in note) is not is_there


@pytest.mark.torch
def test_a_vocabulary_of_another_class_or_without_its_merges_is_no_tokenizer(t5, tmp_path) -> None:
    for file in t5[0].iterdir():
        put(tmp_path / file.name, file.read_bytes())
    words = ["<s>", "<pad>", "</s>", "<unk>", "<mask>", "a", "b", "ab"]
    put(tmp_path / "vocab.json", json.dumps({word: number for number, word in enumerate(words)}).encode())
    for name, reason in (("T5", "T5Tokenizer reads spiece.model, which is not there"), ("Roberta", "`merges`")):
        put(tmp_path / "tokenizer_config.json", json.dumps({"tokenizer_class": f"{name}Tokenizer"}).encode())
        with open_source(str(tmp_path)) as source:
            assert "tokenizer.json" not in source.companions
            assert reason in source.notes[0]
    put(tmp_path / "merges.txt", b"#version: 0.2\na b\n")
    with open_source(str(tmp_path)) as source:
        assert "tokenizer.json" in source.companions


@pytest.mark.torch
@pytest.mark.parametrize(("opset", "other"), [(17, 18), (14, 18), (18, 17)])
def test_an_exporter_that_fails_by_looking_something_up_is_answered_with_what_to_try(
    opset, other, t5, optional, tmp_path, monkeypatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise IndexError("unordered_map::at")

    monkeypatch.setattr(optional("torch").onnx, "export", fail)
    message = rf"at opset {opset} \(IndexError: unordered_map::at\); try --opset {other}, which goes"
    with pytest.raises(HubError, match=message):
        export_onnx(t5[0], tmp_path / "t5.onnx", opset=opset)


@pytest.mark.torch
@pytest.mark.parametrize(
    ("message", "library", "advice"),
    [
        ("No module named 'onnxscript'", "onnxscript", "pip install --upgrade onnxscript"),
        ("cannot import name 'opset23'", "onnxscript.onnx_opset", "pip install --upgrade onnxscript"),
        ("it requires the X library", None, "install what it names"),
    ],
)
def test_a_library_that_an_exporter_lacks_is_answered_with_what_to_install(
    message, library, advice, t5, optional, tmp_path, monkeypatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise ImportError(message, name=library)

    monkeypatch.setattr(optional("torch").onnx, "export", fail)
    with pytest.raises(HubError, match=f"exporting at opset 18 fails: {message}; {advice}"):
        export_onnx(t5[0], tmp_path / "t5.onnx", opset=18)


@pytest.mark.torch
@pytest.mark.parametrize(("release", "name"), [("4.48.0", "torch_dtype"), ("4.56.0", "dtype"), ("5.0.0rc1", "dtype")])
def test_the_type_of_weights_is_asked_for_by_the_name_that_a_release_knows(
    release, name, t5, optional, tmp_path, monkeypatch
) -> None:
    transformers, asked = optional("transformers"), []

    def load(*_: Any, **arguments: Any) -> None:
        asked.append(arguments)
        raise ValueError("that is enough")

    monkeypatch.setattr(transformers, "__version__", release)
    monkeypatch.setattr(transformers.T5EncoderModel, "from_pretrained", load)
    with pytest.raises(HubError, match="that is enough"):
        export_onnx(t5[0], tmp_path / "t5.onnx")
    types = {key: value for key, value in asked[0].items() if key.endswith("dtype")}
    assert types == {name: optional("torch").float32}
