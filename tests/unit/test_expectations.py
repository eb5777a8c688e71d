"""Expectations: what a config may say, what it may not and why, and what the message shows when one does not hold."""

from __future__ import annotations

import subprocess
import sys
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.core.expectations import ExpectationError, Expectations, compile_all
from monitor.core.facts import Fact

FACTS = {
    "status": Fact(200, "status code"),
    "headers": Fact({"content-type": "text/plain"}, "headers"),
    "body": Fact("text", "body"),
    "binary": Fact(b"", "bytes"),
    "json": Fact(None, "body as JSON"),
    "ratio": Fact(0.5, "a number"),
    "fresh": Fact(True, "a flag"),
    "cert_expires_in": Fact(timedelta(days=30), "until the certificate expires"),
}
KNOWN = "binary, body, cert_expires_in, fresh, headers, json, latency, phases, ratio, status"
FUNCTIONS = (
    "all, bytes, contains, double, duration, dyn, endsWith, exists, exists_one, filter, getDate, getDayOfMonth, "
    "getDayOfWeek, getDayOfYear, getFullYear, getHours, getMilliseconds, getMinutes, getMonth, getSeconds, has, int, "
    "map, matches, size, startsWith, string, timestamp, type, uint"
)


def seconds(value: float) -> timedelta:
    return timedelta(seconds=value)


def deep(levels: int) -> Any:
    value: Any = 1
    for _ in range(levels):
        value = {"a": value}
    return value


def refusal(source: str, facts: dict[str, Fact] | None = FACTS) -> str:
    with pytest.raises(ExpectationError) as caught:
        compile_all([source], facts)
    assert caught.value.index == 0
    return str(caught.value)


def complaint(source: str, **facts: Any) -> str | None:
    return compile_all([source], FACTS).first_false(facts)


# ---------------------------------------------------------------- what a config may say

GOOD = [
    ("status == 200", {"status"}),
    ("status in [200, 204]", {"status"}),
    ("status >= 200 && status < 300 || status == 404", {"status"}),
    ("(status == 200)", {"status"}),
    ("!(status == 500)", {"status"}),
    ("status == 200.0", {"status"}),
    ("type(status) == int", {"status"}),
    ("status == 200 // stauts, foo(1)", {"status"}),
    ("status == 200 ? latency < duration('1s') : true", {"status", "latency"}),
    ("[status][0] == 200 && {'a': status}.a == 200", {"status"}),
    ("json", {"json"}),
    ("json.db == 'ok'", {"json"}),
    ("json[0].x == json['a b'].c", {"json"}),
    ("json.n < 3 && json.s + 'x' == 'yx'", {"json"}),
    ("has(json.x) && !has(json.error)", {"json"}),
    ("json.items.all(item, item.id > 3)", {"json"}),
    ("json.items.exists(item, item == status)", {"json", "status"}),
    ("json.items.all(id, id > 3) && json.id == 1", {"json"}),  # a field is no variable
    ("json.items.map(item, item.id).size() == 3", {"json"}),
    ("headers['x-a'] == '1' && 'x-b' in headers", {"headers"}),
    ("headers['content-type'].startsWith('text/')", {"headers"}),
    ("body.matches(r'^\\d+$') && size(body) > 3 && body.size() < 5", {"body"}),
    ("body == \"it's\" || body == '''don't say \"x\"'''", {"body"}),
    ("int(body) > 3", {"body"}),
    ("binary == b'\\x00'", {"binary"}),
    ("fresh && fresh == true", {"fresh"}),
    ("latency < duration('2s') && latency.getMilliseconds() < 500", {"latency"}),
    ("latency > duration('-1.5s') && latency < duration('1h30m5s250ms')", {"latency"}),
    ("phases.connect < duration('1s') && phases['handshake of mine'] < duration('1s')", {"phases"}),
    ("cert_expires_in > duration('336h')", {"cert_expires_in"}),
    ("timestamp(json.t) > timestamp('2026-01-01T00:00:00Z')", {"json"}),
    ("duration(json.d) < latency", {"json", "latency"}),
    ("true", set()),
    # What stands in a text literal is text.
    ("body.contains(\"stauts foo(1) duration('14d') x.all(a, b) y.all(a, b) matches('(')\")", {"body"}),
    ("body == 'a\\'b' && body != 'stauts'", {"body"}),
    ('body == r"\\" && status == 200', {"body", "status"}),
    ("body == '// no comment' && status == 200", {"body", "status"}),
    ("body == '''\nstauts\n'''", {"body"}),
]


