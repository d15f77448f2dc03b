from __future__ import annotations

import pytest

from exporter.config import parse
from exporter.core.errors import ConfigError


def wrong(text, **options):
    """The message about a text that cannot be used."""
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
        (b"a: b\nc: \x00", "line 2: holds a character that YAML does not allow (a control character)"),
        (b"a: [b\nc: d", "line 2, column 2: expected ',' or ']', but got ':'"),
        (b"a: b\n  c: d", "line 2, column 4: mapping values are not allowed here"),
        (b"a: 'b", "line 1, column 6: found unexpected end of stream"),
        (b"a: {}\n---\nb: {}", "line 2, column 1: but found another document"),
        (b'a: "\\UFFFFFFFF"', "holds an escape that stands for no character, or a number that is too long"),
        (b'a: "\\U00110000"', "holds an escape that stands for no character, or a number that is too long"),
        (b"[" * 10_000, "is nested too deeply"),
        (b"a: " + b"{a: " * 100_000, "is nested too deeply"),
        (b"- " * 100_000, "is nested too deeply"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_what_is_no_configuration(text, message):
    """A text that is no mapping in YAML is one problem, with the line where there is one."""
    assert wrong(text) == f"config.yaml: {message}"


def test_a_key_stands_once():
    """Of two equal keys neither is taken in silence: the problem names both lines, at each depth, beside all others."""
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
        "config.yaml: accounts[0].account: stands twice, in line 3 and in line 4",
        "config.yaml: accounts[0].jobs.max: stands twice, in line 6 and in line 6",
        "config.yaml: accounts: stands twice, in line 1 and in line 8",
        "config.yaml: accounts[0].jobs.maxx: is not a known key; did you mean max?",
        "config.yaml: accounts[0].timeout: must be a duration such as 500ms, 10s, 5m, 1h or 7d, not 1",
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("!!python/object:os.system hunter2", "has a type (!) that is not allowed here"),
        ("!hunter2 x", "has a type (!) that is not allowed here"),
        ("!!binary aGk=", "has a type (!) that is not allowed here"),
        ("!!set {a, b}", "has a type (!) that is not allowed here"),
        ("!!omap [a: b]", "has a type (!) that is not allowed here"),
        ("!!int hunter2", "is not an integer that can be read"),
        ("!!int ''", "is not an integer that can be read"),
        ("!!float hunter2", "is not a number that can be read"),
        ("!!bool hunter2", "is not a boolean that can be read"),
        ("9" * 5000, "is not an integer that can be read"),
        ("0x_", "is not an integer that can be read"),
        ("1" + ":59" * 300 + ".5", "is not a number that can be read"),
    ],
    ids=lambda value: value[:20],
)
def test_values_that_cannot_be_read(problems, value, message):
    """A value of a foreign type, or one that YAML itself cannot read, is told once, with its line and not its text."""
    assert problems(f"retries: {value}") == [f"accounts[0].retries: line 5: {message}"]


@pytest.mark.parametrize("value", ["2024-02-30", "=", "<<", "!!str 12", "!!timestamp x"])
def test_what_is_taken_as_a_string(targets, value):
    """A date, even one that there is not, and YAML's special words are strings like any other."""
    text = f"accounts: [{{provider: oss, account: {value}, regions: [r]}}]"
    assert targets(text=text)[0].account == value.rpartition(" ")[2]


def test_a_key_must_be_a_word(problems):
    """A list or a mapping as a key is told with its line; a number is a key like an unknown word."""
    found = problems("? [a]\n    : b\n    1: c\n    yes: d")
    assert found[0] == "accounts[0]: line 5: a key must be a word"
    assert [problem.partition(";")[0] for problem in found[1:]] == [
        "accounts[0].1: is not a known key",
        "accounts[0].yes: is not a known key",
    ]


