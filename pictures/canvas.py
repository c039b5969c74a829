"""What a picture is made of: SVG elements, in the colours of the page it stands on."""

import re
from collections.abc import Iterable, Sequence
from xml.etree.ElementTree import Element, SubElement, tostring

from markupsafe import Markup

from pictures.thinning import Point

WIDTH = 760
SIZE = 12  # of text
LETTER = 7.0  # how wide one is, on average

INK, FAINT, LINE = "var(--ink)", "var(--faint)", "var(--line)"
GROUND = "var(--ground)"
CANDIDATE, BASELINE = "var(--candidate)", "var(--baseline)"
GOOD, BAD, WAIT = "var(--good)", "var(--bad)", "var(--wait)"
DASHES = ("", "6 3", "2 2", "8 3 2 3", "10 4", "1 3", "12 3 2 3 2 3", "4 4")


class Canvas:
    """One picture while it is drawn; `svg` returns it."""

    def __init__(self, key: str, title: str, *, height: int) -> None:
        """Begin a picture `WIDTH` wide.

        Args:
            key: Tells it from every other one on a page.
            title: Its name, for whoever does not see it.
            height: In the units of its width.
        """
        self.title, self.height = title, height
        self._key = re.sub(r"[^A-Za-z0-9_-]", "-", key)
        self._root = Element(
            "svg",
            {
                "xmlns": "http://www.w3.org/2000/svg",
                "class": "picture",
                "viewBox": f"0 0 {WIDTH} {height}",
                "width": "100%",
                "role": "img",
                "aria-labelledby": f"{self._key}-title {self._key}-desc",
                "font-family": "system-ui, sans-serif",
                "font-size": str(SIZE),
                "fill": INK,
            },
        )

    def svg(self, said: str) -> Markup:
        """Return the picture; `said` tells in words what is to be seen."""
        for place, (tag, text) in enumerate((("title", self.title), ("desc", said))):
            told = Element(tag, {"id": f"{self._key}-{tag}"})
            told.text = plain(text)
            self._root.insert(place, told)
        return Markup(tostring(self._root, encoding="unicode"))  # noqa: S704  # escaped by etree

    def line(
        self, points: Sequence[Point], colour: str, *, width: float = 1.75, dash: str = ""
    ) -> None:
        """Draw from point to point; one alone is a dot."""
        if len(points) == 1:
            self.dot(*points[0], colour, size=width + 0.5)
        elif points:
            given = {"stroke-linejoin": "round"} | ({"stroke-dasharray": dash} if dash else {})
            self._path(_way(points), stroke=colour, width=width, given=given)

    def band(self, upper: Sequence[Point], lower: Sequence[Point], colour: str) -> None:
        """Fill between two lines; one point alone is a bar."""
        if len(upper) == 1:
            (x, top), (_, bottom) = upper[0], lower[0]
            self.rule((x, top), (x, bottom), colour, width=3, opacity=0.3)
        elif upper:
            way = _way([*upper, *reversed(lower)]) + "Z"
            SubElement(self._root, "path", {"d": way, "fill": colour, "opacity": "0.18"})

    def rule(
        self, start: Point, end: Point, colour: str = LINE, *,
        width: float = 1.0, dash: str = "", opacity: float = 1.0,
    ) -> None:  # fmt: skip
        """Draw a straight line."""
        given = {"stroke-dasharray": dash} if dash else {}
        given |= {"opacity": f"{opacity:g}"} if opacity < 1 else {}
        self._path(_way([start, end]), stroke=colour, width=width, given=given)

    def ticks(self, xs: Iterable[float], colour: str, *, top: float, height: float) -> None:
        """Draw many short upright lines."""
        if way := "".join(f"M{_round(x)} {_round(top)}v{_round(height)}" for x in xs):
            self._path(way, stroke=colour, width=1.25, given={})

    def box(
        self, corner: Point, width: float, height: float, *,
        fill: str, opacity: float = 1.0, told: str = "",
    ) -> None:  # fmt: skip
        """Fill a rectangle."""
        x, y = corner
        given = {"x": _round(x), "y": _round(y), "width": _round(width), "height": _round(height)}
        given |= {"opacity": f"{opacity:g}"} if opacity < 1 else {}
        _tell(SubElement(self._root, "rect", given | {"fill": fill}), told)

    def dot(self, x: float, y: float, colour: str, *, size: float = 3.5, told: str = "") -> None:
        """Draw a dot that shows `told` when it is pointed at."""
        given = {"cx": _round(x), "cy": _round(y), "r": f"{size:g}", "fill": colour}
        _tell(SubElement(self._root, "circle", given | {"stroke": GROUND}), told)

    def text(
        self, x: float, y: float, said: str, *,
        colour: str = "", anchor: str = "start", bold: bool = False,
    ) -> None:  # fmt: skip
        """Write; (x, y) is where the line of writing begins, is in the middle or ends."""
        given = {"x": _round(x), "y": _round(y)}
        given |= {"fill": colour} if colour else {}
        given |= {"text-anchor": anchor} if anchor != "start" else {}
        given |= {"font-weight": "600"} if bold else {}
        SubElement(self._root, "text", given).text = plain(said)

    def _path(self, way: str, *, stroke: str, width: float, given: dict[str, str]) -> None:
        fixed = {"d": way, "fill": "none", "stroke": stroke, "stroke-width": f"{width:g}"}
        SubElement(self._root, "path", fixed | given)


def plain(text: str) -> str:
    """Return the text without what is not seen or turns it around."""
    return "".join(letter if letter.isprintable() else " " for letter in text)


def short(text: str, most: int = 24) -> str:
    """Return at most so many letters of it."""
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _tell(element: Element, told: str) -> None:
    if told:
        SubElement(element, "title").text = plain(told)


def _way(points: Iterable[Point]) -> str:
    return "M" + "L".join(f"{_round(x)} {_round(y)}" for x, y in points)


def _round(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
