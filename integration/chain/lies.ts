import type { LyingNode } from '@k3s-daas/devnet';
import { contracts } from '#chain';
import { type StoredObject, withDigest } from '../../devnet/src/objects.ts';
import type { ChainWorld } from './chain-world.ts';

const { SealToken } = contracts.k8sGateway;
const { StakeRecord } = contracts.staking;
const { Cluster } = contracts.cluster;

export const EVIL_URL = 'https://evil.example:8443';
export const INVENTED_RECORD = `0x${'e'.repeat(64)}`;
export const INVENTED_TOKEN = `0x${'f'.repeat(64)}`;
export const FORGED_KEY = new Uint8Array(32).fill(99);

export interface Victim {
  readonly recordId: string;
  readonly tokenId: string;
}

/** A stage on which full nodes lie. */
export interface Stage {
  readonly world: ChainWorld;
  readonly victims: readonly Victim[];
  readonly random: () => number;
}

type Liar = (node: LyingNode, stage: Stage) => void;

/** Each changes one thing that a full node says. */
const LIES: Readonly<Record<string, Liar>> = {
  'forge a slash': (node, stage) => {
    const { recordId } = pick(stage, stage.victims);
    forgeRecord(node, stage, recordId, { status: 2, slashReason: 'forged' });
  },
  'forge the end of a stake': (node, stage) => {
    forgeRecord(node, stage, pick(stage, stage.victims).recordId, { status: 1, unlockAtMs: 1n });
  },
  'forge a stake': (node, stage) => {
    const { recordId } = pick(stage, stage.victims);
    const change = { nodeId: 'never-staked', status: 0, token: INVENTED_TOKEN };
    forgeRecord(node, stage, recordId, change, INVENTED_RECORD);
  },
  'forge a token': (node, stage) => {
    const { tokenId } = pick(stage, stage.victims);
    const change = () => ({ id: INVENTED_TOKEN, stakeId: INVENTED_RECORD });
    forge(node, stage, { id: tokenId, as: INVENTED_TOKEN, type: SealToken, change });
  },
  'forge the key of a token': (node, stage) => {
    const { tokenId } = pick(stage, stage.victims);
    forge(node, stage, { id: tokenId, type: SealToken, change: () => ({ holderKey: FORGED_KEY }) });
  },
  'forge the gateways': (node, stage) => {
    const { clusterId } = stage.world.deployment;
    forge(node, stage, {
      id: clusterId,
      type: Cluster,
      change: ({ gateways }) => ({
        gateways: gateways.map((gateway) => ({ ...gateway, endpoint: EVIL_URL })),
      }),
    });
  },
  'serve another object in its place': (node, stage) => {
    const [one, other] = [pick(stage, stage.victims), pick(stage, stage.victims)];
    const object = served(stage, other.recordId);
    if (object) node.lies.objects.set(one.recordId, object);
  },
  'replay an old version': (node, stage) => {
    const id = pick(stage, [
      ...stage.victims.map(({ recordId }) => recordId),
      stage.world.deployment.clusterId,
    ]);
    const object = served(stage, id);
    if (!object) return;
    for (let version = object.version - 1n; version > 0n; version -= 1n) {
      const old = stage.world.devnet.ledger.objects.at(id, version);
      if (!old) continue;
      node.lies.objects.set(id, old);
      return;
    }
  },
  'hide what comes': (node, stage) => {
    for (const id of [stage.world.deployment.clusterId, ...stage.victims.map(({ recordId }) => recordId)])
      node.lies.objects.set(id, served(stage, id) ?? 'absent');
  },
  'say it is not there': (node, stage) => {
    const { recordId, tokenId } = pick(stage, stage.victims);
    node.lies.objects.set(pick(stage, [recordId, tokenId]), 'absent');
  },
  'sign with other validators': ({ lies }) => {
    lies.isSignedByOthers = true;
  },
  'skip an epoch': ({ lies }, { world, random }) => {
    lies.skippedEpochs.add(BigInt(Math.floor(random() * Number(world.devnet.ledger.epoch))));
  },
  prune: ({ lies }, { world, random }) => {
    lies.prunedBelow = BigInt(Math.floor(random() * Number(world.devnet.ledger.tip.sequenceNumber)));
  },
  lag: ({ lies }) => {
    lies.tip = 0n;
  },
  'ask to wait': ({ lies }) => {
    lies.busyForSeconds = 1;
  },
};

/** One to three lies of a node, by chance; returns their names. */
export function tellLies(node: LyingNode, stage: Stage): string[] {
  const count = 1 + Math.floor(stage.random() * 3);
  return Array.from({ length: count }, () => {
    const [name, lie] = pick(stage, Object.entries(LIES));
    lie(node, stage);
    return name;
  });
}

type ServedObject = Extract<StoredObject, { readonly kind: 'move' }>;
/** A type of the contracts, as its bindings read and write it. */
interface ContractType<Read, Write> {
  parse(bytes: Uint8Array): Read;
  serialize(value: Write): { toBytes(): Uint8Array };
}

interface Forgery<Read, Write> {
  readonly id: string;
  /** Served under this id; default: its own. */
  readonly as?: string;
  readonly type: ContractType<Read, Write>;
  readonly change: (value: Read) => Partial<Write>;
}

/** Serves a next version of an object, or one that never was, with some fields changed. */
function forge<Read extends Write, Write extends object>(
  node: LyingNode,
  stage: Stage,
  { id, as = id, type, change }: Forgery<Read, Write>,
): void {
  const object = served(stage, id);
  if (!object) return;
  const value = type.parse(object.contents);
  const contents = type.serialize({ ...value, ...change(value) }).toBytes();
  node.lies.objects.set(as, withDigest({ ...object, id: as, version: object.version + 1n, contents }));
}

type RecordFields = typeof StakeRecord.$inferType;

function forgeRecord(
  node: LyingNode,
  stage: Stage,
  recordId: string,
  change: Partial<RecordFields>,
  as = recordId,
): void {
  forge(node, stage, { id: recordId, as, type: StakeRecord, change: () => ({ id: as, ...change }) });
}

function served({ world }: Stage, id: string): ServedObject | undefined {
  const object = world.devnet.ledger.objects.get(id);
  return object?.kind === 'move' ? object : undefined;
}

export function pick<T>({ random }: Pick<Stage, 'random'>, items: readonly T[]): T {
  return items[Math.floor(random() * items.length)] as T;
}
