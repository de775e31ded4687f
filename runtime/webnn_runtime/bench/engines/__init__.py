"""The contenders: each opens a model once and runs token ids through it."""
