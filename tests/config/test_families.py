"""Endpoints with `targets` or a `targets_file`: what they become, what they are called, and how others name them."""

from __future__ import annotations

import json
import time

import pytest

from monitor.config.families import called
from monitor.config.load import load
from monitor.core.errors import ConfigError
from monitor.core.maintenance import windows_by_endpoint
from monitor.core.targets import nameable, targets_of, unknown_target


def loaded(directory, text, **environ):
    path = directory / "config.toml"
    path.write_text(text, "utf-8")
    return load(path, environ=environ)


@pytest.mark.parametrize(
    ("target", "name"),
    [
        ("db.example.org", "db.example.org"),
        ("db.example.org:5432", "db.example.org:5432"),
        ("https://shop.example.org/", "shop.example.org"),
        ("https://shop.example.org:8443/health/live", "shop.example.org:8443_health_live"),
        ("https://user:secret@shop.example.org/?token=secret#secret", "shop.example.org"),
        ("wss://[2001:db8::1]:443/v1", "[2001:db8::1]:443_v1"),
        ("shop.example.org/health", "shop.example.org_health"),
        ("user:secret@shop.example.org/health?token=secret", "shop.example.org_health"),
        ("https://shop.example.org?token=a/secret", "shop.example.org"),
        ("https://${HOST}/x", "${HOST}_x"),
    ],
)
def test_what_a_target_is_called(target, name):
    assert called(target) == name


def test_hosts_and_urls_are_what_the_check_makes_of_them(tmp_path):
    config = loaded(
        tmp_path,
        """
        [[endpoint]]
        name = "shops"
        group = "web"
        check = "http"
        targets = ["a.example.org", "https://b.example.org/health", "https://${HOST}/"]
        interval = "10s"
        expect = ["status == 200"]
        labels = { team = "shop" }
        [[endpoint]]
        name = "ports"
        targets = ["tcp://a.example.org:22", "wss://b.example.org/"]
        """,
        HOST="c.example.org",
    )
    assert [(each.name, each.kind, each.check.url, each.target) for each in config.endpoints] == [
        ("shops:a.example.org", "http", "http://a.example.org", "http://a.example.org"),
        ("shops:b.example.org_health", "http", "https://b.example.org/health", "https://b.example.org/health"),
        ("shops:${HOST}", "http", "https://c.example.org/", "https://***/"),
        ("ports:a.example.org:22", "tcp", "tcp://a.example.org:22", "tcp://a.example.org:22"),
        ("ports:b.example.org", "websocket", "wss://b.example.org/", "wss://b.example.org/"),
    ]
    for each in config.endpoints[:3]:
        assert (each.group, each.interval, each.labels, each.family) == ("web", 10, {"team": "shop"}, "shops")
        assert each.expect.sources == ("status == 200",)


def test_a_target_may_have_a_name_and_a_place(tmp_path):
    config = loaded(
        tmp_path,
        """
        [[endpoint]]
        name = "api"
        url = "https://{target}.example.org/health?price=$$5"
        headers = { Host = "{target}" }
        json = { deep = [{ host = "{target}", other = 5 }] }
        targets = { eu = "eu-1", us = "${US}" }
        """,
        US="us$${X}",
    )
    eu, us = config.endpoints
    assert (eu.name, us.name) == ("api:eu", "api:us")
    assert eu.check.url == "https://eu-1.example.org/health?price=$5"
    assert eu.check.headers == {"Host": "eu-1"}
    assert us.check.json == {"deep": [{"host": "us$${X}", "other": 5}]}, "what was inserted is not read again"


