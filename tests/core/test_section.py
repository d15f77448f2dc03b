from __future__ import annotations

import pytest

from exporter.core.section import Section, did_you_mean, joined, shown


def section(mapping, **options):
    return Section(mapping, "here", [], **options)


def told(section):
    return [str(problem) for problem in section.problems]


@pytest.mark.parametrize(
    ("read", "value", "message"),
    [
        (lambda s: s.string("key"), 7, "must be a string, not an integer (put it in quotes)"),
        (lambda s: s.string("key"), None, "must be a string, not nothing"),
        (
            lambda s: s.string("key"),
            "a\nb",
            "must hold printable characters only: no line end, no tab, no invisible character",
        ),
        (lambda s: s.string("key", required=True, hint="a word"), "", "must not be empty: a word"),
        (lambda s: s.string("key", pattern="[a-z]+", hint="a word"), "A", "must be a word"),
        (lambda s: s.choice("key", ["b", "a"], "a"), "c", "must be one of a, b, not 'c'"),
        (lambda s: s.choice("key", ["a"]), [], "must be a, not a list"),
        (lambda s: s.integer("key", 1, minimum=1, maximum=9), "1", "must be an integer, not a string"),
        (lambda s: s.integer("key", 1, minimum=1, maximum=9), True, "must be an integer, not a boolean"),
        (lambda s: s.integer("key", 1, minimum=1, maximum=9), 1.0, "must be an integer, not a number"),
        (lambda s: s.integer("key", 1, minimum=1, maximum=9), 10, "must be from 1 to 9, not 10"),
        (lambda s: s.number("key", 1, minimum=0, maximum=9), "1", "must be a number, not a string"),
        (lambda s: s.number("key", 1, minimum=0, maximum=9), False, "must be a number, not a boolean"),
        (lambda s: s.number("key", 1, minimum=0, maximum=9), float("nan"), "must be from 0 to 9, not nan"),
        (lambda s: s.number("key", 1, minimum=0, maximum=9), float("inf"), "must be from 0 to 9, not inf"),
        (lambda s: s.boolean("key", default=True), "yes", "must be true or false, not a string"),
        (lambda s: s.duration("key", 1), 10, "must be a duration such as 500ms, 10s, 5m, 1h or 7d, not 10"),
        (lambda s: s.duration("key", 1), True, "must be a duration such as 500ms, 10s, 5m, 1h or 7d, not true"),
        (lambda s: s.duration("key", 1, minimum=0.1, maximum=90), "2m", "must be from 100ms to 90s, not '2m'"),
        (lambda s: s.strings("key"), "a", "must be a list of strings, not a string"),
        (lambda s: s.strings("key", required=True, hint="a word"), [], "must not be empty: a list, each a word"),
        (lambda s: s.section("key"), None, "must be a mapping, not nothing"),
        (lambda s: list(s.sections("key", hint="a list")), {}, "must be a list, not a mapping"),
        (lambda s: list(s.sections("key", hint="a list")), [], "must not be empty: a list"),
    ],
)
def test_a_wrong_value_is_told_with_its_place(read, value, message):
    """Each read says in one sentence what it expects and what it found."""
    wrong = section({"key": value})
    read(wrong)
    assert told(wrong) == [f"here.key: {message}"]


def test_a_number_too_long_to_print():
    """A number that Python does not turn into text is out of range like any other."""
    wrong = section({"a": 10**5000, "b": 10**5000})
    wrong.integer("a", 1, minimum=1, maximum=9)
    wrong.number("b", 1, minimum=1, maximum=9)
    assert told(wrong) == ["here.a: must be from 1 to 9, not an integer", "here.b: must be from 1 to 9, not an integer"]


def test_a_wrong_value_reads_as_the_default():
    """After a problem the reading goes on with the default."""
    wrong = section({key: {} for key in "abcdefg"})
    assert wrong.string("a", "x") == "x"
    assert wrong.choice("b", ["x"], "x") == ""
    assert wrong.integer("c", 5, minimum=0, maximum=9) == 5
    assert wrong.number("d", 5.5, minimum=0, maximum=9) == 5.5
    assert wrong.boolean("e", default=True) is True
    assert wrong.duration("f", 60.0) == 60
    assert wrong.strings("g") == []
    assert len(wrong.problems) == 7


def test_items_are_told_by_their_index():
    """Each wrong item of a list has its own place, and the good ones are read."""
    wrong = section({"key": ["a", 1, "b", "a", "A"]})
    assert wrong.strings("key", pattern="[a-z]", hint="a letter") == ["a", "b"]
    assert told(wrong) == [
        "here.key[1]: must be a string, not an integer (put it in quotes)",
        "here.key[3]: 'a' stands twice",
        "here.key[4]: must be a letter, not 'A'",
    ]


def test_a_string_is_never_shown():
    """No message about a plain string holds its value, as it may be a secret."""
    for value in ("hunter2", "hunter2\n", ["hunter2"], {"hunter2": "hunter2"}):
        wrong = section({"key": value})
        wrong.string("key", pattern="[A-Z]+")
        assert len(wrong.problems) == 1
        assert "hunter2" not in told(wrong)[0]


