"""A file to a spec: one meaning in every format, and every bad file a list of problems with places."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.digest import digest
from specs.loader import SPEC_FILES, choose, load, summary
from specs.model import AppSpec, Source

YAML = """\
name: web
version: "1.10"
depends_on: [db]
env:
  DEBUG: true
  RATE: 1.50
  HOSTS: [a, b]
health:
  port: 9000
  interval: 10s
run:
  command: gunicorn "the shop" --bind 127.0.0.1:$PORT
"""
JSON = """\
{"name": "web", "version": "1.10", "depends_on": ["db"],
 "env": {"DEBUG": true, "RATE": 1.50, "HOSTS": ["a", "b"]},
 "health": {"port": 9000, "interval": 10000},
 "run": {"command": ["gunicorn", "the shop", "--bind", "127.0.0.1:$PORT"]}}
"""
TOML = """\
name = "web"
version = "1.10"
depends_on = ["db"]
env = {DEBUG = true, RATE = 1.50, HOSTS = ["a", "b"]}
health = {port = 9000, interval = "10s"}
run.command = 'gunicorn "the shop" --bind 127.0.0.1:$PORT'
"""
WORD = st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=8)
SPECS = st.fixed_dictionaries(
    {
        "name": st.from_regex(r"[a-z][a-z0-9_-]{0,9}", fullmatch=True),
        "version": st.sampled_from(["1.10", "2", "3.0rc1"]),
    },
    optional={
        "description": WORD,
        "env": st.dictionaries(
            st.from_regex(r"[A-Z][A-Z_]{0,5}", fullmatch=True),
            WORD
            | st.booleans()
            | st.integers(0, 99)
            | st.floats(0, 9).map(lambda n: round(n, 2))
            | st.lists(WORD, max_size=2),
            max_size=4,
        ),
        "depends_on": st.lists(st.from_regex(r"[a-z]{1,4}", fullmatch=True), unique=True, max_size=3),
        "health": st.fixed_dictionaries(
            {}, optional={"port": st.integers(1, 65535), "interval": st.sampled_from([500, "2s"])}
        ),
        "run": st.lists(WORD, min_size=1, max_size=3).map(lambda words: {"command": words}),
        "limits": st.just({"memory": "1GiB", "cpus": 0.5}),
        "prune": st.booleans(),
        "suspend": st.booleans() | st.just({"reason": "later"}),
    },
)


def as_toml(value):
    """`value` in TOML's inline form, for these tests."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{json.dumps(k)} = {as_toml(v)}" for k, v in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(as_toml(v) for v in value) + "]"
    return json.dumps(value, ensure_ascii=False)


def as_block_yaml(data):
    """`data` in YAML's block form, text quoted, for these tests."""
    lines = []
    for key, value in data.items():
        if isinstance(value, dict) and value:
            lines.append(f"{key}:")
            lines.extend(f"  {k}: {json.dumps(v, ensure_ascii=False)}" for k, v in value.items())
        elif isinstance(value, list) and value:
            lines.append(f"{key}:")
            lines.extend(f"- {json.dumps(v, ensure_ascii=False)}" for v in value)
        else:
            lines.append(f"{key}: {json.dumps(value, ensure_ascii=False)}")
    return "\n".join(lines) + "\n"


def problems(text, path="apps/web/app.yaml"):
    loaded = load(path, text if isinstance(text, bytes) else text.encode(), "web")
    assert loaded.spec is None
    return [str(problem) for problem in loaded.problems]


def test_three_formats_of_one_meaning_give_one_spec_and_digest():
    specs = [
        load(path, text.encode(), "web").spec for path, text in (("a.yaml", YAML), ("a.json", JSON), ("a.toml", TOML))
    ]
    assert specs[0].env == {"DEBUG": "true", "RATE": "1.50", "HOSTS": '["a","b"]'}
    assert len({str(digest(spec)) for spec in specs}) == 1


@settings(max_examples=120, deadline=None)
@given(data=SPECS)
def test_any_spec_has_the_same_digest_in_every_format(data):
    toml = "".join(f"{key} = {as_toml(value)}\n" for key, value in data.items())
    files = {"a.json": json.dumps(data), "a.yml": json.dumps(data), "a.yaml": as_block_yaml(data), "a.toml": toml}
    loaded = [load(path, text.encode(), "x") for path, text in files.items()]
    assert [found.problems for found in loaded] == [()] * 4
    assert len({str(digest(found.spec)) for found in loaded}) == 1
    assert {found.name for found in loaded} == {data["name"]}


@pytest.mark.parametrize("path", ["apps/x/app.yaml", "apps/x/app.json", "apps/x/app.toml", "apps/x/README"])
@settings(max_examples=150, deadline=None)
@given(
    blob=st.binary(max_size=120)
    | st.text(max_size=120).map(lambda text: text.encode("utf-8", "surrogatepass"))
    | st.builds(lambda at, junk: YAML.encode()[:at] + junk, st.integers(0, len(YAML)), st.binary(max_size=5)),
    folder=st.text(max_size=20),
)
def test_no_bytes_make_it_fail_and_every_problem_has_a_path_and_a_message(path, blob, folder):
    loaded = load(path, blob, folder)
    assert (loaded.spec is None) == bool(loaded.problems)
    assert all(problem.path == path and problem.message for problem in loaded.problems)
    assert summary(loaded, path, "0" * 40, folder).name == loaded.name


