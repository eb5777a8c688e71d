"""What a person sees, and does not: live, in light and dark, on a phone, without JavaScript, with a screen reader."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import expect

from monitor.web.drawing import paths

if TYPE_CHECKING:
    from collections.abc import Callable

    from browser.conftest import Service
    from playwright.sync_api import Page

    Visit = Callable[..., Page]
    Daemon = Callable[[str], str]

TOKEN = "a-token-of-an-admin-1234"
QUICK = """
[defaults]
interval = "500ms"
timeout = "2s"
retry_interval = "200ms"
failure_threshold = 2
"""
XSS = """'"><img src=x onerror=alert(1)><script>alert(1)</script>{{7*7}}&lt;"""


def config(service: Service, extra: str = "") -> str:
    return f"""
{QUICK}
[[endpoint]]
name = "shop"
group = "Storefront"
url = "{service.url}/shop/with/a/path/that/is/much/longer/than/a/phone/is/wide/or/a/column"
degraded = ["json.db == 'ok'"]
labels = {{ team = "shop" }}

[[endpoint]]
name = "price feed"
group = "Realtime"
url = "http://127.0.0.1:1/"
description = "Prices."
runbook = "https://wiki.example.org/feed"
{extra}
"""


def row(page: Page, name: str) -> Any:
    return page.locator(f'tr[data-name="{name}"]')


def test_an_outage_and_its_end_are_seen_live(service: Service, daemon: Daemon, visit: Visit) -> None:
    page = visit(daemon(config(service)))
    page.evaluate("window.stayed = true")
    shop = row(page, "shop")
    expect(page.locator("#live")).to_have_text("· live")
    expect(shop.locator(".word")).to_contain_text("Up")
    expect(shop.locator(".bar .down")).to_have_count(0)
    cells = len(shop.locator(".bar").get_attribute("data-letters") or "")
    page.wait_for_function("count => document.querySelector('.bar').dataset.letters?.length > count", arg=cells + 2)
    expect(shop.locator(".spark polyline")).to_have_attribute("points", re.compile(r"\d+,\d+ 59,\d+$"))

    service.status = 503
    expect(shop.locator(".word")).to_contain_text("Down")
    expect(shop.locator(".bar .down")).to_have_count(1)
    expect(shop.locator(".why")).to_have_text("expected status 200-299, got 503")
    expect(page.locator("h1")).to_have_text("shop and price feed are down")
    expect(page).to_have_title(re.compile("^shop and price feed are down"))

    service.status = 200
    expect(shop.locator(".word")).to_contain_text("Up")
    expect(shop.locator(".why")).to_have_text("")
    service.body = b'{"db":"slow"}'
    expect(shop.locator(".word")).to_contain_text("Degraded")
    assert page.evaluate("window.stayed"), "the page was never loaded anew"


def test_what_the_script_draws_is_what_the_server_draws(service: Service, daemon: Daemon, visit: Visit) -> None:
    url = daemon(config(service))
    page = visit(url)
    for status in (503, 200, 503, 200):
        service.status = status
        page.wait_for_timeout(700)
    bar = row(page, "shop").locator(".bar")
    letters, drawn = bar.evaluate("""bar => [
        bar.dataset.letters,
        [...bar.children].map(path => [path.getAttribute("class"), path.getAttribute("d")]),
    ]""")
    assert {"u", "d"} <= set(letters)
    assert dict(drawn) == paths(letters, 60)


def test_the_page_of_incidents_is_live(service: Service, daemon: Daemon, visit: Visit) -> None:
    page = visit(daemon(config(service)) + "/incidents")
    expect(page.locator("#live")).to_contain_text("live")
    service.status = 503
    expect(page.locator("td").filter(has_text="shop")).to_have_count(1)
    page.wait_for_timeout(2000)
    page.evaluate("window.before = document.querySelector('main')")
    page.wait_for_timeout(3000)
    assert page.evaluate("document.querySelector('main') === window.before"), "results alone change nothing here"


