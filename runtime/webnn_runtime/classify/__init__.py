"""Text classification with a WebNN bundle, with the labels and scores of transformers and without torch."""

from webnn_runtime.classify.classifier import WebNNClassifier

__all__ = ["WebNNClassifier"]
