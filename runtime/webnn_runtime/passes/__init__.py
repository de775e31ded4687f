"""Rewrites of a WebNN graph that backends share."""