@pytest.mark.parametrize(("source", "names"), GOOD, ids=[source for source, _ in GOOD])
def test_a_good_expression_compiles_and_knows_the_facts_it_mentions(source: str, names: set[str]) -> None:
    assert compile_all([source], FACTS).names == names


def test_without_declared_facts_any_name_may_stand() -> None:
    expectations = compile_all(["depth < 3 && queue.name == 'x'", "int(rest) == 1"], None)
    assert expectations.names == {"depth", "queue", "rest"}


# ---------------------------------------------------------------- what it may not, and why

BAD = [
    ("", "the expression is empty"),
    ("  \n", "the expression is empty"),
    ("x" * 2001, "the expression is 2001 characters long, at most 2000 are allowed"),
    # syntax
    ("status ==", "syntax error at column 10: something is missing at the end"),
    ("(status == 200", "syntax error at column 15: ) is missing at the end"),
    ("status == 200)", "syntax error at column 14: unexpected )"),
    ("json['x' == 1", "syntax error at column 14: ] is missing at the end"),
    ("status = 200", "syntax error at column 8: unexpected =, write =="),
    ("status\n== 200 &", "syntax error at line 2, column 8: unexpected &, write &&"),
    ("status == 200 and fresh", "syntax error at column 15: unexpected and, write &&"),
    ("status == 200;", "syntax error at column 14: unexpected ;"),
    ("latency < 2s", "syntax error at column 12: unexpected s, write duration('5s')"),
    ("body == 'ok", "syntax error at column 9: this text is not closed, or holds an escape that CEL does not know"),
    ("body == '\\d'", "syntax error at column 9: this text is not closed, or holds an escape that CEL does not know"),
    ("json.in == 1", "syntax error at column 6: unexpected .in"),
    ("for == 1", "syntax error at column 1: for is a reserved word"),
    ("status == 99999999999999999999", "syntax error at column 11: this number is too large"),
    ("status ? 1", "syntax error at column 11: something is missing at the end"),
    ("(" * 100 + "true" + ")" * 100, "syntax error at column 97: it is nested too deeply"),
    ("\ud800", "the expression is not valid text"),
    ("status == \x1b", "syntax error at column 11: unexpected \\x1b"),
    (
        "has(headers['x-a'])",
        (
            "syntax error at column 12: has() takes a field, such as has(json.db); "
            "for a key that is no name write 'x-a' in headers"
        ),
    ),
    # names
    ("stauts == 200", f'unknown fact "stauts", did you mean "status"? (known: {KNOWN})'),
    ("status == 200 && zzz", f'unknown fact "zzz" (known: {KNOWN})'),
    ("type(status) == integer", f'unknown fact "integer" (known: {KNOWN})'),
    ("foo(1)", f'unknown function "foo" (known: {FUNCTIONS})'),
    ("body.startswith('a')", f'unknown function "startswith", did you mean "startsWith"? (known: {FUNCTIONS})'),
    ("optional.none()", f'unknown function "none" (known: {FUNCTIONS})'),
    ("startsWith(body, 'a')", "startsWith() is written after a dot, such as body.startsWith(…)"),
    ("status.string() == '200'", "string() is written string(x), not x.string()"),
    ("json.has(x)", "has() is written has(json.db)"),
    ("Foo{a: 1} == 1", "there are no message types here, such as Foo"),
    # macros
    (
        "json.a.all(x, x.b.exists(y, y > 0))",
        "one expression may hold one macro, this one has all(), exists(); write several expressions",
    ),
    (
        "json.a.map(x, x).all(y, y > 0)",
        "one expression may hold one macro, this one has map(), all(); write several expressions",
    ),
    ("json.a.exists(x)", "exists() is written list.exists(x, x > 0): a list, a variable, what holds for it"),
    ("json.a.all(i, x, x > 0)", "all() is written list.all(x, x > 0): a list, a variable, what holds for it"),
    ("json.a.all(status, status > 0)", "the variable of all() needs a name of its own, status is a fact"),
    # literals
    ("latency < duration('14d')", "duration('14d') has no days in CEL, write duration('336h')"),
    (
        "status == 200 || (cert_expires_in > duration('1d12h30m'))",
        "duration('1d12h30m') has no days in CEL, write duration('36h30m')",
    ),
    ("json.all(x, duration(x) < duration('1.5d'))", "duration('1.5d') has no days in CEL, write duration('36h')"),
    ("latency < duration('5')", "expected a duration such as duration('5s') or duration('1h30m'), got duration('5')"),
    (
        "latency < duration('1m30')",
        "expected a duration such as duration('5s') or duration('1h30m'), got duration('1m30')",
    ),
    ("latency < duration('')", "expected a duration such as duration('5s') or duration('1h30m'), got duration('')"),
    (
        "latency < duration('nans')",
        "expected a duration such as duration('5s') or duration('1h30m'), got duration('nans')",
    ),
    ("latency < duration('99999999h')", "duration('99999999h') is longer than a century"),
    ("body.matches('(')", "'(' is not a regular expression: unclosed group"),
    ("fresh || json.x.matches(r'[a')", "r'[a' is not a regular expression: unclosed character class"),
    (
        "body.matches('a{1000}{1000}{100}')",
        "'a{1000}{1000}{100}' is not a regular expression: it is too large",
    ),
    ("timestamp('x') < timestamp(json.t)", "timestamp('x') is not a time such as '2026-11-22T15:00:00Z'"),
    ("int('x') == json.x", "int('x') is not a number"),
    # types
    ("status", "status is a whole number, expected something that is true or false"),
    ("body", "body is a text, expected something that is true or false"),
    ("'yes'", "'yes' is a text, expected something that is true or false"),
    ("status == 200 && ratio", "ratio is a number, expected something that is true or false"),
    ("json.db == 'ok' || latency", "latency is a duration, expected something that is true or false"),
    ("status < 'x'", "status < 'x' cannot be evaluated: status is a whole number"),
    ("status == '200'", "status == '200' cannot be evaluated: status is a whole number"),
    ("'200' != status", "'200' != status cannot be evaluated: status is a whole number"),
    ("latency > 2", "latency > 2 cannot be evaluated: latency is a duration, compare it with duration('5s')"),
    ("latency == 2", "latency == 2 cannot be evaluated: latency is a duration, compare it with duration('5s')"),
    (
        "phases.connect < 1",
        "phases.connect < 1 cannot be evaluated: phases.connect is a duration, compare it with duration('5s')",
    ),
    (
        "headers['content-type'] > 3",
        "headers['content-type'] > 3 cannot be evaluated: headers['content-type'] is a text",
    ),
    ("size(status) > 3", "size(status) > 3 cannot be evaluated: status is a whole number"),
    ("status.matches('a')", "status.matches('a') cannot be evaluated: status is a whole number"),
    ("binary == 'x'", "binary == 'x' cannot be evaluated: binary is bytes"),
    ("status ? true : false", "status ? true : false cannot be evaluated: status is a whole number"),
    (
        "fresh ? body < 3 && true : true",
        "fresh ? body < 3 && true : true cannot be evaluated: fresh is true or false, body is a text",
    ),
    ("1 + 'a' == 'b'", "1 + 'a' == 'b' cannot be evaluated: the types do not fit"),
    ("1 / 0 == 1", "1 / 0 == 1 can never be evaluated"),
    # What stands behind a short cut, or beside something of any type, is checked all the same.
    ("status == 500 && body < 3", "body < 3 cannot be evaluated: body is a text"),
    ("status == 200 || (json.x && body < 3)", "body < 3 cannot be evaluated: body is a text"),
]


