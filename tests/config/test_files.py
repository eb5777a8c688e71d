"""A config file that cannot be read is one sentence; includes; what becomes of paths."""

from __future__ import annotations

import base64
import os
from pathlib import Path

import pytest

from monitor.config.load import load
from monitor.core.errors import ConfigError


def problems(path, **environ):
    with pytest.raises(ConfigError) as caught:
        load(path, environ=environ)
    return str(caught.value).replace(str(path.parent) + "/", "").splitlines()


def write(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, "utf-8")
    return path


def endpoint(name, more=""):
    return f'[[endpoint]]\nname = "{name}"\nurl = "https://{name}.example.org/"\n{more}\n'


def test_a_missing_file(tmp_path):
    assert problems(tmp_path / "config.toml") == ["config.toml: there is no such file"]


def test_a_directory(tmp_path):
    assert problems(write(tmp_path / "config.toml/x", "").parent) == ["config.toml: expected a file, found a directory"]


def test_a_name_that_no_file_has(tmp_path):
    assert problems(tmp_path / "a\0b") == ["a\0b: cannot be read: no file name holds NUL"]
    assert problems(tmp_path / ("x" * 300)) == ["x" * 300 + ": cannot be read: File name too long"]


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_a_file_that_may_not_be_read(tmp_path):
    path = write(tmp_path / "config.toml", "")
    path.chmod(0)
    assert problems(path) == ["config.toml: cannot be read: Permission denied"]


def test_a_link_to_itself(tmp_path):
    path = tmp_path / "config.toml"
    path.symlink_to(path)
    (only,) = problems(path)
    assert only.startswith("config.toml: cannot be read: Too many levels of symbolic links")


def test_a_huge_file(tmp_path):
    path = tmp_path / "config.toml"
    with path.open("wb") as file:
        file.truncate(33 * 1024 * 1024)
    assert problems(path) == ["config.toml: larger than 32 MiB"]


def test_a_file_without_end():
    assert problems(Path("/dev/zero")) == ["zero: larger than 32 MiB"]


def test_windows_line_ends_are_fine(tmp_path):
    path = tmp_path / "config.toml"
    path.write_bytes(endpoint("a").replace("\n", "\r\n").encode())
    assert load(path, environ={}).endpoints[0].name == "a"


def test_includes_come_in_order_and_once(tmp_path):
    write(tmp_path / "conf.d/b.toml", endpoint("b"))
    write(tmp_path / "conf.d/a.toml", endpoint("a"))
    write(tmp_path / "z.toml", endpoint("z"))
    path = write(
        tmp_path / "config.toml",
        f'[monitor]\ninclude = ["*.toml", "conf.d/*.toml", "{tmp_path}/z.toml", "none/*"]\n' + endpoint("m"),
    )
    assert [each.name for each in load(path, environ={}).endpoints] == ["m", "z", "a", "b"]


def test_a_mistake_beside_include_hides_nothing(tmp_path):
    write(tmp_path / "more.toml", '[[sink]]\nname = "ops"\ntype = "log"\n')
    path = write(
        tmp_path / "config.toml",
        '[monitor]\nlisten = 1\ninclude = ["more.toml"]\n' + endpoint("a", 'sinks = ["ops"]'),
    )
    assert problems(path) == ["config.toml:2: monitor.listen: expected a string, got 1"]


def test_an_included_directory(tmp_path):
    (tmp_path / "conf.d/x.toml").mkdir(parents=True)
    path = write(tmp_path / "config.toml", '[monitor]\ninclude = ["conf.d/*"]\n')
    assert problems(path) == ["conf.d/x.toml: expected a file, found a directory"]


def test_mistakes_come_in_the_order_of_the_files(tmp_path):
    write(tmp_path / "a.toml", "\n\n" + endpoint("a", "interval = 1"))
    write(tmp_path / "b.toml", endpoint("b", "interval = 1"))
    path = write(
        tmp_path / "config.toml",
        endpoint("m", "interval = 1") + '[monitor]\ninclude = ["b.toml", "a.toml"]\nlisten = 1\n',
    )
    assert [each.partition(": ")[0] for each in problems(path)] == [
        "config.toml:4",
        "config.toml:7",
        "b.toml:4",
        "a.toml:6",
    ]


