import { cp, readFile, rm, writeFile } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { tpmSealer } from '#tee';
import {
  AK_HANDLE,
  missingTpmPrograms,
  type SoftTpm,
  startSwtpm,
  tpmNeeds,
} from '../src/tee/swtpm.fixture.ts';
import { SUI } from './chain/chain-world.ts';
import type { Program } from './world/program.ts';
import { workerPlugins } from './world/worker-plugins.ts';
import { type Worker, World } from './world/world.ts';

/**
 * A worker whose node key is sealed by its TPM, and whose registrations carry quotes of it; a gateway that admits nothing else. Then
 * its disk in another machine, which has a TPM too.
 */
const PCRS = [0, 4, 7];
const withinMs = 200_000;

describe.skipIf(missingTpmPrograms.length > 0)(`a node that is bound to its TPM${tpmNeeds}`, () => {
  let world: World;
  let own: SoftTpm;
  let other: SoftTpm;
  let worker: Worker;
  const names: string[] = [];

  beforeAll(async () => {
    [own, other] = await Promise.all([startSwtpm(), startSwtpm()]);
    // Both machines run the same, and the policy knows both.
    for (const tpm of [own, other]) {
      names.push(await tpm.makeKey());
      for (const index of PCRS) await tpm.extend(index, `1${'0'.repeat(62)}${index}`);
    }
    const policyFile = join(own.directory, 'policy.json');
    await writeFile(policyFile, JSON.stringify(await policyOf(own)), { mode: 0o600 });
    world = await World.start({
      heartbeatIntervalMs: 300,
      gateway: { admit: { attestation: { mode: 'require', policyFile } } },
    });
    worker = await world.worker('sealed', { config: settings(), env: env(own) });
  }, 300_000);
  afterAll(async () => {
    await world?.close();
    await own?.[Symbol.asyncDispose]();
    await other?.[Symbol.asyncDispose]();
  });

  const env = ({ tcti }: SoftTpm) => ({ TPM2TOOLS_TCTI: tcti });
  const settings = (change: Readonly<Record<string, unknown>> = {}) => ({
    plugins: workerPlugins(world.gatewayUrl),
    attestation: { evidence: { provider: 'tpm', attestationKey: AK_HANDLE, pcrs: PCRS } },
    nodeKey: { sealing: 'tpm', pcrs: PCRS },
    ...change,
  });

  /** The policy that an operator writes: these registers, and the keys of these machines. */
  async function policyOf(tpm: SoftTpm): Promise<object> {
    await tpm.tool('tpm2_pcrread', '-Q', `sha256:${PCRS.join(',')}`, '-o', 'pcrs.bin');
    const values = await readFile(join(tpm.directory, 'pcrs.bin'));
    const pcrs = Object.fromEntries(
      PCRS.map((index, at) => [String(index), values.subarray(32 * at, 32 * at + 32).toString('hex')]),
    );
    return {
      format: 'k3s-daas-tee-policy/1',
      mode: 'production',
      minimumCoverage: 'firmware only',
      accept: { tpm: { attestationKeys: names, measurements: [{ name: 'our image', pcrs }] } },
    };
  }

  /** The disk in another machine. */
  async function copyOfDisk(name: string, change: Readonly<Record<string, unknown>> = {}): Promise<Worker> {
    const copy = await world.workerOf(name, worker.wallet as never, {
      config: settings({ nodeId: 'sealed', join: { deadlineMs: 8_000 }, ...change }),
      env: env(other),
    });
    await cp(worker.stateDir, copy.stateDir, { recursive: true });
    await rm(join(copy.stateDir, 'host.lock'), { force: true });
    return copy;
  }
  const registrations = ({ lines }: Program) => lines.filter(({ event }) => event === 'worker.registered');
  const shown = async () => {
    const socket = join(dirname(world.gatewayConfigFile), 'state', 'operator.sock');
    return (await world.command('gateway', 'nodes', 'sealed', '--socket', socket)).tail;
  };

  test('it joins with a sealed key and a quote, and the operator sees what it runs', {
    timeout: 300_000,
  }, async () => {
    const host = worker.start();
    try {
      await host.event('heartbeat.acknowledged', { withinMs });
      expect(await readFile(join(worker.stateDir, 'node.key'), 'utf8')).toContain('k3s-daas-sealed-key/1');
      const text = await shown();
      expect(text).toMatch(/evidence\s+tpm: 'our image' \(firmware only\)/);
      expect(text).toContain(names[0]);
    } finally {
      await host.stop();
    }
  });

  test('its disk in another machine opens no key and registers nothing', { timeout: 300_000 }, async () => {
    const host = (await copyOfDisk('copy')).start();
    expect(await host.exited).toMatchObject({ code: 78 });
    expect(host.tail(40)).toContain('DAAS_NODE_KEY_NOT_OPENED');
    expect(registrations(host)).toEqual([]);
  });

  test('a thief who has got the key itself registers nothing with another TPM, though the policy knows that TPM', {
    timeout: 300_000,
  }, async () => {
    const copy = await copyOfDisk('thief', { nodeKey: { sealing: 'none' } });
    const keyFile = join(copy.stateDir, 'node.key');
    const { sealed } = JSON.parse(await readFile(keyFile, 'utf8')) as { sealed: Record<string, unknown> };
    const secret = await tpmSealer({ pcrs: PCRS, tcti: own.tcti }).open(sealed);
    await writeFile(keyFile, secret.reveal(), { mode: 0o600 });
    const host = copy.start();
    await host.exited;
    expect(registrations(host)).toEqual([]);
    expect(host.tail(60)).toContain('attestation-key-changed');
  });

  test('a machine without evidence is refused before it stakes', { timeout: 300_000 }, async () => {
    const plain = await world.worker('plain', { config: { plugins: workerPlugins(world.gatewayUrl) } });
    const host = plain.start();
    expect(await host.exited).toMatchObject({ code: 78 });
    expect(host.tail(40)).toContain('DAAS_GATEWAY_EVIDENCE_MISSING');
    expect(await world.chain.balance(plain.wallet.address)).toBe(100n * SUI);
  });

  test('the machine itself comes back, until something else boots on it', { timeout: 300_000 }, async () => {
    const host = worker.start();
    try {
      await host.event('heartbeat.acknowledged', { withinMs });
    } finally {
      await host.stop();
    }
    await own.extend(4, '77'.repeat(32));
    const changed = worker.start();
    expect(await changed.exited).toMatchObject({ code: 78 });
    expect(changed.tail(40)).toContain('PCR0, PCR4, PCR7 has another value');
  });
});
