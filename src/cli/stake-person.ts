import { resolve } from 'node:path';
import { ConfigurationError, Lifetime } from '#base';
import {
  type ClusterActor,
  type ClusterSnapshot,
  formatSui,
  type PersonStakeType,
  parametersAt,
  parseSui,
  type WalletStakeChain,
} from '#chain';
import { namespaceOfWallet, type SealToken, type StakeRecord } from '#domain';
import {
  confirm,
  costJson,
  costLines,
  type DeploymentOptions,
  openClusterActor,
  type SpendOptions,
} from './chain-options.ts';
import { readHolderKey } from './holder-key.ts';
import { type Io, table } from './io.ts';
import { assertLoginFree, defaultLoginFile, writeLogin } from './login-files.ts';
import { assertNotWallet, keyOfLogin, type LoginKeyOptions, type MadeLoginKey } from './login-key.ts';
import { judgePermissions } from './person-permissions.ts';
import { printStanding } from './stake-result.ts';
import { openStakeChain, recordsIn } from './stake-session.ts';
import { termsJson, termsRows } from './stake-terms.ts';
import { judgeConsent } from './terms-consent.ts';
import { type UnsignedWork, writeUnsigned } from './unsigned.ts';

/** Whose key a person's token is for. */
export interface LoginOptions extends LoginKeyOptions {
  readonly login?: string;
  readonly holderKeyFile?: string;
}

export interface PersonOptions extends SpendOptions, DeploymentOptions, LoginOptions {
  readonly for: PersonStakeType;
  readonly amount?: string;
  readonly permission?: readonly string[];
  readonly acceptTerms?: string;
  readonly journal?: string;
}

/** What a stake for a person works with. */
interface PersonStake {
  readonly chain: WalletStakeChain;
  readonly snapshot: ClusterSnapshot;
  readonly stakeType: PersonStakeType;
  readonly stakeMist: bigint;
  readonly permissions: readonly string[];
  readonly holderKey: Uint8Array;
  readonly actor: ClusterActor;
}

/** `k3s-daas stake --for user | admin`: stake and Seal token of a person, and the login file for kubectl. */
export async function stakeForPerson(io: Io, options: PersonOptions): Promise<void> {
  const actor = await openClusterActor(io, options);
  const { deployment } = actor.client;
  const loginFile = loginFileOf(options);
  if (loginFile !== undefined) assertLoginFree(loginFile, deployment, actor.wallet.address);
  const snapshot = await actor.client.clusterState();
  const parameters = parametersAt(snapshot.state, snapshot.nowMs);
  const stakeType = options.for;
  const stakeMist =
    options.amount === undefined ? leastOf(stakeType, snapshot) : parseSui(options.amount, '--amount');
  await using life = new Lifetime();
  const { chain, journal } = await openStakeChain(actor, options, life);
  if (!options.dryRun && options.unsigned === undefined) await chain.settlePending();
  const before = await chain.person.find(stakeType, recordsIn(journal));
  judgeLeast(stakeType, before?.stakeMist ?? stakeMist, snapshot);
  const permissions = judgePermissions(options.permission, parameters, before?.stakeMist ?? stakeMist);
  const { publicKey: holderKey, key } = await keyOf(options, loginFile, actor.wallet.address);
  const stake: PersonStake = { chain, snapshot, stakeType, stakeMist, permissions, holderKey, actor };
  const outcome = before
    ? await tokenOfStanding(io, stake, before, options)
    : await stakeAnew(io, stake, options);
  if (!outcome) return;
  const { record, token, digest } = outcome;
  if (loginFile !== undefined && key) {
    await writeLogin(loginFile, deployment, token, key);
    io.step('login file', loginFile);
    io.note(`Next: k3s-daas kubeconfig --login ${loginFile} --ca-file SERVER-CA --merge`);
  }
  const { epoch } = await chain.point();
  printStanding(io, { record, token, epoch }, { stakeDigest: digest });
}

interface Outcome {
  readonly record: StakeRecord | undefined;
  readonly token: SealToken;
  readonly digest: string;
}

async function stakeAnew(io: Io, stake: PersonStake, options: PersonOptions): Promise<Outcome | undefined> {
  const { chain, snapshot, stakeType, stakeMist, permissions, holderKey, actor } = stake;
  const { termsVersion } = snapshot.state;
  const request = { stakeType, stakeMist, permissions, holderKey, termsVersion };
  const facts = [
    ['stakes', `${formatSui(stakeMist)} for the ${stakeType} ${chain.wallet}`] as const,
    ['cluster', snapshot.state.id] as const,
    ['grants', permissions.join(' ')] as const,
    ['namespace', namespaceOfWallet(chain.wallet)] as const,
    ...termsRows(snapshot),
  ];
  if (options.unsigned !== undefined)
    return signedElsewhere(io, stake, { act: { kind: 'join-person', ...request }, facts }, options);
  const cost = await chain.person.preview(request);
  const rows = [
    ...facts,
    ...costLines(cost),
    ['then', 'the same transaction mints the Seal token of your login'] as const,
  ];
  if (options.dryRun) {
    const facts = { stakeType, stakeMist, permissions, wallet: chain.wallet };
    io.result(
      { dryRun: true, ...facts, ...costJson(cost), ...termsJson(snapshot) },
      `${table(rows)}\nNothing was sent: this was a dry run.`,
    );
    return undefined;
  }
  for (const line of table(rows).split('\n')) io.note(line);
  await judgeConsent(io, options, actor.client);
  await confirm(io, 'Stake under these terms?', options);
  const receipt = await chain.person.stake(request);
  io.step('staked', receipt.digest);
  return standing(chain, receipt.objectId, receipt);
}

