import { DaasError } from '#base';
import type { AgentContext } from './agent-context.ts';
import type { AgentPlan } from './agent-plan.ts';
import type { AgentRun } from './agent-run.ts';
import { kubeletCertificate, planCertificates } from './certificates.ts';
import { deadToken, parseFullToken } from './token-file.ts';

/**
 * Puts token file, certificates and journal into the state that this start needs. Returns whether k3s has a join credential
 * that may still be valid.
 */
export async function prepareStart(run: AgentRun, plan: AgentPlan, context: AgentContext): Promise<boolean> {
  const { journal, clock } = context.options;
  const { join: credential } = run.request;
  const isFresh = credential !== undefined && !run.isCredentialSpent;
  if (isFresh) await writeToken(run, context);
  else await ensureToken(context);
  const isUnexpired = clock.monotonicMs() < run.credentialEndsMs;
  const hasLiveCredential = isFresh || (credential !== undefined && !run.hasBeenReady && isUnexpired);
  const certificate = kubeletCertificate(plan.dataDir);
  await certificate.carryOut(
    planCertificates({
      ...(await certificate.facts()),
      hasLiveCredential,
      isFreshCredential: isFresh,
      lastStartReachedReady: journal.read('reached-ready') === true,
    }),
  );
  run.isCredentialSpent = true;
  run.lastTrouble = undefined;
  run.lastDetail = undefined;
  run.lastFatal = undefined;
  await journal.write('reached-ready', false);
  await journal.write('containerd-address', plan.containerdAddress);
  return hasLiveCredential;
}

/** A join that failed gets back the certificates that were moved aside for it. */
export async function restoreCertificates(context: AgentContext): Promise<void> {
  const certificate = kubeletCertificate((await context.plan()).dataDir);
  const facts = await certificate.facts();
  await certificate.carryOut(
    planCertificates({
      ...facts,
      hasLiveCredential: false,
      isFreshCredential: false,
      lastStartReachedReady: false,
    }),
  );
}

/** The server of this node, from its last join credential. */
export function knownServer({ options: { journal, nodeId } }: AgentContext): {
  readonly url: string;
  readonly caHash: string;
} {
  const known = journal.read('server') as { url?: string; caHash?: string } | undefined;
  if (typeof known?.url !== 'string' || typeof known.caHash !== 'string')
    throw new DaasError(
      'DAAS_AGENT_NEVER_JOINED',
      `node '${nodeId}' got no join credential, and this state directory knows of no earlier join: the cluster still has a Node of this name; wait until it is gone, or have the operator evict it (k3s-daas gateway evict ${nodeId})`,
      { isRetryable: true },
    );
  return { url: known.url, caHash: known.caHash };
}

async function writeToken({ request }: AgentRun, context: AgentContext): Promise<void> {
  const { server = '', token } = request.join ?? {};
  const parsed = token && parseFullToken(token);
  if (!token || !parsed)
    throw new DaasError(
      'DAAS_JOIN_CREDENTIAL_INVALID',
      `the gateway's join credential for ${server} is not of the form K10<CA hash>::<id>.<secret>: k3s would send it as a password`,
    );
  await context.options.journal.write('server', { url: server, caHash: parsed.caHash });
  await (await context.tokenFile()).write(token.reveal());
}

/** k3s needs a token even without a credential: the spent one, or, after a reboot, one that is valid nowhere. */
async function ensureToken(context: AgentContext): Promise<void> {
  const { caHash } = knownServer(context);
  const file = await context.tokenFile();
  const found = await file.read();
  if (!found || parseFullToken(found)?.caHash !== caHash) await file.write(deadToken(caHash));
}
