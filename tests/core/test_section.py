from __future__ import annotations

import pytest

from exporter.core.errors import NamedFile
from exporter.core.section import MAX_HINTS, Section
from exporter.core.wording import did_you_mean, join_path, shown


def section(mapping, **options):
    return Section(mapping, "here", [], **options)


def messages(section):
    return [str(problem) for problem in section.problems]


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (lambda s: s.string("key"), 7, "must be a string, not an integer (put it in quotes)"),
        (lambda s: s.string("key"), None, "must be a string, not nothing"),
        (
            lambda s: s.string("key"),
            "a\nb",
            "must contain only printable characters: no line break, tab or invisible character",
        ),
        (lambda s: s.string("key", required=True, hint="a word"), "", "must not be empty: a word"),
        (lambda s: s.string("key", pattern="[a-z]+", hint="a word"), "A", "must be a word"),
        (lambda s: s.choice("key", ["b", "a"], "a"), "c", "must be one of a, b, not 'c'"),
        (lambda s: s.choice("key", ["a"]), [], "must be a, not a list"),
        (lambda s: s.integer("key", 1, minimum=1, maximum=9), "1", "must be an integer, not a string; write 1"),
        (lambda s: s.integer("key", 1, minimum=1, maximum=9), "1_0", "must be an integer, not a string; write 10"),
        (lambda s: s.integer("key", 1, minimum=1, maximum=9), "x", "must be an integer, not a string"),
        (lambda s: s.integer("key", 1, minimum=1, maximum=9), True, "must be an integer, not a boolean"),
        (lambda s: s.integer("key", 1, minimum=1, maximum=9), 1.0, "must be an integer, not a number"),
        (lambda s: s.integer("key", 1, minimum=1, maximum=9), 10, "must be from 1 to 9, not 10"),
        (lambda s: s.number("key", 1, minimum=0, maximum=9), "1", "must be a number, not a string; write 1"),
        (lambda s: s.number("key", 1, minimum=0, maximum=9), False, "must be a number, not a boolean"),
        (lambda s: s.number("key", 1, minimum=0, maximum=9), float("nan"), "must be from 0 to 9, not nan"),
        (lambda s: s.number("key", 1, minimum=0, maximum=9), float("inf"), "must be from 0 to 9, not inf"),
        (lambda s: s.boolean("key", default=True), "yes", "must be true or false, not a string; write true"),
        (lambda s: s.boolean("key", default=True), "Off", "must be true or false, not a string; write false"),
        (lambda s: s.boolean("key", default=True), "maybe", "must be true or false, not a string"),
        (lambda s: s.duration("key", 1), 10, "must be a duration such as 500ms, 10s, 5m, 1h or 7d, not 10; write 10s"),
        (
            lambda s: s.duration("key", 1),
            "5 M",
            "must be a duration such as 500ms, 10s, 5m, 1h or 7d, not '5 M'; write 5m",
        ),
        (lambda s: s.duration("key", 1), "soon", "must be a duration such as 500ms, 10s, 5m, 1h or 7d, not 'soon'"),
        (lambda s: s.duration("key", 1), True, "must be a duration such as 500ms, 10s, 5m, 1h or 7d, not true"),
        (lambda s: s.duration("key", 1, minimum=0.1, maximum=90), "2m", "must be from 100ms to 90s, not '2m'"),
        (lambda s: s.strings("key"), "a", "must be a list of strings, not a string"),
        (lambda s: s.strings("key", required=True, hint="a word"), [], "must not be empty: a list, each a word"),
        (lambda s: s.section("key"), None, "must be a mapping, not nothing"),
        (lambda s: list(s.sections("key", hint="a list")), {}, "must be a list, not a mapping"),
        (lambda s: list(s.sections("key", hint="a list")), [], "must not be empty: a list"),
    ],
)
def test_a_wrong_value_is_a_problem_with_its_path(read, value, message):
    """The message of each read contains what was expected and what was read."""
    wrong = section({"key": value})
    read(wrong)
    assert messages(wrong) == [f"here.key: {message}"]


def test_a_number_too_long_to_print():
    """A number that is too long for Python to print is out of range like any other."""
    wrong = section({"a": 10**5000, "b": 10**5000})
    wrong.integer("a", 1, minimum=1, maximum=9)
    wrong.number("b", 1, minimum=1, maximum=9)
    assert messages(wrong) == [
        "here.a: must be from 1 to 9, not an integer",
        "here.b: must be from 1 to 9, not an integer",
    ]


def test_a_wrong_value_is_replaced_by_the_default():
    """A read with a problem returns the default."""
    wrong = section({key: {} for key in "abcdefg"})
    assert wrong.string("a", "x") == "x"
    assert wrong.choice("b", ["x"], "x") == ""
    assert wrong.integer("c", 5, minimum=0, maximum=9) == 5
    assert wrong.number("d", 5.5, minimum=0, maximum=9) == 5.5
    assert wrong.boolean("e", default=True) is True
    assert wrong.duration("f", 60.0) == 60
    assert wrong.strings("g") == []
    assert len(wrong.problems) == 7


