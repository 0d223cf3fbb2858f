"""The whole spec: every field of the design, and everything wrong with a file at once."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specs.document import WrittenFloat
from specs.model import (
    AppSpec,
    Expose,
    Health,
    Hooks,
    Icon,
    Limits,
    Placement,
    Run,
    Source,
    Suspend,
    Upgrade,
)
from specs.schema import read_spec, schema

LEAST = {"name": "web", "version": "1.2"}
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats().map(lambda n: WrittenFloat(repr(n))) | st.text(max_size=12),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=6), inner, max_size=3),
    max_leaves=8,
)
FIELD_NAMES = st.sampled_from(sorted(schema().fields))
INNER_NAMES = sorted({n for f in schema().fields.values() for n in getattr(getattr(f, "schema", None), "fields", {})})


def faults(**fields):
    spec, found = read_spec({**LEAST, **fields})
    assert spec is None
    return {".".join(map(str, path)): message for path, message in found}


def accepted(**fields):
    spec, found = read_spec({**LEAST, **fields})
    assert found == []
    return spec


def test_the_least_spec_has_the_defaults_of_the_design():
    assert accepted() == AppSpec(name="web", version="1.2", source=Source(package="web"))


def test_every_field_is_read():
    spec = accepted(
        description="The shop.\nAll of it.",
        icon={"type": "base64", "value": "aGk=", "mime_type": "image/png"},
        source={"package": "Shop", "extras": ["sentry", "redis"], "index_url": "https://host/simple"},
        run={"processes": {"web": "gunicorn shop", "worker": ["celery", "-c", 2]}, "reload_signal": "HUP"},
        env={"DEBUG": False, "N": 3},
        depends_on=["db", "cache"],
        health={
            "type": "http",
            "port": 9000,
            "path": "/ok",
            "interval": "10s",
            "timeout": 500,
            "grace": "1m",
            "threshold": 5,
        },
        upgrade={"strategy": "blue_green"},
        expose={"port": 80, "host": "shop.example.com"},
        limits={"memory": "512MB", "cpus": 2},
        isolation="process",
        placement={"nodes": ["web-1"], "labels": {"role": "web", "zone": 2}, "replicas": 2, "failover": False},
        hooks={"pre_deploy": "shop migrate", "post_deploy": ["shop", "warm"]},
        prune=False,
        renamed_from="store",
        suspend={"until": "2030-01-31", "reason": "freeze"},
    )
    assert spec == AppSpec(
        name="web",
        version="1.2",
        description="The shop.\nAll of it.",
        icon=Icon("base64", "aGk=", "image/png"),
        source=Source(package="Shop", extras=("redis", "sentry"), index_url="https://host/simple"),
        run=Run({"web": ("gunicorn", "shop"), "worker": ("celery", "-c", "2")}, reload_signal="SIGHUP"),
        env={"DEBUG": "false", "N": "3"},
        depends_on=("db", "cache"),
        health=Health("http", 9000, "/ok", 10.0, 0.5, 60.0, 5),
        upgrade=Upgrade("blue_green"),
        expose=Expose(80, "shop.example.com"),
        limits=Limits(512 * 10**6, 2.0),
        isolation="process",
        placement=Placement(("web-1",), {"role": "web", "zone": "2"}, 2, failover=False),
        hooks=Hooks(("shop", "migrate"), ("shop", "warm")),
        prune=False,
        renamed_from="store",
        suspend=Suspend("2030-01-31T00:00:00+00:00", "freeze"),
    )


def test_name_and_version_are_required():
    assert read_spec({}) == (None, [(("name",), "is required"), (("version",), "is required")])


def test_a_version_that_is_a_number_must_be_quoted():
    assert faults(version=WrittenFloat("1.10")) == {"version": 'is read as a number; write it in quotes: "1.10"'}
    assert faults(version=2) == {"version": 'is read as a number; write it in quotes: "2"'}


@pytest.mark.parametrize("version", ["1", "1.10", "v1.0", "1!2.0rc1", "1.0.post2.dev3", "1.0+local.7", "2024.1"])
def test_any_pep_440_version_is_kept_as_written(version):
    assert accepted(version=version).version == version


@pytest.mark.parametrize("version", ["", "latest", "1.x", "==1.0", "1.0 2", "9" * 200, "../1"])
def test_other_versions_are_refused(version):
    assert "PEP 440" in faults(version=version)["version"]


@pytest.mark.parametrize("name", ["", "Web", "../web", "a/b", "1a", "-a", "a" * 64, "web\n", "wéb"])
def test_a_name_is_a_safe_word(name):
    assert faults(name=name) == {"name": "must be 1 to 63 of a-z, 0-9, dash and underscore, starting with a letter"}


def test_unknown_fields_suggest_the_nearest_known_one():
    found = faults(health={"prot": 1}, dependson=[], suspend={"rason": "x"}, zzz=1)
    assert found["health.prot"] == "unknown field. Did you mean `port`?"
    assert found["dependson"] == "unknown field. Did you mean `depends_on`?"
    assert found["suspend.rason"] == "unknown field. Did you mean `reason`?"
    assert found["zzz"].startswith("unknown field. Known here: name, version, ")


def test_a_field_in_the_wrong_place_is_told_where_it_belongs():
    assert faults(processes={})["processes"] == "unknown field. Did you mean `run.processes`?"
    assert faults(command="x")["command"] == "unknown field. Did you mean `run.command` or `health.command`?"
    assert faults(run={"env": {}})["run.env"] == "unknown field. Did you mean `env`?"


def test_all_faults_of_a_file_are_reported():
    found = faults(version=1, health={"port": 0, "threshold": "x"}, expose={}, depends_on=["B", "a"], prune="no")
    assert set(found) == {"version", "health.port", "health.threshold", "expose.port", "depends_on.0", "prune"}
    assert found["health.port"] == "must be 1..65535"
    assert found["expose.port"] == "is required"


def test_a_flood_of_faults_is_cut():
    spec, found = read_spec({f"x{n}": 1 for n in range(5000)})
    assert spec is None
    assert len(found) == 100


@pytest.mark.parametrize("field", sorted(schema().fields))
def test_an_empty_field_is_told_to_have_a_value(field):
    assert "has no value" in faults(**{field: None})[field]


@pytest.mark.parametrize(
    "field", ["icon", "source", "run", "health", "upgrade", "expose", "limits", "placement", "hooks"]
)
def test_a_section_must_be_a_mapping(field):
    for value in ("x", ["x"], 5, True):
        assert faults(**{field: value}) == {field: "must be a mapping of fields"}


def test_hot_reload_needs_a_hosted_app():
    upgrade = {"strategy": "hot_reload"}
    said = {"upgrade.strategy": "hot_reload needs run.app (module:callable): only hosted apps have it"}
    assert faults(upgrade=upgrade) == said
    assert faults(upgrade=upgrade, run={"command": "x"}) == said
    assert accepted(upgrade=upgrade, run={"app": "shop.web:app"}).upgrade.strategy == "hot_reload"


def test_an_embedded_app_is_hosted_and_has_no_process_of_its_own():
    embedded = {"isolation": "embedded"}
    hosted = {"app": "shop.web:app"}
    assert accepted(**embedded, run=hosted).isolation == "embedded"
    bare = {"isolation": "embedded needs run.app (module:callable): only hosted apps can be guests"}
    assert faults(**embedded) == bare
    assert faults(**embedded, run={"reload_signal": "HUP"}) == bare
    for run in ({"command": "x"}, {"processes": {"web": "x"}}):
        (name,) = run
        assert faults(**embedded, run=run) == {
            f"run.{name}": "cannot go together with isolation: embedded, which needs run.app (module:callable)"
        }
    assert faults(**embedded, run={**hosted, "reload_signal": "HUP"}) == {
        "run.reload_signal": "would reach all guests of the shared process; have config_change instead"
    }
    assert faults(**embedded, run=hosted, limits={"cpus": 1}) == {
        "limits": "cannot be kept for one guest of a shared process; leave it out, or set isolation: process"
    }


def test_an_app_cannot_be_renamed_from_itself():
    assert faults(renamed_from="web") == {"renamed_from": "is the app's own name"}


def test_no_message_holds_a_value_of_env_or_a_password():
    secret = "s3cret"
    found = faults(
        env={"A": f"{secret}\0", "b-c": secret, "D": None, "CELERIAC_X": secret},
        source={"type": "git", "url": f"ftp://u:{secret}@host/x", "index_url": f"https://u:{secret}@h/"},
    )
    assert secret not in str(found)
    assert len(found) == 6


def test_a_field_named_like_marshmallows_own_key_is_just_unknown():
    assert faults(_schema=1)["_schema"].startswith("unknown field")


@settings(max_examples=200, deadline=None)
@given(
    data=st.dictionaries(
        FIELD_NAMES | st.text(max_size=5),
        VALUES | st.dictionaries(st.sampled_from(INNER_NAMES) | st.text(max_size=5), VALUES, max_size=4),
        max_size=6,
    )
)
def test_any_data_gives_a_spec_or_faults_with_messages(data):
    spec, found = read_spec({**LEAST, **data})
    assert (spec is None) == bool(found)
    assert all(message for _, message in found)


def test_an_exposed_app_is_asked_where_it_is_exposed_unless_the_spec_says_another_port():
    exposed = {"expose": {"port": 80}}
    assert accepted(**exposed, health={"path": "/"}).health.port == 80
    assert accepted(**exposed, health={"port": 9000}).health.port == 9000
    assert accepted(**exposed, health={"type": "custom", "check": "a:b"}).health.port == 8080
    assert accepted(health={}).health.port == 8080
