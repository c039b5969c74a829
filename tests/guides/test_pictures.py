"""The pictures of numbers are those that our own code draws today."""

from pathlib import Path

from docs.pictures.draw import HERE, PICTURES, draw


def test_the_pictures_are_those_that_our_code_draws(tmp_path: Path) -> None:
    draw(tmp_path)

    drawn = {name: (tmp_path / name).read_text() for name in PICTURES}
    assert {name: (HERE / name).read_text() for name in PICTURES} == drawn, (
        "draw them anew, look at them, commit them: python docs/pictures/draw.py"
    )
