"""What a person asks before an alert does: whether files can be read, and whether each target answers, and why not.

::

    files     the files that the configuration names

It uses the parts of the exporter as a scrape does, so that both have the same result.
"""
