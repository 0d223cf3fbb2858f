"""The section `source`: each type has its own fields."""

import pytest
from marshmallow import ValidationError

from specs.model import Source
from specs.source_schema import SourceSection

SCHEMA = SourceSection()
SHA = "Ab" * 32


def refusal(**fields):
    with pytest.raises(ValidationError) as caught:
        SCHEMA.load(fields)
    return {name: messages[0] for name, messages in caught.value.messages.items()}


def test_each_type_is_read():
    assert SCHEMA.load({"package": "shop", "extras": ["b", "a"]}) == Source(package="shop", extras=("a", "b"))
    git = {"type": "git", "url": "git@host:app.git", "ref": "main", "subdirectory": "web/"}
    assert SCHEMA.load(git) == Source("git", url="git@host:app.git", ref="main", subdirectory="web")
    release = {"type": "release", "url": "file:///srv/a.whl", "sha256": SHA}
    assert SCHEMA.load(release) == Source("release", url="file:///srv/a.whl", sha256=SHA.lower())


def test_what_a_type_needs_is_asked_for():
    assert refusal(type="git") == {"url": "is required for source type git"}
    assert set(refusal(type="release")) == {"url", "sha256"}


def test_fields_of_another_type_are_named_as_such():
    said = refusal(url="https://host/x", sha256=SHA)
    assert said["url"] == "belongs to source type git and release, and this source type is pypi"
    assert said["sha256"] == "belongs to source type release, and this source type is pypi"
    assert set(refusal(type="git", url="/srv/x", package="x", sha256=SHA)) == {"package", "sha256"}


def test_urls_and_refs_are_checked():
    assert set(refusal(type="git", url="ext::sh -c x", ref="-x", subdirectory="a/../..")) == {
        "url",
        "ref",
        "subdirectory",
    }
    assert set(refusal(type="release", url="http://host/a.whl", sha256="ab")) == {"url", "sha256"}
    assert set(refusal(index_url="-i")) == {"index_url"}
    assert set(refusal(package="../x", extras=["a b"])) == {"package", "extras"}


def test_a_wrong_type_alone_is_reported_once():
    assert refusal(type="svn", url="x") == {"type": "must be pypi, git or release"}
