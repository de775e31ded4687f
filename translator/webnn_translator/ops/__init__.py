"""Lowering rules, one file per operator family; each registers itself in `registry`."""