@pytest.mark.parametrize(("source", "message"), BAD, ids=[repr(source[:60]) for source, _ in BAD])
def test_a_bad_expression_is_refused_in_one_sentence(source: str, message: str) -> None:
    assert refusal(source) == message


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("latency > 2", "latency > 2 cannot be evaluated: latency is a duration, compare it with duration('5s')"),
        ("depth < 3 && foo(depth)", f'unknown function "foo" (known: {FUNCTIONS})'),
        ("depth < duration('1d')", "duration('1d') has no days in CEL, write duration('24h')"),
        ("depth.all(depth, depth > 1)", "the variable of all() needs a name of its own, depth is a fact"),
        ("depth ==", "syntax error at column 9: something is missing at the end"),
    ],
)
def test_without_declared_facts_the_rest_is_checked(source: str, message: str) -> None:
    assert refusal(source, None) == message


def test_the_error_says_which_of_the_list_it_is() -> None:
    with pytest.raises(ExpectationError) as caught:
        compile_all(["status == 200", "status ==", "also bad"], FACTS)
    assert caught.value.index == 1


@pytest.mark.parametrize(
    "source",
    ["json.x < 3", "headers['x-a'] < '3'", "int(body) > 3", "json.n / 0 == 1", "status / (status - 200) == 1"],
)
def test_what_depends_on_the_values_is_not_refused(source: str) -> None:
    compile_all([source], FACTS)