/** A stake that stands is shown, and gets a Seal token when it has none. */
async function tokenOfStanding(
  io: Io,
  stake: PersonStake,
  record: StakeRecord,
  options: PersonOptions,
): Promise<Outcome | undefined> {
  const { chain, permissions, holderKey } = stake;
  io.note(`the stake was there already: record ${record.id}, ${formatSui(record.stakeMist)}`);
  if (record.token !== undefined) {
    const found = await standing(chain, record.id, { digest: '' });
    if (!options.dryRun) assertSameKey(record, found.token, holderKey);
    if (options.dryRun) return printDryRun(io, record, found.token.permissions);
    return found;
  }
  const request = { recordId: record.id, permissions, holderKey };
  if (options.unsigned !== undefined) {
    const facts = [['mints', `a Seal token for ${permissions.join(' ')}, record ${record.id}`]] as const;
    return signedElsewhere(io, stake, { act: { kind: 'mint-person', ...request }, facts }, options);
  }
  const cost = await chain.person.preview(request);
  if (options.dryRun) return printDryRun(io, record, permissions);
  const rows = [['mints', `a Seal token for ${permissions.join(' ')}`] as const, ...costLines(cost)];
  for (const line of table(rows).split('\n')) io.note(line);
  await confirm(io, 'Mint this Seal token?', options);
  const receipt = await chain.person.mint(request);
  io.step('Seal token minted', receipt.digest);
  return standing(chain, record.id, { digest: receipt.digest, tokenId: receipt.objectId });
}

/** The login file names the Seal token, which is there when the transaction has been sent: the same command writes it then. */
async function signedElsewhere(
  io: Io,
  { chain, actor }: PersonStake,
  work: Pick<UnsignedWork, 'act' | 'facts'>,
  options: PersonOptions,
): Promise<undefined> {
  await writeUnsigned(io, { chain, deployment: actor.client.deployment, ...work }, options);
  if (!options.dryRun && loginFileOf(options) !== undefined)
    io.note('When it has been sent, run this command again: it writes the login file.');
}

function printDryRun(io: Io, record: StakeRecord, permissions: readonly string[]): undefined {
  io.result(
    { dryRun: true, recordId: record.id, permissions },
    `the stake ${record.id} stands; its token has, or would have: ${permissions.join(' ')}\nNothing was sent: this was a dry run.`,
  );
}

async function standing(
  chain: WalletStakeChain,
  recordId: string,
  { digest, tokenId }: { readonly digest: string; readonly tokenId?: string | undefined },
): Promise<Outcome> {
  const record = (await chain.records([recordId])).get(recordId);
  const id = tokenId ?? record?.token;
  const token = id === undefined ? undefined : (await chain.tokens([id])).get(id);
  if (token) return { record, token, digest };
  throw new ConfigurationError(
    'DAAS_TOKEN_MISSING',
    `the stake record ${recordId} has no Seal token yet: run the command again`,
    { details: { recordId } },
  );
}

function assertSameKey({ id }: StakeRecord, token: SealToken, holderKey: Uint8Array): void {
  if (Buffer.from(token.holderKey).equals(holderKey)) return;
  throw new ConfigurationError(
    'DAAS_TOKEN_EXISTS',
    `the stake record ${id} has the Seal token ${token.id}, made for another key: use the machine that has that key, or rotate the token to this one (\`k3s-daas token rotate --record ${id} --login FILE\`)`,
    { details: { recordId: id, tokenId: token.id } },
  );
}

/** `undefined`: the key is elsewhere, and so is the login file. */
export function loginFileOf({ login, holderKeyFile, loginKey }: LoginOptions): string | undefined {
  const other = login !== undefined ? '--login' : loginKey !== undefined ? '--login-key' : undefined;
  if (other !== undefined && holderKeyFile !== undefined)
    throw new ConfigurationError(
      'DAAS_FLAGS_CONFLICT',
      `${other} makes a login on this machine, --holder-key-file names a key that was made elsewhere: pass one of them`,
    );
  return holderKeyFile === undefined ? resolve(login ?? defaultLoginFile()) : undefined;
}

/** The key of the token, and where its private half is: `undefined`: elsewhere. It is none of the wallet's. */
export async function keyOf(
  options: LoginOptions & { readonly dryRun?: boolean },
  loginFile: string | undefined,
  wallet: string,
): Promise<{ readonly publicKey: Uint8Array; readonly key: MadeLoginKey['key'] | undefined }> {
  const made =
    loginFile === undefined
      ? { publicKey: await readHolderKey(options.holderKeyFile ?? ''), key: undefined }
      : await keyOfLogin(loginFile, options, options.dryRun === true);
  assertNotWallet(made.publicKey, wallet);
  return made;
}

function leastOf(stakeType: PersonStakeType, { state, nowMs }: ClusterSnapshot): bigint {
  const { tiers } = parametersAt(state, nowMs);
  return tiers[stakeType === 'admin' ? 2 : 0]?.stakeMist ?? 0n;
}

function judgeLeast(stakeType: PersonStakeType, stakeMist: bigint, snapshot: ClusterSnapshot): void {
  const leastMist = leastOf(stakeType, snapshot);
  if (stakeMist >= leastMist) return;
  throw new ConfigurationError(
    'DAAS_STAKE_TOO_LOW',
    `a stake of ${formatSui(stakeMist)} for the use of kubectl (${stakeType}) is below the minimum of the cluster, ${formatSui(leastMist)}: stake at least that`,
    { details: { stakeType, stakeMist, leastMist } },
  );
}
