import { expect, test } from 'vitest';
import { refuseMistyped } from './agent-run.ts';

test.each([
  '--dryrun',
  '-dry-run',
  '--dry_run',
  '--Dry-Run=true',
  '--stake-agian',
  '--k3sconfig',
  '--nodeid',
  '-node-id=w2',
])('%s is no flag for k3s but a slip of ours, and is refused before anything is staked', (flag) => {
  expect(() => refuseMistyped(['--node-label', 'disk=ssd', flag])).toThrow(
    expect.objectContaining({ code: 'DAAS_FLAG_UNKNOWN', exitCode: 78 }),
  );
});

test('what k3s may know is passed on, whatever its value looks like', () => {
  const flags = [
    '--node-ip',
    '10.0.0.2',
    '-node-ip=10.0.0.2',
    '-i',
    '10.0.0.2',
    '--node-name',
    '--node-label=x=y',
    '--node-taint=x',
    '--with-node-id',
    '--debug',
    '--docker',
    '--config=x',
    '--node-label',
    'dry-run=1',
    '--data-dir',
  ];
  expect(() => refuseMistyped(flags)).not.toThrow();
});
