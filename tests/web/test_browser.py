from __future__ import annotations

import pytest

from exporter.core.target import JobPolicy
from exporter.simulator import Fault
from tests import chromium
from tests.rig import target_at

HOSTILE = "<img src=x onerror=document.title=1><style>body{display:none}</style>"

CONTRASTS = """
(() => {
  const numbers = (colour) => colour.match(/[0-9.]+/g).map(Number);
  const light = ([red, green, blue]) => [red, green, blue]
    .map((part) => part / 255)
    .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
    .reduce((sum, part, place) => sum + part * [0.2126, 0.7152, 0.0722][place], 0);
  const ratio = (one, two) => {
    const [dark, bright] = [light(one), light(two)].sort((a, b) => a - b);
    return (bright + 0.05) / (dark + 0.05);
  };
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const colour = numbers(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
    return [255, 255, 255];
  };
  const found = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (texts.nextNode()) {
    const element = texts.currentNode.parentElement;
    if (!texts.currentNode.data.trim()) continue;
    found.push([4.5, ratio(numbers(getComputedStyle(element).color), behind(element)), texts.currentNode.data.trim()]);
  }
  for (const element of document.querySelectorAll("svg rect")) {
    found.push([3, ratio(numbers(getComputedStyle(element).fill), behind(element)), element.getAttribute("class")]);
  }
  return found;
})()
"""
"""For each text and each part of a bar: the least contrast that WCAG 2.2 AA allows, the contrast, and what it is.

Sources: https://www.w3.org/TR/WCAG22/#contrast-minimum and #non-text-contrast.
"""

FOCUS = """
(() => {
  const at = document.activeElement;
  const name = at.getAttribute("href") || at.textContent.trim();
  return [at.tagName, name, parseFloat(getComputedStyle(at).outlineWidth), getComputedStyle(at).outlineStyle];
})()
"""


@pytest.fixture(scope="module")
def browser():
    """A tab of a real browser."""
    with chromium.tab() as tab:
        yield tab


@pytest.fixture
def tab(browser):
    """The tab, without what earlier tests left in it."""
    browser.messages.clear()
    browser.requested.clear()
    return browser


@pytest.fixture
def url(exported, store, store_url):
    """The page of a target with jobs of all kinds, one that is down, and one that was never scraped; one is hostile."""
    jobs = store.world.listed
    for place, status in enumerate(("Active", "Suspended", "Failing", "Paused", "New")):
        jobs[place] = jobs[place]._replace(status=status, description=HOSTILE, tasks=9, succeeded=4, failed=2)
    jobs[5] = jobs[5]._replace(status="Failed", terminated=None, created=None, tasks=9, succeeded=4, failed=2)
    client = exported(
        target_at(store_url, jobs=JobPolicy(describe=True)),
        target_at(store_url, HOSTILE),
        target_at(store_url, region="r-two"),
    )
    client.get("/probe?target=oss/prod/cn-hangzhou")
    store.faults.add(Fault("error", status=403, code="AccessDenied"))
    client.get("/probe", params={"target": f"oss/{HOSTILE}/cn-hangzhou"})
    return str(client.base_url.join("/"))


def test_the_landing_page_opens_in_a_browser(tab, url):
    """A browser shows the page from one request, with its style, runs nothing from a name, and logs no message."""
    tab.open(url)
    assert tab.messages == []
    assert [request for request in tab.requested if not request.startswith("data:")] == [url]
    assert tab.run("document.title") == "1 down - batchops-exporter"
    assert tab.run("document.querySelectorAll('img, script, iframe').length") == 0
    assert tab.run("document.querySelectorAll('style').length") == 1
    assert tab.run("getComputedStyle(document.querySelector('.target.down')).borderLeftColor") == "rgb(164, 14, 38)"
    text = tab.run("document.body.innerText")
    for part in ("oss/prod/cn-hangzhou", HOSTILE, "access_denied", "What to do: ", "not listed yet", "4 of 9 tasks"):
        assert part in text


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_contrast_is_sufficient(tab, url, scheme):
    """Every text and every bar has the contrast that WCAG 2.2 AA asks for, in light and in dark."""
    tab.open(url, scheme=scheme)
    found = tab.run(CONTRASTS)
    assert len(found) > 100
    assert {"done", "failed", "Suspended", "down", "access_denied"} <= {what for _, _, what in found}
    assert [row for row in found if row[1] < row[0]] == []
    assert tab.run("getComputedStyle(document.body).backgroundColor") == {
        "light": "rgb(246, 247, 249)",
        "dark": "rgb(15, 19, 24)",
    }[scheme]  # fmt: skip


def test_everything_is_reached_by_keyboard(tab, url):
    """The tabulator key reaches every link and every list, in the order of the page, and shows where it is."""
    tab.open(url)
    wanted = tab.run(
        "[...document.querySelectorAll('a, summary')].map((at) => at.getAttribute('href') || at.textContent.trim())"
    )
    reached = []
    for _ in wanted:
        tab.press_tab()
        reached.append(tab.run(FOCUS))
    assert [name for _, name, _, _ in reached] == wanted
    assert {tag for tag, _, _, _ in reached} == {"A", "SUMMARY"}
    assert all(width >= 2 and style == "solid" for _, _, width, style in reached)


@pytest.mark.parametrize("width", [320, 390, 768, 1280])
def test_it_fits_the_window(tab, url, width):
    """Nothing is wider than the window, on a phone as on a screen, and no text is smaller than 12 pixels."""
    tab.open(url, width=width)
    assert tab.run("document.documentElement.scrollWidth") <= width
    sizes = tab.run("[...document.querySelectorAll('body *')].map((at) => parseFloat(getComputedStyle(at).fontSize))")
    assert min(sizes) >= 12
    assert tab.run("[...document.querySelectorAll('nav a')].every((at) => at.getBoundingClientRect().height >= 24)")


def test_people_who_hear_the_page_get_all_of_it(tab, url):
    """The page has a language, one heading of the first level, named lists of links, and names for bars and links."""
    tab.open(url)
    assert tab.run("document.documentElement.lang") == "en"
    assert tab.run("document.querySelectorAll('h1').length") == 1
    assert tab.run("[...document.querySelectorAll('nav, svg, .chips')].every((at) => at.getAttribute('aria-label'))")
    names = tab.run("[...document.querySelectorAll('a')].map((at) => at.getAttribute('aria-label') || at.textContent)")
    assert len(set(names)) == len(names)


def test_a_browser_shows_metrics_as_text(client, tab):
    """A browser shows the metrics as text instead of offering a download."""
    tab.open(str(client.base_url.join("/metrics")))
    assert tab.messages == []
    assert "batchops_up{" in tab.run("document.body.innerText")


def test_a_browser_shows_the_debug_view_as_text(tab, url):
    """The debug view is text, whatever the names in it are."""
    tab.open(f"{url}probe?target=oss/prod/cn-hangzhou&debug=true")
    assert "Result: down" in tab.run("document.body.innerText")
    assert tab.run("document.querySelectorAll('img').length") == 0
