"""whole_file(): what a reader finds under the name while a file is written, after that, and where it went wrong."""

import os

import pytest

from labutils.files import whole_file


def test_the_old_content_stays_until_the_new_one_is_whole(tmp_path):
    path = tmp_path / "new" / "folder" / "table.json"
    with whole_file(path) as file:
        file.write(b"old")
        assert not path.exists()
    with whole_file(path) as file:
        file.write(b"new, and ")
        file.flush()
        assert path.read_bytes() == b"old"
        file.write(b"longer")
    assert path.read_bytes() == b"new, and longer"
    assert list(path.parent.iterdir()) == [path]


def test_a_failure_leaves_the_old_content_and_the_next_attempt_leaves_nothing_else(tmp_path):
    path = tmp_path / "table.json"
    path.write_bytes(b"old")
    with pytest.raises(TypeError), whole_file(path) as file:
        file.writelines([b"a long beginning", "no bytes"])
    assert path.read_bytes() == b"old"
    with whole_file(path) as file:
        file.write(b"new")
    assert path.read_bytes() == b"new"
    assert list(tmp_path.iterdir()) == [path]


def test_the_content_is_on_the_disk_before_the_name_is_given(tmp_path, monkeypatch):
    path, synced, real = tmp_path / "table.json", [], os.fsync

    def fsync(number):
        synced.append((os.fstat(number).st_size, path.exists()))
        real(number)

    monkeypatch.setattr(os, "fsync", fsync)
    with whole_file(path) as file:
        file.write(b"four")
    assert synced == [(4, False)]
