"""What a hot reload does and does not do to an app: each case of the table in docs/hot-reload.md, in a real host."""

from __future__ import annotations

from pathlib import Path

import pytest
from hosting import Case, EventStream, Hosts, WebSocket, shop
from waiting import wait_for

from runtimes.host_client import HostRefused

VERSION = "def look(): return '{}'\n"


def test_whoever_imports_a_changed_module_is_reloaded_with_it(case: Case) -> None:
    look = "from case.price import price\nfrom case import tax\ndef look(): return [price(), tax.RATE]\n"
    tax = "RATE = 1\n"
    host = case.start({"look": look, "tax": tax, "price": "def price(): return 10\n"})
    done = case.upgrade(host, {"look": look, "tax": tax, "price": "def price(): return 20\n"})
    assert done["changed"] == ["case.price"]
    assert done["loaded"] == ["case.price", "case.look", "case.web"]
    assert host.get() == [20, 1]


def test_a_module_that_nothing_of_the_change_concerns_keeps_its_state(case: Case) -> None:
    look = "from case import state\ndef look():\n    state.hits += 1\n    return [state.hits, {}]\n"
    host = case.start({"look": look.format(1), "state": "hits = 40\n"})
    assert host.get()[1] == 1
    before = host.get()[0]
    assert case.upgrade(host, {"look": look.format(2), "state": "hits = 40\n"})["loaded"] == ["case.look", "case.web"]
    assert host.get() == [before + 1, 2]


def test_a_changed_module_begins_anew_and_finds_its_predecessor(case: Case) -> None:
    old = "hits = 0\ncarried = 0\ndef look():\n    global hits\n    hits += 1\n"
    old += "    return [hits, carried, '__previous__' in globals()]\n"
    new = old + (
        "def code_change(old_version, new_version):\n    global carried\n    carried = __previous__.hits\n"
        "then = __previous__.hits\n"
    )
    host = case.start({"look": old})
    before = host.get()[0]
    case.upgrade(host, {"look": new})
    assert host.get() == [1, before, False]


def test_the_predecessor_is_let_go(case: Case) -> None:
    look = "import gc, types\nBIG = {}\ndef look():\n    gc.collect()\n    return sum(1 for o in gc.get_objects() if "
    look += "isinstance(o, types.ModuleType) and o.__name__ == 'case.look')\n"
    host = case.start({"look": look.format(1)})
    for version in range(2, 5):
        case.upgrade(host, {"look": look.format(version)}, f"{version}.0")
    assert host.get() == 1


def test_every_reloaded_module_is_told_and_the_others_are_not(case: Case) -> None:
    hook = "from case import state\ndef code_change(old, new):\n    state.told.append([__name__, old, new])\n"
    look = hook + "from case.price import price\ndef look(): return state.told\n"
    price, other = hook + "def price(): return {}\n", hook
    state = "told = []\n"
    look_before = look + "import case.other\n"
    host = case.start({"look": look_before, "price": price.format(1), "other": other, "state": state})
    case.upgrade(host, {"look": look_before, "price": price.format(2), "other": other, "state": state})
    assert host.get() == [["case.price", "1.0", "2.0"], ["case.look", "1.0", "2.0"]]


def test_a_hook_may_be_async(case: Case) -> None:
    look = "import asyncio\ntold = []\nasync def code_change(old, new):\n    await asyncio.sleep(0)\n"
    look += "    told.append(new)\n"
    host = case.start({"look": look + "def look(): return told\n"})
    case.upgrade(host, {"look": look + "def look(): return [*told]\n"})
    assert host.get() == ["2.0"]


def test_a_module_that_is_gone_is_purged(case: Case) -> None:
    loaded = "import sys\ndef loaded(): return 'case.old' in sys.modules\n"
    host = case.start(
        {"look": loaded + "from case import old\ndef look(): return [loaded(), old.X]\n", "old": "X = 1\n"}
    )
    assert host.get() == [True, 1]
    done = case.upgrade(host, {"look": loaded + "import case\ndef look(): return [loaded(), hasattr(case, 'old')]\n"})
    assert done["purged"] == ["case.old"]
    assert host.get() == [False, False]


def test_a_module_that_is_new_is_imported(case: Case) -> None:
    host = case.start({"look": VERSION.format(1)})
    case.upgrade(host, {"look": "from case import fresh\ndef look(): return fresh.X\n", "fresh": "X = 'new'\n"})
    assert host.get() == "new"


def test_a_module_may_become_a_package(case: Case) -> None:
    look = "from case import thing\ndef look(): return thing.X\n"
    host = case.start({"look": look, "thing": "X = 1\n"})
    case.upgrade(
        host, {"look": look, "thing/__init__.py": "from case.thing.inner import X\n", "thing/inner.py": "X = 2\n"}
    )
    assert host.get() == 2


