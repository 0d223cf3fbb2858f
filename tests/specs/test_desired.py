"""The rules that span files: names, dependencies, renames. One bad app concerns nobody else."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.desired import DesiredApp, assemble
from specs.problem import Problem


def app(name, *depends_on, folder=None, bad=False, guessed=False, renamed_from=""):
    folder = folder or name
    path = f"apps/{folder}/app.yaml"
    return DesiredApp(
        name=name,
        folder=folder,
        path=path,
        blob="b",
        depends_on=depends_on,
        renamed_from=renamed_from,
        guessed=guessed,
        problems=(Problem(path, "is broken"),) if bad else (),
        positions={"name": (1, 1), "depends_on": (3, 1), "renamed_from": (4, 1)},
    )


def said(apps):
    return {name: [str(problem) for problem in found.problems] for name, found in apps.items() if not found.valid}


def test_a_sound_repository_is_returned_as_it_is_in_order_of_name():
    apps = [app("web", "db"), app("db"), app("cache")]
    found = assemble(apps)
    assert list(found) == ["cache", "db", "web"]
    assert all(found[a.name] is a for a in apps)
    assert assemble({a.path: a for a in apps}) == found


def test_two_apps_of_one_name_are_both_invalid_and_name_each_other():
    found = assemble([app("web", folder="one"), app("web", folder="two"), app("db")])
    assert said(found) == {
        "web": ["apps/one/app.yaml:1:1: name: `web` is also the name of the app in apps/two/app.yaml"],
        "two": ["apps/two/app.yaml:1:1: name: `web` is also the name of the app in apps/one/app.yaml"],
    }
    assert found["two"].name == "two"
    assert found["db"].valid


def test_the_stand_in_of_a_duplicate_never_takes_the_name_of_another_app():
    found = assemble([app("web", folder="a"), app("web", folder="db"), app("db", folder="x")])
    assert found["db"].valid
    assert len(found) == 3


def test_many_duplicates_name_only_some():
    found = assemble([app("web", folder=f"f{n}") for n in range(50)])
    assert len(found) == 50
    assert said(found)["web"][0].endswith("apps/f13/app.yaml and 44 more")


def test_a_stand_in_satisfies_no_dependency():
    found = assemble([app("web", folder="a"), app("web", folder="b"), app("api", "b")])
    assert said(found)["api"] == ["apps/api/app.yaml:3:1: depends_on: there is no app `b` in this repository"]


def test_a_guessed_name_harms_no_app_that_has_it():
    found = assemble([app("web", folder="zzz"), app("web", folder="aaa", bad=True, guessed=True)])
    assert found["web"].valid
    assert found["web"].folder == "zzz"
    assert found["aaa"].problems == (Problem("apps/aaa/app.yaml", "is broken"),)


def test_a_broken_file_keeps_the_name_that_its_path_had():
    broken = app("folder", folder="folder", bad=True, guessed=True)
    assert list(assemble([broken], {broken.path: "shop"})) == ["shop"]
    taken = assemble([broken, app("shop", folder="x")], {broken.path: "shop"})
    assert taken["shop"].valid
    assert not taken["folder"].valid


def test_a_missing_dependency_is_reported_with_the_nearest_name():
    assert said(assemble([app("web", "databse", "zzz"), app("database")])) == {
        "web": [
            "apps/web/app.yaml:3:1: depends_on: there is no app `databse` in this repository. Did you mean `database`?",
            "apps/web/app.yaml:3:1: depends_on: there is no app `zzz` in this repository",
        ]
    }


def test_a_dependency_that_was_renamed_is_told_so():
    (text,) = said(assemble([app("web", "old"), app("new", renamed_from="old")]))["web"]
    assert text.endswith("there is no app `old` in this repository. It was renamed to `new`")


def test_a_cycle_is_spelled_out_for_each_of_its_apps():
    found = assemble([app("a", "b"), app("b", "a"), app("c")])
    assert said(found) == {
        "a": ["apps/a/app.yaml:3:1: depends_on: dependency cycle: a → b → a"],
        "b": ["apps/b/app.yaml:3:1: depends_on: dependency cycle: a → b → a"],
    }


def test_an_app_that_needs_itself_is_a_cycle():
    assert said(assemble([app("a", "a")]))["a"][0].endswith("dependency cycle: a → a")


def test_cycles_and_missing_apps_spread_to_those_that_need_them():
    found = said(
        assemble([app("a", "b"), app("b", "a"), app("c", "a"), app("d", "c"), app("x", "gone"), app("y", "x")])
    )
    assert found["c"] == ["apps/c/app.yaml:3:1: depends_on: needs `a`, which is in a dependency cycle: a → b → a"]
    assert found["d"] == [
        "apps/d/app.yaml:3:1: depends_on: needs `c`, which is invalid since `a` is in a dependency cycle: a → b → a"
    ]
    assert found["y"] == [
        "apps/y/app.yaml:3:1: depends_on: needs `x`, which needs `gone`, which is not in this repository"
    ]


def test_a_bad_file_does_not_make_those_that_need_it_invalid():
    assert set(said(assemble([app("db", bad=True), app("web", "db")]))) == {"db"}
    assert set(said(assemble([app("db", bad=True, guessed=True), app("web", "db")]))) == {"db"}


def test_a_name_cannot_be_taken_over_while_its_app_is_there():
    found = said(assemble([app("new", renamed_from="old"), app("old")]))
    assert found == {
        "new": [
            "apps/new/app.yaml:4:1: renamed_from: `old` is still an app of this repository (apps/old/app.yaml); "
            "remove one of the two"
        ]
    }


def test_two_heirs_of_one_name_are_both_invalid():
    found = said(assemble([app("n1", renamed_from="old"), app("n2", renamed_from="old")]))
    assert found["n1"] == ["apps/n1/app.yaml:4:1: renamed_from: `old` is also taken over by apps/n2/app.yaml"]
    assert found["n2"] == ["apps/n2/app.yaml:4:1: renamed_from: `old` is also taken over by apps/n1/app.yaml"]


@pytest.mark.parametrize("count", [5000])
def test_thousands_of_apps_in_a_chain_are_assembled(count):
    apps = [app(f"n{n:04}", *([f"n{n - 1:04}"] if n else [])) for n in range(count)]
    assert not said(assemble(apps))
    apps[0] = app("n0000", "gone")
    assert len(said(assemble(apps))) == count


NAMES = st.sampled_from(["a", "b", "c", "d"])
APPS = st.builds(
    lambda name, needs, bad, guessed, old: (name, needs, bad or guessed, guessed, old),
    NAMES,
    st.lists(NAMES | st.just("gone"), max_size=2, unique=True),
    st.booleans(),
    st.booleans(),
    st.sampled_from(["", "", "", "a", "z"]),
)


@settings(max_examples=200, deadline=None)
@given(rows=st.lists(APPS, max_size=7), data=st.data())
def test_every_file_appears_once_under_a_name_of_its_own_in_any_order(rows, data):
    apps = [
        app(name, *needs, folder=f"f{index}" if index % 2 else name, bad=bad, guessed=guessed, renamed_from=old)
        for index, (name, needs, bad, guessed, old) in enumerate(rows)
    ]
    apps = list({a.path: a for a in apps}.values())
    found = assemble(apps)
    assert sorted(a.path for a in found.values()) == sorted(a.path for a in apps)
    assert all(name == a.name for name, a in found.items())
    assert assemble(data.draw(st.permutations(apps))) == found
    assert all(
        not found_app.valid for found_app in found.values() if any(a.problems for a in apps if a.path == found_app.path)
    )
