"""The signatures of the services, one module for each scheme. Pure functions of the request: no I/O, no clock."""
