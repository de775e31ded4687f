"""The cache of a user who has no home folder, as in a container: no HOME, and no entry among the users."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest
from huggingface_hub import constants

from webnn_runtime.format.errors import HubError
from webnn_runtime.hub import resolve

pwd = pytest.importorskip("pwd")  # a module of Unix


@pytest.mark.parametrize("offline", [False, True])
def test_without_a_home_the_place_of_the_cache_is_asked_for(offline, hub, monkeypatch, tmp_path) -> None:
    def no_entry(user: int) -> NoReturn:
        raise KeyError(user)

    monkeypatch.delenv("HOME")
    monkeypatch.setattr(pwd, "getpwuid", no_entry)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", os.path.expanduser("~/.cache/huggingface/hub"))
    with pytest.raises(
        HubError, match=r"me/bundle: .*a home folder that nothing says .*set HF_HOME or pass cache_dir="
    ):
        resolve("me/bundle", local_files_only=offline)
    folder = resolve("me/bundle", cache_dir=tmp_path / "given").path
    assert resolve("me/bundle", cache_dir=tmp_path / "given", local_files_only=offline).path == folder
