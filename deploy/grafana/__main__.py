"""Writes the dashboards."""

from deploy.grafana import files

for path, text in files():
    path.write_text(text, encoding="utf-8")