def test_a_problem_with_an_item_has_its_index():
    """The path of a problem with an item contains its index, and the valid items are returned."""
    wrong = section({"key": ["a", 1, "b", "a", "A"]})
    assert wrong.strings("key", pattern="[a-z]", hint="a letter") == ["a", "b"]
    assert messages(wrong) == [
        "here.key[1]: must be a string, not an integer (put it in quotes)",
        "here.key[3]: 'a' is listed twice",
        "here.key[4]: must be a letter, not 'A'",
    ]


def test_a_string_is_never_shown():
    """No message about a plain string contains its value, which may be a secret."""
    for value in ("hunter2", "hunter2\n", ["hunter2"], {"hunter2": "hunter2"}):
        wrong = section({"key": value})
        wrong.string("key", pattern="[A-Z]+")
        assert len(wrong.problems) == 1
        assert "hunter2" not in messages(wrong)[0]


def test_required_keys():
    """A missing required key is a problem; a missing key with a default is not."""
    empty = section({})
    empty.string("a", required=True, hint="a word")
    empty.choice("b", ["x", "y"])
    empty.strings("c", required=True, hint="a word")
    list(empty.sections("d", hint="a list of words"))
    empty.choice("e", ["x", "y"], "x")
    assert messages(empty) == [
        "here.a: is required: a word",
        "here.b: is required: one of x, y",
        "here.c: is required: a list, each a word",
        "here.d: is required: a list of words",
    ]


def test_nothing_is_required_of_a_partial_section():
    """In a partial section and the sections below it, a missing key is no problem; a present one is checked."""
    partial = section({"a": 1, "under": {"b": 1}}, partial=True)
    partial.string("a", required=True)
    partial.string("missing", required=True)
    under = partial.section("under")
    under.string("b", required=True)
    under.string("missing", required=True)
    assert [problem.path for problem in partial.problems] == ["here.a", "here.under.b"]


def test_a_key_overrides_its_default_and_sections_merge():
    """A key that the mapping lacks is read from the defaults, also in the sections below."""
    defaults = Section({"a": "low", "b": "low", "under": {"c": "low", "d": "low"}}, "defaults", [])
    own = section({"a": "high", "under": {"c": "high"}}).with_defaults(defaults)
    under = own.section("under")
    assert [own.string("a"), own.string("b"), under.string("c"), under.string("d")] == ["high", "low", "high", "low"]
    assert [own.path("a"), own.path("b"), under.path("d")] == ["here.a", "defaults.b", "defaults.under.d"]


def test_a_bad_default_has_its_own_path():
    """A problem with a value from the defaults has the path of the default, also for an item of a list."""
    own = section({}).with_defaults(Section({"a": 1, "list": [1]}, "defaults", []))
    own.string("a")
    own.strings("list")
    assert [problem.path for problem in own.problems] == ["defaults.a", "defaults.list[0]"]


def test_unknown_keys():
    """An unknown key is reported with the most similar known key, or with all if none is similar."""
    rest = section({"time_out": 1, "Retries": 1, "zzz": 1})
    rest.duration("timeout", 1)
    rest.integer("retries", 1, minimum=0, maximum=9)
    rest.reject_unknown()
    assert messages(rest) == [
        "here.time_out: is not a known key; did you mean timeout?",
        "here.Retries: is not a known key; did you mean retries?",
        "here.zzz: is not a known key; known: retries, timeout",
    ]


def test_a_key_with_its_words_in_another_order():
    """A known key of the same words is more similar than one of the same letters."""
    rest = section({"access_key_id": "a", "access_key_secret": "b"})
    for key in ("access_key_id", "access_key_id_file", "secret_access_key", "secret_access_key_file"):
        rest.string(key)
    rest.reject_unknown()
    assert messages(rest) == ["here.access_key_secret: is not a known key; did you mean secret_access_key?"]


SPACE = "; put a space after the colon"


@pytest.mark.parametrize(
    ("value", "hint"),
    [
        ("alice:secret", SPACE),
        ("a:b", SPACE),
        ("http://x", ""),
        ("arn:aws:iam::1:role/x", ""),
        ("C:\\x", ""),
        ("12:30", ""),
        ("a", ""),
    ],
)
def test_a_mapping_without_a_space(value, hint):
    """A string such as `a:b` is no mapping in YAML; the message says what is missing, and does not show it."""
    rest = section({"users": value})
    assert rest.mapping("users") == {}
    assert messages(rest) == [f"here.users: must be a mapping, not a string{hint}"]


