"""Where checks and sinks come from, and what happens when one is broken or shadowed."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from monitor.config.load import endpoint_for_target, load, registry_of
from monitor.core.errors import ConfigError, MonitorError, PluginError
from monitor.core.quantities import Duration
from monitor.plugin import Check
from monitor.plugins import Plugin, Registry

CONFIGS = Path(__file__).parent.parent / "configs"
BROKEN = """
from monitor.config.load import load
from monitor.core.errors import ConfigError
from pathlib import Path
try:
    print(len(load(Path("config.toml"), environ={}).endpoints), "endpoints")
except ConfigError as exc:
    print(exc)
"""


def distribution(directory, name, entry_points):
    """A package as pip would have installed it into *directory*."""
    info = directory / f"{name}-1.0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {name}\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text(entry_points)


def loaded_with(directory, config):
    """What a process prints that finds *directory* first on its path, and loads *config*."""
    (directory / "config.toml").write_text(config)
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", BROKEN],
        cwd=directory,
        env={"PYTHONPATH": str(directory)},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""
    return done.stdout.strip().replace(str(directory) + "/", "")


def test_the_built_in_kinds_are_found_as_a_stranger_would_be():
    registry = Registry()
    assert {"http", "websocket"} <= registry.checks.keys()
    assert {"webhook", "log"} <= registry.sinks.keys()
    assert registry.checks["http"].origin == "nursery-monitor"
    assert registry.checks["http"].cls.__name__ == "Http"
    assert {"http", "https", "ws", "wss"} <= set(registry.schemes)


def test_a_scheme_chooses_one_built_in_check_and_loads_hardly_another():
    taken = [scheme for plugin in Registry().checks.values() for scheme in plugin.cls.schemes]
    assert len(taken) == len(set(taken))  # `check_for` takes the first
    script = (
        "import sys; from monitor.plugins import Registry;"
        "print(*(Registry().check_for(s).kind for s in ('https', 'wss')), *sorted(m for m in sys.modules if m in "
        "('checks.http', 'checks.websocket', 'checks.dns', 'checks.grpc', 'checks.tls')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.split() == ["http", "websocket", "checks.http", "checks.websocket"]


def test_local_kinds_are_in_the_registry_of_a_config():
    registry = registry_of(CONFIGS / "good-everything.toml", environ={"READ_TOKEN": "", "PASSWORD": "", "TOKEN": ""})
    assert registry.checks["picky"].cls.__name__ == "Picky"
    assert registry.checks["picky"].origin.endswith("good-everything.toml")
    assert list(registry.checks) == sorted(registry.checks)


def test_loading_again_finds_the_same_classes():
    environ = {"READ_TOKEN": "", "PASSWORD": "", "TOKEN": "x"}
    first, second = (load(CONFIGS / "good-everything.toml", environ=environ) for _ in range(2))
    assert first.endpoints == second.endpoints  # a reload restarts nothing


BAD_PACKAGE = "[monitor.checks]\nbroken = broken_package:Broken\nhttp2 = broken_package:Missing\n"
WATCH = '[[endpoint]]\nname = "a"\nurl = "https://a.example.org/"\n'


def test_a_broken_package_harms_nobody_who_does_not_use_it(tmp_path):
    distribution(tmp_path, "bad-package", BAD_PACKAGE)
    (tmp_path / "broken_package.py").write_text("import nothing_of_this_name\n")
    assert loaded_with(tmp_path, WATCH) == "1 endpoints"


def test_a_broken_package_is_told_once_to_those_who_use_it(tmp_path):
    distribution(tmp_path, "bad-package", BAD_PACKAGE)
    (tmp_path / "broken_package.py").write_text("import nothing_of_this_name\n")
    use = '[[endpoint]]\nname = "b"\ncheck = "broken"\n[[endpoint]]\nname = "c"\ncheck = "broken"\n'
    assert loaded_with(tmp_path, WATCH + use) == (
        'config.toml:6: endpoint[1].check: the check "broken" of bad-package cannot be loaded: importing '
        "broken_package failed with ModuleNotFoundError: No module named 'nothing_of_this_name'"
    )


def test_a_file_that_is_named_as_a_module_is_told_from_one(tmp_path):
    (tmp_path / "config.toml").write_text(
        '[plugins.checks]\nmine = "my_own_checks:Mine"\n[[endpoint]]\nname = "a"\ncheck = "mine"\n'
    )
    (tmp_path / "my_own_checks.py").write_text("")
    with pytest.raises(ConfigError) as caught:
        load(tmp_path / "config.toml", environ={})
    assert str(caught.value).endswith(
        "importing my_own_checks failed with ModuleNotFoundError: No module named 'my_own_checks', "
        'did you mean the file "my_own_checks.py"?'
    )


def test_two_packages_with_the_same_kind(tmp_path):
    distribution(tmp_path, "one", "[monitor.sinks]\npager = one:Pager\n")
    distribution(tmp_path, "two", "[monitor.sinks]\npager = two:Pager\n")
    use = '[[sink]]\nname = "p"\ntype = "pager"\n'
    said = loaded_with(tmp_path, use)
    assert said.startswith('config.toml:3: sink[0].type: the sink "pager" is offered twice, by ')
    assert said.endswith(": uninstall one of them")


def test_a_file_that_shadows_the_built_in_checks_is_named(tmp_path):
    (tmp_path / "checks.py").write_text("# somebody's own\n")
    assert loaded_with(tmp_path, WATCH) == (
        'config.toml:3: endpoint[0].url: the check "http" of nursery-monitor cannot be loaded: the package of '
        "the built-in checks is shadowed by checks.py: rename that"
    )


def test_a_stranger_may_not_take_a_built_in_scheme_and_is_not_even_loaded(tmp_path):
    distribution(tmp_path, "grabby", "[monitor.checks]\naaa = grabby:Grabby\n")
    (tmp_path / "grabby.py").write_text(
        "import attrs\nfrom monitor.api import Check\nprint('loaded')\n"
        "@attrs.frozen(kw_only=True)\nclass Grabby(Check):\n    schemes = ('https',)\n    url: str\n"
    )
    assert loaded_with(tmp_path, WATCH) == "1 endpoints"


def test_a_broken_package_does_not_hide_that_a_scheme_is_unknown(tmp_path):
    distribution(tmp_path, "bad-package", BAD_PACKAGE)
    (tmp_path / "broken_package.py").write_text("import nothing_of_this_name\n")
    assert loaded_with(tmp_path, WATCH.replace("https", "redis")) == (
        'config.toml:3: endpoint[0].url: no check takes URLs with the scheme "redis" '
        f"(known: {', '.join(Registry().schemes)})"
    )


def test_two_strangers_who_take_the_same_scheme_must_be_told_apart(tmp_path):
    distribution(tmp_path, "pair", "[monitor.checks]\none = pair:One\ntwo = pair:Two\n")
    (tmp_path / "pair.py").write_text(
        "import attrs\nfrom monitor.api import Check\n"
        "@attrs.frozen(kw_only=True)\nclass One(Check):\n    schemes = ('redis',)\n    url: str\n"
        "@attrs.frozen(kw_only=True)\nclass Two(One):\n    pass\n"
    )
    use = '[[endpoint]]\nname = "a"\nurl = "redis://a/"\n[[endpoint]]\nname = "b"\ncheck = "two"\nurl = "redis://a/"\n'
    assert loaded_with(tmp_path, use) == (
        'config.toml:3: endpoint[0].url: the checks "one" and "two" both take redis:// URLs: say which'
    )


def test_a_plugin_can_be_loaded_without_a_config():
    plugin = Plugin("good", Check, "files/checks_for_tests.py:Good", "a test", CONFIGS)
    assert plugin.cls.__name__ == "Good"
    absent = Plugin("absent", Check, "files/absent.py:Absent", "a test", CONFIGS)
    with pytest.raises(PluginError, match=r"no file files/absent\.py$"):
        _ = absent.cls


TIMEOUT = Duration(7)


@pytest.mark.parametrize(
    ("url", "kind", "name"),
    [
        ("https://example.org/", "http", "https://example.org/"),
        ("HTTP://EXAMPLE.org:81/x?y=${HOME}#z", "http", "HTTP://EXAMPLE.org:81/x?y=${HOME}#z"),
        ("wss://user:secret@example.org/", "websocket", "wss://user:***@example.org/"),
        ("tls://example.org", "tls", "tls://example.org"),
        ("dns:///example.org?type=MX", "dns", "dns:///example.org?type=MX"),
        ("dns://example.org", "dns", "dns://example.org"),
        ("icmp://example.org", "icmp", "icmp://example.org"),
        ("ping://[2001:db8::1]", "icmp", "ping://[2001:db8::1]"),
        ("udp://example.org:123", "udp", "udp://example.org:123"),
        ("grpc://example.org:50051", "grpc", "grpc://example.org:50051"),
        ("grpcs://example.org", "grpc", "grpcs://example.org"),
        ("file:///var/backups/latest", "file", "file:///var/backups/latest"),
    ],
)
def test_targets(url, kind, name):
    endpoint = endpoint_for_target(url, Registry(), timeout=TIMEOUT)
    assert (endpoint.name, endpoint.target, endpoint.kind, endpoint.timeout) == (name, name, kind, 7)
    assert (endpoint.check.url, endpoint.sinks, endpoint.interval) == (url, (), 30)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("example.org", 'example.org: expected a URL with a scheme such as "https://", got "example.org"'),
        ("://x", '://x: expected a URL with a scheme such as "https://", got "://x"'),
        ("htpps://x/", 'htpps://x/: no check takes URLs with the scheme "htpps", did you mean "https"?'),
        (
            "wss://u:secret-word@/",
            'wss://u:***@/: expected a URL such as "wss://example.org/", got "wss://u:***@/" without a host',
        ),
        ("https://", 'https://: expected a URL such as "https://example.org/", got "https://" without a host'),
    ],
)
def test_targets_that_cannot_be(url, message):
    with pytest.raises(MonitorError) as caught:
        endpoint_for_target(url, Registry(), timeout=TIMEOUT)
    assert str(caught.value) == message
