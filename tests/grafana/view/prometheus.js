// The data source: the HTTP API of a Prometheus. `window.waiting` counts the requests that are not answered.
import { DataSourceApi, FieldType, LoadingState, toDataFrame } from '@grafana/data';
import { sceneGraph } from '@grafana/scenes';

const INTERVAL = 60; // seconds: the scrape interval
window.waiting = 0;

export class Prometheus extends DataSourceApi {
  constructor(url) {
    const meta = { id: 'prometheus', name: 'Prometheus', info: { logos: {} } };
    const instanceSettings = { id: 1, type: meta.id, uid: meta.id, name: meta.name, meta, jsonData: {} };
    super(instanceSettings);
    this.instanceSettings = instanceSettings;
    this.interval = `${INTERVAL}s`;
    this.url = url;
  }

  async fetch(path, parameters) {
    window.waiting++;
    try {
      const response = await fetch(`${this.url}/api/v1/${path}?${new URLSearchParams(parameters)}`);
      const body = await response.json();
      if (body.status !== 'success') throw new Error(body.error);
      return body.data;
    } finally {
      window.waiting--;
    }
  }

  // The values of a variable of the form label_values(SELECTOR, LABEL).
  async metricFindQuery({ query }, request) {
    const [, selector, label] = /^label_values\((.+), (\w+)\)$/.exec(filled(query, request));
    const values = await this.fetch(`label/${label}/values`, { 'match[]': selector });
    return values.map((text) => ({ text }));
  }

  // What Grafana calls panel data.
  async answer(request) {
    const done = { request, timeRange: request.range, state: LoadingState.Done };
    try {
      const series = await Promise.all(request.targets.map((target) => this.frames(target, request)));
      return { ...done, series: series.flat() };
    } catch (error) {
      return { ...done, state: LoadingState.Error, series: [], errors: [{ message: String(error) }] };
    }
  }

  async frames(target, request) {
    const [start, end] = [request.range.from, request.range.to].map((time) => time.valueOf() / 1000);
    const step = Math.max(INTERVAL, request.intervalMs / 1000);
    // The rate interval as Grafana derives it.
    const query = filled(target.expr, request).replaceAll('$__rate_interval', `${Math.max(step + INTERVAL, 4 * INTERVAL)}s`);
    if (target.instant) {
      const { result } = await this.fetch('query', { query, time: end });
      if (target.format === 'table') return [table(target.refId, result)];
      return result.map((one) => line(target, { ...one, values: [one.value] }, step));
    }
    const { result } = await this.fetch('query_range', { query, start: Math.floor(start / step) * step, end, step });
    return result.map((one) => line(target, one, step));
  }
}

function filled(text, { scopedVars }) {
  return sceneGraph.interpolate(scopedVars.__sceneObject.value.valueOf(), text, scopedVars);
}

function line({ refId, legendFormat, expr }, { metric, values }, step) {
  const named = legendFormat && legendFormat !== '__auto';
  const displayNameFromDS = named ? legendFormat.replace(/{{(\w+)}}/g, (_, label) => metric[label] ?? '') : expr;
  return toDataFrame({
    refId,
    name: displayNameFromDS,
    fields: [
      {
        name: 'Time',
        type: FieldType.time,
        values: values.map(([time]) => time * 1000),
        config: { interval: step * 1000 },
      },
      {
        name: 'Value',
        type: FieldType.number,
        values: values.map(([, value]) => Number(value)),
        labels: metric,
        config: { displayNameFromDS },
      },
    ],
  });
}

function table(refId, result) {
  const labels = [...new Set(result.flatMap(({ metric }) => Object.keys(metric)))].sort();
  return toDataFrame({
    refId,
    fields: [
      { name: 'Time', type: FieldType.time, values: result.map(({ value }) => value[0] * 1000) },
      ...labels.map((name) => ({ name, type: FieldType.string, values: result.map(({ metric }) => metric[name]) })),
      { name: 'Value', type: FieldType.number, values: result.map(({ value }) => Number(value[1])) },
    ],
  });
}
