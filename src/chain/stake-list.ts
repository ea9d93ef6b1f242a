import type { SuiGrpcClient } from '@mysten/sui/grpc';
import { normalizeStructTag } from '@mysten/sui/utils';
import { DaasError } from '#base';
import type { SealToken, StakeRecord } from '#domain';
import { type ClusterState, decodeCluster, recordFacts, tokenFacts } from './contract-objects.ts';
import type { Endpoints } from './endpoints/index.ts';
import { cluster, k8sGateway, staking } from './generated/index.ts';
import { CLOCK_ID, clockOf, type ReadObject, readEpoch, readObjects } from './object-reads.ts';

/** One stake of a wallet, with what decides what can be done with it. */
export interface ListedStake {
  readonly record: StakeRecord;
  readonly token: SealToken | undefined;
  readonly cluster: ClusterState;
}

export interface StakeList {
  /** In the order in which they were made. */
  readonly stakes: readonly ListedStake[];
  /** The chain's clock and epoch. */
  readonly nowMs: number;
  readonly epoch: bigint;
  /** False when the endpoint lists no events, or more of them than are read: then those without a Seal token may be missing, unless they were known. */
  readonly isComplete: boolean;
}

/** Where stakes are looked for. */
interface Package {
  readonly endpoints: Endpoints;
  readonly packageId: string;
}

/**
 * The stakes of a wallet in all clusters of a package. They are found by the events of the wallet's transactions and by the
 * Seal tokens it owns; `known` adds records that the caller knows of. What the endpoint says is taken as it is: it decides
 * nothing, and every act on a stake is judged anew.
 */
export async function stakesOf(
  { endpoints, packageId }: Package,
  wallet: string,
  known: readonly string[] = [],
  signal?: AbortSignal,
): Promise<StakeList> {
  const [created, tokens] = await Promise.all([
    createdBy({ endpoints, packageId }, wallet, signal),
    tokensOf({ endpoints, packageId }, wallet, signal),
  ]);
  const ids = [...new Set([...created.records, ...tokens.map(({ stakeId }) => stakeId), ...known])];
  const records = await readListed(
    { endpoints, ids, type: `${packageId}::${staking.MODULE}::StakeRecord`, decode: recordFacts },
    signal,
  );
  const own = records.filter(({ staker }) => staker === wallet);
  const clusters = new Map(
    (
      await readListed(
        {
          endpoints,
          ids: [...new Set(own.map((record) => record.cluster))],
          type: `${packageId}::${cluster.MODULE}::Cluster`,
          decode: decodeCluster,
        },
        signal,
      )
    ).map((state) => [state.id, state]),
  );
  const { nowMs, epoch } = await endpoints.read('the time of the chain', readNow, signal);
  const stakes = own.flatMap((record): ListedStake[] => {
    const state = clusters.get(record.cluster);
    const token = tokens.find(({ id }) => id === record.token);
    return state ? [{ record, token, cluster: state }] : [];
  });
  stakes.sort((a, b) => a.record.stakedAtMs - b.record.stakedAtMs);
  return { stakes, nowMs, epoch, isComplete: created.isComplete };
}

/** A stake record of any cluster of the package; `undefined` when there is none. */
export async function stakeRecordOf(
  { endpoints, packageId }: Package,
  id: string,
  signal?: AbortSignal,
): Promise<StakeRecord | undefined> {
  const type = `${packageId}::${staking.MODULE}::StakeRecord`;
  return (await readListed({ endpoints, ids: [id], type, decode: recordFacts }, signal))[0];
}

/** A wallet that makes more stakes than this has them listed by its tokens. */
const MAX_PAGES = 20;

interface Created {
  readonly records: readonly string[];
  readonly isComplete: boolean;
}

async function createdBy(at: Package, wallet: string, signal?: AbortSignal): Promise<Created> {
  try {
    return await listCreated(at, wallet, signal);
  } catch (error) {
    if (error instanceof DaasError && error.code === 'DAAS_CHAIN_REFUSED')
      return { records: [], isComplete: false };
    throw error;
  }
}

function listCreated(
  { endpoints, packageId }: Package,
  wallet: string,
  signal?: AbortSignal,
): Promise<Created> {
  const type = normalizeStructTag(`${packageId}::${staking.MODULE}::StakeCreated`);
  return endpoints.read(
    'the events of the wallet',
    async (client, ended) => {
      const records: string[] = [];
      let after: string | undefined;
      for (let page = 0; page < MAX_PAGES; page += 1) {
        const reply = await client.core.listEvents({
          filter: { sender: wallet },
          ...(after !== undefined && { after }),
          signal: ended,
        });
        for (const event of reply.events)
          if (normalizeStructTag(event.eventType) === type)
            records.push(staking.StakeCreated.parse(event.bcs).record);
        if (!reply.hasNextPage || reply.endCursor === null) return { records, isComplete: true };
        after = reply.endCursor;
      }
      return { records, isComplete: false };
    },
    signal,
  );
}

async function tokensOf(
  { endpoints, packageId }: Package,
  wallet: string,
  signal?: AbortSignal,
): Promise<SealToken[]> {
  return endpoints.read(
    'the Seal tokens of the wallet',
    async (client, ended) => {
      const tokens: SealToken[] = [];
      let cursor: string | null = null;
      for (let page = 0; page < MAX_PAGES; page += 1) {
        const reply: Awaited<ReturnType<typeof client.core.listOwnedObjects<{ content: true }>>> =
          await client.core.listOwnedObjects({
            owner: wallet,
            type: `${packageId}::${k8sGateway.MODULE}::SealToken`,
            include: { content: true },
            cursor,
            signal: ended,
          });
        tokens.push(...reply.objects.map(({ content }) => tokenFacts(content)));
        if (!reply.hasNextPage) break;
        cursor = reply.cursor;
      }
      return tokens;
    },
    signal,
  );
}

interface ListedRead<T> {
  readonly endpoints: Endpoints;
  readonly ids: readonly string[];
  readonly type: string;
  readonly decode: (content: Uint8Array) => T;
}

/** As the endpoint serves them: a list decides nothing. */
async function readListed<T>(
  { endpoints, ids, type, decode }: ListedRead<T>,
  signal?: AbortSignal,
): Promise<T[]> {
  if (ids.length === 0) return [];
  const wanted = normalizeStructTag(type);
  const isWanted = (object: ReadObject | undefined): object is ReadObject => object?.type === wanted;
  return endpoints.read(
    type,
    async (client, ended) => {
      const read = await readObjects(client, ids, ended);
      return ids
        .map((id) => read.get(id))
        .filter(isWanted)
        .map(({ content }) => decode(content));
    },
    signal,
  );
}

async function readNow(client: SuiGrpcClient, signal: AbortSignal) {
  const [objects, { epoch }] = await Promise.all([
    readObjects(client, [CLOCK_ID], signal),
    readEpoch(client, signal),
  ]);
  return { nowMs: clockOf(objects.get(CLOCK_ID)), epoch };
}
