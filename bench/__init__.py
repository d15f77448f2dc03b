"""The exporter measured against a naive one.

::

    __main__   the command line: which rows, how many rounds; other commands
    rows       the literal list of what is measured, each row with the bar it must reach
    computing  rows of the computations alone: parse, render, compress
    scraping   rows of whole scrapes: first, cold, unchanged, churn; plain, gzip; slow pages; many targets
    crowds     rows of many scrapers at once
    starting   the row of the start
    memory     rows of peak memory
    sizes      another command: what a scrape costs, by the number of jobs
    parts      another command: where the time of a scrape goes
    soak       another command: memory and file descriptors stay flat over thousands of scrapes
    clients    the scraper: what the store shows from scrape to scrape, and the proof that both sides agree
    agreement  two expositions, compared
    report     facts about the run, table, Markdown, JSON
    measure    rounds, medians, ratios
    programs   the programs under test, each in a process of its own
    collecting the exporter, with a garbage collection every second
    prober     a process that requests one URL at a fixed interval
    pages      pages of ListJobs: other jobs, the same, or a few changed from scrape to scrape
    store      serves them, and costs next to nothing
    naive      the baseline
"""
