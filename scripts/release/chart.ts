import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { helmChartManifest } from '../chart-files.ts';
import { root, version } from './artefact.ts';
import { packSameTar } from './same-tar.ts';

/** The Helm chart as one file, and the manifest by which k3s installs it. The same sources give the same bytes. */
export function makeChart(directory: string): readonly string[] {
  const chart = join(directory, `k3s-daas-gateway-${version}.tgz`);
  packSameTar(chart, { from: join(root, 'deploy'), name: 'chart', as: 'k3s-daas-gateway', level: 9 });
  const manifest = join(directory, 'k3s-daas-gateway-helmchart.yaml');
  writeFileSync(manifest, helmChartManifest(readFileSync(chart)));
  return [chart, manifest];
}
