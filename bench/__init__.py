"""The exporter measured against a naive one that is kept here.

::

    __main__   the command line: which rows, how many rounds; `soak` and `sizes`
    rows       the literal list of what is measured, each row with the bar it must reach
    computing  rows of what is computed alone: parse, render
    scraping   rows of whole scrapes: cold, unchanged, churn; plain, gzip; slow pages; many targets
    crowds     rows of requests, and of many scrapers at once
    memory     rows of peak memory
    soak       thousands of scrapes: memory and file descriptors stay flat
    sizes      what one target costs, by the number of its jobs
    clients    who scrapes: what the store shows from scrape to scrape, and the proof that both sides tell the same
    agreement  two expositions, compared
    report     facts of the run, table, Markdown, JSON
    measure    rounds, medians, ratios
    programs   the programs under test, each a process of its own
    collecting the exporter, with its garbage collected all the time
    prober     a process that asks for one URL again and again
    pages      answers of ListJobs: jobs that are others, the same, or changed a little from scrape to scrape
    store      serves them, and costs next to nothing
    naive      the baseline
"""
