"""Digests: what a change costs, told by which part of the text differs."""

from dataclasses import replace

import pytest

from specs.digest import Digest, digest, release_id
from specs.model import AppSpec, Expose, Health, Hooks, Icon, Limits, Placement, Run, Source, Suspend, Upgrade

SPEC = AppSpec("web", "1.0", env={"A": "1", "B": "2"}, depends_on=("db", "cache"))


@pytest.mark.parametrize(
    "change",
    [
        {"version": "1.1"},
        {"source": Source(package="other")},
        {"run": Run({"main": ("x",)})},
        {"limits": Limits(memory=1)},
        {"isolation": "embedded"},
        {"placement": Placement(replicas=2)},
        {"expose": Expose(80)},
        {"hooks": Hooks(("x",))},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_needs_an_upgrade_changes_the_first_part_alone(change):
    before, after = digest(SPEC), digest(replace(SPEC, **change))
    assert before.release != after.release
    assert (before.env, before.record) == (after.env, after.record)
    assert not before.runs_like(after)


def test_env_alone_changes_the_second_part():
    before, after = digest(SPEC), digest(replace(SPEC, env={"A": "1"}))
    assert (before.release, before.record) == (after.release, after.record)
    assert before.env != after.env


@pytest.mark.parametrize(
    "change",
    [
        {"description": "x"},
        {"icon": Icon("url", "x")},
        {"depends_on": ("db",)},
        {"health": Health()},
        {"upgrade": Upgrade("blue_green")},
        {"prune": False},
        {"renamed_from": "x"},
        {"suspend": Suspend()},
    ],
    ids=lambda change: next(iter(change)),
)
def test_what_is_only_recorded_changes_the_third_part_and_runs_alike(change):
    before, after = digest(SPEC), digest(replace(SPEC, **change))
    assert before.record != after.record
    assert before.runs_like(after)


def test_order_and_place_mean_nothing():
    other = replace(SPEC, env={"B": "2", "A": "1"}, depends_on=("cache", "db"), path="x", revision="y")
    assert digest(other) == digest(SPEC)


def test_a_digest_is_read_back_from_its_text():
    assert Digest.parse(str(digest(SPEC))) == digest(SPEC)
    assert Digest.parse("damaged") != digest(SPEC)


def test_a_release_is_shared_by_specs_that_build_alike():
    assert release_id(SPEC) == release_id(replace(SPEC, env={}, limits=Limits(memory=1)))
    assert release_id(SPEC) != release_id(replace(SPEC, source=Source(package="x")))
    hosted = [replace(SPEC, run=Run(app=name)) for name in ("a:app", "b:app")]
    assert release_id(SPEC) != release_id(hosted[0]) == release_id(hosted[1])  # a server is in it
    assert "/" not in release_id(replace(SPEC, version="1!2/../x"))