def test_a_page_is_never_older_than_a_minute(service: Service, daemon: Daemon, visit: Visit) -> None:
    page = visit(daemon(config(service)))
    page.clock.install()
    page.reload()
    expect(page.locator("h1")).to_have_text("price feed is down")
    expect(page.locator("#live")).to_have_text("· live")
    page.wait_for_timeout(2000)
    page.evaluate("document.querySelector('main').dataset.old = 'yes'")
    page.clock.fast_forward(61_000)
    expect(page.locator("main[data-old]")).to_have_count(0)


def test_what_somebody_writes_stays(service: Service, daemon: Daemon, visit: Visit) -> None:
    url = daemon(f'[monitor.access]\nadmin_token = "{TOKEN}"\n' + config(service))
    page = visit(url + "/endpoints/price%20feed", extra_http_headers={"authorization": f"Bearer {TOKEN}"})
    page.locator("#comment").fill("It is the cable.")
    page.locator("#comment").blur()
    page.wait_for_timeout(3000)  # the page of an endpoint is fetched anew with every result
    expect(page.locator("#comment")).to_have_value("It is the cable.")
    page.locator("#comment").fill("")
    page.locator("#comment").blur()
    page.evaluate("document.querySelector('main').dataset.old = 'yes'")
    expect(page.locator("main[data-old]")).to_have_count(0)


def test_the_chart_can_be_looked_into(service: Service, daemon: Daemon, visit: Visit) -> None:
    url = daemon(config(service))
    page = visit(url)
    page.wait_for_function("() => document.querySelector('.bar').dataset.letters?.length > 3")
    row(page, "shop").get_by_role("link", name="shop").click()
    page.get_by_role("link", name="1h", exact=True).click()
    chart = page.locator(".chart .uplot")
    expect(chart).to_be_visible()
    for phase in ("connect", "processing"):
        expect(chart.locator(".u-legend")).to_contain_text(phase)
    box = chart.locator(".u-over").bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + box["width"] - 2, box["y"] + 20)
    expect(chart.locator(".u-legend")).to_contain_text(re.compile(r"20\d\d-\d\d-\d\d \d\d:\d\d"))
    expect(chart.locator(".u-legend")).to_contain_text("ms")
    chart.evaluate("chart => chart.dataset.same = 'yes'")
    page.evaluate("window.before = document.querySelector('main')")
    page.wait_for_function("() => document.querySelector('main') !== window.before")
    expect(page.locator(".chart .uplot")).to_have_attribute("data-same", "yes")
    expect(page.locator(".chart")).to_contain_text("p95")


def test_what_the_last_failed_probe_saw_is_kept(service: Service, daemon: Daemon, visit: Visit) -> None:
    url = daemon(config(service))
    service.status = 418
    page = visit(f"{url}/endpoints/shop")
    expect(page.locator("h1")).to_have_text("shop is down")
    service.status = 200
    expect(page.locator("h1")).to_have_text("shop is up")
    expect(page.locator("main")).to_contain_text("Last probe that failed")
    expect(page.locator("main")).to_contain_text("expected status 200-299, got 418")


def test_without_javascript_everything_is_there(service: Service, daemon: Daemon, visit: Visit) -> None:
    url = daemon(config(service))
    visit(url).wait_for_function("() => document.querySelector('.bar').dataset.letters?.length > 3")
    page = visit(url, java_script_enabled=False)
    expect(page.locator("h1")).to_have_text("price feed is down")
    expect(row(page, "shop").locator(".bar .up")).to_have_count(1)
    expect(row(page, "price feed").locator(".bar .down")).to_have_count(1)
    expect(row(page, "shop").locator(".spark polyline")).to_have_attribute("points", re.compile(r"\d+,\d+ \d+,\d+"))
    page.goto(f"{url}/endpoints/shop?window=1h")
    assert page.locator(".chart svg path[d]").count() > 2
    expect(page.locator(".chart figcaption")).to_contain_text("p95")


