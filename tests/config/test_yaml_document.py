from __future__ import annotations

import pytest
import yaml

from exporter.config import parse, yaml_document, yaml_syntax
from exporter.core.errors import ConfigError

EMPTY = "is empty; the file begins with a key such as accounts:"
DEEP = "lists and mappings are nested more than 20 deep; close the brackets that are open"
UNFIT = "the line does not continue what is above it; align it with"
ESCAPE = "a backslash in double quotes begins an escape sequence, and this is none; write "
COLON = "a colon is not expected here; check the spaces before the key"
QUOTES = "a value that begins with * & ! % @ or ` must be in quotes"
TAGGED = "has a type tag (!), which is not allowed; remove it, or put the value in quotes"


def wrong(text, **options):
    """Returns the message of the error that `text` raises."""
    with pytest.raises(ConfigError) as caught:
        parse(text if isinstance(text, bytes) else text.encode(), file="config.yaml", environment={}, **options)
    return str(caught.value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (b"", EMPTY),
        (b"# only a comment\n", EMPTY),
        (b"\xef\xbb\xbf", EMPTY),
        (b"---\n", EMPTY),
        (b"[]", "line 1: must be a mapping, not a list; write accounts: on a line above it"),
        (b"- provider: oss", "line 1: must be a mapping, not a list; write accounts: on a line above it"),
        (b"accounts", "line 1: must be a mapping, not a string; begin with accounts:"),
        (b"{}", "accounts: is required: a list of accounts, each with provider, account and regions"),
        (b"accounts: []", "accounts: must not be empty: a list of accounts, each with provider, account and regions"),
        (b"accounts: {}", "accounts: must be a list, not a mapping"),
        (b"accounts:\n  - a: b\n caf\xe9: 1", "line 3: is not UTF-8; save the file in this encoding"),
        ("accounts: 1".encode("utf-16"), "line 1: is not UTF-8; save the file in this encoding"),
        (b"a: b\nc: \x00", "line 2: contains a control character, which YAML does not allow; remove it"),
        (b"a: {}\n---\nb: {}", "line 2: a second document begins here (---); keep one, each file has one"),
        (b'a: "\\U00110000"', f"a: line 1: {ESCAPE}\\\\, or use single quotes"),
        (b"[" * 10_000, f"{'[0]' * 19}: line 1: {DEEP}"),
        (b"a: " + b"{a: " * 100_000, f"{'.'.join('a' * 20)}: line 1: {DEEP}"),
        (b"- \n" * 90_000, "line 1: must be a mapping, not a list; write accounts: on a line above it"),
    ],
    ids=lambda value: repr(value)[:30],
)
def test_a_text_that_is_not_a_mapping(text, message):
    """A text that is not a YAML mapping is one problem, with its line if it has one, and what to do."""
    assert wrong(text) == f"config.yaml: {message}"