# ---------------------------------------------------------------- what holds, and what the message shows

HOLDS = [
    ("status == 200", {"status": 200}),
    ("json.db == 'ok'", {"json": {"db": "ok"}}),
    ("json", {"json": True}),
    ("json == [1]", {"json": [1]}),
    ("json.items[1].id == 7", {"json": {"items": [{}, {"id": 7}]}}),
    ("json['a b'].c == null", {"json": {"a b": {"c": None}}}),
    ("json.n < 500", {"json": {"n": 12.5}}),
    ("latency < duration('2s')", {"latency": seconds(1.9)}),
    ("phases.connect < duration('1s')", {"phases": {"connect": seconds(0.1)}}),
    ("headers['x-a'] == '1'", {"headers": {"x-a": "1"}}),
    ("binary == b'ab'", {"binary": b"ab"}),
    ("has(json.a) ? json.a > 3 : true", {"json": {}}),
    ("!has(json.error)", {"json": {"ok": 1}}),
    ("status == 200 || json.x", {"status": 200}),  # CEL: what is true needs not know the rest
    ("json.items.all(item, item > status)", {"json": {"items": [3, 4]}, "status": 2}),
    ("size(json.items.filter(item, item > 3)) == 1", {"json": {"items": [3, 4]}}),
    # What an expression does not mention cannot spoil it.
    ("json.db == 'ok'", {"json": {"db": "ok", "text": "\ud800", "deep": deep(100_000), "huge": 10**5000}}),
    ("status == 200", {"status": 200, "json": {1, 2}}),
]


@pytest.mark.parametrize(("source", "facts"), HOLDS, ids=[f"{n}: {source}" for n, (source, _) in enumerate(HOLDS)])
def test_it_holds(source: str, facts: dict[str, Any]) -> None:
    assert complaint(source, **facts) is None


