"""Reading a model's sentence-transformers files: everything known is read, everything else refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from webnn_runtime.embed.modules import excludes_prompt, read_modules, transformer_folder
from webnn_runtime.embed.stages import Normalize
from webnn_runtime.format.errors import EmbedError, WeightsError

OLD_SWITCHES = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


def write_tensors(path: Path, tensors: dict[str, tuple[str, list[int], bytes]]) -> None:
    header, body = {}, b""
    for name, (kind, shape, data) in tensors.items():
        header[name] = {"dtype": kind, "shape": shape, "data_offsets": [len(body), len(body) + len(data)]}
        body += data
    text = json.dumps({"__metadata__": {"format": "pt"}, **header}).encode()
    path.write_bytes(len(text).to_bytes(8, "little") + text + body)


def floats(*values: float) -> bytes:
    return np.array(values, dtype=np.float32).tobytes()


def dense_folder(kit, folder: Path, **settings) -> Path:
    config = {
        "in_features": 6,
        "out_features": 2,
        "bias": True,
        "activation_function": "torch.nn.modules.linear.Identity",
    }
    kit.save_modules(folder, Pooling=kit.MEAN, Dense=config | settings)
    write_tensors(
        folder / "2_Dense" / "model.safetensors",
        {"linear.weight": ("F32", [2, 6], floats(*range(12))), "linear.bias": ("F32", [2], floats(1, 2))},
    )
    return folder


@pytest.mark.parametrize(("switch", "mode"), OLD_SWITCHES.items())
def test_each_old_switch_selects_its_mode(switch: str, mode: str, kit, tmp_path) -> None:
    switches = dict.fromkeys(OLD_SWITCHES, False) | {switch: True}
    kit.save_modules(tmp_path, Pooling={"word_embedding_dimension": 6, **switches})
    assert read_modules(tmp_path).pooling.modes == (mode,)


def test_old_switches_are_concatenated_in_the_order_of_sentence_transformers(kit, tmp_path) -> None:
    kit.save_modules(tmp_path, Pooling=dict(reversed([(switch, True) for switch in OLD_SWITCHES])))
    assert read_modules(tmp_path).pooling.modes == tuple(OLD_SWITCHES.values())


@pytest.mark.parametrize(("stated", "modes"), [("cls", ("cls",)), (["max", "mean"], ("max", "mean"))])
def test_the_new_spelling_of_modes_is_read(stated, modes, kit, tmp_path) -> None:
    kit.save_modules(tmp_path, Pooling={"embedding_dimension": 6, "pooling_mode": stated})
    assert read_modules(tmp_path).pooling.modes == modes


def test_all_old_switches_off_mean_mean(kit, tmp_path) -> None:
    kit.save_modules(tmp_path, Pooling=dict.fromkeys(OLD_SWITCHES, False))
    assert read_modules(tmp_path).pooling.modes == ("mean",)


def test_without_modules_json_there_are_no_modules(tmp_path) -> None:
    assert read_modules(tmp_path) is None
    assert transformer_folder(tmp_path) == tmp_path


def test_the_order_of_stages_is_kept(kit, tmp_path) -> None:
    dense_folder(kit, tmp_path)
    listing = json.loads((tmp_path / "modules.json").read_text())
    listing.insert(2, {"idx": 9, "name": "n", "path": "n", "type": "sentence_transformers.models.Normalize"})
    kit.save_json(tmp_path / "modules.json", listing)
    modules = read_modules(tmp_path)
    assert [type(stage).__name__ for stage in modules.stages] == ["Normalize", "Dense"]
    assert not modules.is_normalized
    assert modules.dimension(6) == 2


@pytest.mark.parametrize(
    "kind",
    ["sentence_transformers.models.Normalize", "sentence_transformers.base.modules.normalize.Normalize"],
)
def test_a_module_is_known_by_its_class_wherever_it_lives_in_sentence_transformers(kind, kit, tmp_path) -> None:
    kit.save_modules(tmp_path, Pooling=kit.MEAN)
    listing = json.loads((tmp_path / "modules.json").read_text())
    kit.save_json(tmp_path / "modules.json", [*listing, {"path": "2_Normalize", "type": kind}])
    assert read_modules(tmp_path).stages == (Normalize(),)


def test_dropout_does_nothing_when_embedding(kit, tmp_path) -> None:
    kit.save_modules(tmp_path, Pooling=kit.MEAN, Dropout={"dropout": 0.5})
    assert read_modules(tmp_path).stages == ()


@pytest.mark.parametrize(
    "kind", ["custom_st.Transformer", "sentence_transformers.models.WeightedLayerPooling", "", "os.Pooling"]
)
def test_an_unknown_module_is_refused_by_name(kind, kit, tmp_path) -> None:
    kit.save_json(tmp_path / "modules.json", [{"path": "", "type": kind}])
    with pytest.raises(
        EmbedError, match=f"module '{kind}' is not supported; the supported ones are Transformer, Pooling"
    ):
        read_modules(tmp_path)


@pytest.mark.parametrize(
    ("name", "way"),
    [
        (
            "WeightedLayerPooling",
            "Dropout of sentence-transformers; export the whole model as an ONNX file .*sentence_e",
        ),
        ("Router", "Dropout of sentence-transformers; each route is a model of its own"),
        ("CLIPModel", "Dropout of sentence-transformers; pass the model's folder to webnn-convert"),
        ("Unheard", "Dropout of sentence-transformers$"),
    ],
)
def test_a_module_that_is_not_supported_is_refused_with_a_way_out_where_there_is_one(name, way, kit, tmp_path) -> None:
    kit.save_json(tmp_path / "modules.json", [{"path": "", "type": f"sentence_transformers.models.{name}"}])
    with pytest.raises(EmbedError, match=way):
        read_modules(tmp_path)


@pytest.mark.parametrize(
    ("modules", "complaint"),
    [
        (["Transformer"], "the modules are Transformer; expected Transformer, Pooling"),
        (["Pooling", "Transformer"], "expected Transformer, Pooling"),
        (["Transformer", "Pooling", "Pooling"], "a second module 'Pooling'"),
        ([], "the modules are none"),
    ],
)
def test_modules_out_of_order_are_refused(modules, complaint, kit, tmp_path) -> None:
    kit.save_json(tmp_path / "p" / "config.json", kit.MEAN)
    entries = [{"path": "p", "type": f"sentence_transformers.models.{name}"} for name in modules]
    kit.save_json(tmp_path / "modules.json", entries)
    with pytest.raises(EmbedError, match=complaint):
        read_modules(tmp_path)


@pytest.mark.parametrize("path", ["../outside", "/etc", "a/../../b", "C:\\x", "..\\x"])
def test_a_module_path_cannot_leave_the_folder(path, kit, tmp_path) -> None:
    kit.save_json(tmp_path / "modules.json", [{"path": path, "type": "sentence_transformers.models.Transformer"}])
    with pytest.raises(EmbedError, match="leaves the model's folder"):
        transformer_folder(tmp_path)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        ({"pooling_mode": "average"}, "no pooling mode 'average'; the modes are cls"),
        ({"pooling_mode_best_token": True}, "no pooling mode 'pooling_mode_best_token'"),
        ({"word_embedding_dimension": 6}, "states no pooling mode"),
        ({"pooling_mode": "mean", "include_prompt": "no"}, "'include_prompt' is a string; expected true or false"),
        ({"pooling_mode": 3}, "'pooling_mode' is an integer; expected a string or a list"),
        ([], "holds a list; expected a JSON object"),
    ],
)
def test_a_wrong_pooling_configuration_is_refused(settings, complaint, kit, tmp_path) -> None:
    kit.save_modules(tmp_path, Pooling=settings)
    with pytest.raises(EmbedError, match=complaint):
        read_modules(tmp_path)


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("{", "modules.json:1:2: not JSON"),
        ("{}", "expected a list of modules"),
        ("[1]", "expected a list of modules"),
        ("[" * 100_000, "nested too deeply|not JSON"),
    ],
)
def test_a_broken_listing_is_refused_with_its_place(text, complaint, tmp_path) -> None:
    (tmp_path / "modules.json").write_text(text)
    with pytest.raises(EmbedError, match=complaint):
        read_modules(tmp_path)


def test_include_prompt_is_found_without_reading_other_modules(kit, tmp_path) -> None:
    kit.save_modules(tmp_path, Pooling=kit.MEAN | {"include_prompt": False}, Unheard={})
    assert excludes_prompt(tmp_path)


@pytest.mark.parametrize(
    ("settings", "complaint"),
    [
        (
            {"activation_function": "torch.nn.modules.activation.Hardtanh"},
            "'torch.nn.modules.activation.Hardtanh' is not supported",
        ),
        ({"activation_function": "my_code.Tanh"}, "activation function 'my_code.Tanh' is not supported"),
        ({"module_input_name": "token_embeddings"}, "works on 'token_embeddings'"),
        ({"in_features": 7}, r"'linear.weight' has shape \[2, 6\]; config.json says \[2, 7\]"),
        ({"use_residual": True}, "no tensor 'residual.weight'; it holds linear.bias, linear.weight"),
    ],
)
def test_a_dense_layer_that_cannot_be_honoured_is_refused(settings, complaint, kit, tmp_path) -> None:
    with pytest.raises(EmbedError, match=complaint):
        read_modules(dense_folder(kit, tmp_path, **settings))


def test_weights_in_a_pickle_are_refused_by_name(kit, tmp_path) -> None:
    dense = dense_folder(kit, tmp_path) / "2_Dense"
    (dense / "model.safetensors").rename(dense / "pytorch_model.bin")
    with pytest.raises(
        EmbedError, match=r"pytorch_model\.bin: weights of module 'Dense' in a pickle, which is never read"
    ):
        read_modules(tmp_path)


def test_missing_weights_are_named(kit, tmp_path) -> None:
    (dense_folder(kit, tmp_path) / "2_Dense" / "model.safetensors").unlink()
    with pytest.raises(EmbedError, match=r"model\.safetensors: missing; module 'Dense'"):
        read_modules(tmp_path)


@pytest.mark.parametrize(
    ("kind", "data"),
    [
        ("F32", floats(1.5, -2.0)),
        ("F16", np.array([1.5, -2.0], dtype=np.float16).tobytes()),
        ("BF16", np.array([0x3FC0, 0xC000], dtype=np.uint16).tobytes()),
    ],
)
def test_weights_of_every_float_type_are_read(kind, data, kit, tmp_path) -> None:
    dense_folder(kit, tmp_path)
    write_tensors(
        tmp_path / "2_Dense" / "model.safetensors",
        {"linear.weight": ("F32", [2, 6], floats(*range(12))), "linear.bias": (kind, [2], data)},
    )
    assert read_modules(tmp_path).stages[0].bias.tolist() == [1.5, -2.0]


@pytest.mark.parametrize("data", [b"", b"\xff" * 40, b"\x02" + bytes(7) + b"{{", b"\x02" + bytes(7) + b"{}" + b"extra"])
def test_a_malformed_weights_file_is_refused(data, kit, tmp_path) -> None:
    (dense_folder(kit, tmp_path) / "2_Dense" / "model.safetensors").write_bytes(data)
    with pytest.raises(WeightsError, match=r"2_Dense.model\.safetensors"):
        read_modules(tmp_path)


def test_weights_of_a_type_that_is_no_float_are_refused(kit, tmp_path) -> None:
    dense_folder(kit, tmp_path)
    write_tensors(tmp_path / "2_Dense" / "model.safetensors", {"linear.weight": ("I64", [1], bytes(8))})
    with pytest.raises(WeightsError, match=r"'linear\.weight' is I64\[1\]"):
        read_modules(tmp_path)


def test_weights_that_are_not_finite_are_refused(kit, tmp_path) -> None:
    dense_folder(kit, tmp_path)
    weights = {"linear.weight": ("F32", [2, 6], floats(*[float("nan")] * 12))}
    write_tensors(tmp_path / "2_Dense" / "model.safetensors", weights)
    with pytest.raises(EmbedError, match=r"'linear\.weight' holds values that are not finite"):
        read_modules(tmp_path)


def test_modules_of_another_model_are_refused(kit, tmp_path) -> None:
    modules = read_modules(dense_folder(kit, tmp_path))
    with pytest.raises(EmbedError, match="made for token vectors of 6 features, and the graph gives 8"):
        modules.dimension(8)
