"""The picture of an app that has none: five by five squares, mirrored, made from its name.

The same name gives the same picture everywhere, for ever. Used by the dashboard and the JSON API.
"""

from __future__ import annotations

import hashlib

_CELLS = 5
_HALF = (_CELLS + 1) // 2


def identicon_svg(name: str) -> str:
    """A square SVG for `name`: no script, no reference to anything, safe to put into a page."""
    bits = hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest()
    hue = int.from_bytes(bits[:2], "big") % 360
    lightness = 38 + bits[2] % 15
    filled = {
        (x, row)
        for row in range(_CELLS)
        for column in range(_HALF)
        if bits[3 + row * _HALF + column] % 2 == 0
        for x in {column, _CELLS - 1 - column}
    } or {(_CELLS // 2, _CELLS // 2)}
    path = "".join(f"M{x} {y}h1v1h-1z" for x, y in sorted(filled))
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="-1 -1 {_CELLS + 2} {_CELLS + 2}" role="img"'
        ' shape-rendering="crispEdges">'
        f'<rect x="-1" y="-1" width="{_CELLS + 2}" height="{_CELLS + 2}" fill="hsl({hue} 30% 94%)"/>'
        f'<path fill="hsl({hue} 60% {lightness}%)" d="{path}"/>'
        "</svg>"
    )
