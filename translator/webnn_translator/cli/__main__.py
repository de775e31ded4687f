"""`python -m webnn_translator.cli` is `webnn-convert`."""

from webnn_translator.cli import main

main()