MESSAGES = [
    ("json.db == 'ok'", {"json": {"db": "failed"}}, "expected json.db == 'ok', got json.db = \"failed\""),
    ("latency < duration('2s')", {"latency": seconds(2.31)}, "expected latency < duration('2s'), got latency = 2.31 s"),
    (
        "cert_expires_in > duration('336h')",
        {},
        "expected cert_expires_in > duration('336h'), but cert_expires_in is absent",
    ),
    (
        "cert_expires_in > duration('336h')",
        {"cert_expires_in": seconds(336 * 3600 - 1)},
        "expected cert_expires_in > duration('336h'), got cert_expires_in = 13 days 23 h",
    ),
    (
        "cert_expires_in > duration('336h')",
        {"cert_expires_in": seconds(-3 * 86400)},
        "expected cert_expires_in > duration('336h'), got cert_expires_in = -3 days",
    ),
    ("headers['x-a'] == '1'", {"headers": {}}, "expected headers['x-a'] == '1', but headers['x-a'] is absent"),
    ("headers['x-a'] == '1'", {}, "expected headers['x-a'] == '1', but headers is absent"),
    ("json.a.b.c == 1", {"json": {"a": {}}}, "expected json.a.b.c == 1, but json.a.b is absent"),
    ("json.a.b == 1", {"json": {"a": "text"}}, "expected json.a.b == 1, but json.a.b is absent"),
    ("json.items[3].id == 4", {"json": {"items": [1]}}, "expected json.items[3].id == 4, but json.items[3] is absent"),
    ("json == null", {"json": None}, "expected json == null, but json is absent"),
    ("json == 3", {"json": None}, "expected json == 3, but json is absent"),
    ("json.x == 3", {"json": {"x": None}}, "expected json.x == 3, got json.x = null"),
    (
        "status == 200 && json.ok",
        {"status": 500, "json": {"ok": False}},
        "expected status == 200 && json.ok, got status = 500, json.ok = false",
    ),
    (
        "status == 200 && json.a && json.b",
        {"status": 500, "json": {}},
        "expected status == 200 && json.a && json.b, but json.a and json.b are absent, got status = 500",
    ),
    ("status == 200 && status < 300", {"status": 500}, "expected status == 200 && status < 300, got status = 500"),
    # has() asks, so what it denies may be absent
    ("has(json.x)", {"json": {}}, "expected has(json.x), but json.x is absent"),
    ("!has(json.error)", {"json": {"error": "boom"}}, 'expected !has(json.error), got json.error = "boom"'),
    (
        "status == 200 && has(json.x)",
        {"json": {}, "status": 200},
        "expected status == 200 && has(json.x), but json.x is absent, got status = 200",
    ),
    ("!has(json.error)", {}, "expected !has(json.error), but json is absent"),
    (
        "!has(json.x) && status == 200",
        {"json": {}, "status": 1},
        "expected !has(json.x) && status == 200, got status = 1",
    ),
    # of another type
    ("json.n < 3", {"json": {"n": "7"}}, 'expected json.n < 3, got json.n = "7" (of the wrong type)'),
    ("json.n", {"json": {"n": 1}}, "expected json.n, got json.n = 1 (not true or false)"),
    ("json.s.matches('a')", {"json": {"s": 1}}, "expected json.s.matches('a'), got json.s = 1 (of the wrong type)"),
    ("int(body) > 3", {"body": "x"}, 'expected int(body) > 3, got body = "x" (int() failed)'),
    (
        "json.a / json.b == 1",
        {"json": {"a": 1, "b": 0}},
        "expected json.a / json.b == 1, got json.a = 1, json.b = 0 (division by zero)",
    ),
    (
        "json.a * json.a > 1",
        {"json": {"a": 2**62}},
        f"expected json.a * json.a > 1, got json.a = {2**62} (a number is too large)",
    ),
    (
        "json[body] == 1",
        {"json": {"a": 1}, "body": "b"},
        'expected json[body] == 1, got json = {"a": 1}, body = "b" (no such key)',
    ),
    # macros: what is free in them is shown, what they bind is not
    (
        "json.items.all(item, item.id > status)",
        {"json": {"items": [{"id": 1}]}, "status": 2},
        'expected json.items.all(item, item.id > status), got json.items = [{"id": 1}], status = 2',
    ),
    # values are bounded and printable
    (
        "body == 'x'",
        {"body": 'a\x1b[31m\n\u202e"\\'},
        r'''expected body == 'x', got body = "a\x1b[31m\n\u202e\"\\"''',
    ),
    ("body == 'x'", {"body": "y" * 1000}, f"expected body == 'x', got body = \"{'y' * 97}…\""),
    ("binary == b'x'", {"binary": b"\x00a"}, "expected binary == b'x', got binary = b'\\x00a'"),
    ("json == 1", {"json": list(range(20))}, "expected json == 1, got json = [0, 1, 2, 3, 4, 5, 6, 7, …]"),
    ("json == 1", {"json": deep(5)}, 'expected json == 1, got json = {"a": {"a": {"a": {…}}}}'),
    ("json\n  == 1", {"json": {"b": True, "n": None}}, 'expected json == 1, got json = {"b": true, "n": null}'),
    # what a server may send to hurt
    ("json.x == 1", {"json": {"x": 2**64}}, "expected json.x == 1, got json.x = an integer beyond 64 bits"),
    (
        "json.x == 1",
        {"json": {"x": 10**5000}},
        (
            "expected json.x == 1, got json.x = an integer beyond 64 bits "
            "(json holds a value that an expression cannot take)"
        ),
    ),
    ("json.x < 1", {"json": {"x": float("nan")}}, "expected json.x < 1, got json.x = nan (of the wrong type)"),
    (
        "json.x == 'a'",
        {"json": {"x": "\ud800"}},
        "expected json.x == 'a', got json.x = \"\\ud800\" (json holds a value that an expression cannot take)",
    ),
    (
        "size(json) > 1",
        {"json": deep(100_000)},
        'expected size(json) > 1, got json = {"a": {"a": {"a": {…}}}} (json is nested more than 100 levels deep)',
    ),
    (
        "size(json.x) < 1",
        {"json": {"x": ["y"] * 50_001}},
        (
            'expected size(json.x) < 1, got json.x = ["y", "y", "y", "y", "y", "y", "y", "y", …] '
            "(json holds more than 50000 values)"
        ),
    ),
    (
        "json.filter(item, item > 1) == []",
        {"json": [1] * 1001},
        (
            "expected json.filter(item, item > 1) == [], got json = [1, 1, 1, 1, 1, 1, 1, 1, …] "
            "(too many values for filter())"
        ),
    ),
    (
        "json.a.all(item, item in json.b)",
        {"json": {"a": [1] * 2000, "b": [1] * 2000}},
        (
            "expected json.a.all(item, item in json.b), got json.a = [1, 1, 1, 1, 1, 1, 1, 1, …], "
            "json.b = [1, 1, 1, 1, 1, 1, 1, 1, …] (too many values for all())"
        ),
    ),
    (
        "status == 200",
        {"status": {1, 2}},
        "expected status == 200, got status = a set (status holds a value that an expression cannot take)",
    ),
    ("false", {}, "expected false"),
]


