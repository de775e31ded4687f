"""Where a model comes from: an ONNX file, a Hugging Face folder, or an id on the Hub."""

from webnn_translator.sources.export import DEFAULT_OPSET, TASKS
from webnn_translator.sources.find import open_source
from webnn_translator.sources.model import Source
from webnn_translator.sources.onnx_file import parse_onnx, read_onnx

__all__ = ["DEFAULT_OPSET", "TASKS", "Source", "open_source", "parse_onnx", "read_onnx"]
