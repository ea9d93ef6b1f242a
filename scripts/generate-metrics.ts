import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { alertRules, dashboard, metricsPage } from './metrics-page.ts';

/** Writes docs/metrics.md, the alert rules and the dashboard. */
const root = join(import.meta.dirname, '..');
const page = join(root, 'docs/metrics.md');
writeFileSync(page, metricsPage(readFileSync(page, 'utf8')));
for (const [path, text] of [
  ['deploy/prometheus/k3s-daas.rules.yaml', alertRules()],
  ['deploy/grafana/k3s-daas.json', dashboard()],
] as const) {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), text);
}