def test_a_package_that_is_reloaded_still_leads_to_modules_that_are_not(case: Case) -> None:
    look = "import case.state\nimport case.sub.deep\ndef look(): return [case.state.X, case.sub.deep.Y, case.V]\n"
    rest = {"state": "X = []\n", "sub/__init__.py": "", "sub/deep.py": "Y = 5\n"}
    host = case.start({"look": look, "__init__": "V = 1\n", **rest})
    done = case.upgrade(host, {"look": look, "__init__": "V = 2\n", **rest})
    assert done["loaded"] == ["case", "case.look", "case.web"]
    assert host.get() == [[], 5, 2]


def test_an_import_inside_a_function_finds_the_new_module_without_a_reload(case: Case) -> None:
    look = "state = [0]\ndef look():\n    from case import late\n    state[0] += 1\n    return [late.X, state[0]]\n"
    host = case.start({"look": look, "late": "X = 1\n"})
    before = host.get()[1]
    assert case.upgrade(host, {"look": look, "late": "X = 2\n"})["loaded"] == ["case.late"]
    assert host.get() == [2, before + 1]


def test_an_import_for_type_checkers_alone_is_none(case: Case) -> None:
    held = "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from case import late\nkept = []\n"
    view = "from case import held, late\ndef look():\n    held.kept.append(late.X)\n    return held.kept\n"
    host = case.start({"look": view, "held": held, "late": "X = 1\n"})
    seen = host.get()
    case.upgrade(host, {"look": view, "held": held, "late": "X = 2\n"})
    assert host.get() == [*seen, 2]


def test_a_module_got_by_other_means_counts_as_imported(case: Case) -> None:
    look = "import importlib\nname = 'case.' + 'late'\nlate = importlib.import_module(name)\n"
    look += "def look(): return late.X\n"
    host = case.start({"look": look, "late": "X = 1\n"})
    assert case.upgrade(host, {"look": look, "late": "X = 2\n"})["loaded"] == ["case.late", "case.look", "case.web"]
    assert host.get() == 2


def test_a_module_that_is_reached_by_its_name_alone_is_a_reason_not_to_reload(case: Case) -> None:
    look = "import importlib\nkept = [importlib.import_module('case.' + 'urls').view]\ndef look(): return kept[0]()\n"
    host = case.start({"look": look, "urls": "def view(): return 1\n"})
    with pytest.raises(
        HostRefused, match=r"case\.urls changed, and no import leads there from case\.web:app"
    ) as refused:
        case.upgrade(host, {"look": look, "urls": "def view(): return 2\n"})
    assert refused.value.reason == "NotReached"
    assert host.get() == 1


def test_what_an_untouched_module_keeps_in_a_container_stays_the_old_one(case: Case) -> None:
    look = "from case import registry\ndef f(): return {}\nregistry.handlers.append(f)\n"
    look += "def look(): return [f() for f in registry.handlers]\n"
    host = case.start({"look": look.format(1), "registry": "handlers = []\n"})
    case.upgrade(host, {"look": look.format(2), "registry": "handlers = []\n"})
    assert host.get() == [1, 2]


CART = """
class Cart:
    def __init__(self): self.items = ["tea"]
    def total(self): return {}
"""
KEPT = """
from case import state
from case.cart import Cart
state.cart = state.cart or Cart()
def look(): return [state.cart.total(), isinstance(state.cart, Cart), type(state.cart) is Cart]
"""


def test_a_living_instance_gets_the_new_class(case: Case) -> None:
    state = {"look": KEPT, "state": "cart = None\n"}
    host = case.start({"cart": CART.format("len(self.items)"), **state})
    assert host.get() == [1, True, True]
    done = case.upgrade(host, {"cart": CART.format("len(self.items) * 10"), **state})
    assert (done["moved"], done["left"]) == (1, 0)
    assert host.get() == [10, True, True]


def test_an_instance_lacks_what_only_the_new_init_sets_unless_code_change_sees_to_it(case: Case) -> None:
    state = {"look": KEPT, "state": "cart = None\n"}
    host = case.start({"cart": CART.format("0"), **state})
    new = CART.replace('["tea"]', '["tea"]; self.coupon = 5').format("getattr(self, 'coupon', None)")
    case.upgrade(host, {"cart": new, **state})
    assert host.get()[0] is None
    hook = "from case import state\ndef code_change(old, new):\n    state.cart.coupon = 7\n"
    case.upgrade(host, {"cart": new + hook, **state}, "3.0")
    assert host.get()[0] == 7


