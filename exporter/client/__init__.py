"""HTTP out: a session signs, paces, sends, retries and counts the requests of one target.

Only `transport` knows the HTTP library. No XML and no configuration file come in here.
"""