def test_a_key_without_a_space():
    """In `{max:5}` the key is `max:5`, without a value."""
    rest = section({"max:5": None})
    rest.integer("max", 1, minimum=1, maximum=9)
    rest.reject_unknown()
    (message,) = messages(rest)
    assert message.endswith(f": is not a known key{SPACE}")


def test_keys_that_others_know():
    """Keys that another reader knows are not unknown, and are listed in the message about one that is."""
    rest = section({"a": 1, "b": 1, "zzz": 1})
    rest.integer("a", 1, minimum=1, maximum=9)
    rest.reject_unknown(["b"])
    assert messages(rest) == ["here.zzz: is not a known key; known: a, b"]


def test_a_discreet_section_does_not_show_a_misplaced_value():
    """A discreet section does not show a key without a value that resembles no known key."""
    rest = section({"hunter2": None, "tokn": None, "other": 1})
    rest.string("token")
    rest.reject_unknown(discreet=True)
    assert messages(rest) == [
        "here: contains an unknown key; known: token",
        "here.tokn: is not a known key; did you mean token?",
        "here.other: is not a known key; known: token",
    ]


def test_a_forbidden_key():
    """A forbidden key is reported with the reason, and not a second time as unknown."""
    rest = section({"a": 1})
    rest.forbid("a", "belongs elsewhere")
    rest.forbid("b", "belongs elsewhere")
    rest.reject_unknown()
    assert messages(rest) == ["here.a: belongs elsewhere"]


@pytest.mark.parametrize(
    ("key", "path"),
    [
        ("timeout", "here.timeout"),
        ("access_key_secret:hunter2", "here.access_key_secret…"),
        ("access_key_secret=hunter2", "here.access_key_secret…"),
        ("access_key_secret hunter2", "here.access_key_secret…"),
        ("bell\x07", "here.bell…"),
        ("k" * 1000, "here." + "k" * 40 + "…"),
        ("", "here."),
        ("=", "here.…"),
    ],
)
def test_the_path_of_a_strange_key(key, path):
    """A path contains no value glued to its key, no control characters, and no endless word."""
    assert join_path("here", key) == path


def test_names_of_files_are_relative_to_the_configuration():
    """A relative name is joined to the directory of the configuration; an absolute or empty one is kept."""
    files = section({"a": "keys/a", "b": "/b", "c": "", "under": {"d": "d"}}, directory="conf")
    assert [files.file(key) for key in "abcx"] == ["conf/keys/a", "/b", "", ""]
    assert files.section("under").file("d") == "conf/d"
    assert not files.problems


def test_a_shown_value_is_short():
    """A value in a message is cut to 60 characters on one line; of lists and mappings only the type is shown."""
    assert shown("x" * 1000) == "'" + "x" * 58 + "…"
    assert shown("a\nb") == r"'a\nb'"
    assert (shown([1]), shown({}), shown(None), shown(value=False)) == ("a list", "a mapping", "nothing", "false")


def test_words_without_a_similar_one():
    """If no word is similar, all known ones are listed; if none is known, nothing is added."""
    assert did_you_mean("x", ["b", "a"]) == "; known: a, b"
    assert did_you_mean("x", []) == ""
    assert did_you_mean("a" * 100_000, ["a"]) == "; known: a"


def test_a_bad_default_is_not_read_again():
    """A default with a problem is as good as absent to the sections over it, which add no problem of their own."""
    root = section({"defaults": {"a": "x", "b": 1}, "own": {}})
    defaults = root.section("defaults", partial=True)
    defaults.integer("a", 1, minimum=1, maximum=9)
    own = root.section("own").with_defaults(defaults)
    assert own.strings("a", required=True) == []
    assert own.integer("b", 2, minimum=1, maximum=9) == 1
    assert messages(root) == ["here.defaults.a: must be an integer, not a string"]


def test_many_problems_have_no_hints():
    """Only the first problems suggest a similar word, because looking for one takes time."""
    rest = section({f"timeout{number}": 1 for number in range(MAX_HINTS + 2)})
    rest.duration("timeout", 1)
    rest.reject_unknown()
    assert messages(rest)[MAX_HINTS - 1 :] == [
        f"here.timeout{MAX_HINTS - 1}: is not a known key; did you mean timeout?",
        f"here.timeout{MAX_HINTS}: is not a known key",
        f"here.timeout{MAX_HINTS + 1}: is not a known key",
    ]


def test_the_effective_values():
    """What was read is kept as the file spells it, defaults included, also in the sections below."""
    own = section({"a": "5s", "under": {"file": "f"}}, directory="conf")
    own.duration("a", 1.0)
    own.duration("b", 90.0)
    own.strings("c")
    under = own.section("under")
    under.file("file", secret=True)
    under.boolean("d", default=True)
    assert own.effective == {"a": "5s", "b": "90s", "c": [], "under": {"file": "conf/f", "d": True}}
    assert own.files == [NamedFile("here.under.file", "conf/f", secret=True)]
