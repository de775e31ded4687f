"""Measuring quality: two sets of vectors, two embedders, two classifiers, what two bundles hold."""

from webnn_runtime.evaluation.bundles import BundleDifference, Contents, contents_of
from webnn_runtime.evaluation.classifiers import ClassifierQuality, compare_classifiers
from webnn_runtime.evaluation.embedders import Correlation, EmbedderQuality, compare_embedders
from webnn_runtime.evaluation.gate import Gate, GateFailed, GateMisuse
from webnn_runtime.evaluation.statistics import CosineStatistics, cosine_statistics, neighbour_overlap, spearman
from webnn_runtime.evaluation.texts import ScoredPairs, builtin_texts, read_pairs, read_texts
from webnn_runtime.evaluation.timing import Speed, interleaved

__all__ = [
    "BundleDifference",
    "ClassifierQuality",
    "Contents",
    "Correlation",
    "CosineStatistics",
    "EmbedderQuality",
    "Gate",
    "GateFailed",
    "GateMisuse",
    "ScoredPairs",
    "Speed",
    "builtin_texts",
    "compare_classifiers",
    "compare_embedders",
    "contents_of",
    "cosine_statistics",
    "interleaved",
    "neighbour_overlap",
    "read_pairs",
    "read_texts",
    "spearman",
]
