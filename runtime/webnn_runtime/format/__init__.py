"""The contract: types, dimensions, operator table, graph, and the files that hold one.

Everything here depends on NumPy alone and knows neither ONNX nor any backend.
"""
