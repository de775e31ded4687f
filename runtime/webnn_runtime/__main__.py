"""`python -m webnn_runtime` is `webnn`."""

from webnn_runtime.cli import main

if __name__ == "__main__":
    main()
