import { execFileSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { helmChartManifest } from '../chart-files.ts';
import { root, version } from './artefact.ts';

/** The Helm chart as one file, and the manifest by which k3s installs it. The same sources give the same bytes. */
export function makeChart(directory: string): readonly string[] {
  const chart = join(directory, `k3s-daas-gateway-${version}.tgz`);
  const same = [
    '--sort=name',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mtime=@0',
    '--mode=u=rwX,go=rX',
  ];
  const named = ['--transform', 's,^chart,k3s-daas-gateway,'];
  const compressed = ['--use-compress-program=gzip -n -9', '-cf', chart, 'chart'];
  execFileSync('tar', ['-C', join(root, 'deploy'), ...same, ...named, ...compressed]);
  const manifest = join(directory, 'k3s-daas-gateway-helmchart.yaml');
  writeFileSync(manifest, helmChartManifest(readFileSync(chart)));
  return [chart, manifest];
}
