"""Runs the command `check` as a process, against simulated stores."""

from __future__ import annotations

import json

import pytest
import yaml

from exporter.providers import PROVIDERS
from exporter.simulator import DIALECTS, Store, World, create_app, make_jobs
from tests.cli.conftest import environment, run, start
from tests.serving import serve

__all__ = ["environment", "run", "start"]

REGIONS = {"oss": "cn-hangzhou", "cos": "ap-guangzhou", "s3": "us-east-1"}


def store_of(provider, jobs=25, **settings):
    """A store of a provider whose jobs do not change."""
    region = REGIONS[provider]
    return Store(World.fixed(make_jobs(jobs, now=1_750_000_000)), region, provider=provider, **settings)


def account(store, url, secret=None, **settings):
    """The account of a configuration that reads `store` at `url`."""
    names = PROVIDERS[store.provider].credential_names
    keys = {names.key_id: store.access_key_id, names.secret: secret or store.access_key_secret}
    return {
        "provider": store.provider,
        "account": "prod",
        "regions": [store.region],
        "endpoint": url,
        "retries": 0,
        "credentials": {"source": "static", **keys},
        **{name: getattr(store, name) for name in DIALECTS[store.provider].settings},
        **settings,
    }


@pytest.fixture(params=PROVIDERS)
def store(request):
    """A store of each provider."""
    return store_of(request.param)


@pytest.fixture
def url(store):
    with serve(create_app(store)) as base:
        yield base


@pytest.fixture
def check(run, tmp_path):
    """Runs `check` for some accounts, and returns its exit code, stdout and stderr."""

    def checking(*accounts, flags=(), **variables):
        path = tmp_path / "config.yaml"
        path.write_text(yaml.safe_dump({"accounts": list(accounts)}))
        done = run("check", f"--config.file={path}", *flags, **variables)
        assert "Traceback" not in done.stderr
        return done

    return checking


@pytest.fixture
def findings(check):
    """Runs `check` for one account; returns the exit code, the findings by topic, and the report."""

    def checking(account, *flags, **variables):
        done = check(account, flags=("--output=json", *flags), **variables)
        assert done.stderr == ""
        [report] = json.loads(done.stdout)["targets"]
        return done.returncode, {finding["topic"]: finding for finding in report["findings"]}, report

    return checking