GROUPS = [
    {"targets": ["db1:5432", "db2:5432"], "labels": {"dc": "north", "team": "db", "__meta_x": "y"}},
    {"targets": [], "labels": None},
]
BOMB = "".join(f"- &{b} [{','.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True))


YAML = """
- targets:
  - db1:5432
  - 'db2:5432'
  labels: {dc: north, team: db}
- targets: []
"""


@pytest.mark.parametrize("form", ["json", "yaml", "yml"])
def test_a_file_of_prometheus(tmp_path, form):
    (tmp_path / "sd").mkdir()
    text = json.dumps(GROUPS) if form == "json" else YAML
    (tmp_path / f"sd/databases.{form}").write_text(text)
    config = loaded(
        tmp_path,
        f'[[endpoint]]\nname = "db"\ncheck = "tcp"\ntargets_file = "sd/*.{form}"\n'
        'targets = ["db0:5432"]\nlabels = { team = "all", kind = "sql" }\n',
    )
    assert [(each.name, each.check.url, each.labels) for each in config.endpoints] == [
        ("db:db0:5432", "tcp://db0:5432", {"team": "all", "kind": "sql"}),
        ("db:db1:5432", "tcp://db1:5432", {"team": "db", "kind": "sql", "dc": "north"}),
        ("db:db2:5432", "tcp://db2:5432", {"team": "db", "kind": "sql", "dc": "north"}),
    ]
    before = config.sights
    (tmp_path / f"sd/more.{form}").write_text("[]")
    assert before.again() != before, "it is watched"
    assert tmp_path / "sd" in before.places()


def test_relative_files_begin_at_the_file_they_stand_in(tmp_path):
    (tmp_path / "conf.d").mkdir()
    (tmp_path / "conf.d/sd.json").write_text('[{"targets": ["a:1"]}]')
    (tmp_path / "conf.d/a.toml").write_text('[[endpoint]]\nname = "a"\ncheck = "tcp"\ntargets_file = "sd.json"\n')
    config = loaded(tmp_path, '[monitor]\ninclude = ["conf.d/*.toml"]\n')
    assert [each.name for each in config.endpoints] == ["a:a:1"]
    path = tmp_path / "config.toml"
    path.write_text('[[endpoint]]\nname = "a"\ncheck = "tcp"\ntargets_file = "${PLACE}/sd.json"\n', "utf-8")
    assert [each.name for each in load(path, environ={"PLACE": "conf.d"}).endpoints] == ["a:a:1"]
    path.write_text('[monitor]\ninclude = ["conf.d/*.toml"]\n')
    (tmp_path / "conf.d/sd.json").write_text("{")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "config.toml", environ={})
    assert str(caught.value).startswith(f"{tmp_path}/conf.d/sd.json:1: not valid JSON")


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("deep.json", "[" * 100_000),
        ("deep.yml", "[" * 100_000),
        ("bomb.yml", f"- &a [x]\n{BOMB}"),
        ("self.yml", "- &a [*a]\n- targets: &b [*b]\n  labels: &c {d: *c}\n"),
        ("python.yml", "!!python/object/apply:os.system ['true']\n"),
        ("date.yml", "2001-99-99\n"),
        ("digits.json", "[" + "9" * 10_000 + "]"),
        ("bytes.json", "[\0]"),
        ("empty.json", ""),
        ("empty.yml", ""),
    ],
)
def test_a_hostile_file_is_a_sentence(tmp_path, name, content):
    (tmp_path / name).write_text(content)
    began = time.process_time()
    with pytest.raises(ConfigError) as caught:
        loaded(tmp_path, f'[[endpoint]]\nname = "a"\ncheck = "tcp"\ntargets_file = "{name}"\n')
    assert time.process_time() - began < 10
    assert all(each.message and "\n" not in each.message for each in caught.value.problems)


FAMILY = """
[[endpoint]]
name = "edge"
check = "http"
targets = ["a.example.org", "b.example.org"]
[[endpoint]]
name = "shop"
url = "https://shop.example.org/"
depends_on = ["edge", "edge:b.example.org"]
[[maintenance]]
endpoints = ["edge"]
days = ["sun"]
at = "02:00"
duration = "2h"
"""


def test_all_of_a_family_are_named_by_its_name(tmp_path):
    config = loaded(tmp_path, FAMILY)
    *edges, shop = config.endpoints
    assert shop.depends_on == ("edge:a.example.org", "edge:b.example.org")
    assert list(windows_by_endpoint(config.endpoints, config.maintenance)) == [each.name for each in edges]
    assert "edge" in targets_of(edges[0]), "a silence of it holds"
    assert "edge" not in targets_of(shop)
    assert unknown_target("edge", nameable(config.endpoints), ()) is None
    assert unknown_target("edgy", nameable(config.endpoints), ()) is not None


def test_what_stays_the_same_is_the_same(tmp_path):
    first, second = loaded(tmp_path, FAMILY), loaded(tmp_path, FAMILY.replace('"b.', '"c.').replace(":b.", ":c."))
    assert first.endpoints[0] == second.endpoints[0]
    assert first.endpoints[1].name not in {each.name for each in second.endpoints}


def test_a_token_is_one_endpoints_own_also_in_a_family_and_over_files(tmp_path):
    heartbeat = '[[endpoint]]\nname = "{}"\ncheck = "heartbeat"\ntoken = "{}"\n'
    config = loaded(tmp_path, heartbeat.format("jobs", "token-of-{target}") + 'targets = ["one", "two"]\n')
    assert [each.check.token for each in config.endpoints] == ["token-of-one", "token-of-two"]
    (tmp_path / "more.toml").write_text(heartbeat.format("b", "the-same-token"))
    with pytest.raises(ConfigError, match=r"more.toml:4: endpoint\[0\].token: expected a token of its own"):
        loaded(tmp_path, '[monitor]\ninclude = ["more.toml"]\n' + heartbeat.format("a", "the-same-token"))
