"""Sources that ONNX Runtime cannot run as they are: in bfloat16, or with their shapes in another file."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, external_data_helper, helper, numpy_helper

from webnn_runtime.format.errors import FormatError
from webnn_translator.external import tensors_of
from webnn_translator.verify import OnnxReference

N = helper.make_node
B, F = TensorProto.BFLOAT16, TensorProto.FLOAT
X = np.float32([[1.01, -2.0], [0.3, 7.77]])
W = np.float32([[0.5, 2.0], [-1.0, 0.25]])  # numbers that bfloat16 has


def value(name: str, kind: int, shape=(2, 2)) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, kind, shape)


def stored(name: str, array: np.ndarray) -> onnx.TensorProto:
    packed = helper.make_tensor(name, B, array.shape, array.ravel().tolist())
    return numpy_helper.from_array(numpy_helper.to_array(packed), name)


def branch(name: str, op: str, *more: onnx.TensorProto) -> onnx.GraphProto:
    return helper.make_graph(
        [N(op, ["x", more[0].name if more else "w"], [name])], name, [], [value(name, B)], list(more)
    )


HALVED = helper.make_function(
    "own", "Half", ["a"], ["b"], [N("Constant", [], ["h"], value=stored("", W)), N("Mul", ["a", "h"], ["b"])],
    [helper.make_opsetid("", 20)],
)  # fmt: skip
CASES = {
    "data": ([N("MatMul", ["x", "x"], ["y"])], B, B, [], X @ X),
    "weights": ([N("MatMul", ["x", "w"], ["y"])], B, B, [stored("w", W)], X @ W),
    "a cast and back": ([N("Cast", ["x"], ["a"], to=B), N("Cast", ["a"], ["y"], to=F)], F, F, [], X),
    "a constant": ([N("Constant", [], ["w"], value=stored("", W)), N("Add", ["x", "w"], ["y"])], B, B, [], X + W),
    "an output": ([N("Cast", ["x"], ["y"], to=B)], F, B, [], X),
    "an operator that lacks it": ([N("Conv", ["x", "w"], ["y"])], B, B, [stored("w", W[:, :, None])], None),
    "branches": (
        [
            N("Constant", [], ["yes"], value=helper.make_tensor("", TensorProto.BOOL, [], [True])),
            N("If", ["yes"], ["y"], then_branch=branch("t", "Sub", stored("v", W)), else_branch=branch("e", "Mul")),
        ],
        B, B, [stored("w", W)], X - W,
    ),
    "a function": ([N("Half", ["x"], ["y"], domain="own")], B, B, [], X * W),
}  # fmt: skip


def all_beside(model: onnx.ModelProto, folder: Path) -> None:
    """Put every tensor beside the model, those of attributes and functions as well, as older releases of onnx do."""
    held = b""
    for tensor in tensors_of(model, folder):
        if tensor.raw_data:
            external_data_helper.set_external_data(tensor, "w.bin", len(held), len(tensor.raw_data))
            held += tensor.raw_data
            tensor.ClearField("raw_data")
    (folder / "w.bin").write_bytes(held)


@pytest.mark.parametrize("case", CASES)
@pytest.mark.parametrize("is_external", [False, True], ids=["inside", "beside"])
def test_the_reference_computes_bfloat16_in_float32(case, is_external, tmp_path) -> None:
    nodes, takes, gives, weights, expected = CASES[case]
    shape = (2, 2, 1) if case == "an operator that lacks it" else (2, 2)
    graph = helper.make_graph(nodes, "g", [value("x", takes, shape)], [value("y", gives, None)], weights)
    imports = [helper.make_opsetid("", 20), helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, opset_imports=imports, functions=[HALVED], ir_version=10)
    if is_external:
        all_beside(model, tmp_path)
    onnx.save(model, tmp_path / "m.onnx")
    reference = OnnxReference(tmp_path / "m.onnx")
    (found,) = reference.run({"x": X.reshape(shape)}, ["y"], {}).values()
    assert found.dtype == np.float32
    wanted = np.einsum("nci,oci->noi", X[:, :, None], W[:, :, None]) if expected is None else expected
    np.testing.assert_allclose(found, wanted, rtol=1e-6)
    assert reference.is_widened
    assert reference.name.endswith(", float32 for bfloat16")


def test_a_model_without_bfloat16_stays_as_it_is(tmp_path) -> None:
    graph = helper.make_graph([N("Neg", ["x"], ["y"])], "g", [value("x", F)], [value("y", F)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    onnx.save(model, tmp_path / "m.onnx")
    assert not OnnxReference(tmp_path / "m.onnx").is_widened


def test_shapes_may_lie_beside_the_file(tmp_path) -> None:
    """As `size_threshold=0` of onnx writes them; ONNX Runtime reads none from there to infer shapes with."""
    shape = numpy_helper.from_array(np.asarray([4]), "shape")
    constant = N("Constant", [], ["one"], value=numpy_helper.from_array(np.asarray([-1]), "one"))
    opset = helper.make_opsetid("", 20)
    flatten = [constant, N("Reshape", ["a", "one"], ["b"])]
    function = helper.make_function("own", "Flat", ["a"], ["b"], flatten, [opset])
    nodes = [N("Reshape", ["x", "shape"], ["a"]), *flatten, N("Flat", ["b"], ["y"], domain="own")]
    graph = helper.make_graph(nodes, "g", [value("x", F)], [value("y", F, (4,))], [shape])
    imports = [opset, helper.make_opsetid("own", 1)]
    model = helper.make_model(graph, opset_imports=imports, functions=[function], ir_version=10)
    all_beside(model, tmp_path)
    onnx.save(model, tmp_path / "m.onnx")
    reference = OnnxReference(tmp_path / "m.onnx")
    np.testing.assert_array_equal(reference.run({"x": X}, ["y"], {})["y"], X.ravel())
    (tmp_path / "w.bin").unlink()
    with pytest.raises(FormatError, match=r"w\.bin"):
        OnnxReference(tmp_path / "m.onnx")


@pytest.mark.parametrize("shared", [False, True])
def test_a_copy_of_a_model_of_the_hub_finds_the_files_that_its_cache_links_to(shared, tmp_path) -> None:
    """ONNX Runtime follows such links for a file, and for a model in memory it does not."""
    graph = helper.make_graph([N("Add", ["x", "w"], ["y"])], "g", [value("x", B)], [value("y", B)], [stored("w", W)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    repository = tmp_path / "models--owner--name"
    snapshot = repository / "snapshots" / "abc" / "onnx"
    (snapshot / "more").mkdir(parents=True)
    onnx.save(model, snapshot / "m.onnx", save_as_external_data=True, location="more/w.bin", size_threshold=0)
    kept = tmp_path / "blobs" if shared else repository / "blobs"
    kept.mkdir()
    for file in (snapshot / "m.onnx", snapshot / "more" / "w.bin"):
        file.rename(kept / f"{file.name}-blob")
        file.symlink_to(kept / f"{file.name}-blob")
    (found,) = OnnxReference(snapshot / "m.onnx").run({"x": X}, ["y"], {}).values()
    np.testing.assert_array_equal(found, X + W)
