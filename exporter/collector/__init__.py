"""One Snapshot per target: all pages, the selected jobs, their details, and what is kept between scrapes.

Nothing in here knows HTTP servers or text formats. `selection`, `paginator` and `history` read no clock.
"""
