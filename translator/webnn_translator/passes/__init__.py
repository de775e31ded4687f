"""Clean-ups of the ONNX graph and of the WebNN graph, one per file."""
