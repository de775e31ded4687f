"""Whether what arrived from a Hub is what it has."""

from __future__ import annotations

import os

import pytest

from webnn_runtime.format.errors import HubError
from webnn_runtime.hub import arrivals, resolve
from webnn_runtime.hub.arrivals import blobs_of, refuse_altered


def test_a_large_file_that_arrives_with_another_byte_is_removed_and_refused(hub, tmp_path) -> None:
    """Its length is right, and weights with another byte are other numbers."""
    hub.altered.add("model.weights")
    with pytest.raises(HubError, match=r"me/bundle: model\.weights is not the file that the Hub has .*; run it again"):
        resolve("me/bundle")
    assert [path for path in (tmp_path / "cache").rglob("*") if "model.weights" in path.name] == []
    hub.altered.clear()
    assert (resolve("me/bundle").path / "model.weights").read_bytes() == hub.repositories["me/bundle"]["model.weights"]


@pytest.mark.parametrize("shared", [True, False])
def test_what_repositories_share_has_another_name_and_is_left_alone(shared, tmp_path) -> None:
    """Newer releases keep files of the Hub's Xet once for all repositories, called by a hash that is no SHA-256."""
    for folder in ("store", "blobs", "snapshots/c0"):
        (tmp_path / folder).mkdir(parents=True)
    blob, file = tmp_path / "blobs" / ("a" * 64), tmp_path / "snapshots" / "c0" / "model.weights"
    if shared:
        (tmp_path / "store" / ("b" * 64)).write_bytes(b"numbers")
        blob.symlink_to(f"../store/{'b' * 64}")
    else:
        blob.write_bytes(b"numbers")
    file.symlink_to(f"../../blobs/{blob.name}")
    if shared:
        refuse_altered("me/it", file.parent, [file.name], frozenset())
        assert file.read_bytes() == b"numbers"
    else:
        refuse_altered("me/it", file.parent, [file.name], blobs_of(file.parent, [file.name]))
        with pytest.raises(HubError, match=r"me/it: model\.weights is not the file that the Hub has"):
            refuse_altered("me/it", file.parent, [file.name], frozenset())
        assert not os.path.lexists(file)
        assert not blob.exists()


def test_what_is_in_the_cache_is_not_hashed_again(hub, monkeypatch) -> None:
    resolve("me/bundle")
    monkeypatch.setattr(arrivals, "file_sha256", lambda path: pytest.fail(f"{path} was read"))
    resolve("me/bundle")
