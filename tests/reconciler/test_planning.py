"""The plan: what changes, what is held and why, in which order; and that it always arrives."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import given, settings
from hypothesis import strategies as st

from celeriac.windows import parse_windows
from reconciler.plan import Change, Held, Plan
from reconciler.planning import plan
from reconciler.policy import EVERYTHING, Policy
from specs.appstate import AppState
from specs.desired import DesiredApp
from specs.model import Placement, Suspend
from specs.problem import Problem
from state.holds import Hold, Suspension
from state.outcomes import Outcome
from state.upgrades import Upgrade

NODE = "local"


def app(name: str, digest: str = "r1-e1-d1", needs: tuple[str, ...] = (), **more: object) -> DesiredApp:
    known = DesiredApp(name, name, f"apps/{name}/app.yaml", "", version="1.0.0", digest=digest, depends_on=needs)
    return replace(known, **more)


def running(name: str, digest: str = "r1-e1-d1", needs: tuple[str, ...] = (), **more: object) -> AppState:
    state = AppState(name, "1.0.0", digest=digest, status="running", health="healthy", node=NODE, depends_on=needs)
    return replace(state, **more)


def planned(apps: list[DesiredApp], states: list[AppState], policy: Policy | None = None) -> Plan:
    return plan({a.name: a for a in apps}, {s.name: {NODE: s} for s in states}, policy)


def actions(made: Plan) -> list[tuple[str, str]]:
    return [(change.action, change.app) for change in made.changes]


def only_held(made: Plan) -> Held:
    assert not made.changes
    assert len(made.held) == 1
    return made.held[0]


def test_what_is_absent_is_deployed_after_what_it_needs() -> None:
    made = planned([app("web", needs=("db",)), app("db")], [])
    assert actions(made) == [("deploy", "db"), ("deploy", "web")]
    assert made.changes[1].needs == ("db@local",)


def test_the_part_of_the_digest_that_differs_says_what_it_costs() -> None:
    wanted = [app("a", "r2-e1-d1"), app("b", "r1-e2-d1"), app("c", "r1-e1-d2"), app("d")]
    made = planned(wanted, [running("a"), running("b"), running("c"), running("d")])
    assert actions(made) == [("upgrade", "a"), ("reconfigure", "b"), ("record", "c")]


def test_what_is_down_though_desired_is_repaired() -> None:
    made = planned([app("a"), app("b")], [running("a", status="failed"), running("b", health="unhealthy")])
    assert actions(made) == [("repair", "a"), ("repair", "b")]


def test_what_is_gone_from_git_is_removed_after_what_needs_it() -> None:
    states = [running("db"), running("web", needs=("db",)), running("stays")]
    made = planned([app("stays")], states)
    assert actions(made) == [("remove", "web"), ("remove", "db")]


def test_a_removal_waits_for_the_upgrade_that_ends_the_need() -> None:
    made = planned([app("web", "r2-e1-d1")], [running("db"), running("web", needs=("db",))])
    assert actions(made) == [("upgrade", "web"), ("remove", "db")]
    assert made.changes[1].needs == ("web@local",)


def test_apps_that_were_recorded_as_needing_each_other_are_all_removed() -> None:
    states = [running("a", needs=("b",)), running("b", needs=("a",)), running("stays")]
    made = planned([app("stays")], states)
    assert sorted(actions(made)) == [("remove", "a"), ("remove", "b")]


def test_an_invalid_app_is_left_as_it_runs_and_keeps_what_it_needs() -> None:
    broken = app("web", problems=(Problem("apps/web/app.yaml", "is empty"),))
    made = planned([broken], [running("web", needs=("db",)), running("db")])
    assert not made.changes
    assert {held.app: held.reason for held in made.held} == {"web": "Invalid", "db": "StillNeeded"}


def test_what_needs_an_app_in_back_off_is_blocked_transitively() -> None:
    failed = Outcome("db", NODE, "deploy", "failed", digest="r1-e1-d1", not_before=100.0, message="no such version")
    apps = [app("db"), app("api", needs=("db",)), app("web", needs=("api",)), app("other")]
    made = planned(apps, [], Policy(now=50.0, outcomes={("db", NODE): failed}))
    assert actions(made) == [("deploy", "other")]
    reasons = {held.app: (held.reason, held.by) for held in made.held}
    assert reasons == {
        "db": ("BackOff", ""),
        "api": ("DependencyNotReady", "db"),
        "web": ("DependencyNotReady", "api"),
    }


def test_back_off_ends_by_time_by_force_and_by_a_changed_spec() -> None:
    failed = Outcome("a", NODE, "deploy", "failed", digest="r1-e1-d1", not_before=100.0)
    policy = Policy(now=50.0, outcomes={("a", NODE): failed})
    assert only_held(planned([app("a")], [], policy)).until == 100.0
    assert actions(planned([app("a")], [], replace(policy, now=100.0))) == [("deploy", "a")]
    assert actions(planned([app("a")], [], replace(policy, force=True))) == [("deploy", "a")]
    assert actions(planned([app("a", "r1-e1-d2")], [], policy)) == [("deploy", "a")]


def test_what_ran_before_is_restored_while_the_rolled_back_one_waits() -> None:
    back = Outcome("a", NODE, "upgrade", "rolled_back", digest="r2-e1-d1", not_before=100.0)
    policy = Policy(now=50.0, outcomes={("a", NODE): back})
    wanted = [app("a", "r2-e1-d1")]
    assert only_held(planned(wanted, [running("a")], policy)).reason == "RolledBack"
    made = planned(wanted, [running("a", status="stopped")], policy)
    assert [(change.action, change.digest) for change in made.changes] == [("repair", "r1-e1-d1")]


def test_a_hold_lasts_until_the_spec_changes() -> None:
    policy = Policy(holds={"a": Hold("a", "r2-e1-d1", "1.0.0", reason="rolled back by hand")})
    assert only_held(planned([app("a", "r2-e1-d1")], [running("a")], policy)).reason == "HeldByHand"
    assert actions(planned([app("a", "r3-e1-d1")], [running("a")], policy)) == [("upgrade", "a")]
    # Gone from Git is such a change, and within the budget of removals; what never was in Git is kept.
    assert actions(planned([], [running("a")], policy)) == [("remove", "a")]
    every = planned([], [running("a"), running("b")], policy)
    assert {held.reason for held in every.held} == {"RemovalBudget"}
    assert not every.changes
    by_hand = Policy(holds={"a": Hold("a", "", "1.0.0", reason="deployed by hand")})
    assert only_held(planned([], [running("a")], by_hand)).reason == "HeldByHand"


def test_suspension_by_spec_by_hand_or_of_everything_leaves_the_app_until_it_ends() -> None:
    wanted, states = [app("a", "r2-e1-d1")], [running("a")]
    spec = [replace(wanted[0], suspend=Suspend("1970-01-01T00:01:40+00:00", "audit"))]
    held = only_held(planned(spec, states, Policy(now=50.0)))
    assert (held.reason, held.message, held.pending, held.until) == ("Suspended", "audit", "upgrade", 100.0)
    assert planned(spec, states, Policy(now=100.0)).changes
    for name in ("a", EVERYTHING):
        policy = Policy(now=50.0, suspensions={name: Suspension(until=100.0)})
        held = only_held(planned(wanted, states, policy))
        assert (held.reason, held.until) == ("Suspended", 100.0)
        other = EVERYTHING if name == "a" else "a"
        longer = replace(policy, suspensions={**policy.suspensions, other: Suspension(until=200.0)})
        assert only_held(planned(wanted, states, longer)).until == 200.0
        assert only_held(planned(spec, states, replace(policy, suspensions={"*": Suspension()}))).until == 0.0
        assert planned(wanted, states, replace(policy, now=101.0)).changes


def test_more_removals_than_the_budget_wait_for_their_revision_to_be_allowed() -> None:
    states = [running(f"a{n}") for n in range(10)]
    keep = [app(f"a{n}") for n in range(6)]
    made = planned(keep, states, Policy(revision="abcdef123456"))
    assert not made.changes
    assert {held.reason for held in made.held} == {"RemovalBudget"}
    assert len(planned(keep, states, Policy(revision="abcdef123456", removals_allowed="abcdef1")).changes) == 4
    assert len(planned(keep, states, Policy(revision="abcdef123456", removals_allowed="fedcba9")).changes) == 0
    assert len(planned(keep, states, Policy(max_removals=4)).changes) == 4
    assert len(planned([app("a0"), *keep[1:], app("a6")], states).changes) == 3


def test_every_app_is_never_removed_at_once() -> None:
    assert not planned([], [running("a"), running("b")]).changes
    assert actions(planned([], [running("a")])) == [("remove", "a")]
    assert only_held(planned([], [running("a")], Policy(apps_dir_found=False))).reason == "AppsFolderMissing"


def test_prune_off_is_only_reported() -> None:
    made = planned([app("b")], [running("a"), running("b")], Policy(never_prune=frozenset({"a"})))
    assert only_held(made).reason == "PruneOff"


def test_a_renamed_app_is_adopted_and_its_old_name_not_removed() -> None:
    made = planned([app("shop", renamed_from="store")], [running("store")])
    assert actions(made) == [("adopt", "shop")]


def test_an_old_name_runs_on_while_its_new_one_waits_or_is_invalid() -> None:
    failed = Outcome("shop", NODE, "adopt", "failed", digest="r1-e1-d1", not_before=100.0)
    shop = app("shop", renamed_from="store")
    for wanted, policy in (
        (shop, Policy(now=50.0, outcomes={("shop", NODE): failed})),
        (shop, Policy(suspensions={"shop": Suspension()})),
        (replace(shop, problems=(Problem(shop.path, "depends_on: there is no app `db`"),)), Policy()),
    ):
        made = planned([wanted], [running("store"), running("other")], policy)
        assert not [change for change in made.changes if change.app == "store"]
        assert [(held.reason, held.by) for held in made.held if held.app == "store"] == [("Renamed", "shop")]


def test_an_adoption_that_was_cut_off_goes_on_and_the_old_name_goes_when_the_new_one_is_up() -> None:
    shop = app("shop", renamed_from="store")
    half = [running("shop", status="stopped", health="unknown"), running("store", status="stopped", health="unknown")]
    assert actions(planned([shop], half)) == [("adopt", "shop")]
    assert actions(planned([shop], [running("shop"), running("store")])) == [("remove", "store")]


def test_nothing_is_done_on_a_node_that_was_not_observed() -> None:
    policy = Policy(observed=frozenset())
    assert only_held(planned([app("a")], [], policy)).reason == "NotObserved"
    assert only_held(planned([app("a")], [], Policy(nodes={}))).reason == "NoNode"


def test_one_app_alone_comes_with_what_it_needs() -> None:
    made = planned([app("web", needs=("db",)), app("db"), app("other")], [], Policy(only="web"))
    assert actions(made) == [("deploy", "db"), ("deploy", "web")]


# -- properties

DIGESTS = st.builds(lambda r, e, d: f"r{r}-e{e}-d{d}", *[st.integers(1, 2)] * 3)


@st.composite
def worlds(draw: st.DrawFn) -> tuple[dict[str, DesiredApp], dict[str, dict[str, AppState]]]:
    names = [f"app{n}" for n in range(draw(st.integers(0, 8)))]
    desired, live = {}, {}
    for position, name in enumerate(names):
        earlier = st.lists(st.sampled_from(names[:position]), max_size=2, unique=True) if position else st.just([])
        if draw(st.booleans()):
            needs = tuple(need for need in draw(earlier) if need in desired)
            desired[name] = app(name, draw(DIGESTS), needs)
        if draw(st.booleans()):
            recorded = tuple(draw(st.lists(st.sampled_from(names), max_size=2, unique=True)))
            status = draw(st.sampled_from(["running", "stopped", "failed"]))
            health = draw(st.sampled_from(["healthy", "unhealthy"]))
            live[name] = {NODE: running(name, draw(DIGESTS), recorded, status=status, health=health)}
    return desired, live


GENEROUS = Policy(max_removals=100, revision="abc", removals_allowed="abc")


def carried_out(
    made: Plan, desired: dict[str, DesiredApp], live: dict[str, dict[str, AppState]]
) -> dict[str, dict[str, AppState]]:
    after = dict(live)
    for change in made.changes:
        if change.action == "remove":
            del after[change.app]
        else:
            wanted = desired[change.app]
            after[change.app] = {NODE: running(change.app, change.digest, wanted.depends_on)}
    return after


@settings(deadline=None, max_examples=300)
@given(worlds())
def test_carrying_out_a_plan_reaches_the_desired_state_and_leaves_nothing_to_do(
    world: tuple[dict[str, DesiredApp], dict[str, dict[str, AppState]]],
) -> None:
    desired, live = world
    made = plan(desired, live, GENEROUS)
    assert not made.held
    after = carried_out(made, desired, live)
    assert {name: states[NODE].digest for name, states in after.items()} == {a.name: a.digest for a in desired.values()}
    again = plan(desired, after, GENEROUS)
    assert again.empty
    assert not again.held


@settings(deadline=None, max_examples=300)
@given(worlds())
def test_the_order_respects_needs_and_is_the_same_each_time(
    world: tuple[dict[str, DesiredApp], dict[str, dict[str, AppState]]],
) -> None:
    desired, live = world
    made = plan(desired, live, GENEROUS)
    assert plan(dict(reversed(desired.items())), dict(reversed(live.items())), GENEROUS) == made
    assert plan(desired, live, GENEROUS).id == made.id
    done: set[str] = set()
    for change in made.changes:
        assert set(change.needs) <= done
        done.add(change.key)
    first = {change.app: position for position, change in enumerate(made.changes)}
    for change in made.changes:
        if change.action in {"remove", "record"}:
            continue
        for need in desired[change.app].depends_on:
            if need in first and _brings(made.changes[first[need]]):
                assert first[need] < first[change.app]


def _brings(change: Change) -> bool:
    return change.action not in {"remove", "record"}


def test_an_app_moves_from_a_node_that_is_lost_unless_its_spec_says_not_to() -> None:
    policy = Policy(nodes={"other": {}})
    lost = running("a")
    assert actions(planned([app("a")], [lost], policy)) == [("deploy", "a")]
    stays = app("a", placement=Placement(failover=False))
    held = only_held(planned([stays], [lost], policy))
    assert (held.reason, held.node) == ("NodeDown", NODE)
    two = app("a", placement=Placement(failover=False, replicas=2))
    made = planned([two], [lost], policy)
    assert [(change.action, change.node) for change in made.changes] == [("deploy", "other")]
    assert actions(planned([stays], [lost], Policy(nodes={NODE: {}, "other": {}}))) == []


CLOSED = parse_windows("allow 0 22 * * * for 1h")
NOON = 1_800_000_000.0 - 1_800_000_000.0 % 86400 + 43200
OPENS = NOON + 36000


def test_a_closed_sync_window_holds_changes_back_and_says_until_when() -> None:
    wanted = [app("new"), app("up", "r2-e1-d1"), app("env", "r1-e2-d1")]
    states = [running("up"), running("env"), running("gone")]
    for policy, apps in (
        (Policy(now=NOON, windows=CLOSED), wanted),
        (Policy(now=NOON, last_windows={"gone": CLOSED}), [replace(a, windows=CLOSED) for a in wanted]),
    ):
        made = planned(apps, states, policy)
        assert not made.changes
        assert {(held.app, held.pending, held.reason, held.until) for held in made.held} == {
            ("new", "deploy", "SyncWindow", OPENS),
            ("up", "upgrade", "SyncWindow", OPENS),
            ("env", "reconfigure", "SyncWindow", OPENS),
            ("gone", "remove", "SyncWindow", OPENS),
        }
        assert "until 2027-01-15T22:00:00Z" in made.held[0].message
        assert len(planned(apps, states, replace(policy, now=OPENS)).changes) == 4
        assert len(planned(apps, states, replace(policy, force=True)).changes) == 4


def test_an_apps_own_window_holds_back_that_app_alone() -> None:
    made = planned([app("a", "r2-e1-d1", windows=CLOSED), app("b", "r2-e1-d1")], [running("a"), running("b")])
    assert actions(made) == [("upgrade", "b")]


def test_what_heals_goes_on_while_a_sync_window_is_closed() -> None:
    policy = Policy(now=NOON, windows=CLOSED)
    made = planned([app("a"), app("b", "r1-e1-d2")], [running("a", status="stopped"), running("b")], policy)
    assert sorted(actions(made)) == [("record", "b"), ("repair", "a")]
    # What ran before is restored, and what Git wants instead waits.
    made = planned([app("a", "r2-e1-d1")], [running("a", status="stopped")], policy)
    assert [(change.action, change.digest) for change in made.changes] == [("repair", "r1-e1-d1")]
    # A crash loop soon after an upgrade, and a node that was lost.
    upgrade = Upgrade("a", NODE, NOON - 10, "r2-e1-d1", "2.0.0", "r1-e1-d1", "1.0.0")
    failed = running("a", "r2-e1-d1", status="failed")
    made = planned([app("a", "r2-e1-d1")], [failed], replace(policy, upgrades={("a", NODE): upgrade}))
    assert [(change.action, change.digest) for change in made.changes] == [("rollback", "r1-e1-d1")]
    moved = plan({"a": app("a")}, {"a": {"lost": running("a")}}, replace(policy, nodes={NODE: {}}))
    assert actions(moved) == [("deploy", "a")]


def test_an_adoption_that_was_cut_off_goes_on_while_a_sync_window_is_closed() -> None:
    policy = Policy(now=NOON, windows=CLOSED)
    shop = app("shop", renamed_from="store")
    assert {held.reason for held in planned([shop], [running("store")], policy).held} == {"SyncWindow", "Renamed"}
    assert actions(planned([shop], [running("store", status="stopped")], policy)) == [("adopt", "shop")]