def test_a_problem_reads_like_a_compilers():
    text = 'name: web\nversion: "1"\nhealth:\n  type: http\n  prot: 1\n  path: /\n  port: 70000\n'
    assert problems(text) == [
        "apps/web/app.yaml:5:3: health.prot: unknown field. Did you mean `port`?",
        "apps/web/app.yaml:7:3: health.port: must be 1..65535",
    ]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", ":1:1: is empty; a spec needs at least name and version"),
        ("- name: web\n", ":1:1: must be a mapping of fields such as `name: web`, not a list"),
        ("name: web\nenv:\n\tA: 1\n", ":3:1: a tab cannot be used here; indent with spaces"),
        ('name: web\nversion: "1"\nname: api\n', ":3:1: name: is given twice (first on line 1)"),
        ("a: &a [1,1]\nb: &b [*a,*a]\nc: *d\n", ":3:4: alias `d` has no anchor before it"),
        (b"x" * 10_000_000, ": is larger than 1 MB"),
        (b"name: web\nversion: \xff\n", ":2:10: is not UTF-8 text"),
        ("name: web\nversion: 1.10\n", ':2:1: version: is read as a number; write it in quotes: "1.10"'),
        (
            'version: "1"\nname: ../web\n',
            ":2:1: name: must be 1 to 63 of a-z, 0-9, dash and underscore, starting with a letter",
        ),
        ("name: web\n", ": version: is required"),
    ],
    ids=["empty", "list", "tab", "twice", "alias", "large", "encoding", "number", "path", "missing"],
)
def test_each_bad_file_says_what_is_wrong_and_where(text, said):
    assert problems(text) == [f"apps/web/app.yaml{said}"]


def test_exploding_anchors_are_a_problem():
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12)]
    (said,) = problems("\n".join(lines))
    assert said.endswith("holds more than 50,000 values, aliases included")


def test_problems_of_several_kinds_come_together_in_order_of_place():
    said = problems('name: web\nprot: 1\nversion: "1"\nenv: {CELERIAC_A: s3cret}\nversion: "2"\nprune: x\n')
    assert [text.split(": ")[0].removeprefix("apps/web/app.yaml:") for text in said] == ["2:1", "4:7", "5:1", "6:1"]
    assert "s3cret" not in "".join(said)


def test_places_are_known_in_json_and_toml_too():
    assert problems('{"name": "web",\n "version": "1",\n "health": {\n  "port": 0}}', "a.json") == [
        "a.json:4:3: health.port: must be 1..65535"
    ]
    assert problems('name = "web"\nversion = "1"\n[health]\nport = 0\n', "a.toml") == [
        "a.toml:4:1: health.port: must be 1..65535"
    ]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("a.yaml", "name: shop # the shop\nversion: '1\n"),
        ("a.yaml", "env:\n  name: other\n\tx\nname: 'shop'\n"),
        ("a.json", '{\n  "name": "shop",\n  "version": 1,,\n}'),
        ("a.json", '{"name": "shop", "version"}'),
        ("a.toml", 'name = "shop"\nversion = \n'),
    ],
)
def test_a_broken_file_still_tells_its_name(path, text):
    loaded = load(path, text.encode(), "folder")
    assert (loaded.spec, loaded.name, loaded.guessed) == (None, "shop", True)


def test_a_file_without_a_usable_name_takes_its_folders():
    assert load("a.yaml", b"name: [x", "web").name == "web"
    assert load("a.yaml", b"name: Web\nversion: '1'\n", "web").name == "web"
    odd = load("a.yaml", b"", "../Odd Folder")
    assert odd.guessed
    assert odd.name.startswith("odd-folder-")


def test_an_invalid_file_with_a_good_name_is_sure_of_it():
    loaded = load("a.yaml", b"name: shop\nversion: 1\n", "web")
    assert (loaded.spec, loaded.name, loaded.guessed) == (None, "shop", False)


def test_the_first_spec_file_of_the_design_is_chosen():
    assert choose(["README.md", "config.toml", "app.json", "app.toml"]) == "app.json"
    assert choose(reversed(SPEC_FILES)) == "app.yaml"
    assert choose(["App.yaml", "app.yaml.bak"]) is None


def test_a_summary_holds_what_planning_needs_and_no_secret():
    text = "name: web\nversion: '1'\ndepends_on: [db]\nprune: false\n"
    text += "env: {KEY: s3cret}\nrun: {command: x --token s3cret}\n"
    loaded = load("apps/web/app.yaml", text.encode(), "web")
    app = summary(loaded, "apps/web/app.yaml", "b10b", "web")
    assert (app.name, app.version, app.depends_on, app.prune, app.blob, app.folder) == (
        "web",
        "1",
        ("db",),
        False,
        "b10b",
        "web",
    )
    assert app.digest == str(digest(loaded.spec))
    assert app.valid
    assert "s3cret" not in repr(app)
    assert app.positions == {"name": (1, 1), "depends_on": (3, 1)}


def test_a_summary_of_a_bad_file_carries_its_problems():
    loaded = load("apps/web/app.yaml", b"name: web\n", "web")
    app = summary(loaded, "apps/web/app.yaml", "b10b", "web")
    assert not app.valid
    assert (app.name, app.version, app.digest, app.problems) == ("web", "", "", loaded.problems)


def test_the_path_is_kept_and_is_not_part_of_the_meaning():
    one, two = (load(path, b"name: web\nversion: '1'\n", "web").spec for path in ("a/app.yaml", "b/app.yaml"))
    assert one == AppSpec("web", "1", source=Source(package="web"), path="a/app.yaml")
    assert digest(one) == digest(two)