def test_light_and_dark_are_the_visitors_choice(service: Service, daemon: Daemon, visit: Visit) -> None:
    url = daemon(config(service))

    def brightness(scheme: str) -> int:
        color = visit(url, color_scheme=scheme).evaluate("getComputedStyle(document.body).backgroundColor")
        return sum(map(int, re.findall(r"\d+", color)[:3]))

    assert brightness("light") > 600
    assert brightness("dark") < 120


@pytest.mark.parametrize("path", ["/", "/endpoints/shop", "/incidents", "/silences", "/login"])
def test_nothing_is_wider_than_a_phone(service: Service, daemon: Daemon, visit: Visit, path: str) -> None:
    page = visit(daemon(config(service)) + path, viewport={"width": 360, "height": 740})
    page.wait_for_timeout(500)
    assert page.evaluate("document.documentElement.scrollWidth") <= 360


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_finds_nothing(service: Service, daemon: Daemon, visit: Visit, scheme: str) -> None:
    access = f'[monitor.access]\nadmin_token = "{TOKEN}"\n'
    url = daemon(access + config(service))
    service.body = b'{"db":"slow"}'
    page = visit(url, color_scheme=scheme, http_credentials={"username": "me", "password": TOKEN})
    page.set_extra_http_headers({"authorization": f"Bearer {TOKEN}"})
    expect(page.locator("h1")).to_have_text("price feed is down")
    for width in (1200, 360):
        page.set_viewport_size({"width": width, "height": 900})
        for path in ("/", "/endpoints/shop?window=1h", "/endpoints/price%20feed", "/incidents", "/silences", "/login"):
            page.goto(url + path)
            page.wait_for_timeout(300)
            found = Axe().run(page)
            assert found.violations_count == 0, f"{path} at {width}: {found.generate_report()}"


def test_the_keyboard_reaches_every_endpoint(service: Service, daemon: Daemon, visit: Visit) -> None:
    page = visit(daemon(config(service)))
    expect(page.locator("h1")).to_have_text("price feed is down")
    expect(row(page, "shop").locator(".word")).to_contain_text("Up")
    reached = []
    for _ in range(6):
        page.keyboard.press("Tab")
        reached.append(page.evaluate("document.activeElement.textContent"))
    assert reached == ["Overview", "Incidents", "Silences", "price feed", "shop", "price feed"]
    page.evaluate("document.querySelector('main').dataset.old = 'yes'")
    service.status = 503
    expect(page.locator("h1")).to_have_text("shop and price feed are down")
    expect(page.locator("main[data-old]")).to_have_count(0)
    assert page.evaluate("document.activeElement.closest('tr').dataset.name") == "price feed", "it stays in the table"
    row(page, "shop").get_by_role("link", name="shop").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text(re.compile("^shop"))


def test_nothing_from_outside_is_run(service: Service, daemon: Daemon, visit: Visit) -> None:
    quoted = XSS.replace("/", "").replace("\\", "")
    service.headers = {"server": quoted, "x-more": quoted}
    service.body = b'{"db":"' + quoted.replace('"', "'").encode() + b'"}'
    text = f"""
{QUICK}
[[endpoint]]
name = '''{quoted}'''
group = '''{quoted}'''
url = "{service.url}/"
expect = ["json.db == 'ok'"]
description = '''{XSS}'''
runbook = '''{XSS}'''
labels = {{ team = '''{XSS}''' }}
"""
    url = daemon(text)
    page = visit(url)
    expect(page.locator(".word")).to_contain_text("Down")
    expect(page.locator("h1")).to_contain_text("{{7*7}}&lt;")
    page.locator("tr.row a").click()
    expect(page.locator("main")).to_contain_text("<script>alert(1)")
    page.wait_for_timeout(1500)
    page.goto(f"{url}/incidents")
    expect(page.locator("main")).to_contain_text("{{7*7}}")
    assert page.locator("img").count() == 0
