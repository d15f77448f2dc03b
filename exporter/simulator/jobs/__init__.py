"""The simulated jobs: `plan` is the life of one job, `world` is the list of jobs at a given time.

Both are pure functions of a seed and the time. Requests, XML and clocks must not come in.
"""
