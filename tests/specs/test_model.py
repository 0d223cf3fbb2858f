"""What the values of a spec say of themselves."""

from __future__ import annotations

import dataclasses

import pytest

from specs import model
from specs.model import AppSpec, Hooks, Run


@pytest.mark.parametrize(
    ("run", "names"),
    [
        (Run(), ("main",)),
        (Run({"main": ("a",)}), ("main",)),
        (Run({"web": ("a",), "worker": ("b",)}), ("web", "worker")),
        (Run({"worker": ("b",)}, app="shop:app"), ("worker", "main")),
        (Run({"main": ("b",)}, app="shop:app"), ("main",)),
        (Run(app="shop:app"), ("main",)),
    ],
)
def test_an_app_has_the_processes_that_are_named_and_main_where_nothing_else_would_run(
    run: Run, names: tuple[str, ...]
) -> None:
    assert run.names == names


def test_a_hook_without_a_command_is_none() -> None:
    assert Hooks().names == ()
    assert Hooks(post_deploy=("a",)).names == ("post_deploy",)
    assert Hooks(pre_deploy=("a",), post_deploy=("b",)).names == ("pre_deploy", "post_deploy")


@pytest.mark.parametrize(
    "kind", [kind for kind in vars(model).values() if dataclasses.is_dataclass(kind)], ids=lambda kind: kind.__name__
)
def test_no_value_can_be_changed_nor_be_given_what_it_does_not_have(kind: type) -> None:
    assert kind.__dataclass_params__.frozen  # type: ignore[attr-defined]
    assert "__dict__" not in dir(kind)


def test_two_specs_share_no_default_that_could_be_changed() -> None:
    one, two = AppSpec("web", "1"), AppSpec("web", "1")
    assert one == two
    for name in ("env", "run", "placement"):
        assert getattr(one, name) is not getattr(two, name)
