import { chmod, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { k3sAgentHelp } from './k3s-help.ts';

let directory: string;
beforeEach(async () => {
  directory = await mkdtemp(join(tmpdir(), 'k3s-help-'));
});
afterEach(() => rm(directory, { recursive: true }));

async function binary(text: string): Promise<string> {
  const path = join(directory, 'k3s');
  await writeFile(path, `#!/bin/sh\ncat <<'END'\n${text}\nEND\n`);
  await chmod(path, 0o755);
  return path;
}

const help = `NAME:
   k3s agent - Run node agent

OPTIONS:
   --token value, -t value   (cluster) Token to use for authentication [$K3S_TOKEN]
   --node-ip value, -i value  (agent/networking) addresses
`;

test('the flags of the installed k3s are shown, those that are decided here with the reason', async () => {
  const path = await binary(help);
  expect(await k3sAgentHelp(path, process.env)).toBe(
    `Flags of k3s agent (${path}), passed on as they are:
   --token value, -t value   REJECTED: the join credential comes from the gateway
   --node-ip value, -i value  (agent/networking) addresses`,
  );
});

test('without a k3s, or with one that shows nothing, the help says so and goes on', async () => {
  expect(await k3sAgentHelp(join(directory, 'absent'), process.env)).toContain('no k3s binary');
  expect(await k3sAgentHelp(await binary('nothing'), process.env)).toContain('does not show them');
});
