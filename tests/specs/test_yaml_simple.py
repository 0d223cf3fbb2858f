"""The fast reader of plain YAML: it reads what specs look like, and steps aside for all else."""

import pytest

from specs.yaml_format import read_full
from specs.yaml_simple import read

ENV = frozenset({"env"})
SPEC = """\
---
# The shop.
name: web
version: "1.10.0"  # quoted
description: The shop's front page
source:
  type: pypi
  extras: [redis, "sentry"]
run:
  command: gunicorn shop.wsgi --bind 127.0.0.1:$PORT

env:
  DEBUG: True
  URL: 'postgres://db/shop'
depends_on:
- db
- cache
placement:
  labels: {role: web, zone: 2}
health:
  port: 8080
"""


def test_a_usual_spec_is_read_and_placed_as_by_the_full_reader():
    simple = read(SPEC, ENV)
    full = read_full(SPEC, ENV)
    assert simple is not None
    assert simple[0] == full.data
    assert simple[1] == full.locate()
    assert simple[0]["env"]["DEBUG"] == "True"
    assert simple[0]["placement"]["labels"] == {"role": "web", "zone": 2}


@pytest.mark.parametrize(
    "text",
    [
        "",
        "- a",
        "word",
        "a: 1\na: 2",
        "a:\n\tb: 1",
        "a: |\n  text",
        "a: &x 1",
        "a: *x",
        "a: !t x",
        "a: b: c",
        "a: one\n  two",
        "a: 'it''s'",
        'a: "tab\\t"',
        "a:\n  - b: 1",
        "a:\n    b: 1\n  c: 2",
        "  a: 1\nb: 2",
        "env: {A: True}",
        "a: {b: 1, b: 2}",
        "? a",
        "<<: {a: 1}",
        "a: 1\n---\nb: 2",
        "a: \x85",
        "a: [b, [c]]",
        "a: @x",
    ],
)
def test_what_is_unusual_is_left_to_the_full_reader(text):
    assert read(text, ENV) is None
