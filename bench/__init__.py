"""The exporter measured against a naive one that is kept here.

::

    __main__   the command line: which rows, how many rounds, table and JSON
    rows       the literal list of what is measured, each row with the bar it must reach
    contests   what a row measures: the naive way and ours, proven to give the same
    measure    rounds, medians, ratios
    programs   the programs under test, each a process of its own
    pages      answers of ListJobs, made ahead
    store      serves them, and costs next to nothing
    naive      the baseline
"""
