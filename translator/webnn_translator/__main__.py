"""`python -m webnn_translator` is `webnn-convert`."""

from webnn_translator.cli import main

if __name__ == "__main__":
    main()
