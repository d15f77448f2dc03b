"""Prometheus exporter for the batch jobs of object storage."""

__version__ = "0.1.0"