def test_anchors_and_merge_keys(targets):
    """What stands at an anchor can be used again, merged, and gone before; of several merged the first goes before."""
    text = """\
accounts:
  - &first {provider: oss, account: a, regions: &regions [r], retries: 1, jobs: &jobs {max: 5}}
  - &second {<<: *first, account: b, retries: 2, timeout: 2s}
  - {<<: [*second, *first], account: c, regions: *regions}
  - <<: *first
    account: d
    jobs: {<<: *jobs, max_age: 1h}
"""
    found = targets(text=text)
    assert [target.account for target in found] == ["a", "b", "c", "d"]
    assert [target.retries for target in found] == [1, 2, 2, 1]
    assert [target.timeout for target in found] == [10.0, 2.0, 2.0, 10.0]
    assert [target.jobs.max for target in found] == [5, 5, 5, 5]
    assert [target.jobs.max_age for target in found] == [0.0, 0.0, 0.0, 3600.0]


def test_nesting(problems):
    """A value that is nested too deeply to be one of ours is told with its place."""
    assert problems(f"jobs: {'[' * 17}{']' * 17}") == ["accounts[0].jobs: must be a mapping, not a list"]
    [problem, _] = problems(f"jobs: {'[' * 18}{']' * 18}")
    assert problem == f"accounts[0].jobs{'[0]' * 17}: line 5: is nested too deeply"


def test_merging_what_is_no_mapping(problems):
    """Only mappings can be merged."""
    assert problems("<<: 7") == ["accounts[0].<<: line 5: must be a mapping or a list of mappings (*name)"]


def test_a_value_that_holds_itself(problems):
    """An alias inside its own anchor is told, and nothing runs forever."""
    text = "defaults: &a {jobs: *a}\naccounts: &b [*b]"
    assert problems(text=text) == ["defaults.jobs: line 1: refers to itself", "accounts[0]: line 2: refers to itself"]


@pytest.mark.parametrize("form", ["[{}]", "{{<<: [{}]}}"], ids=["list", "merge"])
def test_references_do_not_grow_without_bound(form):
    """Aliases of aliases, ten billion values if they were copied, cost no more than they take in the file."""
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
        ],
    )
    def test_expanded(self, text, value):
        """A variable's value stands in for its name and is neither YAML nor looked at again; $$ is a dollar."""
        environment = {"A": "one", "_b2": "two", "EVIL": "b, regions: [x] # ${A}"}
        whole = f"accounts: [{{provider: oss, account: '{text}', regions: [r]}}]".encode()
        [target] = parse(whole, file="f", environment=environment, expand=True).targets
        assert (target.account, target.region) == (value, "r")

    def test_only_where_asked(self, targets):
        """Without the flag a dollar is a dollar."""
        assert targets(text="accounts: [{provider: oss, account: '${A}$$', regions: [r]}]")[0].account == "${A}$$"

    def test_only_in_strings(self, problems):
        """A variable's value stays a string, also where it looks like a number; keys are left alone."""
        assert (
            problems("retries: ${A}\n    ${A}: 1", expand=True)[0]
            == "accounts[0].retries: the environment variable A is not set"
        )
        text = b"accounts: [{provider: oss, account: a, regions: [r], retries: '${A}', timeout: '${T}'}]"
        with pytest.raises(ConfigError) as caught:
            parse(text, file="", environment={"A": "1", "T": "1s"}, expand=True)
        assert str(caught.value) == "accounts[0].retries: must be an integer, not a string"

    def test_problems(self, problems):
        """Each unknown name is told with its place, before and beside all other problems, and no second one follows."""
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
            "accounts[0].regions[2]: has a ${ that is no ${NAME}; write $$ for a dollar",
            "accounts[0].regions[3]: has a ${ that is no ${NAME}; write $$ for a dollar",
            "accounts[0].regions[4]: has a ${ that is no ${NAME}; write $$ for a dollar",
            "accounts[0].timeout: the environment variable A is not set",
            "accounts[0].retries: must be from 0 to 10, not -1",
        ]
