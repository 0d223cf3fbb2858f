"""A folder of specs, checked offline, by the rules of a sync."""

import os

import pytest

from specs.directory import check_directory


def put(folder, name, text, file="app.yaml"):
    (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / name / file).write_text(text)


def spec(name, more=""):
    return f'name: {name}\nversion: "1"\n{more}'


def said(checked):
    return [str(problem) for problem in checked.problems]


def test_a_checkout_and_its_apps_folder_are_both_taken(tmp_path):
    put(tmp_path / "apps", "web", spec("web", "depends_on: [db]\n"))
    put(tmp_path / "apps", "db", spec("db"))
    (tmp_path / "apps" / "notes").mkdir()
    (tmp_path / "apps" / "README.md").write_text("x")
    whole = check_directory(tmp_path, "apps")
    inner = check_directory(tmp_path / "apps", "apps")
    assert whole.problems == inner.problems == ()
    assert list(whole.apps) == list(inner.apps) == ["db", "web"]
    assert whole.apps["web"].path == "apps/web/app.yaml"
    assert inner.apps["web"].path == "web/app.yaml"


def test_everything_wrong_is_reported_in_order(tmp_path):
    put(tmp_path / "apps", "a", spec("a", "depends_on: [b]\n"))
    put(tmp_path / "apps", "b", spec("b", "depends_on: [a]\n"))
    put(tmp_path / "apps", "c", "name: c\nversion: 1.10\nprot: 1\n")
    put(tmp_path / "apps", "d", spec("a"))
    checked = check_directory(tmp_path, "apps")
    assert said(checked) == [
        "apps/a/app.yaml:1:1: name: `a` is also the name of the app in apps/d/app.yaml",
        "apps/a/app.yaml:3:1: depends_on: dependency cycle: a → b → a",
        "apps/b/app.yaml:3:1: depends_on: dependency cycle: a → b → a",
        'apps/c/app.yaml:2:1: version: is read as a number; write it in quotes: "1.10"',
        checked.problems[4].__str__(),
        "apps/d/app.yaml:1:1: name: `a` is also the name of the app in apps/a/app.yaml",
    ]
    assert "3:1: prot: unknown field" in said(checked)[4]


def test_links_are_never_followed(tmp_path):
    outside = tmp_path / "outside"
    put(outside, "web", spec("web"))
    apps = tmp_path / "repo" / "apps"
    put(apps, "ok", spec("ok"))
    (apps / "linked").symlink_to(outside / "web")
    (apps / "file").mkdir()
    (apps / "file" / "app.yaml").symlink_to(outside / "web" / "app.yaml")
    (apps / "dangling").mkdir()
    (apps / "dangling" / "app.json").symlink_to(tmp_path / "nowhere")
    checked = check_directory(tmp_path / "repo", "apps")
    assert said(checked) == [
        "apps/dangling/app.json: is a symbolic link; links are not followed",
        "apps/file/app.yaml: is a symbolic link; links are not followed",
        "apps/linked: is a symbolic link; links are not followed",
    ]
    assert sorted(checked.apps) == ["dangling", "file", "ok"]
    assert [name for name, app in checked.apps.items() if app.valid] == ["ok"]


def test_an_apps_folder_that_is_a_link_is_not_followed(tmp_path):
    put(tmp_path / "outside", "web", spec("web"))
    (tmp_path / "repo").mkdir()
    (tmp_path / "repo" / "apps").symlink_to(tmp_path / "outside")
    checked = check_directory(tmp_path / "repo", "apps")
    assert said(checked) == ["apps: is a symbolic link; links are not followed"]
    assert checked.apps == {}


def test_a_pipe_or_a_folder_in_place_of_a_file_is_a_problem(tmp_path):
    (tmp_path / "pipe").mkdir()
    os.mkfifo(tmp_path / "pipe" / "app.yaml")
    (tmp_path / "folder" / "app.yaml").mkdir(parents=True)
    assert said(check_directory(tmp_path, "apps")) == [
        "folder/app.yaml: is not a regular file",
        "pipe/app.yaml: is not a regular file",
    ]


def test_a_huge_file_is_not_read_whole(tmp_path):
    (tmp_path / "web").mkdir()
    with (tmp_path / "web" / "app.yaml").open("wb") as file:
        file.truncate(10 * 2**30)
    assert said(check_directory(tmp_path, "apps")) == ["web/app.yaml: is larger than 1 MB"]


def test_the_first_spec_file_wins(tmp_path):
    put(tmp_path, "web", spec("web"), "app.yaml")
    put(tmp_path, "web", "broken", "config.yaml")
    assert check_directory(tmp_path, "apps").problems == ()


def test_an_empty_folder_says_what_is_expected(tmp_path):
    assert said(check_directory(tmp_path, "apps")) == [
        f"{tmp_path}: holds no specs; expected apps/NAME/app.yaml or NAME/app.yaml"
    ]


def test_the_folder_of_one_app_is_told_apart(tmp_path):
    put(tmp_path, "web", spec("web"))
    (text,) = said(check_directory(tmp_path / "web", "apps"))
    assert text.endswith("is the folder of one app; validate the folder that holds all of them")


@pytest.mark.parametrize("name", ["nowhere", "file"])
def test_what_is_no_folder_is_a_problem(tmp_path, name):
    (tmp_path / "file").write_text("x")
    (text,) = said(check_directory(tmp_path / name, "apps"))
    assert "cannot be read" in text
