"""The JSON Schema describes what the loader takes: whatever one accepts, the other does."""

import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import InvalidVersion, Version

from specs.jsonschema import json_schema
from specs.schema import read_spec

SCHEMA = json_schema()
LEAST = {"name": "web", "version": "1.2"}
SHA = "a" * 64
KINDS = {
    "object": dict,
    "array": list,
    "string": str,
    "boolean": bool,
    "number": int | float,
    "integer": int,
    "null": type(None),
}
KEYWORDS = {
    "$schema", "title", "description", "default", "type", "enum", "const", "pattern", "maxLength", "minLength",
    "minimum", "maximum", "exclusiveMinimum", "properties", "required", "additionalProperties", "propertyNames",
    "minProperties", "items", "minItems", "maxItems", "uniqueItems", "anyOf", "oneOf", "allOf", "not", "if", "then",
}  # fmt: skip


def is_kind(value, kind):
    return isinstance(value, KINDS[kind]) and not (isinstance(value, bool) and kind != "boolean")


def fits(value, schema):
    """Whether `value` is valid under `schema`: the keywords of 2020-12 that ours uses, and no others."""
    assert schema.keys() <= KEYWORDS
    kinds = schema.get("type", list(KINDS))
    return (
        any(is_kind(value, kind) for kind in ([kinds] if isinstance(kinds, str) else kinds))
        and ("enum" not in schema or value in schema["enum"])
        and ("const" not in schema or value == schema["const"])
        and all(fits(value, inner) for inner in schema.get("allOf", ()))
        and ("anyOf" not in schema or any(fits(value, inner) for inner in schema["anyOf"]))
        and ("oneOf" not in schema or sum(fits(value, inner) for inner in schema["oneOf"]) == 1)
        and ("not" not in schema or not fits(value, schema["not"]))
        and ("if" not in schema or not fits(value, schema["if"]) or fits(value, schema["then"]))
        and (not isinstance(value, str) or text_fits(value, schema))
        and (not is_kind(value, "number") or number_fits(value, schema))
        and (not isinstance(value, list) or list_fits(value, schema))
        and (not isinstance(value, dict) or mapping_fits(value, schema))
    )


def text_fits(value, schema):
    return re.search(schema.get("pattern", ""), value) is not None and schema.get("minLength", 0) <= len(
        value
    ) <= schema.get("maxLength", len(value))


def number_fits(value, schema):
    return schema.get("minimum", value) <= value <= schema.get("maximum", value) and value > schema.get(
        "exclusiveMinimum", value - 1
    )


def list_fits(value, schema):
    return (
        schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value))
        and all(fits(item, schema.get("items", {})) for item in value)
        and (not schema.get("uniqueItems") or len({json.dumps(item) for item in value}) == len(value))
    )


def mapping_fits(value, schema):
    known, others = schema.get("properties", {}), schema.get("additionalProperties", {})
    return (
        len(value) >= schema.get("minProperties", 0)
        and all(name in value for name in schema.get("required", ()))
        and all(fits(name, schema.get("propertyNames", {})) for name in value)
        and all(fits(value[name], known[name]) for name in value if name in known)
        and all(others is not False and fits(value[name], others) for name in value if name not in known)
    )


def accepts(data):
    return read_spec(data)[0] is not None


GOOD = [
    {},
    {"description": "The shop", "prune": False, "renamed_from": "store", "depends_on": ["db", "cache"]},
    {"icon": {"type": "url", "value": "https://host/a.png"}},
    {"icon": {"type": "base64", "value": "aGk=", "mime_type": "image/png"}},
    {"source": {"package": "Shop", "extras": ["redis"], "index_url": "https://host/simple"}},
    {"source": {"type": "git", "url": "git@host:a.git", "ref": "main", "subdirectory": "web"}},
    {"source": {"type": "release", "url": "https://host/a.whl", "sha256": SHA}},
    {"run": {"command": ["gunicorn", "-w", 4]}},
    {"run": {"processes": {"web": "a b", "worker": ["c"]}, "reload_signal": "SIGHUP"}},
    {"run": {"app": "shop.web:app"}, "upgrade": {"strategy": "hot_reload"}},
    {"env": {"A": "x", "B": 1, "C": True, "D": [1, {"a": None}], "E": {"x": 1.5}}},
    {"health": {}},
    {
        "health": {
            "type": "http",
            "port": 1,
            "path": "/",
            "interval": 500,
            "timeout": "1.5s",
            "grace": 0,
            "threshold": 9,
        }
    },
    {"health": {"type": "tcp", "port": 65535}},
    {"health": {"type": "custom", "check": "m:f"}},
    {"health": {"type": "custom", "command": "a b"}},
    {"expose": {"port": 80, "host": "shop.example.com"}, "upgrade": {"strategy": "blue_green"}},
    {"limits": {"memory": "512MB", "cpus": 0.5}, "isolation": "process"},
    {"run": {"app": "shop.web:app"}, "isolation": "embedded"},
    {"limits": {"memory": 1024}},
    {"placement": {"nodes": "all", "labels": {"role": "web", "n": 2}, "replicas": 3, "failover": False}},
    {"placement": {"nodes": ["web-1"]}},
    {"hooks": {"pre_deploy": "a", "post_deploy": ["b"]}},
    {"suspend": True},
    {"suspend": {"until": "2030-01-31T10:00:00Z", "reason": "x"}},
]
BAD = [
    {"nmae": "x"},
    {"name": "../web"},
    {"version": 1.1},
    {"version": "latest"},
    {"depends_on": "db"},
    {"depends_on": ["a", "a"]},
    {"icon": {"type": "url"}},
    {"icon": {"value": "x"}},
    {"source": {"url": "https://host/x"}},
    {"source": {"type": "git"}},
    {"source": {"type": "release", "url": "https://host/a.whl"}},
    {"source": {"type": "git", "url": "https://host/x", "sha256": SHA}},
    {"source": {"type": "release", "url": "https://host/a.whl", "sha256": "ab"}},
    {"run": {"command": "a", "app": "m:f"}},
    {"run": {"processes": {}}},
    {"run": {"command": []}},
    {"run": {"reload_signal": "KILL"}},
    {"env": {"CELERIAC_X": "a"}},
    {"env": {"a-b": "a"}},
    {"env": {"A": None}},
    {"env": ["A=b"]},
    {"health": {"port": 70000}},
    {"health": {"prot": 1}},
    {"health": {"type": "tcp", "path": "/"}},
    {"health": {"type": "custom"}},
    {"health": {"type": "custom", "check": "m:f", "command": "a"}},
    {"health": {"interval": "soon"}},
    {"health": {"interval": 0}},
    {"health": None},
    {"upgrade": {"strategy": "hot_reload"}},
    {"upgrade": {"strategy": "hot_reload"}, "run": {"command": "a"}},
    {"isolation": "embedded"},
    {"isolation": "embedded", "run": {"command": "a"}},
    {"isolation": "embedded", "run": {"processes": {"web": "a"}}},
    {"isolation": "embedded", "run": {"app": "shop.web:app", "reload_signal": "HUP"}},
    {"isolation": "embedded", "run": {"app": "shop.web:app"}, "limits": {"cpus": 1}},
    {"upgrade": {"strategy": "x"}},
    {"expose": {}},
    {"expose": {"port": 80, "host": "a b"}},
    {"limits": {"memory": "big"}},
    {"limits": {"cpus": 0}},
    {"placement": {"replicas": 0}},
    {"suspend": "yes"},
    {"suspend": {"rason": "x"}},
    {"prune": "no"},
    {"isolation": "vm"},
]


