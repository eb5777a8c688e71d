"""What a reading of the config looked at, and where a change of it would be noticed."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from monitor.config.load import load
from monitor.core.errors import ConfigError

ENDPOINT = '[[endpoint]]\nname = "{name}"\nurl = "https://{name}.example.org/"\n'


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def seen(path, **environ):
    sights = load(path, environ=environ).sights
    assert sights.again() == sights
    return sights


def replaced(path, text):
    """As editors and `mv` do it."""
    write(path.with_name("new"), text).replace(path)


@pytest.mark.parametrize("change", [write, replaced, lambda path, _: path.unlink()])
@pytest.mark.parametrize("name", ["config.toml", "conf.d/a.toml", "token"])
def test_each_file_that_was_read_is_seen_to_change(tmp_path, name, change):
    write(tmp_path / "token", "secret")
    write(tmp_path / "conf.d/a.toml", ENDPOINT.format(name="a") + 'headers = { X = { file = "../token" } }\n')
    sights = seen(write(tmp_path / "config.toml", '[monitor]\ninclude = ["conf.d/*.toml"]\n'))
    change(tmp_path / name, "something else")
    assert sights.again() != sights


def test_a_file_that_comes_into_being_is_seen_and_its_directory_watched(tmp_path):
    sights = seen(write(tmp_path / "config.toml", '[monitor]\ninclude = ["conf.d/*.toml"]\n'))
    assert tmp_path in sights.places()
    write(tmp_path / "conf.d/b.txt", "")
    assert sights.again() == sights
    write(tmp_path / "conf.d/b.toml", ENDPOINT.format(name="b"))
    assert sights.again() != sights
    assert tmp_path / "conf.d" in sights.places()


def test_deep_patterns_are_watched_in_every_directory(tmp_path):
    (tmp_path / "teams/web/more").mkdir(parents=True)
    for pattern, places in {
        "teams/*/*.toml": ["teams", "teams/web"],
        "teams/**/*.toml": ["teams", "teams/web", "teams/web/more"],
    }.items():
        sights = seen(write(tmp_path / "config.toml", f'[monitor]\ninclude = ["{pattern}"]\n'))
        assert sights.places() == {
            tmp_path / "config.toml",
            *(tmp_path / each for each in (".", *places)),
        }


def test_a_link_that_is_moved_is_seen_as_kubernetes_moves_it(tmp_path):
    for version in ("1", "2"):
        write(tmp_path / f"..{version}/config.toml", ENDPOINT.format(name=f"v{version}"))
    (tmp_path / "..data").symlink_to("..1")
    path = tmp_path / "config.toml"
    path.symlink_to("..data/config.toml")
    sights = seen(path)
    assert sights.places() == {path, tmp_path, tmp_path / "..1"}
    (tmp_path / "..tmp").symlink_to("..2")
    (tmp_path / "..tmp").replace(tmp_path / "..data")
    assert sights.again() != sights
    assert load(path, environ={}).endpoints[0].name == "v2"


def test_links_may_go_anywhere_and_in_circles(tmp_path):
    write(tmp_path / "far/away/config.toml", "")
    (tmp_path / "etc").mkdir()
    (tmp_path / "etc/absolute.toml").symlink_to(tmp_path / "far/away/config.toml")
    (tmp_path / "etc/relative.toml").symlink_to("../far/away/config.toml")
    for name in ("absolute.toml", "relative.toml"):
        places = seen(tmp_path / "etc" / name).places()
        assert {tmp_path / "etc", tmp_path / "far/away"} <= {Path(os.path.normpath(each)) for each in places}
    circle = tmp_path / "circle.toml"
    circle.symlink_to(circle)
    with pytest.raises(ConfigError) as caught:
        load(circle, environ={})
    assert caught.value.sights.places() == {tmp_path}


def test_mistakes_say_where_they_could_be_mended(tmp_path):
    write(tmp_path / "more/a.toml", "nonsense")
    path = write(tmp_path / "config.toml", '[monitor]\ninclude = ["more/*.toml", "other.toml"]\n')
    with pytest.raises(ConfigError) as caught:
        load(path, environ={})
    sights = caught.value.sights
    assert {tmp_path, tmp_path / "more", tmp_path / "more/a.toml"} <= sights.places()
    write(tmp_path / "other.toml", "")
    assert sights.again() != sights


def test_an_empty_main_file_is_half_written(tmp_path):
    path = write(tmp_path / "config.toml", "")
    assert seen(path).half_written
    assert not seen(write(path, "\n")).half_written