def test_an_instance_whose_layout_changed_keeps_its_old_class(case: Case) -> None:
    state = {"look": KEPT, "state": "cart = None\n"}
    slots = "class Cart:\n    __slots__ = {}\n    def total(self): return {}\n"
    host = case.start({"cart": slots.format('("a",)', 1), **state})
    done = case.upgrade(host, {"cart": slots.format('("a", "b")', 2), **state})
    assert (done["moved"], done["left"]) == (0, 1)
    assert host.get() == [1, False, False]


def test_an_enum_member_that_is_kept_stays_the_old_one(case: Case) -> None:
    look = "from case import state\nfrom case.color import Color\nstate.color = state.color or Color.RED\n"
    look += "def look(): return [state.color is Color.RED, state.color.value, Color.RED.value]\n"
    color = "import enum\nclass Color(enum.Enum):\n    RED = {}\n"
    host = case.start({"look": look, "state": "color = None\n", "color": color.format(1)})
    case.upgrade(host, {"look": look, "state": "color = None\n", "color": color.format(2)})
    assert host.get() == [False, 1, 2]


def test_threads_and_tasks_go_on_with_the_code_that_they_began_with(case: Case) -> None:
    state = "import collections\nthreads, tasks, begun = collections.Counter(), collections.Counter(), []\n"
    look = """
import asyncio, threading, time
from case import state

def version(): return "@V@"

def beat():
    while True:
        state.threads[version()] += 1
        time.sleep(0.005)

async def tick():
    while True:
        state.tasks[version()] += 1
        await asyncio.sleep(0.005)

def look():
    if not state.begun:
        threading.Thread(target=beat, daemon=True).start()
        state.begun.append(asyncio.get_running_loop().create_task(tick()))
    return [version(), state.threads, state.tasks]
"""
    host = case.start({"look": look.replace("@V@", "1"), "state": state})
    host.get()
    case.upgrade(host, {"look": look.replace("@V@", "2"), "state": state})
    version, threads, tasks = host.get()
    assert version == "2"
    wait_for(lambda: host.get()[1]["1"] > threads["1"] + 2 and host.get()[2]["1"] > tasks["1"] + 2)
    assert "2" not in host.get()[1]


def test_modules_that_import_each_other_are_reloaded_together(case: Case) -> None:
    look = "from case import b\nX = {}\ndef look(): return [X, b.Y, b.a.X]\n"
    other = "from case import look as a\nY = {}\n"
    host = case.start({"look": look.format(1), "b": other.format(1)})
    done = case.upgrade(host, {"look": look.format(1), "b": other.format(2)})
    assert set(done["loaded"]) == {"case.b", "case.look", "case.web"}
    assert host.get() == [1, 2, 1]
    case.upgrade(host, {"look": look.format(3), "b": other.format(2)}, "3.0")
    assert host.get() == [3, 2, 3]


def test_a_module_that_a_function_fetches_while_it_is_imported_is_the_new_one(case: Case) -> None:
    look = "def fetch():\n    from case import late\n    return late\nlate = fetch()\ndef look(): return late.X\n"
    host = case.start({"look": look, "late": "X = 1\n"})
    case.upgrade(host, {"look": look, "late": "X = 2\n"})
    assert host.get() == 2


def test_a_busy_thread_never_finds_a_module_missing(case: Case) -> None:
    state = """
import threading, time, case
import case.helper
errors = []
def beat():
    while True:
        try:
            case.helper.f()
            time.sleep(0.0002)
        except Exception as error:
            errors.append(repr(error))
threading.Thread(target=beat, daemon=True).start()
"""
    look = "import case.helper\nfrom case import thread\ndef look(): return [case.helper.f(), thread.errors]\n"
    helper = "".join(f"def g{number}(): pass\n" for number in range(500)) + "def f(): return {}\n"
    lazy = state.replace("import case.helper\n", "")  # it gets there by the package, and so is not reloaded
    host = case.start({"look": look, "thread": lazy, "helper": helper.format(0)})
    for number in range(1, 11):
        done = case.upgrade(host, {"look": look, "thread": lazy, "helper": helper.format(number)}, f"2.{number}")
        assert "case.thread" not in done["loaded"]
    assert host.get() == [10, []]


def test_files_beside_the_code_come_from_the_new_release(case: Case) -> None:
    text = "import pathlib\nPAGE = pathlib.Path(__file__).parent / 'page.txt'\nREAD = PAGE.read_text()\n"
    look = "from case import pages\ndef look(): return [pages.PAGE.read_text(), pages.READ]\n"
    host = case.start({"look": look, "pages": text, "page.txt": "old"})
    assert case.upgrade(host, {"look": look, "pages": text, "page.txt": "new"})["loaded"] == ["case.web"]
    assert host.get() == ["new", "old"]
    same = {"look": look, "pages": text, "page.txt": "new"}
    assert case.upgrade(host, same, "3.0")["loaded"] == []


