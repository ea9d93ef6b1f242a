import { join } from 'node:path';
import { Command } from 'commander';
import { ConfigurationError, Lifetime } from '#base';
import { type ClusterActor, formatSui, parametersAt, stakeRecordOf } from '#chain';
import type { SealToken, StakeRecord } from '#domain';
import { openNodeKey } from '#seal';
import {
  ask,
  type DeploymentOptions,
  type NetworkOptions,
  openClusterReader,
  withDeployment,
  withNetwork,
} from './chain-options.ts';
import { readHolderKey } from './holder-key.ts';
import { type Io, table } from './io.ts';
import { assertLoginFree, existingLogin, writeLogin } from './login-files.ts';
import {
  assertNotWallet,
  forgetKeyring,
  keyFileBeside,
  type LoginKeyOptions,
  type MadeLoginKey,
  nextKeyOf,
  withLoginKey,
} from './login-key.ts';
import { runAct, told } from './stake-act.ts';
import { printStanding } from './stake-result.ts';
import { openStakeSession, type StakeOptions, type StakeSession, withStake } from './stake-session.ts';
import { idOf } from './sui-address.ts';
import { addCreateCommand } from './token-create.ts';
import { addPoolCommand } from './token-pool.ts';

/** `k3s-daas token show | rotate | revoke`. */
export function tokenCommand(io: Io): Command {
  const command = new Command('token').description('The Seal token of a stake: which key speaks for it.');
  withDeployment(withNetwork(command.command('show')))
    .description('Show the Seal token of a node: its key, its permissions, its life. Needs no key.')
    .option('--node-id <id>', 'the node')
    .option('--record <id>', 'the stake record, instead of --node-id', idOf('--record'))
    .action((options: ShowOptions) => show(io, options));
  withLoginKey(withStake(command.command('rotate')))
    .description(
      'Replace the Seal token by one with its full life, for the same or another node key. The old one ends at once: a thief of its key is out.',
    )
    .option(
      '--holder-key-file <file>',
      'the node key that the token is for: Ed25519, public (PEM, JWK, 32 bytes in hex or base64) or private (PEM). Default: the key it is for now',
    )
    .option('--new-key-file <file>', 'make a new node key in this file (0600), or use the one that is in it')
    .option('--login <file>', 'the login file of a person, which then names the new token')
    .action((options: RotateOptions) => rotate(io, options));
  withStake(command.command('revoke'))
    .description(
      'Delete the Seal token. The node is evicted within seconds; the stake stays, and can get another token (`k3s-daas stake --holder-key-file`).',
    )
    .action((options: StakeOptions) => revoke(io, options));
  addPoolCommand(command, io);
  addCreateCommand(command, io);
  command
    .command('node-key')
    .description(
      'On the worker: print the public half of its node key, for `k3s-daas stake --holder-key-file` where the wallet is. Makes the key if there is none.',
    )
    .option('--config <file>', 'the configuration of the worker')
    .option('--json', 'print one JSON object and nothing else')
    .action((options: { readonly config?: string }) => nodeKey(io, options));
  return command;
}

async function nodeKey(io: Io, { config }: { readonly config?: string }): Promise<void> {
  const { loadWorkerSettings, nodeIdOf } = await import('./settings.ts');
  const settings = await loadWorkerSettings({ file: config, env: process.env });
  const file = join(settings.value.stateDir, 'node.key');
  const { nodeKeySealer } = await import('./node-key-sealer.ts');
  const { publicKey } = await openNodeKey(file, await nodeKeySealer(settings));
  io.result({ nodeId: nodeIdOf(settings), file, holderKey: hex(publicKey) }, hex(publicKey));
}

interface ShowOptions extends NetworkOptions, DeploymentOptions {
  readonly nodeId?: string;
  readonly record?: string;
}

async function show(io: Io, options: ShowOptions): Promise<void> {
  const client = await openClusterReader(io, options);
  const id = options.record ?? (await client.liveRecordOf(options.nodeId ?? (await askNode(io))));
  const { endpoints, deployment } = client;
  const record = id === undefined ? undefined : await stakeRecordOf({ endpoints, ...deployment }, id);
  if (!record)
    throw new ConfigurationError(
      'DAAS_STAKE_UNKNOWN',
      `no live stake has the node id '${options.nodeId ?? options.record}': check the name`,
    );
  const tokens = record.token === undefined ? undefined : await client.tokens([record.token]);
  const { epoch } = await client.point();
  printStanding(io, { record, token: tokens?.get(record.token ?? ''), epoch }, {});
}

const askNode = (io: Io) => ask(io, 'Node id', '--node-id (or --record)');

interface RotateOptions extends StakeOptions, LoginKeyOptions {
  readonly holderKeyFile?: string;
  readonly newKeyFile?: string;
  readonly login?: string;
}

