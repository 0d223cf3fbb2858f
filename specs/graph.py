"""The dependency graph: who comes before whom, who cannot, and why.

Pure functions over `edges`: each app and the names it depends on. Names that are not a key of `edges` are
missing. All are iterative, linear in apps and dependencies but for sorting, and give the same answer
for the same graph in whatever order it is handed over. Used by `desired`, by the planner and by the runs.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping

Edges = Mapping[str, Iterable[str]]

_SPELLED_OUT = 12


def reverse(edges: Edges) -> dict[str, list[str]]:
    """Each app and those that depend on it directly, in order of name."""
    needed_by: dict[str, list[str]] = {name: [] for name in sorted(edges)}
    for name in needed_by:
        for dependency in dict.fromkeys(edges[name]):
            if dependency in needed_by:
                needed_by[dependency].append(name)
    return needed_by


def order(edges: Edges) -> tuple[str, ...]:
    """Every app after all that it depends on; in order of name where that is free.

    Missing dependencies are not waited for. Apps in a cycle, and those that need them, come last.
    """
    needed_by = reverse(edges)
    waiting = {name: sum(1 for d in set(edges[name]) if d in needed_by) for name in needed_by}
    wave = [name for name, count in waiting.items() if count == 0]
    ordered: list[str] = []
    while wave:
        ordered.extend(wave)
        freed: list[str] = []
        for name in wave:
            for dependent in needed_by[name]:
                waiting[dependent] -= 1
                if waiting[dependent] == 0:
                    freed.append(dependent)
        wave = sorted(freed)
    if len(ordered) < len(needed_by):
        done = set(ordered)
        ordered.extend(name for name in needed_by if name not in done)
    return tuple(ordered)


def missing(edges: Edges, there: Collection[str] = ()) -> dict[str, tuple[str, ...]]:
    """The apps that depend on names which are neither a key of `edges` nor `there`, and those names as listed."""
    found = (
        (name, tuple(d for d in dict.fromkeys(edges[name]) if d not in edges and d not in there))
        for name in sorted(edges)
    )
    return {name: names for name, names in found if names}


def dependents(edges: Edges, roots: Iterable[str]) -> dict[str, str]:
    """All apps that need one of `roots`, directly or not, each with the dependency through which it does.

    Nearest first; the roots themselves are left out.
    """
    needed_by = reverse(edges)
    through: dict[str, str] = {}
    start = sorted(set(roots) & needed_by.keys())
    seen = set(start)
    queue = deque(start)
    while queue:
        name = queue.popleft()
        for dependent in needed_by[name]:
            if dependent not in seen:
                seen.add(dependent)
                through[dependent] = name
                queue.append(dependent)
    return through


def cycles(edges: Edges) -> tuple[tuple[str, ...], ...]:
    """One closed path, `("a", "b", "a")`, for each knot of apps that need each other.

    It is a shortest one through the knot's first app by name, from which it starts.
    """
    knots = (knot for knot in _components(edges) if len(knot) > 1 or knot[0] in set(edges[knot[0]]))
    return tuple(sorted(_shortest_cycle(edges, set(knot)) for knot in knots))


def spell(cycle: tuple[str, ...]) -> str:
    """`a → b → a`; the middle of a very long one is left out."""
    if len(cycle) <= _SPELLED_OUT:
        return " → ".join(cycle)
    left_out = len(cycle) - _SPELLED_OUT + 1
    return " → ".join([*cycle[: _SPELLED_OUT - 2], f"({left_out} more)", cycle[-1]])


def _shortest_cycle(edges: Edges, knot: set[str]) -> tuple[str, ...]:
    start = min(knot)
    came_from: dict[str, str] = {}
    queue = deque([start])
    while queue:
        name = queue.popleft()
        for dependency in sorted(set(edges[name]) & knot):
            if dependency == start:
                path = [start, name]
                while path[-1] != start:
                    path.append(came_from[path[-1]])
                return tuple(reversed(path))
            if dependency not in came_from:
                came_from[dependency] = name
                queue.append(dependency)
    raise AssertionError("a knot holds a cycle through each of its apps")


def _components(edges: Edges) -> Iterator[list[str]]:
    """The strongly connected components (Tarjan's algorithm, with a stack of its own instead of recursion)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    open_names: list[str] = []
    is_open: set[str] = set()
    for root in sorted(edges):
        if root in index:
            continue
        work: list[tuple[str, Iterator[str]]] = [(root, iter(sorted(set(edges[root]))))]
        index[root] = low[root] = len(index)
        open_names.append(root)
        is_open.add(root)
        while work:
            name, rest = work[-1]
            for dependency in rest:
                if dependency not in edges:
                    continue
                if dependency not in index:
                    index[dependency] = low[dependency] = len(index)
                    open_names.append(dependency)
                    is_open.add(dependency)
                    work.append((dependency, iter(sorted(set(edges[dependency])))))
                    break
                if dependency in is_open:
                    low[name] = min(low[name], index[dependency])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[name])
                if low[name] == index[name]:
                    component: list[str] = []
                    while not component or component[-1] != name:
                        component.append(open_names.pop())
                        is_open.discard(component[-1])
                    yield component
