"""The section `source`: where an app's code comes from, and which fields count for which type."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from marshmallow import post_load, validates_schema

from specs.addresses import check_git_url, check_index_url, check_ref, check_release_url, check_subdirectory
from specs.collection_fields import ListOf
from specs.fields import Choice, Text
from specs.model import Source
from specs.section import Section, belongs, only_for, raise_all

_PACKAGE = r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,198}[A-Za-z0-9])?"


class SourceSection(Section):
    """`source`."""

    makes = Source
    owners: ClassVar[Mapping[str, tuple[str, ...]]] = {
        "package": ("pypi",),
        "extras": ("pypi",),
        "index_url": ("pypi",),
        "url": ("git", "release"),
        "ref": ("git",),
        "subdirectory": ("git",),
        "sha256": ("release",),
    }
    rules = (
        *only_for(owners, "pypi"),
        {"if": {"properties": {"type": {"const": "git"}}, "required": ["type"]}, "then": {"required": ["url"]}},
        {
            "if": {"properties": {"type": {"const": "release"}}, "required": ["type"]},
            "then": {"required": ["url", "sha256"]},
        },
    )
    type = Choice("where the code comes from", ("pypi", "git", "release"), default="pypi")
    package = Text(
        "pypi: the package to install; the app's name by default",
        pattern=_PACKAGE,
        wanted="must be the name of a package: letters, digits, dot, dash and underscore",
    )
    extras = ListOf(
        "pypi: extras of the package",
        Text("an extra", pattern=_PACKAGE, wanted="must be the name of an extra"),
        example="[redis, sentry]",
    )
    index_url = Text("pypi: the index to ask instead of the usual one", check=check_index_url, longest=2000)
    url = Text("git: the repository; release: the file, over https or file", longest=2000)
    ref = Text("git: a branch, tag or commit; tag v<version>, else <version>, by default", check=check_ref, longest=255)
    subdirectory = Text("git: the folder of the project inside the repository", check=check_subdirectory)
    sha256 = Text(
        "release: the file's SHA-256",
        pattern="[0-9A-Fa-f]{64}",
        wanted="must be 64 hexadecimal digits",
        check=str.lower,
    )

    @validates_schema(pass_original=True, skip_on_field_errors=False)
    def check(self, data: dict[str, Any], original: Any, **_: Any) -> None:
        """What each type needs."""
        if not isinstance(original, dict) or ("type" in original and "type" not in data):
            return
        chosen = data.get("type", "pypi")
        errors = belongs(original, chosen, self.owners, "source type")
        for name in {"git": ("url",), "release": ("url", "sha256")}.get(chosen, ()):
            if name not in original:
                errors[name] = [f"is required for source type {chosen}"]
        if "url" in data and chosen in {"git", "release"}:
            try:
                (check_git_url if chosen == "git" else check_release_url)(data["url"])
            except ValueError as error:
                errors["url"] = [str(error)]
        raise_all(errors)

    @post_load
    def make(self, data: dict[str, Any], **_: Any) -> Source:
        """The source; the order of extras means nothing."""
        return Source(**{**data, "extras": tuple(sorted(data.get("extras", ())))})
