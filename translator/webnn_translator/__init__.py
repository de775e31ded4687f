"""ONNX -> WebNN bundle. Reads ONNX, lowers it to a graph of `webnn_runtime.format`, and checks the result."""