def test_relative_paths_begin_at_the_file_they_stand_in(tmp_path, monkeypatch):
    write(tmp_path / "etc/more/secret", "https://in-more.example.org/\r\n")
    write(tmp_path / "etc/more/more.toml", '[[endpoint]]\nname = "a"\ncheck = "http"\nurl = { file = "secret" }\n')
    write(tmp_path / "etc/config.toml", '[monitor]\ndata_dir = "../var"\ninclude = ["more/*.toml"]\n')
    monkeypatch.chdir(tmp_path)
    config = load(Path("etc/config.toml"), environ={})
    assert config.data_dir == tmp_path / "etc/../var"
    assert config.data_dir.is_absolute()
    assert config.endpoints[0].check.url == "https://in-more.example.org/"


def test_a_certificate_file_is_looked_for_beside_the_config(tmp_path):
    write(tmp_path / "ca.pem", "-----BEGIN CERTIFICATE-----\n")
    path = write(tmp_path / "config.toml", endpoint("a", 'ca_file = "ca.pem"'))
    assert load(path, environ={}).endpoints[0].check.ca_file == tmp_path / "ca.pem"
    path = write(tmp_path / "config.toml", endpoint("a", 'ca_file = "no.pem"'))
    assert problems(path) == ["config.toml:4: endpoint[0].ca_file: cannot read no.pem: No such file or directory"]


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: path.mkdir(), 'cannot read the file "secret": Is a directory'),
        (lambda path: path.write_bytes(b"\xff"), 'the file "secret" is not valid UTF-8'),
        (lambda path: path.write_bytes(b"x" * (1024**2 + 1)), 'the file "secret" is larger than 1 MiB'),
        (lambda path: None, 'cannot read the file "secret": No such file or directory'),
    ],
)
def test_a_secret_that_cannot_be_read(tmp_path, make, message):
    make(tmp_path / "secret")
    path = write(tmp_path / "config.toml", endpoint("a", 'body = { file = "secret" }'))
    assert problems(path) == [f"config.toml:4: endpoint[0].body: {message}"]


def test_an_environment_that_is_not_utf8(tmp_path):
    path = write(tmp_path / "config.toml", endpoint("a", 'body = "${BAD}"'))
    assert problems(path, BAD="\udcff") == [
        "config.toml:4: endpoint[0].body: the environment variable BAD is not valid UTF-8"
    ]


def test_a_credential_of_systemd(tmp_path):
    write(tmp_path / "credentials/token", "the-token\n")
    path = write(tmp_path / "config.toml", endpoint("a", 'auth.bearer = { file = "${CREDENTIALS_DIRECTORY}/token" }'))
    config = load(path, environ={"CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")})
    assert config.endpoints[0].check.auth.bearer == "the-token"
    assert config.masker("Bearer the-token") == "Bearer ***"
    assert tmp_path / "credentials/token" in config.sights.files, "a rotated one is seen"
    assert problems(path) == [
        "config.toml:4: endpoint[0].auth.bearer: the environment variable CREDENTIALS_DIRECTORY is not set"
    ]


def test_what_is_secret_by_its_nature_is_masked_in_clear(tmp_path):
    more = (
        'auth = { basic = { username = "user", password = "in-clear-1" } }\n'
        'headers = { X-Api-Key = "in-clear-2", Cookie = "in-clear-3", Accept = "not-a-secret" }\n'
        '[monitor.access]\nread_token = "in-clear-4"\n'
        '[[sink]]\nname = "s"\ntype = "webhook"\nurl = "https://h.example.org/"\n'
        'headers = { Authorization = "Bearer in-clear-5" }\n'
    )
    config = load(write(tmp_path / "config.toml", endpoint("a", more)), environ={})
    shown = config.masker("in-clear-1 in-clear-2 in-clear-3 in-clear-4 in-clear-5 not-a-secret user")
    assert shown == "*** *** *** *** *** not-a-secret user"


def test_what_goes_to_a_server_as_basic_is_masked_however_short_the_password(tmp_path):
    auth = 'auth = { basic = { username = "user", password = "pw" } }\n'
    config = load(write(tmp_path / "config.toml", endpoint("a", auth)), environ={})
    assert config.masker("Basic " + base64.b64encode(b"user:pw").decode()) == "Basic ***"
