"""A store opens only when it is whole; every other one is refused in a line that says what to do."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from legodnn.cli import main
from legodnn.errors import LegoError, StoreError
from legodnn.files import sha256_file
from legodnn.manifest import MANIFEST, InputSpec, Manifest, Option
from legodnn.runtime.feeds.inputs import read_inputs
from legodnn.schema import to_json
from legodnn.store import Store
from tests.legodnn.damaged_stores import edit, option, refusal


def first_file(folder: Path) -> Path:
    return folder / json.loads((folder / MANIFEST).read_text())["segments"][0]["options"][0]["file"]


def test_a_store_that_was_built_opens_and_tells_what_it_holds(tiny_store: Store) -> None:
    store = Store(tiny_store.path)
    assert store.name == "tiny"
    assert [s.name for s in store.manifest.segments] == ["block1", "block2", "head"]
    assert [s.name for s in store.manifest.blocks] == ["block1", "block2"]
    assert store.manifest.compositions == 9
    assert set(store.manifest.specs) == {"image", "block1", "block2", "head"}
    assert repr(store) == f"Store('tiny', 2 blocks, 6 options, {str(store.path)!r})"


def test_the_manifest_survives_a_round_trip_and_names_the_store(tiny_store: Store, store_copy: Path) -> None:
    text = (store_copy / MANIFEST).read_text(encoding="utf-8")
    assert Manifest.model_validate_json(text) == tiny_store.manifest
    assert Manifest.model_validate_json(to_json(tiny_store.manifest)) == tiny_store.manifest
    assert Store(store_copy).id == tiny_store.id == sha256_file(store_copy / MANIFEST)
    edit(store_copy, lambda d: d["model"].update(name="other"))
    assert Store(store_copy).id != tiny_store.id


def flip_a_byte(file: Path) -> None:
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda file: file.unlink(), "is missing"),
        (lambda file: (file.unlink(), file.mkdir()), "is missing"),
        (lambda file: file.write_bytes(file.read_bytes()[:-7]), "bytes instead of"),
        (lambda file: file.write_bytes(b""), "has 0 bytes instead of"),
        (lambda file: file.write_bytes(file.read_bytes() + b"\0"), "bytes instead of"),
        (flip_a_byte, "it was altered"),
    ],
)
def test_a_damaged_file_is_refused_by_name(store_copy: Path, damage: Callable[[Path], object], message: str) -> None:
    file = first_file(store_copy)
    damage(file)
    refused = refusal(store_copy)
    assert message in refused
    assert str(file) in refused
    assert "legodnn build" in refused


def test_a_link_out_of_the_store_is_refused_even_to_the_right_content(store_copy: Path, tmp_path: Path) -> None:
    file = first_file(store_copy)
    shutil.move(file, tmp_path / "outside.tflite")
    file.symlink_to(tmp_path / "outside.tflite")
    assert "leads out of the store" in refusal(store_copy)


def test_a_folder_that_links_out_of_the_store_is_refused(store_copy: Path, tmp_path: Path) -> None:
    folder = first_file(store_copy).parent
    shutil.move(folder, tmp_path / "outside")
    folder.symlink_to(tmp_path / "outside")
    assert "leads out of the store" in refusal(store_copy)


def test_a_loop_of_links_is_refused(store_copy: Path) -> None:
    file = first_file(store_copy)
    file.unlink()
    file.symlink_to(file.name)
    refusal(store_copy)


@pytest.mark.parametrize(
    "path",
    ["../other.tflite", "a/../../other.tflite", "/etc/passwd", "..", "a\\b.tflite", "C:/x", "a\0b", "", ".", "x" * 300],
)
def test_a_path_that_leaves_the_store_is_refused(store_copy: Path, path: str) -> None:
    edit(store_copy, lambda d: option()(d).update(file=path))
    refusal(store_copy)


def test_two_options_cannot_share_a_file_under_different_hashes(store_copy: Path) -> None:
    edit(store_copy, lambda d: option(1)(d).update(file=option(0)(d)["file"], bytes=option(0)(d)["bytes"]))
    assert "it was altered" in refusal(store_copy)


def replace_by_file(folder: Path) -> None:
    shutil.rmtree(folder)
    folder.write_text("x")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda folder: shutil.rmtree(folder), "is not a folder; `legodnn build --help`"),
        (replace_by_file, "is not a folder"),
        (lambda folder: (folder / MANIFEST).unlink(), "is not a store: it has no manifest.json"),
        (lambda folder: ((folder / MANIFEST).unlink(), (folder / MANIFEST).mkdir()), "it is a folder, not a file"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"\x80\x81"), "is not UTF-8"),
        (lambda folder: (folder / MANIFEST).write_bytes(b"{"), "is not JSON"),
        (lambda folder: (folder / MANIFEST).write_bytes(b""), "is not JSON"),
    ],
)
def test_what_is_no_store_is_refused(store_copy: Path, make: Callable[[Path], object], message: str) -> None:
    make(store_copy)
    assert message in refusal(store_copy)


@pytest.fixture(scope="module")
def scratch(tiny_store: Store, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy whose manifest is rewritten for each example."""
    return Path(shutil.copytree(tiny_store.path, tmp_path_factory.mktemp("fuzz") / "store"))


