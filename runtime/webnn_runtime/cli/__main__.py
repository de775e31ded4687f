"""`python -m webnn_runtime.cli` is `webnn`."""

from webnn_runtime.cli import main

main()