@pytest.mark.parametrize("more", GOOD, ids=json.dumps)
def test_what_the_loader_takes_the_schema_describes(more):
    data = {**LEAST, **more}
    assert accepts(data)
    assert fits(data, SCHEMA)


@pytest.mark.parametrize("more", BAD, ids=json.dumps)
def test_what_the_loader_refuses_an_editor_shows(more):
    data = {**LEAST, **more}
    assert not accepts(data)
    assert not fits(data, SCHEMA)


VALUES = st.sampled_from(
    [
        None,
        True,
        False,
        0,
        1,
        8080,
        1.5,
        "",
        "a",
        "all",
        "http",
        "git",
        "custom",
        "30s",
        "m:f",
        "/x",
        [],
        ["a"],
        {},
        {"A": "b"},
        {"type": "tcp", "port": 1},
        {"command": "a"},
        {"port": 80},
        {"until": "2030-01-01"},
        "1.0",
        {"type": "git", "url": "/x"},
        [{"allow": "0 22 * * 1-5", "for": "8h"}],
        [{"deny": "0 22 * * *", "for": "8h", "timezone": "UTC"}] * 2,
        [{"allow": "0 22 * * *", "deny": "0 22 * * *", "for": "8h"}],
    ]
)


def schemas(schema):
    """`schema` and every one inside it."""
    yield schema
    inner = [schema.get(key) for key in ("items", "additionalProperties", "propertyNames", "not", "if", "then")]
    inner += [one for key in ("allOf", "anyOf", "oneOf") for one in schema.get(key, ())]
    for one in [*inner, *schema.get("properties", {}).values()]:
        if isinstance(one, dict):
            yield from schemas(one)


def test_every_keyword_is_one_that_is_checked_here():
    assert {keyword for one in schemas(SCHEMA) for keyword in one} <= KEYWORDS


@settings(max_examples=300, deadline=None)
@given(more=st.dictionaries(st.sampled_from(sorted(SCHEMA["properties"])), VALUES, max_size=4))
def test_whatever_the_loader_takes_is_described(more):
    data = {**LEAST, **more}
    if accepts(data):
        assert fits(data, SCHEMA)


@settings(max_examples=300, deadline=None)
@given(
    text=st.from_regex(
        r"v?(\d!)?\d{1,2}(\.\d{1,2}){0,2}([-_.]?(a|rc|beta|post|dev|r|c|x)[-_.]?\d?){0,2}(\+[a-z0-9.]{1,4})?"
    )
)
def test_versions_are_described_as_packaging_reads_them(text):
    try:
        Version(text.strip())
    except InvalidVersion:
        valid = False
    else:
        valid = True
    if text.isascii():
        assert fits(text.strip(), SCHEMA["properties"]["version"]) == valid


def test_it_is_a_schema_that_json_can_hold_with_a_description_and_default_where_one_exists():
    text = json.loads(json.dumps(SCHEMA))
    assert text["$schema"] == "https://json-schema.org/draft/2020-12/schema"
    assert text["additionalProperties"] is False
    assert text["required"] == ["name", "version"]
    assert text["properties"]["health"]["properties"]["port"] == {
        "description": "the port that is asked; where the app is exposed, its public one by default",
        "default": 8080,
        "type": "integer",
        "minimum": 1,
        "maximum": 65535,
    }


def test_every_field_at_every_level_has_a_description():
    pending = [SCHEMA]
    while pending:
        for field in pending.pop().get("properties", {}).values():
            if "description" in field:
                pending.append(field)
            else:
                raise AssertionError(field)


def test_each_call_gives_a_schema_of_its_own():
    json_schema()["properties"].clear()
    assert json_schema() == SCHEMA
