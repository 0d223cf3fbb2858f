"""Git's output read as values, and refused when it is cut short."""

from __future__ import annotations

import pytest

from specs.git_objects import Commit, TreeEntry, parse_batch, parse_check, parse_log, parse_refs, parse_tree

A, B = "a" * 40, "b" * 40


def test_refs_are_read_by_name() -> None:
    assert parse_refs(f"{A}\trefs/heads/main\n{B}\trefs/tags/v1\n".encode()) == {
        "refs/heads/main": A,
        "refs/tags/v1": B,
    }
    assert parse_refs(b"") == {}


def test_log_is_read_in_groups_of_four() -> None:
    assert parse_log(f"{A}\0Ada\0one\x1b[0m\x0012\0{B}\0Bob\0\x0013\0".encode()) == [
        Commit(A, "Ada", "one [0m", 12.0),
        Commit(B, "Bob", "", 13.0),
    ]


@pytest.mark.parametrize("output", [b"", b"\0", f"{A}\0Ada\0one".encode()])
def test_a_log_cut_short_is_refused(output: bytes) -> None:
    with pytest.raises(ValueError, match="cannot be read"):
        parse_log(output)


def test_tree_keeps_modes_sizes_and_odd_names() -> None:
    output = f"100644 blob {A}      12\tapps/a b\n.yaml\x00160000 commit {B}       -\tapps/sub\0".encode()
    assert parse_tree(output + f"120000 blob {A}       3\tapps/".encode() + b"\xff\0") == [
        TreeEntry("apps/a b\n.yaml", "100644", A, 12),
        TreeEntry("apps/sub", "160000", B, 0),
        TreeEntry("apps/\udcff", "120000", A, 3),
    ]


def test_a_tree_with_an_unreadable_size_is_refused() -> None:
    with pytest.raises(ValueError, match="BAD"):
        parse_tree(f"100644 blob {A}     BAD\tapps/a\0".encode())


def test_sizes_are_of_blobs_only_and_missing_objects_are_refused() -> None:
    assert parse_check(f"{A} blob 7\n{B} tree 30\n".encode()) == {A: 7}
    with pytest.raises(ValueError, match=f"{B} is missing"):
        parse_check(f"{A} blob 7\n{B} missing\n".encode())


def test_contents_may_hold_anything() -> None:
    tricky = f"{B} blob 3\nxyz\n".encode()
    output = f"{A} blob {len(tricky)}\n".encode() + tricky + f"\n{B} blob 0\n\n".encode()
    assert parse_batch(output) == {A: tricky, B: b""}


@pytest.mark.parametrize(
    "output", [f"{A} blob 9\nabc", f"{A} blob 3\nabcd", f"{A} missing\n", f"{A} tree 3\nabc\n", f"{A} bl"]
)
def test_contents_cut_short_are_refused(output: str) -> None:
    with pytest.raises(ValueError):
        parse_batch(output.encode())
