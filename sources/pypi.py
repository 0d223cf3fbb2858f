"""A release from a package index: `package[extras]==version`, from the index that the spec or the environment names."""

from __future__ import annotations

from packaging.requirements import InvalidRequirement, Requirement

from sources.failure import BadSource, SourceFailure, VersionMissing
from sources.installer import install, newest
from sources.workshop import Workshop
from specs.model import AppSpec


def package_of(spec: AppSpec) -> str:
    """The package that `spec` installs; its own name by default."""
    return spec.source.package or spec.name


def requirement(spec: AppSpec) -> str:
    """What is asked of the index, such as `shop[web]==2.1.0`. Raises BadSource when it is no requirement."""
    extras = f"[{','.join(spec.source.extras)}]" if spec.source.extras else ""
    text = f"{package_of(spec)}{extras}=={spec.version}"
    try:
        parsed = Requirement(text)
    except InvalidRequirement as error:
        raise BadSource(f"{text!r} is not a package and version", hint="check source.package and version") from error
    if parsed.url or parsed.marker or len(parsed.specifier) != 1:
        raise BadSource(f"{text!r} is more than a package and a version", hint="check source.package and version")
    return text


def fetch_and_install(spec: AppSpec, workshop: Workshop) -> str:
    """Install the spec's package and return its name. Raises VersionMissing, Unreachable or BuildFailed.

    When the version is not known, the index is asked again without uv's cache: it may just have been published.
    """
    wanted, package = requirement(spec), package_of(spec)
    workshop.report("building")
    try:
        install(workshop, wanted, title=wanted, package=package, index_url=spec.source.index_url)
    except VersionMissing:
        _install_fresh(spec, workshop, wanted, package)
    return package


def _install_fresh(spec: AppSpec, workshop: Workshop, wanted: str, package: str) -> None:
    index = spec.source.index_url
    try:
        install(workshop, "--refresh-package", package, wanted, title=wanted, package=package, index_url=index)
    except VersionMissing as failure:
        raise VersionMissing(
            f"no version of {package} satisfies =={spec.version}",
            output=failure.output,
            hint=_hint(workshop, package, index),
        ) from None


def _hint(workshop: Workshop, package: str, index_url: str) -> str:
    """Names the newest version there is, for the reader who mistyped one."""
    try:
        done = install(workshop, "--dry-run", "--no-deps", package, title=package, package=package, index_url=index_url)
    except SourceFailure:
        return "the index has no version of it that this Python can run: check the name, the index and the version"
    found = newest(done, package)
    return f"newest is {found}" if found else ""