def test_an_exception_in_a_module_puts_everything_back(case: Case) -> None:
    old = {
        "look": "import sys\nfrom case import state, late, gone\ndef look(): "
        "return [late.X, gone.X, state.hits, 'case.fresh' in sys.modules, 'v1']\n",
        "late": "X = 1\n", "gone": "X = 7\n", "state": "hits = 3\n", "page.txt": "old",
    }  # fmt: skip
    host = case.start(old)
    before = host.get()
    new = {
        **old,
        "late": "import case.fresh\nX = 2\n",
        "fresh": "",
        "look": "import case.late\nraise KeyError('boom')\n",
    }
    del new["gone"]
    with pytest.raises(HostRefused, match=r"KeyError: 'boom' \(look.py:2\)") as refused:
        case.upgrade(host, new)
    assert refused.value.reason == "ReloadFailed"
    assert host.get() == before
    status = host.ask("status")
    assert (status["version"], status["suspended"]) == ("1.0", False)
    assert status["release"].endswith("/1.0")
    assert (host.folder / "run" / "main.code" / "src" / "case" / "page.txt").read_text() == "old"
    new["look"] = old["look"].replace("gone", "fresh").replace("fresh.X", "0").replace("v1", "v2")
    case.upgrade(host, new, "2.1")
    assert host.get() == [2, 0, 3, True, "v2"]


def test_an_exception_in_a_hook_puts_everything_back_instances_too(case: Case) -> None:
    state = {"look": KEPT, "state": "cart = None\n"}
    host = case.start({"cart": CART.format(1), **state})
    with pytest.raises(HostRefused, match="no such table"):
        case.upgrade(
            host, {"cart": CART.format(2) + "def code_change(o, n): raise ValueError('no such table')\n", **state}
        )
    assert host.get() == [1, True, True]


def test_a_module_that_ends_the_process_does_not(case: Case) -> None:
    host = case.start({"look": VERSION.format(1)})
    with pytest.raises(HostRefused, match="SystemExit"):
        case.upgrade(host, {"look": "import sys\nsys.exit(3)\n"})
    assert host.get() == "1"


def test_a_syntax_error_is_found_before_requests_are_held(case: Case) -> None:
    host = case.start({"look": VERSION.format(1)})
    with host.client() as client, pytest.raises(HostRefused) as refused:
        client.ask("suspend", timeout=20, release=str(case._release("2.0", {"look": "def look(:\n"})))
    assert refused.value.reason == "NotPrepared"
    assert host.ask("status")["suspended"] is False


def test_a_callable_of_the_other_kind_is_refused(case: Case) -> None:
    host = case.start({"look": VERSION.format(1)})
    with pytest.raises(HostRefused) as refused:
        case.upgrade(host, {"look": VERSION.format(2), "web.py": "def app(environ, start_response): return []\n"})
    assert refused.value.reason == "OtherKind"
    assert host.get() == "1"


def test_the_new_callable_starts_up_before_it_serves_and_the_old_one_ends_after_its_last_connection(
    hosts: Hosts,
) -> None:
    host = hosts.start(hosts.release("1.0"))
    stream, socket = EventStream(host.port), WebSocket(host.port)
    assert stream.next().startswith("1.0")
    host.upgrade(hosts.release("2.0"), "2.0")
    told = host.get()
    assert told["started"] == "2.0"
    assert told["events"] == ["1.0 lifespan.startup", "2.0 lifespan.startup"]
    assert stream.next().startswith("1.0")
    assert socket.echo("still here") == "1.0 still here"
    stream.close()
    socket.close()
    wait_for(lambda: host.get()["events"][2:] == ["1.0 lifespan.shutdown"])


def test_a_startup_that_fails_leaves_the_old_callable_in_force(hosts: Hosts) -> None:
    host = hosts.start(hosts.release("1.0"))
    files = shop("2.0")
    files["shop/web.py"] = files["shop/web.py"].replace('kind + ".complete"', 'kind + ".failed", "message": "no db"')
    with pytest.raises(HostRefused, match="no db"):
        host.upgrade(hosts.release("2.0", files), "2.0")
    assert host.get()["version"] == "1.0"
    assert host.get()["started"] == "1.0"


def test_many_reloads_leave_no_descriptor_and_no_thread_behind(hosts: Hosts) -> None:
    host = hosts.start(hosts.release("1.0"))
    folder = Path(f"/proc/{host.pid}")

    def count() -> tuple[int, int]:
        return len(list((folder / "fd").iterdir())), len(list((folder / "task").iterdir()))

    host.upgrade(hosts.release("1.1"), "1.1")
    wait_for(lambda: not host.ask("status")["suspended"])
    before = count()
    for number in range(2, 32):
        host.upgrade(hosts.release(f"1.{number}"), f"1.{number}")
    assert host.get()["version"] == "1.31"
    wait_for(lambda: sum(count()) <= sum(before) + 1)
