"""Measuring quality: two sets of vectors, two embedders, two classifiers, any two graphs."""

from webnn_runtime.evaluation.statistics import CosineStatistics, cosine_statistics, neighbour_overlap, spearman

__all__ = ["CosineStatistics", "cosine_statistics", "neighbour_overlap", "spearman"]
