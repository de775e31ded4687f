"""From a model id to files on this machine, against a Hub on this machine."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
import threading
from pathlib import Path

import huggingface_hub
import pytest

from webnn_runtime.format.errors import HubError, HubMisuse
from webnn_runtime.hub import resolve, select_everything, select_tokenizer
from webnn_runtime.hub.resolve import _Repository

COMMIT = "0123456789abcdef0123456789abcdef01234567"
NEEDED = [
    "1_Pooling/config.json",
    "config.json",
    "manifest.json",
    "model.webnn",
    "model.weights",
    "modules.json",
    "tokenizer.json",
]

notes_files = pytest.mark.skipif(
    not hasattr(huggingface_hub, "get_cached_repo_tree"), reason="older releases note no list of files"
)


def files_in(path: Path) -> list[str]:
    return sorted(file.relative_to(path).as_posix() for file in path.rglob("*") if file.is_file())


def test_a_folder_is_itself(tmp_path) -> None:
    found = resolve(tmp_path)
    assert (found.path, found.file, found.repo_id, found.source) == (tmp_path, None, None, str(tmp_path))


@pytest.mark.parametrize("offline", ["no", 0, None])
def test_whether_to_use_the_network_is_yes_or_no(offline, hub) -> None:
    with pytest.raises(HubMisuse, match=f"local_files_only={offline!r}; expected True or False"):
        resolve("me/bundle", local_files_only=offline)
    assert hub.requests == []


def test_a_file_is_found_in_its_folder(tmp_path) -> None:
    graph = tmp_path / "x.webnn"
    graph.touch()
    found = resolve(str(graph))
    assert (found.path, found.file) == (tmp_path, graph)


def test_an_existing_folder_wins_over_a_repository(tmp_path, monkeypatch, hub) -> None:
    (tmp_path / "me" / "bundle").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert resolve("me/bundle").repo_id is None
    assert hub.requests == []


def test_a_local_path_has_no_revision(tmp_path) -> None:
    with pytest.raises(HubError, match="has no revision 'v1'; leave revision out"):
        resolve(tmp_path, revision="v1")


@pytest.mark.parametrize(
    "model_id",
    [
        "missing",
        "./a/b",
        "/a/b",
        "~/nothing/here",
        "a/b/c",
        "",
        "..",
        "a b/c",
        "me/",
        "me/a@",
        "me/a@/b",
        Path("me/bundle"),
    ],
)
def test_what_is_neither_a_path_nor_an_id_is_refused(model_id, tmp_path, monkeypatch, no_network) -> None:
    monkeypatch.chdir(tmp_path)
    if model_id in ("", ".."):
        model_id = f"nothing{model_id}/x/y"
    with pytest.raises(HubError, match="no such folder, and not a Hub id; pass an existing folder or 'owner/name'"):
        resolve(model_id)


@pytest.mark.parametrize("target", ["nowhere", "link"])
def test_a_link_to_nothing_is_no_id_of_a_hub(target, tmp_path, monkeypatch, hub) -> None:
    (tmp_path / "me").mkdir()
    (tmp_path / "me" / "link").symlink_to(target)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(HubError, match="me/link: a link to something that is not there"):
        resolve("me/link")
    assert hub.requests == []


@pytest.mark.parametrize("rest", ["", "/", "/tree/main", "/blob/main/model.webnn"])
def test_the_address_of_a_page_is_answered_with_the_id(rest, hub) -> None:
    with pytest.raises(HubError, match="the address of a page; pass the id 'me/bundle'"):
        resolve(f"https://huggingface.co/me/bundle{rest}")
    assert hub.requests == []


def test_only_what_is_needed_is_fetched(hub) -> None:
    found = resolve("me/bundle")
    assert files_in(found.path) == NEEDED
    assert sorted(hub.downloads) == NEEDED
    assert (found.repo_id, found.revision, found.source) == ("me/bundle", COMMIT, "me/bundle")
    assert (found.path / "model.weights").read_bytes() == hub.repositories["me/bundle"]["model.weights"]


def test_a_second_time_nothing_is_fetched(hub) -> None:
    first = resolve("me/bundle")
    hub.requests.clear()
    assert resolve("me/bundle") == first
    assert hub.downloads == []


def test_another_selection_adds_to_the_snapshot(hub) -> None:
    assert files_in(resolve("me/bundle", select=select_tokenizer).path) == [
        "1_Pooling/config.json",
        "config.json",
        "modules.json",
        "tokenizer.json",
    ]
    assert set(NEEDED) < set(files_in(resolve("me/bundle", select=select_everything).path))


def test_a_name_with_wildcards_fetches_only_itself(hub) -> None:
    hub.repositories["me/odd"] = {"a[1].webnn": b"", "a1.webnn.bak": b"", "a1.weights": b""}
    assert files_in(resolve("me/odd").path) == ["a1.weights", "a[1].webnn"]


def test_the_cache_can_be_elsewhere(hub, tmp_path) -> None:
    assert resolve("me/bundle", cache_dir=str(tmp_path / "elsewhere")).path.is_relative_to(tmp_path / "elsewhere")


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_a_revision_can_be_pinned(revision, hub) -> None:
    assert resolve("me/bundle", revision=revision).revision == COMMIT


@pytest.mark.parametrize("revision", ["main", COMMIT])
def test_an_id_may_say_its_revision(revision, hub) -> None:
    found = resolve(f"me/bundle@{revision}")
    assert (found.repo_id, found.revision) == ("me/bundle", COMMIT)


def test_a_revision_of_an_id_is_looked_for_and_may_have_slashes(hub) -> None:
    with pytest.raises(HubError, match="me/bundle@refs/pr/9: the repository has no revision 'refs/pr/9'; pass a"):
        resolve("me/bundle@refs/pr/9")


def test_two_revisions_are_one_too_many(hub) -> None:
    with pytest.raises(HubError, match="says a revision, and 'v1' is given as well; leave one of them out"):
        resolve("me/bundle@main", revision="v1")
    assert hub.requests == []


def test_an_unknown_revision_is_named(hub) -> None:
    with pytest.raises(HubError, match="me/bundle@v9: the repository has no revision 'v9'; pass a branch"):
        resolve("me/bundle", revision="v9")


def test_an_unknown_repository_is_named_with_the_hub_that_was_asked(hub) -> None:
    with pytest.raises(
        HubError, match=f"me/bundel: no such folder here, and no such repository at {hub.url}; check the spelling"
    ):
        resolve("me/bundel")


def test_a_repository_without_a_graph_says_how_to_convert_it(hub) -> None:
    hub.repositories["me/torch"] = {"model.safetensors": b"", "config.json": b"{}"}
    with pytest.raises(HubError, match=r"me/torch: no WebNN graph .*webnn-convert"):
        resolve("me/torch")
    assert hub.downloads == []


def test_a_gated_repository_says_where_its_terms_are_and_opens_with_a_token(hub) -> None:
    hub.gated.add("me/bundle")
    with pytest.raises(HubError, match=f"restricted; accept its terms at {hub.url}/me/bundle and pass token="):
        resolve("me/bundle")
    assert files_in(resolve("me/bundle", token=hub.token).path) == NEEDED


def test_a_broken_download_is_an_error_that_names_the_model(hub) -> None:
    hub.broken.add("model.weights")
    with pytest.raises(HubError, match=r"me/bundle: the download did not finish .*; run it again"):
        resolve("me/bundle")


def test_terms_that_only_the_files_are_behind_are_named_as_well(hub) -> None:
    """As on the Hub itself, where anyone may see what a restricted repository holds."""
    hub.answers[f"/me/bundle/resolve/{COMMIT}/model.weights"] = (403, "application/json", b"restricted")
    with pytest.raises(HubError, match=f"{hub.url} denies access .*; check the token"):
        resolve("me/bundle")
    hub.gated_files.add("me/bundle")
    del hub.answers[f"/me/bundle/resolve/{COMMIT}/model.weights"]
    with pytest.raises(HubError, match=f"restricted; accept its terms at {hub.url}/me/bundle and pass token="):
        resolve("me/bundle")
    assert files_in(resolve("me/bundle", token=hub.token).path) == NEEDED


def test_a_hub_that_takes_the_call_and_says_nothing_is_not_waited_for(hub, monkeypatch, caplog) -> None:
    from huggingface_hub import constants

    online = resolve("me/bundle")
    monkeypatch.setattr(constants, "HF_HUB_ETAG_TIMEOUT", 0.2)
    hub.silent["/api/models/me/bundle"] = threading.Event()
    try:
        assert resolve("me/bundle") == online
        assert "cannot be reached" in caplog.text
        with pytest.raises(HubError, match=r"cannot be reached .* check the network or HF_ENDPOINT"):
            resolve("me/bundle", cache_dir=online.path.parent)
    finally:
        hub.silent["/api/models/me/bundle"].set()


@notes_files
@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b'[{"a": 1}]', b'{"a": 1}'])
def test_what_a_login_page_answers_for_the_list_of_files_is_no_traceback(body, hub) -> None:
    hub.answers[f"/api/models/me/bundle/tree/{COMMIT}"] = (200, "text/html", body)
    with pytest.raises(HubError, match=r"answers what no Hub would .*whether a proxy or a login page"):
        resolve("me/bundle")


def test_a_hub_that_names_no_commit_is_none(hub) -> None:
    hub.answers["/api/models/me/bundle"] = (200, "application/json", b'{"id": "a", "siblings": [{"rfilename": "a"}]}')
    with pytest.raises(HubError, match=r"answers what no Hub would .*no commit"):
        resolve("me/bundle")


def test_a_disk_that_is_full_is_no_fault_of_the_network(hub, monkeypatch) -> None:
    def full(*_: object, local_files_only: bool = False, **__: object) -> str:
        if local_files_only:
            raise huggingface_hub.errors.LocalEntryNotFoundError("not there")
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", full)
    with pytest.raises(HubError, match=r"me/bundle: the cache has no room for it .*; make room, or set HF_HOME"):
        resolve("me/bundle")


ANSWERS = [
    (400, "refuses .*; check the id and HF_ENDPOINT"),
    (404, "refuses .*404.*; check the id and HF_ENDPOINT"),
    (401, "denies access .*401.*; check the token that is passed"),
    (403, "denies access .*403.*; check the token that is passed"),
    (429, "has had too many requests .*429.*; wait some minutes, or set HF_TOKEN"),
    (500, "fails .*500.*; try again later"),
    (503, "fails .*503.*; try again later"),
]


@pytest.mark.parametrize(("status", "said"), ANSWERS)
def test_an_answer_of_the_hub_is_no_fault_of_the_network(status, said, hub) -> None:
    hub.answers["/api/models/me/bundle"] = (status, "text/plain", b"Invalid credentials in Authorization header")
    with pytest.raises(HubError, match=f"me/bundle: no such folder here, {hub.url} {said}") as caught:
        resolve("me/bundle")
    assert "cannot be reached" not in str(caught.value)


@pytest.mark.parametrize("body", [b"<html>Sign in</html>", b"[]", b"{}", b"", b'{"id": 3, "siblings": [7]}'])
def test_what_a_login_page_answers_is_told_from_a_hub(body, hub) -> None:
    hub.answers["/api/models/me/bundle"] = (200, "text/html", body)
    with pytest.raises(HubError, match=r"answers what no Hub would .*whether a proxy or a login page|no WebNN graph"):
        resolve("me/bundle")


def test_a_token_in_an_answer_or_an_address_is_not_shown(hub, monkeypatch) -> None:
    from huggingface_hub import constants

    hub.answers["/api/models/me/bundle"] = (403, "text/plain", b"no access for hf_abcdefghijklmnop")
    monkeypatch.setattr(constants, "ENDPOINT", hub.url.replace("://", "://someone:password@"))
    with pytest.raises(HubError, match="denies access") as caught:
        resolve("me/bundle", token="hf_abcdefghijklmnop")
    assert "hf_abc" not in str(caught.value)
    assert "password" not in str(caught.value)


@notes_files
@pytest.mark.parametrize("offline", [True, False])
@pytest.mark.parametrize("lost", ["tokenizer.json", "1_Pooling/config.json", "model.weights"])
def test_a_copy_that_lacks_a_file_is_not_used_without_network(lost, offline, hub, monkeypatch) -> None:
    from huggingface_hub import constants

    (resolve("me/bundle").path / lost).unlink()
    if not offline:
        monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match=f"me/bundle: the copy in the cache lacks {lost}; run it once with network"):
        resolve("me/bundle", local_files_only=offline)


@pytest.mark.parametrize("lost", ["tokenizer_config.json", "1_Pooling/config.json", "model.weights"])
def test_a_bundle_says_what_the_cache_of_an_older_release_does_not(lost, hub, make_encoder, monkeypatch) -> None:
    """Up to 1.20 and a little later huggingface_hub noted nothing of what a repository has."""
    folder = make_encoder("whole")
    files = {name: (folder / name).read_bytes() for name in files_in(folder)}
    hub.repositories["me/whole"] = files
    monkeypatch.setattr(_Repository, "_names_of", lambda *_: None)
    online = resolve("me/whole")
    assert resolve("me/whole", local_files_only=True) == online
    (online.path / lost).unlink()
    with pytest.raises(HubError, match=f"me/whole: the copy in the cache lacks {lost}; run it once with network"):
        resolve("me/whole", local_files_only=True)


def test_a_cache_that_cannot_be_written_is_not_a_broken_download(hub, tmp_path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(HubError, match=r"me/bundle: the cache cannot be written \(.*; set HF_HOME or pass cache_dir="):
        resolve("me/bundle", cache_dir=tmp_path / "file" / "below")


def test_offline_uses_the_cache(hub) -> None:
    online = resolve("me/bundle")
    hub.requests.clear()
    assert resolve("me/bundle", local_files_only=True) == online
    assert hub.requests == []


def test_the_environment_switch_for_offline_is_honoured(hub, monkeypatch) -> None:
    from huggingface_hub import constants

    online = resolve("me/bundle")
    hub.requests.clear()
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    assert resolve("me/bundle") == online
    assert hub.requests == []
    with pytest.raises(
        HubError, match="me/other: no such folder here, HF_HUB_OFFLINE is set, and it is not in the cache"
    ):
        resolve("me/other")


def test_offline_without_a_cached_copy_says_so(hub) -> None:
    with pytest.raises(
        HubError,
        match=r"me/bundle: no such folder here, local_files_only=True, and it is not in the cache; .* download it once",
    ):
        resolve("me/bundle", local_files_only=True)
    assert hub.requests == []


@notes_files
def test_offline_with_another_selection_in_the_cache_is_refused(hub) -> None:
    resolve("me/bundle", select=select_tokenizer)
    with pytest.raises(HubError, match=r"lacks manifest\.json, model\.webnn, model\.weights; run it once with network"):
        resolve("me/bundle", local_files_only=True)


def test_without_network_the_cached_copy_is_used_and_that_is_said(hub, tmp_path, monkeypatch, caplog) -> None:
    from huggingface_hub import constants

    online = resolve("me/bundle")
    monkeypatch.setattr(constants, "ENDPOINT", "http://127.0.0.1:9")
    assert resolve("me/bundle") == online
    assert "http://127.0.0.1:9 cannot be reached" in caplog.text


def test_without_network_and_cache_the_error_says_what_to_check(no_network) -> None:
    with pytest.raises(HubError, match=r"http://127\.0\.0\.1:9 cannot be reached .* check the network or HF_ENDPOINT"):
        resolve("me/bundle")


def test_the_environment_of_huggingface_hub_is_honoured_and_no_code_of_a_repository_runs(hub, tmp_path) -> None:
    """In a process of its own, since huggingface_hub reads its environment when it is imported."""
    root = Path(__file__).resolve().parents[3]
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(root / "runtime"),
        "HF_ENDPOINT": hub.url,
        "HF_HOME": str(tmp_path / "home"),
        "HF_HUB_DISABLE_PROGRESS_BARS": "1",
    }
    code = "from webnn_runtime.hub import *; print(resolve('me/bundle', select=select_everything).path)"
    done = subprocess.run([sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True)
    path = Path(done.stdout.strip())
    assert path.is_relative_to(tmp_path / "home")
    assert set(NEEDED) < set(files_in(path))


@pytest.mark.parametrize("model", [None, b"me/static", 3, ["me/static"]])
def test_what_is_no_name_of_a_model_is_refused(model: object) -> None:
    with pytest.raises(HubError, match="is no name; pass an existing folder"):
        resolve(model)
