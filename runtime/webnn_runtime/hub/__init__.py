"""Models from a local folder or the Hugging Face Hub.

Finds and fetches files; does not read them, and never runs code that came with them.
"""

from webnn_runtime.hub.files import select_bundle, select_everything, select_tokenizer
from webnn_runtime.hub.resolve import ModelFolder, resolve

__all__ = ["ModelFolder", "resolve", "select_bundle", "select_everything", "select_tokenizer"]
