import { METRICS, type MetricRow } from '../src/gateway/metric-table.ts';
import { ALERTS, PANELS } from './metrics.ts';

const begin = '<!-- metrics: begin -->';
const end = '<!-- metrics: end -->';

/** docs/metrics.md with its tables made anew. */
export function metricsPage(text: string): string {
  const [head = '', rest = ''] = text.split(begin);
  const [, tail = ''] = rest.split(end);
  const rows = Object.values<MetricRow>(METRICS).map(
    ({ name, kind, labels, help }) =>
      `| \`${name}\` | ${kind} | ${labels.map((label) => `\`${label}\``).join(' ') || '–'} | ${help} |`,
  );
  const alerts = ALERTS.map(
    ({ alert, forTime, severity, summary }) => `| \`${alert}\` | ${forTime} | ${severity} | ${summary} |`,
  );
  return [
    head + begin,
    '| metric | kind | labels | what it says |',
    '|---|---|---|---|',
    ...rows,
    '',
    '## Alerts',
    '`deploy/prometheus/k3s-daas.rules.yaml` has them.',
    '',
    '| alert | after | severity | what it says |',
    '|---|---|---|---|',
    ...alerts,
    end + tail,
  ].join('\n');
}

/** As the formatter of this repository quotes strings in YAML. */
const quoted = (text: string) =>
  text.includes('"') && !text.includes("'") ? `'${text}'` : JSON.stringify(text);

/** Rules for Prometheus (https://prometheus.io/docs/prometheus/latest/configuration/alerting_rules). */
export function alertRules(): string {
  const rules = ALERTS.flatMap(({ alert, expr, forTime, severity, summary, runbook }) => [
    `      - alert: ${alert}`,
    `        expr: ${quoted(expr)}`,
    `        for: ${forTime}`,
    '        labels:',
    `          severity: ${severity}`,
    '        annotations:',
    `          summary: ${JSON.stringify(summary)}`,
    `          runbook: ${JSON.stringify(runbook)}`,
  ]);
  return [
    '# Made by `npm run metrics` from scripts/metrics.ts.',
    'groups:',
    '  - name: k3s-daas',
    '    rules:',
    ...rules,
    '',
  ].join('\n');
}

/** A dashboard for Grafana: schema 39, panels two in a row. */
export function dashboard(): string {
  const source = { type: 'prometheus', uid: '$source' };
  const panels = PANELS.map(({ title, unit, queries }, index) => ({
    id: index + 1,
    title,
    type: 'timeseries',
    datasource: source,
    gridPos: { x: (index % 2) * 12, y: Math.floor(index / 2) * 8, w: 12, h: 8 },
    fieldConfig: { defaults: { unit, min: 0 }, overrides: [] },
    targets: queries.map(({ expr, legend }, place) => ({
      refId: String.fromCharCode(65 + place),
      datasource: source,
      expr,
      legendFormat: legend,
    })),
  }));
  const board = {
    uid: 'k3s-daas',
    title: 'K3s-DaaS gateway',
    schemaVersion: 39,
    editable: true,
    refresh: '30s',
    time: { from: 'now-3h', to: 'now' },
    templating: { list: [{ name: 'source', type: 'datasource', query: 'prometheus', label: 'Source' }] },
    panels,
  };
  return `${JSON.stringify(board, undefined, 2)}\n`;
}
