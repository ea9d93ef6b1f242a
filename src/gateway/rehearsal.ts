import { DaasError, type Log, messageOf } from '#base';
import type { ChainReader, KubernetesPort } from '#domain';
import { publicHexOf } from './audit-signer.ts';
import type { RunnableGatewayConfig } from './config.ts';
import type { GatewayOptions } from './gateway-parts.ts';
import { keysOf, type OpenStateObjects } from './gateway-state.ts';
import type { HealthCheck } from './health-api.ts';
import { checkOwnEntry, joinTokenHead, readTls } from './server-files.ts';
import { checkTokenReview } from './start-checks.ts';
import { verifyState } from './state-maintenance.ts';

export interface Rehearsal {
  readonly config: RunnableGatewayConfig;
  readonly chain: Pick<ChainReader, 'cluster'>;
  readonly kubernetes: Pick<KubernetesPort, 'admittedNames'>;
  readonly signingKey: GatewayOptions['signingKey'];
  readonly log: Log;
  readonly clusterId: string;
  readonly openStateObjects?: OpenStateObjects;
}

/** What a start would check, each for itself, stricter than a start: chain and cluster have to answer. Changes nothing. */
export async function rehearseStart(rehearsal: Rehearsal): Promise<readonly HealthCheck[]> {
  const { config, chain, kubernetes, log } = rehearsal;
  return [
    await rehearsed('settings', async () => {
      checkTokenReview(config);
      return 'they fit each other';
    }),
    await rehearsed('certificate', async () => {
      const { cert } = await readTls(config.tls);
      checkOwnEntry(await chain.cluster(), config.gatewayId, cert, log);
      return `${config.tls.certFile} has the key that the chain names`;
    }),
    await rehearsed('keys of the state', async () => {
      const ring = await keysOf(config);
      return ring ? `it is sealed with ${ring.current().id}` : 'there are none: it is not sealed';
    }),
    ...(config.state.engine === 'sqlite' ? [] : [await rehearsed('state', () => stateText(rehearsal))]),
    await rehearsed('signing key', () => signingKeyText(rehearsal)),
    await rehearsed('server CA', async () => `join tokens begin with ${await joinTokenHead(config, log)}`),
    await rehearsed('cluster', async () => `${(await kubernetes.admittedNames()).size} names are listed`),
  ];
}

/** Runs one check: what it throws is what is wrong. */
export async function rehearsed(name: string, check: () => Promise<string>): Promise<HealthCheck> {
  try {
    return { name, isOk: true, detail: await check() };
  } catch (error) {
    const code = error instanceof DaasError ? `${error.code}: ` : '';
    return { name, isOk: false, detail: `${code}${messageOf(error)}` };
  }
}

async function signingKeyText({ config, chain, signingKey }: Rehearsal): Promise<string> {
  if (!signingKey) return 'there is none: the audit file is not signed';
  const named = (await chain.cluster()).gateways.find(({ id }) => id === config.gatewayId)?.signingKey ?? '';
  if (publicHexOf(signingKey) === Buffer.from(named).toString('hex'))
    return 'it is the one that the chain names';
  return 'the chain names another one: checkpoints of the audit file do not count';
}

/** A state file is locked by the gateway that runs; a state that gateways share is read as a start reads it. */
async function stateText(rehearsal: Rehearsal): Promise<string> {
  const { records, workers } = await verifyState(rehearsal);
  return `${records} records of ${workers} workers can be read in ${rehearsal.config.state.engine}`;
}
