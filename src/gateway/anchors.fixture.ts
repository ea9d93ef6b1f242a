import { generateKeyPairSync } from 'node:crypto';
import { cpSync, rmSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { expect } from 'vitest';
import type { AuditAnchor, AuditCargo } from '#domain';
import { CLUSTER_ID } from './ids.fixture.ts';
import { call, command } from './operator.fixture.ts';
import { OPERATOR_PATHS } from './operator-wire.ts';
import { World } from './world.fixture.ts';

const { privateKey: signingKey } = generateKeyPairSync('ed25519');
export const rolledBack = { code: 'DAAS_STATE_ROLLED_BACK', exitCode: 78 };

/** A chain that keeps what probes have carried, whatever becomes of the machine. */
export class Anchored {
  readonly anchors: AuditAnchor[] = [];
  isSilent = false;
  /** What the full nodes show that answer at once. */
  hides: (anchor: AuditAnchor) => boolean = () => false;
  answered = 1;
  asked = 1;
  cargo: AuditCargo | undefined;

  /** What a probe would do now. */
  async probe(): Promise<AuditAnchor> {
    const head = await this.cargo?.head();
    if (!head) throw new Error('no gateway has given anything to carry');
    const anchor = { ...head, digest: `digest-${this.anchors.length}` };
    this.anchors.push(anchor);
    this.cargo?.anchored(anchor);
    return anchor;
  }

  readonly options = {
    signingKey,
    probe: {
      run: async () => undefined,
      ask: () => undefined,
      carry: (cargo: AuditCargo) => {
        this.cargo = cargo;
      },
    },
    anchors: {
      read: async () => {
        if (this.isSilent) throw new Error('no full node answers');
        const anchors = this.anchors.filter((anchor) => !this.hides(anchor));
        return { anchors, answered: this.answered, asked: this.asked };
      },
    },
  };
}

export async function anchoredWorld(chain: Anchored): Promise<World> {
  const world = await World.create();
  world.options = chain.options;
  await world.startGateway();
  return world;
}

export const siteOf = ({ config }: World) => ({ config, clusterId: CLUSTER_ID });
const snapshotOf = (world: World) => join(world.directory, 'snapshot');

export async function stopAndCopy(world: World): Promise<void> {
  await world.stopGateway();
  cpSync(world.config.stateDir, snapshotOf(world), { recursive: true });
}

/** State and audit file of one moment, as a snapshot of the whole machine has them. */
export async function putBoth(world: World): Promise<void> {
  await world.stopGateway();
  rmSync(world.config.stateDir, { recursive: true });
  cpSync(snapshotOf(world), world.config.stateDir, { recursive: true });
}

/** A ban that a snapshot of before has forgotten, and an anchor after it. */
export async function bannedAndAnchored(world: World, chain: Anchored): Promise<AuditAnchor> {
  await world.startGateway();
  const target = { subject: 'node_id', value: 'worker-1' };
  await command(world, OPERATOR_PATHS.ban, { target, reason: 'by hand' });
  await world.clock.advance(1_000);
  return chain.probe();
}

export const events = async (world: World, event: string) =>
  (await world.audit()).filter((line) => line.event === event);
export const isAbout =
  (event: string) =>
  ({ fields }: World['logged'][number]) =>
    (fields as { event?: string } | undefined)?.event === event;
export const hasLogged = ({ logged }: World, event: string) => logged.some(isAbout(event));
export const auditOf = ({ config }: World) => join(config.stateDir, 'audit.jsonl');
export const textOf = (world: World) => readFile(auditOf(world), 'utf8');

/** A long line; every other one takes the ban back. */
export async function ban(world: World, line: number): Promise<void> {
  const target = { subject: 'node_id', value: 'worker-9' };
  const reason = 'x'.repeat(200);
  const [path, body] =
    line % 2 ? [OPERATOR_PATHS.unban, { target }] : [OPERATOR_PATHS.ban, { target, reason }];
  const { status } = await call(world, 'POST', path, body);
  expect(status).toBe(200);
}