async function rotate(io: Io, options: RotateOptions): Promise<void> {
  await using life = new Lifetime();
  const session = await openStakeSession(io, options, life);
  const { record, token } = await tokenOf(session);
  if (options.login !== undefined)
    assertLoginFree(options.login, session.actor.client.deployment, session.chain.wallet);
  const next = await newKeyOf(options, token.holderKey);
  const holderKey = next?.publicKey ?? token.holderKey;
  assertNotWallet(holderKey, session.chain.wallet);
  const isSameKey = Buffer.from(holderKey).equals(token.holderKey);
  const act = { kind: 'rotate', recordId: record.id, tokenId: token.id, holderKey } as const;
  const outcome = await runAct(io, session, act, options, {
    question: 'Rotate the Seal token?',
    facts: [
      ...tokenRows(record, token),
      ['new key', isSameKey ? 'the same: it gets its full life again' : hex(holderKey)],
      ['life', await lifeOfNext(session.actor)],
      ['then', isSameKey ? `${holderOf(record)} goes on with the key it has` : newKeyNote(record)],
    ],
    json: { nodeId: record.nodeId, tokenId: token.id, holderKey: hex(holderKey), isSameKey },
  });
  if (!outcome) return;
  const made = await session.chain.tokens([outcome.receipt.objectId]);
  const { epoch } = await session.chain.point();
  const after = (await session.chain.records([record.id])).get(record.id) ?? record;
  printStanding(
    io,
    { record: after, token: made.get(outcome.receipt.objectId), epoch },
    { rotateDigest: outcome.receipt.digest },
  );
  const renewed = made.get(outcome.receipt.objectId);
  if (options.login !== undefined && renewed)
    await renewLogin(io, options.login, { session, token: renewed, key: next?.key });
  await told(session, act);
}

const holderOf = ({ stakeType }: StakeRecord) => (stakeType === 'node' ? 'the host' : 'kubectl');

function newKeyNote({ stakeType, nodeId }: StakeRecord): string {
  return stakeType === 'node'
    ? `the old key counts no longer; the host of ${nodeId} needs the new one`
    : 'the old key counts no longer; the login file has to name the new one (--login)';
}

/** The login file names the new token, and the new key if there is one. */
async function renewLogin(
  io: Io,
  login: string,
  {
    session,
    token,
    key,
  }: {
    readonly session: StakeSession;
    readonly token: SealToken;
    readonly key: MadeLoginKey['key'] | undefined;
  },
): Promise<void> {
  const named = key ?? existingLogin(login)?.key ?? { kind: 'file', file: keyFileBeside(login) };
  await writeLogin(login, session.actor.client.deployment, token, named);
  if (named.kind !== 'keyring') await forgetKeyring(login);
  io.step('login file', login);
}

/** The new key of the token, and where it is if that is on this machine; `undefined`: the key stays. */
async function newKeyOf(
  options: RotateOptions,
  before: Uint8Array,
): Promise<{ readonly publicKey: Uint8Array; readonly key?: MadeLoginKey['key'] } | undefined> {
  const { holderKeyFile, newKeyFile, loginKey, login } = options;
  if (holderKeyFile === undefined) return nextKeyOf(login, options, before);
  const other =
    newKeyFile !== undefined ? '--new-key-file' : loginKey !== undefined ? '--login-key' : undefined;
  if (other !== undefined)
    throw new ConfigurationError(
      'DAAS_FLAGS_CONFLICT',
      `--holder-key-file and ${other} both name the new key: pass one of them`,
    );
  return { publicKey: await readHolderKey(holderKeyFile) };
}

async function lifeOfNext({ client }: ClusterActor): Promise<string> {
  const [{ state, nowMs }, { epoch }] = await Promise.all([client.clusterState(), client.point()]);
  const { maximumTokenEpochs } = parametersAt(state, nowMs);
  return `${maximumTokenEpochs} epochs, until epoch ${epoch + maximumTokenEpochs} begins (now epoch ${epoch})`;
}

async function revoke(io: Io, options: StakeOptions): Promise<void> {
  await using life = new Lifetime();
  const session = await openStakeSession(io, options, life);
  const { record, token } = await tokenOf(session);
  const act = { kind: 'revoke', recordId: record.id, tokenId: token.id } as const;
  const outcome = await runAct(io, session, act, options, {
    question: 'Revoke the Seal token?',
    facts: [
      ...tokenRows(record, token),
      record.stakeType === 'node'
        ? ['node', 'the gateway evicts it within seconds']
        : ['kubectl', 'its logins end within 20 seconds; `token create` makes another token'],
      ['stake', `${formatSui(record.stakeMist)} stay locked: k3s-daas unstake ends the stake`],
    ],
    json: { nodeId: record.nodeId, tokenId: token.id },
  });
  if (!outcome) return;
  const { digest, objectId } = outcome.receipt;
  io.result(
    { digest, recordId: record.id, tokenId: objectId, nodeId: record.nodeId },
    table([
      ['revoked', objectId],
      ...(record.stakeType === 'node' ? [['node', record.nodeId]] : []),
      ['stake', `${formatSui(record.stakeMist)} (record ${record.id})`],
    ]),
  );
  await told(session, act);
}

async function tokenOf({ chain, record }: StakeSession): Promise<{ record: StakeRecord; token: SealToken }> {
  const token =
    record.token === undefined ? undefined : (await chain.tokens([record.token])).get(record.token);
  if (token) return { record, token };
  throw new ConfigurationError(
    'DAAS_TOKEN_MISSING',
    `the stake record ${record.id} (${record.status}) has no Seal token: an active stake gets one by \`k3s-daas stake --holder-key-file\``,
    { details: { recordId: record.id } },
  );
}

function tokenRows(
  { id, nodeId, stakeType }: StakeRecord,
  token: SealToken,
): Array<readonly [string, string]> {
  return [
    ['Seal token', token.id],
    stakeType === 'node' ? ['node', nodeId] : ['grants', token.permissions.join(' ')],
    ['record', id],
    ['key', hex(token.holderKey)],
  ];
}

const hex = (bytes: Uint8Array) => Buffer.from(bytes).toString('hex');
