import { execFile } from 'node:child_process';
import { accessSync, constants, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { delimiter, join } from 'node:path';
import { promisify } from 'node:util';
import { expect, test } from 'vitest';
import { EVENTS_FROM_THE_START, METRICS, type MetricRow } from '../src/gateway/metric-table.ts';
import { ALERTS, PANELS } from './metrics.ts';
import { alertRules, dashboard, metricsPage } from './metrics-page.ts';

const root = join(import.meta.dirname, '..');
const read = (path: string) => readFileSync(join(root, path), 'utf8');
const run = promisify(execFile);

test('docs/metrics.md, the rules and the dashboard are what the table says: `npm run metrics` writes them', () => {
  expect(read('docs/metrics.md')).toBe(metricsPage(read('docs/metrics.md')));
  expect(read('deploy/prometheus/k3s-daas.rules.yaml')).toBe(alertRules());
  expect(read('deploy/grafana/k3s-daas.json')).toBe(dashboard());
});

test('panels and alerts use metrics that exist, with labels that they have', () => {
  const rows = new Map(Object.values<MetricRow>(METRICS).map((row) => [row.name, row]));
  const queries = [...PANELS.flatMap((panel) => panel.queries), ...ALERTS].map(({ expr }) => expr);
  for (const expr of queries)
    for (const [, name = '', selector = ''] of expr.matchAll(/(k3s_daas_\w+)(\{[^}]*\})?/g)) {
      const row = rows.get(name.replace(/_(bucket|count|sum)$/, ''));
      expect(row, `${name} in ${expr}`).toBeDefined();
      for (const [, label] of selector.matchAll(/(\w+)(?:=~|!=|=)"/g)) expect(row?.labels).toContain(label);
    }
});

test('the events that panels and alerts count have a series from the start, so that the first one is an increase', () => {
  const queries = [...PANELS.flatMap((panel) => panel.queries), ...ALERTS].map(({ expr }) => expr);
  const events = queries.flatMap((expr) =>
    [...expr.matchAll(/audit_events_total\{event=~?"([^"]+)"\}/g)].flatMap(([, names = '']) =>
      names.split('|'),
    ),
  );
  expect(new Set(events)).toEqual(new Set(EVENTS_FROM_THE_START));
});

test('every alert names a page that exists', () => {
  for (const { runbook } of ALERTS) expect(() => read(runbook.split('#')[0] ?? '')).not.toThrow();
});

/** Debian's package `prometheus` has it. */
function promtool(): string | undefined {
  return (process.env.PATH ?? '')
    .split(delimiter)
    .map((directory) => join(directory, 'promtool'))
    .find((path) => {
      try {
        accessSync(path, constants.X_OK);
        return true;
      } catch {
        return false;
      }
    });
}

test.skipIf(promtool() === undefined)(
  'promtool accepts the rules, and the alerts fire when they should',
  async () => {
    const directory = mkdtempSync(join(tmpdir(), 'k3s-daas-rules-'));
    try {
      const rules = join(root, 'deploy/prometheus/k3s-daas.rules.yaml');
      await run(promtool() ?? '', ['check', 'rules', rules]);
      const tests = join(directory, 'tests.yaml');
      writeFileSync(tests, ruleTests(rules));
      await run(promtool() ?? '', ['test', 'rules', tests]);
    } finally {
      rmSync(directory, { recursive: true, force: true });
    }
  },
  60_000,
);

test.skipIf(promtool() === undefined)('promtool parses each query of the dashboard', async () => {
  const directory = mkdtempSync(join(tmpdir(), 'k3s-daas-queries-'));
  try {
    const { panels } = JSON.parse(read('deploy/grafana/k3s-daas.json')) as Board;
    const queries = panels.flatMap(({ targets }) => targets.map(({ expr }) => expr));
    expect(queries.length).toBeGreaterThanOrEqual(PANELS.length);
    const rules = queries.map((expr, index) => ({ record: `query:${index}`, expr }));
    const file = join(directory, 'queries.yaml');
    // JSON is YAML.
    writeFileSync(file, JSON.stringify({ groups: [{ name: 'queries', rules }] }));
    await run(promtool() ?? '', ['check', 'rules', file]);
  } finally {
    rmSync(directory, { recursive: true, force: true });
  }
});

interface Board {
  readonly panels: ReadonlyArray<{ readonly targets: ReadonlyArray<{ readonly expr: string }> }>;
}

interface Firing {
  readonly alert: string;
  readonly series: string;
  readonly quiet: string;
  readonly firing: string;
  readonly labels?: Readonly<Record<string, string>>;
}

/** Minutes of a series that must fire the alert, and of one that must not. */
const firings: readonly Firing[] = [
  {
    alert: 'K3sDaasNotReady',
    series: 'k3s_daas_ready_check{instance="g",check="chain"}',
    quiet: '1x100',
    firing: '0x100',
    labels: { check: 'chain' },
  },
  {
    alert: 'K3sDaasBreakerTripped',
    series: 'k3s_daas_breaker_tripped{instance="g"}',
    quiet: '0x100',
    firing: '1x100',
  },
  {
    alert: 'K3sDaasEvictionsStuck',
    series: 'k3s_daas_workers{instance="g",status="evicting"}',
    quiet: '0x100',
    firing: '2x100',
  },
  {
    alert: 'K3sDaasNamesClaimed',
    series: 'k3s_daas_audit_events_total{instance="g",event="name.claimed"}',
    quiet: '5x100',
    firing: '0+1x100',
  },
  {
    alert: 'K3sDaasNodeCloned',
    series: 'k3s_daas_workers_cloned{instance="g"}',
    quiet: '0x100',
    firing: '1x100',
  },
  {
    alert: 'K3sDaasChainSilent',
    series: 'k3s_daas_chain_heard_age_seconds{instance="g"}',
    quiet: '1x100',
    firing: '0+30x100',
  },
  {
    alert: 'K3sDaasFullNodeLies',
    series: 'k3s_daas_chain_endpoint_contradiction{instance="g",endpoint="e"}',
    quiet: '0x100',
    firing: '1x100',
    labels: { endpoint: 'e' },
  },
  {
    alert: 'K3sDaasOneFullNode',
    series: 'k3s_daas_chain_endpoint_state{instance="g",endpoint="e",state="good"}',
    quiet: '2x100',
    firing: '0x100',
  },
  {
    alert: 'K3sDaasAnchorOld',
    series: 'k3s_daas_audit_anchor_age_seconds{instance="g",mode="daily"}',
    quiet: '90000x100',
    firing: '172800+30x100',
  },
  {
    alert: 'K3sDaasLoopBlocked',
    series: 'k3s_daas_event_loop_delay_seconds{instance="g",quantile="0.99"}',
    quiet: '0.01x100',
    firing: '0.5x100',
  },
  {
    alert: 'K3sDaasPortUnderLoad',
    series: 'k3s_daas_connections_cut_total{instance="g",why="refused"}',
    quiet: '7x100',
    firing: '0+600x100',
  },
];

function ruleTests(rules: string): string {
  const cases = firings.flatMap(({ alert, series, quiet, firing, labels = {} }) => {
    const { severity = '', summary = '', runbook = '' } = ALERTS.find((one) => one.alert === alert) ?? {};
    const said = summary.replace(/\{\{ \$labels\.(\w+) \}\}/g, (_, label: string) => labels[label] ?? '');
    return [
      {
        interval: '30s',
        input_series: [{ series, values: quiet }],
        alert_rule_test: [{ eval_time: '40m', alertname: alert, exp_alerts: [] }],
      },
      {
        interval: '30s',
        input_series: [{ series, values: firing }],
        alert_rule_test: [
          {
            eval_time: '40m',
            alertname: alert,
            exp_alerts: [
              {
                exp_labels: { severity, instance: 'g', ...labels },
                exp_annotations: { summary: said, runbook },
              },
            ],
          },
        ],
      },
    ];
  });
  // JSON is YAML.
  return JSON.stringify({ rule_files: [rules], evaluation_interval: '30s', tests: cases });
}
