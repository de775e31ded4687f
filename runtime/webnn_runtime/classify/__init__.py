"""Text classification with a WebNN bundle, with the labels and scores of transformers and without torch."""

from webnn_runtime.classify.classifier import LabelScore, WebNNClassifier

__all__ = ["LabelScore", "WebNNClassifier"]
