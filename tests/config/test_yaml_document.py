from __future__ import annotations

import pytest

from exporter.config import parse
from exporter.core.errors import ConfigError


def wrong(text, **options):
    """Returns the message of the error that `text` raises."""
    with pytest.raises(ConfigError) as caught:
        parse(text if isinstance(text, bytes) else text.encode(), file="config.yaml", environment={}, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", "is empty"),
        (b"# only a comment\n", "is empty"),
        (b"\xef\xbb\xbf", "is empty"),
        (b"---\n", "must be a mapping, not nothing"),
        (b"[]", "must be a mapping, not a list"),
        (b"accounts", "must be a mapping, not a string"),
        (b"{}", "accounts: is required: a list of accounts, each with provider, account and regions"),
        (b"accounts: []", "accounts: must not be empty: a list of accounts, each with provider, account and regions"),
        (b"accounts: {}", "accounts: must be a list, not a mapping"),
        (b"accounts:\n  - a: b\n caf\xe9: 1", "line 3: is not UTF-8"),
        ("accounts: 1".encode("utf-16"), "line 1: is not UTF-8"),
        (b"a: b\nc: \x00", "line 2: contains a control character, which YAML does not allow"),
        (b"a: [b\nc: d", "line 2, column 2: expected ',' or ']', but got ':'"),
        (b"a: b\n  c: d", "line 2, column 4: mapping values are not allowed here"),
        (b"a: 'b", "line 1, column 6: found unexpected end of stream"),
        (b"a: {}\n---\nb: {}", "line 2, column 1: but found another document"),
        (b'a: "\\UFFFFFFFF"', "contains an invalid escape sequence, or a number that is too long"),
        (b'a: "\\U00110000"', "contains an invalid escape sequence, or a number that is too long"),
        (b"[" * 10_000, "is nested too deeply"),
        (b"a: " + b"{a: " * 100_000, "is nested too deeply"),
        (b"- " * 100_000, "is nested too deeply"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_text_that_is_not_a_mapping(text, message):
    """A text that is not a YAML mapping is one problem, with its line if it has one."""
    assert wrong(text) == f"config.yaml: {message}"


def test_duplicate_keys():
    """A duplicate key at any depth is a problem with both lines, reported with all other problems."""
    text = """\
accounts:
  - provider: oss
    account: a
    account: b
    regions: [r]
    jobs: {max: 1, "max": 2, maxx: 3}
    timeout: 1
accounts: []
"""
    assert wrong(text).splitlines() == [
        "config.yaml: accounts[0].account: duplicate key (lines 3 and 4)",
        "config.yaml: accounts[0].jobs.max: duplicate key (lines 6 and 6)",
        "config.yaml: accounts: duplicate key (lines 1 and 8)",
        "config.yaml: accounts[0].jobs.maxx: is not a known key; did you mean max?",
        "config.yaml: accounts[0].timeout: must be a duration such as 500ms, 10s, 5m, 1h or 7d, not 1",
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("!!python/object:os.system hunter2", "has a type tag (!), which is not allowed"),
        ("!hunter2 x", "has a type tag (!), which is not allowed"),
        ("!!binary aGk=", "has a type tag (!), which is not allowed"),
        ("!!set {a, b}", "has a type tag (!), which is not allowed"),
        ("!!omap [a: b]", "has a type tag (!), which is not allowed"),
        ("!!int hunter2", "is not a valid integer"),
        ("!!int ''", "is not a valid integer"),
        ("!!float hunter2", "is not a valid number"),
        ("!!bool hunter2", "is not a valid boolean"),
        ("9" * 5000, "is not a valid integer"),
        ("0x_", "is not a valid integer"),
        ("1" + ":59" * 300 + ".5", "is not a valid number"),
    ],
    ids=lambda value: value[:20],
)
def test_values_that_cannot_be_read(problems, value, message):
    """A value with a type tag, or one that YAML cannot read, is reported once, with its line but without its text."""
    assert problems(f"retries: {value}") == [f"accounts[0].retries: line 5: {message}"]


@pytest.mark.parametrize("value", ["2024-02-30", "=", "<<", "!!str 12", "!!timestamp x"])
def test_values_that_are_read_as_strings(targets, value):
    """A date, even an impossible one, and YAML's special words are read as strings."""
    text = f"accounts: [{{provider: oss, account: {value}, regions: [r]}}]"
    assert targets(text=text)[0].account == value.rpartition(" ")[2]


def test_a_key_must_be_a_word(problems):
    """A list or a mapping as a key is reported with its line; a number is an unknown key like any other."""
    messages = problems("? [a]\n    : b\n    1: c\n    yes: d")
    assert messages[0] == "accounts[0]: line 5: a key must be a word, not a list or a mapping"
    assert [message.partition(";")[0] for message in messages[1:]] == [
        "accounts[0].1: is not a known key",
        "accounts[0].yes: is not a known key",
    ]


def test_anchors_and_merge_keys(targets):
    """An anchored value can be reused, merged and overridden; of several merged mappings the first one wins."""
    text = """\
accounts:
  - &first {provider: oss, account: a, regions: &regions [r], retries: 1, jobs: &jobs {max: 5}}
  - &second {<<: *first, account: b, retries: 2, timeout: 2s}
  - {<<: [*second, *first], account: c, regions: *regions}
  - <<: *first
    account: d
    jobs: {<<: *jobs, max_age: 1h}
"""
    parsed = targets(text=text)
    assert [target.account for target in parsed] == ["a", "b", "c", "d"]
    assert [target.retries for target in parsed] == [1, 2, 2, 1]
    assert [target.timeout for target in parsed] == [10.0, 2.0, 2.0, 10.0]
    assert [target.jobs.max for target in parsed] == [5, 5, 5, 5]
    assert [target.jobs.max_age for target in parsed] == [0.0, 0.0, 0.0, 3600.0]


def test_nesting(problems):
    """A value that is nested too deeply is reported with its path."""
    assert problems(f"jobs: {'[' * 17}{']' * 17}") == ["accounts[0].jobs: must be a mapping, not a list"]
    [problem, _] = problems(f"jobs: {'[' * 18}{']' * 18}")
    assert problem == f"accounts[0].jobs{'[0]' * 17}: line 5: is nested too deeply"


def test_merging_something_else_than_a_mapping(problems):
    """Only mappings can be merged."""
    assert problems("<<: 7") == ["accounts[0].<<: line 5: must be a mapping or a list of mappings (*name)"]


def test_a_value_that_contains_itself(problems):
    """An alias inside its own anchor is reported, and reading ends."""
    text = "defaults: &a {jobs: *a}\naccounts: &b [*b]"
    assert problems(text=text) == ["defaults.jobs: line 1: refers to itself", "accounts[0]: line 2: refers to itself"]


@pytest.mark.parametrize("form", ["[{}]", "{{<<: [{}]}}"], ids=["list", "merge"])
def test_references_do_not_grow_without_bound(form):
    """Aliases of aliases, ten billion values if they were copied, are read without being expanded."""
    levels = [f"a{level}: &a{level} {form.format(', '.join([f'*a{level - 1}'] * 10))}" for level in range(1, 11)]
    assert "a10: is not a known key" in wrong("\n".join(["a0: &a0 {k: v}", *levels]))


class TestVariables:
    """${NAME} in strings, with --config.expand-environment-variables."""

    @pytest.mark.parametrize(
        ("text", "value"),
        [
            ("${A}", "one"),
            ("x-${A}-${_b2}", "x-one-two"),
            ("$$", "$"),
            ("$${A}", "${A}"),
            ("$$$${A}", "$${A}"),
            ("$$${A}", "$one"),
            ("$A $ 5$", "$A $ 5$"),
            ("${EVIL}", "b, regions: [x] # ${A}"),
            ("${LINE}", "three"),
        ],
    )
    def test_expanded(self, text, value):
        """A variable is replaced by its value without line ends, not parsed or expanded again; $$ becomes $."""
        environment = {"A": "one", "_b2": "two", "EVIL": "b, regions: [x] # ${A}", "LINE": "three\n"}
        text = f"accounts: [{{provider: oss, account: '{text}', regions: [r]}}]".encode()
        [target] = parse(text, file="f", environment=environment, expand=True).targets
        assert (target.account, target.region) == (value, "r")

    def test_only_with_the_flag(self, targets):
        """Without the flag, strings are left as they are."""
        assert targets(text="accounts: [{provider: oss, account: '${A}$$', regions: [r]}]")[0].account == "${A}$$"

    def test_only_in_strings(self, problems):
        """A variable's value stays a string, even if it looks like a number; keys are not expanded."""
        assert (
            problems("retries: ${A}\n    ${A}: 1", expand=True)[0]
            == "accounts[0].retries: the environment variable A is not set"
        )
        text = b"accounts: [{provider: oss, account: a, regions: [r], retries: '${A}', timeout: '${T}'}]"
        with pytest.raises(ConfigError) as caught:
            parse(text, file="", environment={"A": "1", "T": "1s"}, expand=True)
        assert str(caught.value) == "accounts[0].retries: must be an integer, not a string"

    def test_problems(self, problems):
        """Each unset variable is reported with its path, and the incomplete value causes no second problem."""
        text = """\
accounts:
  - provider: oss
    account: a
    regions: ["${A}", "${B} ${A} ${B}", "${1}", "${", "${A:-x}"]
    timeout: ${A}
    retries: -1
"""
        assert problems(text=text, expand=True) == [
            "accounts[0].regions[0]: the environment variable A is not set",
            "accounts[0].regions[1]: the environment variable B is not set",
            "accounts[0].regions[1]: the environment variable A is not set",
            "accounts[0].regions[2]: contains ${ without a name and }; write ${NAME}, or $$ for a dollar sign",
            "accounts[0].regions[3]: contains ${ without a name and }; write ${NAME}, or $$ for a dollar sign",
            "accounts[0].regions[4]: contains ${ without a name and }; write ${NAME}, or $$ for a dollar sign",
            "accounts[0].timeout: the environment variable A is not set",
            "accounts[0].retries: must be from 0 to 10, not -1",
        ]