@pytest.mark.parametrize(
    ("source", "facts", "message"), MESSAGES, ids=[f"{n}: {source}" for n, (source, _, _) in enumerate(MESSAGES)]
)
def test_the_message_shows_what_was_expected_and_what_came(source: str, facts: dict[str, Any], message: str) -> None:
    assert complaint(source, **facts) == message


def test_a_message_is_bounded() -> None:
    fields = [f"field_number_{n}" for n in range(50)]
    source = " && ".join(f"json.{field} == 1" for field in fields)
    document = dict.fromkeys(fields, "x" * 1000)
    message = complaint(source, json=document)
    assert message is not None
    assert len(message) == 500
    assert message.startswith("expected json.field_number_0 == 1 && ")
    assert ', got json.field_number_0 = "xxx' in message


def test_a_bounded_message_still_says_why() -> None:
    source = " && ".join(f"json.field_number_{n} < 1" for n in range(50))
    message = complaint(source, json={f"field_number_{n}": "x" * 1000 for n in range(50)})
    assert message is not None
    assert len(message) == 500
    assert message.endswith("… (of the wrong type)")


def test_the_first_that_does_not_hold_is_told() -> None:
    expectations = compile_all(["status < 500", "status == 200", "fresh"], FACTS)
    assert expectations.first_false({"status": 204, "fresh": False}) == "expected status == 200, got status = 204"
    assert expectations.first_false({"status": 200, "fresh": True}) is None


def test_a_fact_that_cannot_be_used_spoils_only_what_mentions_it() -> None:
    expectations = compile_all(["status == 200", "json.x == 'a'"], FACTS)
    facts = {"status": 500, "json": {"x": "\ud800"}}
    assert expectations.first_false(facts) == "expected status == 200, got status = 500"
    assert "json holds a value" in str(expectations.first_false({**facts, "status": 200}))


def test_nothing_expected_always_holds() -> None:
    assert Expectations().first_false({}) is None
    assert compile_all([], FACTS) == Expectations()


def test_expectations_compare_by_their_sources() -> None:
    one, same, other = (compile_all([source], FACTS) for source in ("status == 1", "status == 1", "status == 2"))
    assert one == same
    assert hash(one) == hash(same)
    assert one != other


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.characters(categories=["Cs"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from("abcx"), inner, max_size=4),
    max_leaves=12,
)
SOURCES = [
    "json.a == json.b",
    "json.a < json.b",
    "json.a + json.b == json.c",
    "json.a[0].b == 'x' || json['x'] > 1.5",
    "json.a.all(item, item.b == json.c)",
    "json.map(item, item)[0] == 1",
    "json.a in json.b",
    "has(json.a.b) && !has(json.x)",
    "string(json.a).matches(json.b)",
    "timestamp(json.a) < timestamp(json.b) || duration(json.a) < latency",
    "json[json.a] ? json.b : json.c",
    "type(json.a) == type(json.b) && size(json.a) % int(json.b) == -json.c",
]


@pytest.mark.parametrize("source", SOURCES)
@given(value=json_values)
def test_whatever_a_server_sends_there_is_an_answer(source: str, value: Any) -> None:
    expectations = compile_all([source], FACTS)
    message = expectations.first_false({"json": value, "latency": seconds(1)})
    assert message is None or (message.isprintable() and len(message) <= 500)


@given(st.text(max_size=60) | st.text(alphabet="status.json[]()'\"\\=<&|!?:,0 1\nallhas", max_size=60))
def test_whatever_a_config_says_it_is_compiled_or_refused_in_one_line(source: str) -> None:
    message = "fine"
    try:
        compile_all([source], FACTS)
    except ExpectationError as exc:
        message = str(exc)
    assert message
    assert "\n" not in message


def test_the_language_is_loaded_for_the_first_expression_and_without_its_command_line() -> None:
    program = """
import sys
from monitor.core.expectations import compile_all
compile_all([], None)
assert "cel" not in sys.modules
compile_all(["true"], None)
assert "cel" in sys.modules
print(sorted({"typer", "rich", "prompt_toolkit", "pygments"} & sys.modules.keys()))
"""
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (ran.stdout, ran.stderr) == ("[]\n", "")
