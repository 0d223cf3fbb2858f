"""What limits come to: which mechanism, which files, and what they are told. Pure."""

from __future__ import annotations

import pytest

from runtimes.limits import (
    Group,
    GroupName,
    Place,
    Setting,
    counter,
    far_bound,
    hierarchies,
    place,
    settings,
    size_text,
    whole_cpus,
)

V1_MOUNTS = r"""
22 27 0:21 / /proc rw,relatime - proc proc rw
32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup rw,cpu,cpuacct
35 31 0:32 / /sys/fs/cgroup/memory rw,relatime - cgroup cgroup rw,memory
40 31 0:37 / /sys/fs/cgroup/systemd rw,relatime - cgroup cgroup rw,name=systemd
41 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
"""
V1_MEMBERSHIP = """9:name=systemd:/a.service
4:memory:/a.service
3:cpu,cpuacct:/
0::/a.service
"""
V2_MOUNTS = r"30 23 0:26 / /sys/fs/cg\040roup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate"
SERVICE = "/sys/fs/cgroup/system.slice/celeriac-apps.service"


def test_trees_of_v1_and_v2_are_found_with_the_group_that_we_are_in() -> None:
    found = [(one.version, one.controllers, one.own) for one in hierarchies(V1_MOUNTS, V1_MEMBERSHIP)]
    assert found == [
        (2, (), "/sys/fs/cgroup/unified/a.service"),
        (1, ("cpu", "cpuacct"), "/sys/fs/cgroup/cpu,cpuacct"),
        (1, ("memory",), "/sys/fs/cgroup/memory/a.service"),
        (1, ("name=systemd",), "/sys/fs/cgroup/systemd/a.service"),
    ]


def test_a_path_with_a_space_is_read_as_the_kernel_writes_it() -> None:
    assert hierarchies(V2_MOUNTS, "0::/x")[0].own == "/sys/fs/cg roup/x"


def test_in_a_container_the_group_is_seen_below_what_is_mounted() -> None:
    mounts = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory ro - cgroup cgroup rw,memory"
    assert hierarchies(mounts, "4:memory:/docker/abc")[0].own == "/sys/fs/cgroup/memory"
    assert hierarchies(mounts, "4:memory:/docker/abc/x")[0].own == "/sys/fs/cgroup/memory/x"


@pytest.mark.parametrize("path", ["/docker/abcd", "/", "/../x"])
def test_a_tree_that_does_not_show_our_group_does_not_count(path: str) -> None:
    mounts = "35 31 0:32 /docker/abc /sys/fs/cgroup/memory rw - cgroup cgroup rw,memory"
    assert hierarchies(mounts, f"4:memory:{path}") == []


def test_without_any_tree_there_is_none() -> None:
    assert hierarchies("22 27 0:21 / /proc rw - proc proc rw", "") == []


V2 = Group(SERVICE, 2, ("cpu", "memory", "pids"), writable=True)
V1 = Group("/sys/fs/cgroup/memory/x", 1, ("memory",), writable=True)


@pytest.mark.parametrize(
    ("groups", "memory", "cpus"),
    [
        ([V2, V1], "cgroup v2", "cgroup v2"),
        ([V2._replace(controllers=()), V1], "cgroup v1", "affinity"),
        ([V2._replace(controllers=("memory",))], "cgroup v2", "affinity"),
        ([V2._replace(writable=False)], "rlimit", "affinity"),
        ([V2._replace(delegated=False)], "rlimit", "affinity"),
        ([V1._replace(writable=False)], "rlimit", "affinity"),
        ([V1], "cgroup v1", "affinity"),
        ([], "rlimit", "affinity"),
    ],
)
def test_the_mechanism_is_chosen_by_what_is_there(groups: list[Group], memory: str, cpus: str) -> None:
    assert (place("memory", groups).mechanism, place("cpu", groups).mechanism) == (memory, cpus)


def test_why_it_is_no_control_group_is_said() -> None:
    assert place("memory", [V2._replace(delegated=False)]).why == f"{SERVICE} is not delegated"
    assert place("memory", [V2._replace(writable=False)]).why == f"{SERVICE} is not writable"
    assert place("memory", []).why == "no control group has the memory controller"
    assert place("memory", [V2]) == Place("memory", V2)


def test_what_is_written_in_v2() -> None:
    assert settings(2, memory=64_000_000, cpus=1.5) == (
        Setting("memory.max", "64000000"),
        Setting("memory.swap.max", "0", required=False),
        Setting("memory.oom.group", "1", required=False),
        Setting("cpu.max", "150000 100000"),
    )


def test_what_is_written_in_v1_where_swap_comes_after_memory() -> None:
    assert settings(1, memory=64_000_000, cpus=0.5) == (
        Setting("memory.limit_in_bytes", "64000000"),
        Setting("memory.memsw.limit_in_bytes", "64000000", required=False),
        Setting("cpu.cfs_period_us", "100000"),
        Setting("cpu.cfs_quota_us", "50000"),
    )


@pytest.mark.parametrize("version", [1, 2])
def test_only_what_is_limited_is_written(version: int) -> None:
    assert settings(version) == ()
    assert all(one.file.startswith("cpu.") for one in settings(version, cpus=1))
    assert all(one.file.startswith("memory.") for one in settings(version, memory=1))


def test_a_share_smaller_than_the_kernel_takes_is_the_smallest() -> None:
    assert settings(2, cpus=0.001) == (Setting("cpu.max", "1000 100000"),)


def test_cpus_by_affinity_are_rounded_up_and_no_more_than_there_are() -> None:
    available = [0, 1, 2, 3]
    assert len(whole_cpus(0.5, available, "web")) == 1
    assert len(whole_cpus(1.5, available, "web")) == 2
    assert whole_cpus(9, available, "web") == {0, 1, 2, 3}
    assert len({min(whole_cpus(1, available, app)) for app in ("a", "b", "c", "d")}) == 4


def test_a_group_is_named_by_home_app_process_and_instance_and_no_other_name_is_ours() -> None:
    name = GroupName("0123456789abcdef", "my-app_2", "web.1", "42-99")
    assert GroupName.parse(str(name)) == name
    assert len(str(GroupName("f" * 16, "a" * 63, "p" * 63, "4194304-" + "9" * 20))) < 255
    for other in ("celeriac-xyz-web.main.1-2", "celeriac-ab-web.main.1", "supervisor", "celeriac-ab-..main.1-2"):
        assert GroupName.parse(other) is None


def test_the_far_bound_leaves_room_for_what_is_reserved_and_not_used() -> None:
    assert far_bound(64_000_000) > 2 * 64_000_000 + 32 * 8 * 2**20


@pytest.mark.parametrize(
    ("size", "text"),
    [(64_000_000, "64MB"), (2**29, "512MiB"), (3 * 2**29, "1.5GiB"), (10**9, "1GB"), (1024, "1KiB"), (1001, "1001B")],
)
def test_a_size_reads_as_people_write_it(size: int, text: str) -> None:
    assert size_text(size) == text


def test_a_counter_is_read_by_its_whole_name() -> None:
    text = "oom 7\noom_kill 3\noom_group_kill 1\n"
    assert counter(text, "oom_kill") == 3
    assert counter(text, "kill") == 0
