"""Snapshots to text and gzip, and the exporter's own metrics. Nothing in here sends or reads a request."""
