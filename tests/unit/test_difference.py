"""What differs between two versions, and what of a text is of the language. Pure."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from domain.templates.difference import MOST, Difference, Sign, difference, fields
from domain.templates.marking import marked

TEXTS = st.text(alphabet="ab \n\r{}%", max_size=60)


def told(found: Difference) -> list[str]:
    """Return lines as `diff` has them; what changed within one in brackets."""
    signs = {Sign.SAME: " ", Sign.ADDED: "+", Sign.REMOVED: "-"}
    return [
        f"… {line.count}"
        if line.sign is Sign.FOLDED
        else signs[line.sign] + "".join(f"[{p.text}]" if p.changed else p.text for p in line.pieces)
        for line in found.lines
    ]


def test_a_line_that_changed_shows_the_words_that_did() -> None:
    found = difference("Hello {{ name }},\nbe brief.\n", "Hello {{ user }},\nbe brief.\n")

    assert told(found) == [
        "-Hello {{ [name] }},",
        "+Hello {{ [user] }},",
        " be brief.",
        " ",
    ]
    assert (found.added, found.removed, found.more) == (1, 1, 0)


def test_lines_that_have_little_in_common_are_not_taken_for_one_another() -> None:
    assert told(difference("be brief and kind", "x = 1")) == ["-be brief and kind", "+x = 1"]


def test_what_is_far_from_any_change_is_folded() -> None:
    before = [str(number) for number in range(20)]

    found = difference("\n".join(before), "\n".join([*before[:10], "new", *before[10:]]))

    assert told(found) == ["… 7", " 7", " 8", " 9", "+new", " 10", " 11", " 12", "… 7"]


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        ("a", "a\n", [" a", "+"]),
        ("a\r\nb", "a\nb", ["-a[␍]", "+a", " b"]),
        ("", "a", ["+a"]),
        ("a", "", ["-a"]),
        ("a", "a", [" a"]),
    ],
)
def test_line_breaks_and_empty_texts_are_told_too(
    before: str, after: str, lines: list[str]
) -> None:
    assert told(difference(before, after)) == lines


@given(TEXTS, TEXTS)
def test_nothing_is_lost_and_nothing_is_made_up(before: str, after: str) -> None:
    found = difference(before, after)

    old, new = (text.replace("\r", "␍").split("\n") if text else [] for text in (before, after))
    for line in found.lines:
        text = "".join(piece.text for piece in line.pieces)
        assert line.before is None or old[line.before - 1] == text
        assert line.after is None or new[line.after - 1] == text
    same = sum(line.count for line in found.lines if line.sign in (Sign.SAME, Sign.FOLDED))
    assert (same + found.removed, same + found.added) == (len(old), len(new))


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ("x\n" * 9_000, "y\n" + "x\n" * 8_000 + "z\n"),  # all alike: pairing them is cubic
        ("\n".join(map(str, range(30_000))), "\n".join(f"{n} {n % 5}" for n in range(30_000))),
        ("x " * 50_000, "y " + "x " * 40_000),
    ],
)
def test_texts_that_take_long_to_pair_are_told_as_replaced(before: str, after: str) -> None:
    found = difference(before, after)

    differing = [line for line in found.lines if line.sign in (Sign.ADDED, Sign.REMOVED)]
    assert 0 < len(differing) <= MOST
    assert found.more == found.added + found.removed - len(differing)


def test_fields_are_compared_one_by_one() -> None:
    found = fields(
        {"defaults": {"tone": "warm", "n": 1}, "tags": ["a"], "metadata": {"x": {}}},
        {"defaults": {"tone": "dry", "n": 1}, "tags": ["a", "b"], "metadata": {}},
    )

    assert [(one.path, one.sign.value, one.before, one.after) for one in found] == [
        ("defaults.tone", "changed", '"warm"', '"dry"'),
        ("metadata", "added", None, "{}"),
        ("metadata.x", "removed", "{}", None),
        ("tags", "changed", '["a"]', '["a", "b"]'),
    ]


def test_what_is_of_the_language_is_marked() -> None:
    text = "Hi {{ name }}{% if x %}, {{ '}}' }}{% endif %}{# no #}\n"

    assert [each.text for each in marked(text) if each.spoken] == [
        "{{ name }}",
        "{% if x %}",
        "{{ '}}' }}",
        "{% endif %}",
        "{# no #}",
    ]


@given(TEXTS)
def test_marking_loses_nothing(text: str) -> None:
    assert "".join(each.text for each in marked(text)) == text.replace("\r\n", "\n").replace(
        "\r", "\n"
    ) or [each.text for each in marked(text)] == [text]
