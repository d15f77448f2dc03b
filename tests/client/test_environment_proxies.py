from __future__ import annotations

import pytest

from exporter.client.proxies import EnvironmentProxies, url_problem
from exporter.core.errors import TransportError

PROXY = "http://proxy.example:3128"


def found(environment, host="oss.example", scheme="https"):
    """The URL of the proxy for `host` and the variable that names it; None: there is none."""
    proxy = EnvironmentProxies(environment).find(scheme, host)
    return proxy and (proxy.url, proxy.setting)


@pytest.mark.parametrize(
    ("environment", "scheme", "setting"),
    [
        ({}, "https", None),
        ({"https_proxy": PROXY, "HTTPS_PROXY": "http://no", "ALL_PROXY": "http://no"}, "https", "https_proxy"),
        ({"HTTPS_PROXY": PROXY, "ALL_PROXY": "http://no"}, "https", "HTTPS_PROXY"),
        ({"HTTPS_PROXY": " ", "all_proxy": PROXY, "ALL_PROXY": "http://no"}, "https", "all_proxy"),
        ({"ALL_PROXY": PROXY}, "https", "ALL_PROXY"),
        ({"https_proxy": "http://no", "http_proxy": PROXY}, "http", "http_proxy"),
        ({"ALL_PROXY": PROXY}, "http", "ALL_PROXY"),
        ({"HTTPS_PROXY": "http://no"}, "http", None),
        ({"HTTP_PROXY": "http://no"}, "http", None),
    ],
)
def test_the_variables_are_read_in_the_order_of_curl(environment, scheme, setting):
    """The variable of the scheme comes before ALL_PROXY, lower case before upper case; HTTP_PROXY is not read."""
    assert found(environment, scheme=scheme) == (setting and (PROXY, setting))


def test_a_proxy_without_a_scheme_speaks_http():
    """A variable with only host and port names an HTTP proxy."""
    assert found({"HTTPS_PROXY": "proxy.example:3128\n"}) == (PROXY, "HTTPS_PROXY")


@pytest.mark.parametrize(
    ("exceptions", "excepted", "others"),
    [
        ("*", ["oss.example", "10.0.0.1", "[::1]:8443"], []),
        ("other.example, *", ["oss.example"], []),
        ("oss.example", ["oss.example", "OSS.example.", "a.oss.example:8443"], ["boss.example", "oss.example.org"]),
        (".oss.example", ["oss.example", "a.oss.example"], ["boss.example"]),
        ("*.oss.example.", ["oss.example", "a.oss.example"], ["boss.example"]),
        (" a.example ,, OSS.example\tb.example ", ["a.example", "oss.example", "b.example"], ["c.example"]),
        ("oss.example:8443", ["oss.example:8443", "a.oss.example:8443"], ["oss.example", "oss.example:443"]),
        ("oss.example:443", ["oss.example", "oss.example:443"], ["oss.example:8443"]),
        ("10.1.2.3", ["10.1.2.3", "10.1.2.3:8443"], ["10.1.2.30", "a.10.1.2.3"]),
        ("10.1.2.3:8443", ["10.1.2.3:8443"], ["10.1.2.3"]),
        ("10.0.0.0/8", ["10.255.0.1"], ["11.0.0.1", "10.example"]),
        ("[2001:db8::1]", ["[2001:db8::1]", "[2001:DB8:0::1]:8443"], ["[2001:db8::2]"]),
        ("2001:db8::1", ["[2001:db8::1]"], ["[2001:db8::2]"]),
        ("[2001:db8::1]:8443", ["[2001:db8::1]:8443"], ["[2001:db8::1]"]),
        ("2001:db8::/32", ["[2001:db8:ffff::1]"], ["[2001:db9::1]", "10.0.0.1"]),
        ("[2001:db8::]/32", ["[2001:db8:ffff::1]"], ["[2001:db9::1]"]),
        ("[2001:db8::/32]", ["[2001:db8:ffff::1]"], ["[2001:db9::1]"]),
        ("10.0.0.0/8", ["[::ffff:10.1.2.3]"], ["[::ffff:11.1.2.3]"]),
        ("", [], ["oss.example"]),
    ],
)
@pytest.mark.parametrize("variable", ["no_proxy", "NO_PROXY"])
def test_no_proxy_by_the_rules_of_curl(variable, exceptions, excepted, others):
    """NO_PROXY has names with those below them, addresses, networks and ports, in any separation and case."""
    environment = {"HTTPS_PROXY": PROXY, variable: exceptions}
    assert {host: found(environment, host) for host in excepted} == dict.fromkeys(excepted)
    assert {host: found(environment, host) for host in others} == dict.fromkeys(others, (PROXY, "HTTPS_PROXY"))


@pytest.mark.parametrize(
    "entry",
    ["[::1", "::1]", "10.0.0.0/99", "http://oss.example", "user:CANARY@oss.example", "[oss.example]", "a/b", "."],
)
def test_an_unreadable_entry_is_one_warning(entry, caplog):
    """An entry of NO_PROXY that cannot be read is ignored, with one warning that names the variable and no text."""
    proxies = EnvironmentProxies({"HTTPS_PROXY": PROXY, "NO_PROXY": f"a.example,{entry}"})
    assert proxies.find("https", "oss.example") is not None
    assert proxies.find("https", "a.example") is None
    [record] = caplog.records
    message = record.getMessage()
    assert message == "NO_PROXY in the environment: entry 2 is no host name, address or network, and is ignored"


def test_no_proxy_is_not_read_without_a_proxy(caplog):
    """Without a proxy, NO_PROXY means nothing, whatever it contains."""
    assert found({"NO_PROXY": "[::1"}) is None
    assert caplog.records == []


@pytest.mark.parametrize(
    "url",
    [
        "://CANARY",
        "http://",
        "http://user:CANARY@proxy.example:port",
        "http://user:CANARY@[::1",
        "http://user:CANARY@proxy.example/path",
        "http://user:CANARY@proxy example:1",
        "socks4://user:CANARY@proxy.example",
        "ftp://user:CANARY@proxy.example",
    ],
)
def test_an_unusable_proxy_is_named_by_its_variable(url):
    """A variable that names no usable proxy is a permanent `config` error with its name and without its value."""
    proxies = EnvironmentProxies({"HTTPS_PROXY": url, "NO_PROXY": "a.example"})
    assert proxies.find("https", "a.example") is None
    with pytest.raises(TransportError) as caught:
        proxies.find("https", "oss.example")
    assert (caught.value.reason, caught.value.transient) == ("config", False)
    assert str(caught.value).startswith("HTTPS_PROXY in the environment must be http://, https:// or socks5://")
    assert "CANARY" not in str(caught.value)


@pytest.mark.parametrize("url", ["http://h", "https://u:p@h:1/", "socks5://h:1080", "socks5h://u:p@[::1]:1080"])
def test_urls_of_proxies(url):
    """HTTP, HTTPS and SOCKS 5 proxies can be used, with user, password and port."""
    assert url_problem(url) == ""
