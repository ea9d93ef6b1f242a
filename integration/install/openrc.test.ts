import { execFile } from 'node:child_process';
import { chmod, mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { units } from '#install';
import { projectRoot } from '../world/program.ts';

/**
 * The OpenRC script of a worker under Debian's OpenRC, with a stand-in for the program. Skipped unless K3S_DAAS_TEST_OPENRC names the
 * directory into which the packages openrc, librc1 and libeinfo1 were unpacked.
 */
const packages = process.env.K3S_DAAS_TEST_OPENRC ?? '';
const run = promisify(execFile);
let files: string;

/** Says how it was started, and runs until SIGTERM; with a file /exits it ends at once with what is in it. */
const program = `#!/bin/sh
echo "started: $* for $K3S_DAAS_NODE_ID, core dumps of $(ulimit -c)"
if [ -e /exits ]; then exit "$(cat /exits)"; fi
trap 'echo ended by SIGTERM; exit 0' TERM
while :; do sleep 0.1; done
`;

async function put(path: string, text: string, mode = 0o644): Promise<void> {
  const place = join(files, path);
  await mkdir(join(place, '..'), { recursive: true });
  await writeFile(place, text);
  await chmod(place, mode);
}

async function onMachine(command: string): Promise<string> {
  const machine = join(projectRoot, 'integration', 'install', 'openrc-machine.sh');
  const { stdout } = await run(machine, [packages, files, command], { timeout: 200_000 });
  return stdout;
}

describe.skipIf(packages === '')('under OpenRC', () => {
  beforeAll(async () => {
    files = await mkdtemp(join(tmpdir(), 'openrc-'));
    const flags = ['--node-label', 'disk=ssd'];
    await put('etc/init.d/k3s-agent', units.workerOpenrc({ program: units.DEFAULT_PROGRAM, flags }), 0o755);
    await put('etc/rancher/k3s/k3s-agent.env', "K3S_DAAS_NODE_ID='machine-7'\n", 0o600);
    await put('usr/local/bin/k3s-daas', program, 0o755);
  });
  afterAll(() => rm(files, { recursive: true }));

  test('the service starts with its flags and variables, restarts, and ends by SIGTERM', async () => {
    const log = '/var/log/k3s-agent.log';
    const until = (text: string) => `until grep -q '${text}' ${log} 2> /dev/null; do sleep 0.1; done`;
    const out = await onMachine(
      `rc-service k3s-agent start > /dev/null 2>&1; ${until('started')}; rc-service k3s-agent status 2> /dev/null;
       rc-service k3s-agent stop > /dev/null 2>&1; ${until('ended')}; rc-service k3s-agent status 2> /dev/null; cat ${log}`,
    );
    expect(out).toContain('status: started');
    expect(out).toContain('status: stopped');
    expect(out).toContain('started: agent --node-label disk=ssd for machine-7, core dumps of 0\n');
    expect(out).toContain('ended by SIGTERM');
  });

  test('it gives up on a program that ends again and again, as one does that must not be started', {
    timeout: 240_000,
  }, async () => {
    const out = await onMachine(
      `echo 78 > /exits; rc-service k3s-agent start > /dev/null 2>&1;
       while rc-service k3s-agent status 2> /dev/null | grep -q 'status: started'; do sleep 1; done;
       rc-service k3s-agent status 2> /dev/null; grep -c started: /var/log/k3s-agent.log`,
    );
    expect(out).not.toContain('status: started');
    expect(Number(out.trim().split('\n').at(-1))).toBeLessThanOrEqual(11);
  });
});
