"""What a person asks before an alert does: whether files can be read, and whether each target answers, or why not.

It uses the parts of the exporter as a scrape does, so that both have the same result.

::

    files     the files that the configuration names
    examine   calls one target, as a scrape does
    wire      what the responses showed about the connection, the clock and the permissions
    explain   all of it in words, with remedies
    report    what was found about a target; values only
    printing  reports as text, with colour on a terminal, or as JSON
"""