@pytest.mark.parametrize("loader", [yaml.CSafeLoader, yaml.SafeLoader])
@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("\taccount: a", "accounts[0]: line 3: has a tab where YAML allows only spaces; replace it by spaces"),
        ("  -\taccount: a", "accounts: line 3: has a tab where YAML allows only spaces; replace it by spaces"),
        ("    account: 'a", "accounts[0].account: line 3: the quote that is opened here has no end; add it"),
        ('    account: "a', "accounts[0].account: line 3: the quote that is opened here has no end; add it"),
        ("    account: 'a' b", f"accounts[0].account: line 3: {UNFIT}"),
        ('    account: "\\q"', f"accounts[0].account: line 3: {ESCAPE}"),
        ("    account: a: b", f"accounts[0].account: line 3: {COLON}"),
        ("     account: a", f"accounts[0]: line 3: {COLON}"),
        ("   account: a", f"accounts: line 3: {UNFIT}"),
        ("- account: a", f"line 3: {UNFIT}"),
        ("    account", "accounts[0]: line 3: a key needs a colon and a space after it; write key: value"),
        ("    regions: [a", "accounts[0].regions: line 3: the list that is opened here with [ has no end"),
        ("    jobs: {max: 1", "accounts[0].jobs.max: line 3: the mapping that is opened here with { has no end"),
        ("    account: @x", f"accounts[0].account: line 3: {QUOTES}"),
        ("    account: %x", f"accounts[0].account: line 3: {QUOTES}"),
        ("    account: &", f"accounts[0].account: line 3: {QUOTES}"),
        ("    account: !a!b c", f"accounts[0].account: line 3: {QUOTES}"),
        ("    regions: *x", f"accounts[0].regions: line 3: refers (*) to an anchor (&) that is not above it; {QUOTES}"),
        ("    account: |x", "accounts[0].account: line 3: after | or > the text begins on the next line, indented"),
        ("    account: |\n\tx", "accounts[0]: line 4: has a tab where YAML allows only spaces; replace it by spaces"),
        ("...\nx: y", f"line 4: {UNFIT}"),
    ],
)
def test_wrong_syntax_in_plain_words(monkeypatch, loader, line, message):
    """What is wrong with the syntax has the path, the line and what to do, and no word of the parser's own."""
    monkeypatch.setattr(yaml_syntax, "LOADER", loader)
    problem = wrong(f"accounts:\n  - provider: oss\n{line}\n    min_interval: 1s\n").splitlines()[-1]
    assert problem.startswith(f"config.yaml: {message}")


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
        "config.yaml: accounts: duplicate key (lines 1 and 8); remove one",
        "config.yaml: accounts[0].account: duplicate key (lines 3 and 4); remove one",
        "config.yaml: accounts[0].jobs.max: duplicate key (lines 6 and 6); remove one",
        "config.yaml: accounts[0].jobs.maxx: is not a known key; did you mean max?",
        "config.yaml: accounts[0].timeout: must be a duration such as 500ms, 10s, 5m, 1h or 7d, not 1; write 1s",
    ]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("!!python/object:os.system hunter2", TAGGED),
        ("!hunter2 x", TAGGED),
        ("!!binary aGk=", TAGGED),
        ("!!set {a, b}", TAGGED),
        ("!!omap [a: b]", TAGGED),
        ("!!timestamp x", TAGGED),
        ("!!int hunter2", "is not a valid integer"),
        ("!!int ''", "is not a valid integer"),
        ("!!float hunter2", "is not a valid number"),
        ("!!bool hunter2", "is not a valid boolean"),
        ("9" * 5000, "is not a valid integer"),
        ("!!int 1_000", "is not a valid integer"),
        ("!!null x", "is not a valid null"),
    ],
    ids=lambda value: value[:20],
)
def test_values_that_cannot_be_read(problems, value, message):
    """A value with a type tag, or one that YAML cannot read, is reported once, with its line but without its text."""
    assert problems(f"retries: {value}") == [f"accounts[0].retries: line 5: {message}"]


@pytest.mark.parametrize(
    ("value", "number"),
    [("10", 10), ("010", 10), ("+7", 7), ("0o10", 8), ("0x1F", 31), ("00", 0), ("1000000", 1_000_000)],
)
def test_numbers_are_those_of_yaml_1_2(targets, value, number):
    """Integers have the form of YAML 1.2: digits are decimal, also after a zero, which were octal in YAML 1.1."""
    assert targets(f"jobs: {{max: {value}}}")[0].jobs.max == number


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("1_000", "must be an integer, not a string; write 1000"),
        ("'10'", "must be an integer, not a string; write 10"),
        ("1:30", "must be an integer, not a string"),
        ("0b11", "must be an integer, not a string"),
        ("0x_", "must be an integer, not a string"),
        ("08:00", "must be an integer, not a string"),
        ("1e3", "must be an integer, not a number"),
        (".inf", "must be an integer, not a number"),
        ("~", "must be an integer, not nothing"),
    ],
)
def test_numbers_of_yaml_1_1_are_problems(problems, value, message):
    """What is a number in YAML 1.1 only, or no integer, is a problem with its path, and is not read otherwise."""
    assert problems(f"max_pages: {value}") == [f"accounts[0].max_pages: {message}"]


@pytest.mark.parametrize(("value", "rate"), [("1e2", 100.0), (".5", 0.5), ("5.", 5.0), ("0.25", 0.25)])
def test_floats_are_those_of_yaml_1_2(targets, value, rate):
    """Numbers with a point or an exponent have the form of YAML 1.2, also 1e2, which was a string in YAML 1.1."""
    assert targets(f"requests_per_second: {value}")[0].requests_per_second == rate


@pytest.mark.parametrize("word", ["yes", "No", "on", "OFF"])
def test_booleans_are_those_of_yaml_1_2(targets, problems, word):
    """The other words of YAML 1.1 for true and false are strings: a problem where a boolean is due, or a region."""
    meant = "true" if word in ("yes", "on") else "false"
    assert problems(f"allow_http: {word}") == [
        f"accounts[0].allow_http: must be true or false, not a string; write {meant}"
    ]
    assert targets("allow_http: TRUE")[0].region == "cn-hangzhou"
    text = f"accounts: [{{provider: oss, account: a, regions: [{word.lower()}]}}]"
    assert targets(text=text)[0].region == word.lower()


