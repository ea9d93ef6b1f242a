import { randomUUID } from 'node:crypto';
import { join } from 'node:path';
import { createGatewayConnector } from '#api';
import { ConfigurationError, DaasError, EXIT, errorFields, systemClock } from '#base';
import type { GatewayEntry, SealToken } from '#domain';
import { bootId, machineId } from '#infrastructure';
import type { GatewayConnector } from '#plugin';
import { createProofSigner, type NodeKey, readNodeKey, successorPath } from '#seal';
import { nodeKeySealer } from './node-key-sealer.ts';
import type { Loaded } from './settings.ts';

/** What a leave is said with: the node key of this machine, for the Seal token that the chain names. */
export interface Farewell {
  readonly nodeId: string;
  readonly token: SealToken;
  readonly staker: string;
  readonly gateways: readonly GatewayEntry[];
  readonly connector: GatewayConnector;
}

/** An eviction has to reach the API server, and pods get their grace. */
const goneWithinMs = 300_000;
const askEveryMs = 2_000;

/**
 * Opens the node key that a Seal token is for: that of the host, or its successor in the middle of a rotation. Makes none.
 * @throws `DAAS_LEAVE_KEY_MISSING`.
 */
export async function openFarewell(settings: Loaded, known: Omit<Farewell, 'connector'>): Promise<Farewell> {
  const { nodeId, token } = known;
  const keyFile = join(settings.value.stateDir, 'node.key');
  const sealer = await nodeKeySealer(settings);
  const keys = [await readNodeKey(keyFile, sealer), await readNodeKey(successorPath(keyFile), sealer)];
  const key = keys.find((each) => each !== undefined && Buffer.from(each.publicKey).equals(token.holderKey));
  if (!key)
    throw new ConfigurationError(
      'DAAS_LEAVE_KEY_MISSING',
      `${keyFile} is not the node key of ${nodeId}'s Seal token ${token.id}: run this on the worker, as the user of its host. Without that machine the operator evicts the node, and \`k3s-daas unstake\` does too`,
      { details: { nodeId, sealTokenId: token.id } },
    );
  return { ...known, connector: await connectorOf(nodeId, key) };
}

/** From this machine and boot: a gateway refuses a goodbye that a thief of the key says elsewhere. */
async function connectorOf(nodeId: string, key: NodeKey): Promise<GatewayConnector> {
  return createGatewayConnector({
    signer: createProofSigner(nodeId, key),
    clock: systemClock,
    machine: { machineId: await machineId(), bootId: await bootId(), runId: randomUUID() },
  });
}

/**
 * Says goodbye to the gateway that knows the node, and waits until its Node is gone. `onProgress` is called once the gateway has
 * begun. Killed, and asked again, it finds what was done. Resolves with the gateway.
 * @throws `DAAS_LEAVE_UNKNOWN` when no gateway knows the node, `DAAS_LEAVE_UNFINISHED` after five minutes, or the refusal.
 */
export async function sayGoodbye(
  farewell: Farewell,
  onProgress: (gateway: GatewayEntry) => void,
): Promise<GatewayEntry> {
  const { gateway, state } = await firstToTakeIt(farewell);
  if (state === 'left') return gateway;
  onProgress(gateway);
  const deadlineMs = systemClock.monotonicMs() + goneWithinMs;
  let last: unknown;
  while (systemClock.monotonicMs() < deadlineMs) {
    await systemClock.sleep(askEveryMs);
    try {
      if ((await ask(farewell, gateway)) === 'left') return gateway;
    } catch (error) {
      // It has begun, and goes on by itself.
      if (!(error instanceof DaasError && error.isRetryable)) throw error;
      last = error;
    }
  }
  throw new DaasError(
    'DAAS_LEAVE_UNFINISHED',
    `the gateway ${gateway.url} has begun to remove node ${farewell.nodeId} and has not finished after ${goneWithinMs / 60_000} minutes; it goes on by itself. Run the command again to see how it ends`,
    { cause: last, isRetryable: true, exitCode: EXIT.joinDeadline, details: { ...errorFields(last) } },
  );
}

async function firstToTakeIt(farewell: Farewell) {
  const { nodeId, gateways } = farewell;
  const failures: unknown[] = [];
  for (const gateway of gateways)
    try {
      return { gateway, state: await ask(farewell, gateway) };
    } catch (error) {
      failures.push(error);
    }
  // A gateway that does not know the node says no more than that the proof is not valid.
  const telling = failures.find((error) => !isUnknown(error));
  if (telling) throw telling;
  const asked = gateways.map(({ url }) => url).join(', ') || 'the chain names none that is live';
  throw new DaasError(
    'DAAS_LEAVE_UNKNOWN',
    `no gateway knows node ${nodeId} (${asked}): there is nothing to leave. If the node is in the cluster, ask its operator to evict it: the gateway may have lost its state`,
    { exitCode: EXIT.unexpected, details: { nodeId } },
  );
}

function isUnknown(error: unknown): boolean {
  return error instanceof DaasError && error.code === 'DAAS_GATEWAY_SEAL_TOKEN_INVALID';
}

async function ask(
  { connector, nodeId, staker, token }: Farewell,
  gateway: GatewayEntry,
): Promise<'leaving' | 'left'> {
  await using connection = connector.connect(gateway);
  const challenge = await connection.challenge({ nodeId, staker });
  return connection.leave({ challenge, sealTokenId: token.id });
}