def test_what_is_required():
    """A missing key that is required is told, in words; one with a default is not."""
    empty = section({})
    empty.string("a", required=True, hint="a word")
    empty.choice("b", ["x", "y"])
    empty.strings("c", required=True, hint="a word")
    list(empty.sections("d", hint="a list of words"))
    empty.choice("e", ["x", "y"], "x")
    assert told(empty) == [
        "here.a: is required: a word",
        "here.b: is required: one of x, y",
        "here.c: is required: a list, each a word",
        "here.d: is required: a list of words",
    ]


def test_nothing_is_required_of_a_partial_section():
    """In a partial section a missing key is no problem; one that stands there is checked, also further down."""
    partial = section({"a": 1, "under": {"b": 1}}, partial=True)
    partial.string("a", required=True)
    partial.string("missing", required=True)
    under = partial.section("under")
    under.string("b", required=True)
    under.string("missing", required=True)
    assert [problem.path for problem in partial.problems] == ["here.a", "here.under.b"]


def test_a_key_goes_before_its_default_and_sections_merge():
    """What stands in the mapping is read from it, any other key from the defaults, also in the sections beneath."""
    defaults = Section({"a": "low", "b": "low", "under": {"c": "low", "d": "low"}}, "defaults", [])
    own = section({"a": "high", "under": {"c": "high"}}).with_defaults(defaults)
    under = own.section("under")
    assert [own.string("a"), own.string("b"), under.string("c"), under.string("d")] == ["high", "low", "high", "low"]
    assert [own.path("a"), own.path("b"), under.path("d")] == ["here.a", "defaults.b", "defaults.under.d"]
    assert defaults.asked == {"defaults.b", "defaults.under", "defaults.under.d"}


def test_a_problem_is_told_where_the_value_stands():
    """A wrong value that came from the defaults has its place there, an item of a list too."""
    own = section({}).with_defaults(Section({"a": 1, "list": [1]}, "defaults", []))
    own.string("a")
    own.strings("list")
    assert [problem.path for problem in own.problems] == ["defaults.a", "defaults.list[0]"]


def test_a_section_read_apart_leaves_the_other_alone():
    """A section can be read a second time without a trace in the first."""
    first = section({"a": 1, "b": 2})
    first.string("a")
    second = first.apart()
    second.string("b")
    second.reject_unknown()
    assert [problem.path for problem in first.problems] == ["here.a"]
    assert [problem.path for problem in second.problems] == ["here.b"]
    assert first.asked == {"here.a"}
    first.reject_unknown()
    assert [problem.path for problem in first.problems] == ["here.a", "here.b"]


def test_keys_that_nobody_reads_are_told():
    """An unknown key is told with the nearest known one, or with all where none is near."""
    rest = section({"timeout": "1s", "time_out": 1, "Retries": 1, "zzz": 1})
    rest.duration("timeout", 1)
    rest.integer("retries", 1, minimum=0, maximum=9)
    rest.reject_unknown()
    assert told(rest) == [
        "here.time_out: is not a known key; did you mean timeout?",
        "here.Retries: is not a known key; did you mean retries?",
        "here.zzz: is not a known key; known: retries, timeout",
    ]


def test_a_discreet_section_does_not_show_a_lost_value():
    """A key without a value that resembles no key is not shown where it may be a secret."""
    rest = section({"hunter2": None, "tokn": None, "other": 1})
    rest.string("token")
    rest.reject_unknown(discreet=True)
    assert told(rest) == [
        "here: holds a key that is not known; known: token",
        "here.tokn: is not a known key; did you mean token?",
        "here.other: is not a known key; known: token",
    ]


def test_a_refused_key():
    """A key that has no place there is told with the reason, and not a second time as unknown."""
    rest = section({"a": 1})
    rest.forbid("a", "belongs elsewhere")
    rest.forbid("b", "belongs elsewhere")
    rest.reject_unknown()
    assert told(rest) == ["here.a: belongs elsewhere"]


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
    """A path holds no value that was glued to its key, nothing that a terminal would obey, and no endless word."""
    assert joined("here", key) == path


def test_files_are_named_from_where_the_configuration_stands():
    """A relative name is taken from the directory of the file, an absolute one and an empty one stay."""
    files = section({"a": "keys/a", "b": "/b", "c": "", "under": {"d": "d"}}, directory="conf")
    assert [files.file(key) for key in "abcx"] == ["conf/keys/a", "/b", "", ""]
    assert files.section("under").file("d") == "conf/d"
    assert not files.problems


def test_a_shown_value_is_short():
    """A value in a message is cut at 60 characters, on one line; lists and mappings are told by their kind."""
    assert shown("x" * 1000) == "'" + "x" * 58 + "…"
    assert shown("a\nb") == r"'a\nb'"
    assert (shown([1]), shown({}), shown(None), shown(value=False)) == ("a list", "a mapping", "nothing", "false")


def test_no_near_word_is_made_up():
    """Where no word is near, all known ones are listed; where there is none, nothing is said."""
    assert did_you_mean("x", ["b", "a"]) == "; known: a, b"
    assert did_you_mean("x", []) == ""
    assert did_you_mean("a" * 100_000, ["a"]) == "; known: a"