def refusal_if_any(folder: Path) -> str:
    try:
        Store(folder)
    except StoreError as e:
        return str(e)
    return ""


@given(data=st.data())
def test_a_manifest_with_flipped_or_lost_bytes_opens_or_is_refused(
    data: st.DataObject, scratch: Path, tiny_store: Store
) -> None:
    content = bytearray((tiny_store.path / MANIFEST).read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content) - 1))
        if data.draw(st.booleans()):
            content[at] = data.draw(st.integers(0, 255))
        else:
            del content[at : at + data.draw(st.integers(1, 200))]
    (scratch / MANIFEST).write_bytes(content)
    assert len(refusal_if_any(scratch).splitlines()) <= 2


json_values: st.SearchStrategy[Any] = (
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just([]) | st.just({})
)


@given(data=st.data())
def test_a_manifest_with_a_wrong_value_anywhere_opens_or_is_refused(
    data: st.DataObject, scratch: Path, tiny_store: Store
) -> None:
    document = json.loads((tiny_store.path / MANIFEST).read_text(encoding="utf-8"))
    node: Any = document
    while True:
        key = data.draw(st.sampled_from(sorted(node) if isinstance(node, dict) else range(len(node))))
        if not isinstance(node[key], dict | list) or not node[key] or data.draw(st.integers(0, 9)) == 0:
            break
        node = node[key]
    node[key] = data.draw(json_values)
    (scratch / MANIFEST).write_text(json.dumps(document), encoding="utf-8")
    assert len(refusal_if_any(scratch).splitlines()) <= 2


def test_a_file_altered_after_opening_is_noticed(store_copy: Path) -> None:
    store = Store(store_copy)
    chosen: Option = store.manifest.segments[0].options[1]
    file = store.verified_file(chosen)
    assert file == store_copy / chosen.file
    flip_a_byte(file)
    os.utime(file, (1, 1))
    with pytest.raises(StoreError, match="it was altered"):
        store.verified_file(chosen)
    file.unlink()
    with pytest.raises(StoreError, match="is missing"):
        store.verified_file(chosen)


def test_a_file_in_the_place_of_another_is_noticed_whatever_its_size_and_time(store_copy: Path) -> None:
    store = Store(store_copy)
    chosen = store.manifest.segments[0].options[0]
    file = store.verified_file(chosen)
    status, other = file.stat(), store_copy / "other"
    other.write_bytes(b"x" * status.st_size)
    os.utime(other, ns=(status.st_atime_ns, status.st_mtime_ns))
    other.rename(file)
    with pytest.raises(StoreError, match="does not have the hash"):
        store.verified_file(chosen)


def test_what_is_read_is_what_was_verified(store_copy: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another file that takes the place between check and opening is noticed; after it, it is not read."""
    store = Store(store_copy)
    chosen = store.manifest.segments[0].options[0]
    file = store_copy / chosen.file
    content = file.read_bytes()
    other = store_copy / "other"
    other.write_bytes(b"x")
    with os.fdopen(store.open_file(chosen), "rb") as opened:
        os.link(file, store_copy / "kept")
        other.rename(file)
        assert opened.read() == content
    other.write_bytes(b"x")
    monkeypatch.setattr(store, "verified_file", lambda option: file)  # as if the file had been replaced just after it
    with pytest.raises(StoreError, match="was altered while it was opened"):
        store.open_file(chosen)


def test_a_manifest_that_leads_out_of_the_store_is_refused(store_copy: Path, tmp_path: Path) -> None:
    shutil.move(store_copy / MANIFEST, tmp_path / "elsewhere.json")
    (store_copy / MANIFEST).symlink_to(tmp_path / "elsewhere.json")
    assert "leads out of" in refusal(store_copy)


def test_a_manifest_that_is_linked_inside_the_store_is_read(store_copy: Path) -> None:
    (store_copy / MANIFEST).rename(store_copy / "first.json")
    (store_copy / MANIFEST).symlink_to("first.json")
    assert Store(store_copy).name == "tiny"


@pytest.mark.parametrize(
    "damage",
    [
        lambda file: os.mkfifo(file),
        lambda file: file.symlink_to("/dev/zero"),
        lambda file: file.symlink_to(file.name),
    ],
)
def test_a_manifest_that_is_no_file_is_neither_waited_for_nor_read(
    store_copy: Path, damage: Callable[[Path], object]
) -> None:
    (store_copy / MANIFEST).unlink()
    damage(store_copy / MANIFEST)
    refusal(store_copy)


@pytest.mark.parametrize("name", ["x" * 300, "a\0b", "x" * 5000])
def test_what_cannot_even_be_looked_up_is_no_store(tmp_path: Path, name: str) -> None:
    with pytest.raises(StoreError, match="is not a folder"):
        Store(tmp_path / name)
    with pytest.raises(LegoError):
        read_inputs(tmp_path / name, [InputSpec(name="x", shape=(2,))])
    assert main(["inspect", str(tmp_path / name)]) == 1