@pytest.mark.parametrize("value", ["2024-02-30", "=", "<<", "!!str 12"])
def test_values_that_are_read_as_strings(targets, value):
    """A date, even an impossible one, and special words of other versions of YAML are read as strings."""
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
    """A value that is nested too deeply is reported with its path, and ends the reading."""
    assert problems(f"jobs: {'[' * 17}{']' * 17}") == ["accounts[0].jobs: must be a mapping, not a list"]
    assert problems(f"jobs: {'[' * 18}{']' * 18}") == [f"accounts[0].jobs: line 5: {DEEP}"]


def test_merging_something_else_than_a_mapping(problems):
    """Only mappings can be merged."""
    assert problems("<<: 7") == ["accounts[0].<<: line 5: must be a mapping or a list of mappings (*name)"]


def test_a_value_that_contains_itself(problems):
    """An alias inside its own anchor is reported, and reading ends."""
    text = "defaults: &a {jobs: *a}\naccounts: &b [*b]"
    assert problems(text=text) == [
        "defaults.jobs: line 1: refers to itself; remove the reference (*)",
        "accounts[0]: line 2: refers to itself; remove the reference (*)",
    ]


@pytest.mark.parametrize("form", ["[{}]", "{{<<: [{}]}}"], ids=["list", "merge"])
def test_references_do_not_grow_without_bound(form):
    """Aliases of aliases, ten billion values if they were copied, are one problem with the line of the limit."""
    levels = [f"a{level}: &a{level} {form.format(', '.join([f'*a{level - 1}'] * 10))}" for level in range(1, 11)]
    shown = wrong("\n".join(["a0: &a0 {k: v}", *levels]))
    assert shown.startswith("config.yaml: a5")
    assert ": line 6: there are more than 100000 values up to here" in shown
    assert "\n" not in shown


def test_the_largest_number_of_values(problems):
    """So many values are read, and one more is a problem; those that an anchor repeats count each time."""
    at_limit = yaml_document.MAX_VALUES - 2
    assert "line" not in problems(text=f"a: [{'x,' * at_limit}]")[-1]
    for text in (f"a: [{'x,' * at_limit}x]", f"a: &a [x, x]\nb: [{'*a,' * (at_limit // 3)}]"):
        assert "there are more than 100000 values" in problems(text=text)[-1]


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

    def test_without_the_flag(self, targets, problems):
        """Without the flag, a variable is one problem with its path and the flag, and other dollar signs stay."""
        assert targets(text="accounts: [{provider: oss, account: '$$ $A ${', regions: [r]}]")[0].account == "$$ $A ${"
        message = "contains a variable, ${NAME}, which needs the flag --config.expand-environment-variables"
        text = "accounts: [{provider: oss, account: 'a-${CANARY}', regions: [r], timeout: '${CANARY}'}]"
        remedy = "(with it, $$ is a dollar sign)"
        assert problems(text=text) == [
            f"accounts[0].account: {message} {remedy}",
            f"accounts[0].timeout: {message} {remedy}",
        ]

    def test_the_longest_string(self, problems):
        """A string that is longer than any name, key or token is a problem, also if a variable makes it so long."""
        message = "accounts[0].account: is longer than 16384 characters, as no name, key or token is; shorten it"
        assert problems(text=f"accounts: [{{provider: oss, account: {'a' * 16385}, regions: [r]}}]") == [message]
        text = b"accounts: [{provider: oss, account: '${A}', regions: [r]}]"
        with pytest.raises(ConfigError) as caught:
            parse(text, file="", environment={"A": "a" * 16385}, expand=True)
        assert str(caught.value) == message

    def test_only_in_strings(self, problems):
        """A variable's value stays a string, even if it looks like a number; keys are not expanded."""
        assert (
            problems("retries: ${A}\n    ${A}: 1", expand=True)[0]
            == "accounts[0].retries: the environment variable A is not set"
        )
        text = b"accounts: [{provider: oss, account: a, regions: [r], retries: '${A}', timeout: '${T}'}]"
        with pytest.raises(ConfigError) as caught:
            parse(text, file="", environment={"A": "1", "T": "1s"}, expand=True)
        assert str(caught.value) == "accounts[0].retries: must be an integer, not a string; write 1"

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
