"""The sections `placement`, `expose` and `upgrade`."""

import pytest
from marshmallow import ValidationError

from specs.document import WrittenFloat
from specs.model import Expose, Placement
from specs.placement_schema import ExposeSection, PlacementSection, UpgradeSection


def refusal(section, **fields):
    with pytest.raises(ValidationError) as caught:
        section().load(fields)
    return caught.value.messages


def test_placement_is_everywhere_by_default():
    assert PlacementSection().load({}) == PlacementSection().load({"nodes": "all"}) == Placement()


def test_labels_are_text_as_written():
    assert PlacementSection().load({"labels": {"v": WrittenFloat("1.10"), "n": 2, "a/b": "c"}}).labels == {
        "v": "1.10",
        "n": "2",
        "a/b": "c",
    }


def test_bad_placements_are_refused_with_their_place():
    found = refusal(
        PlacementSection,
        nodes=["ok", "a b"],
        labels={"a": "x,y", "b": True, "=": "x", "c": " x"},
        replicas=0,
        failover="no",
    )
    assert set(found) == {"nodes", "labels", "replicas", "failover"}
    assert set(found["nodes"]) == {1}
    assert set(found["labels"]) == {"a", "b", "=", "c"}


def test_a_host_is_a_host_name():
    assert ExposeSection().load({"port": 80, "host": "a-b.example.com"}) == Expose(80, "a-b.example.com")
    for host in ("", "-a", "a..b", "a b", "http://a", "a:80", "a" * 64):
        assert set(refusal(ExposeSection, port=80, host=host)) == {"host"}


def test_strategies_are_known_words():
    assert refusal(UpgradeSection, strategy="hot-reload") == {
        "strategy": ["must be restart, blue_green or hot_reload. Did you mean `hot_reload`?"]
    }
