from __future__ import annotations

import struct

import pytest

from tests import screenshots

LARGEST = 300_000
"""Bytes of a picture: the documentation stays quick to load."""


def size(file):
    """Width and height of a PNG, in pixels."""
    head = file.read_bytes()[:24]
    assert head.startswith(b"\x89PNG\r\n\x1a\n")
    return struct.unpack(">II", head[16:])


def test_the_documentation_has_every_picture():
    """Each picture is in docs/images, has its size, and is small enough."""
    assert {file.stem for file in screenshots.FOLDER.glob("landing-*.png")} == {
        one.name for one in screenshots.PICTURES
    }
    for picture in screenshots.PICTURES:
        file = screenshots.FOLDER / f"{picture.name}.png"
        assert size(file) == (picture.width, picture.height)
        assert file.stat().st_size < LARGEST


def test_the_documentation_has_every_dashboard():
    """Each picture of a dashboard is in docs/images, and has its width."""
    pictures = {f"{name}-{one.name}": one for name in screenshots.DASHBOARDS for one in screenshots.DASHBOARD_PICTURES}
    assert {file.stem for file in screenshots.FOLDER.glob("batchops-*.png")} == {*pictures}
    for name, picture in pictures.items():
        assert size(screenshots.FOLDER / f"{name}.png")[0] == picture.width


@pytest.mark.slow
def test_the_pictures_can_be_made_again(tmp_path, monkeypatch):
    """`./dev screenshots` writes every picture of the landing page, from the demo's stores."""
    monkeypatch.setattr(screenshots, "FOLDER", tmp_path / "images")
    screenshots.landing()
    written = {file.stem: size(file) for file in (tmp_path / "images").iterdir()}
    assert written == {picture.name: (picture.width, picture.height) for picture in screenshots.PICTURES}
