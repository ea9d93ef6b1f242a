import type { Command } from 'commander';
import { ConfigurationError, Lifetime } from '#base';
import { formatSui, parametersAt } from '#chain';
import { confirm, costJson, costLines } from './chain-options.ts';
import { type Io, table } from './io.ts';
import { assertLoginFree, writeLogin } from './login-files.ts';
import { withLoginKey } from './login-key.ts';
import { judgePermissions } from './person-permissions.ts';
import { keyOf, type LoginOptions, loginFileOf } from './stake-person.ts';
import { printStanding } from './stake-result.ts';
import { openStakeSession, type StakeOptions, withStake } from './stake-session.ts';
import { writeUnsigned } from './unsigned.ts';

interface CreateOptions extends StakeOptions, LoginOptions {
  readonly permission?: readonly string[];
}

/** `k3s-daas token create`: the Seal token of a person's stake that has none. */
export function addCreateCommand(command: Command, io: Io): void {
  withLoginKey(withStake(command.command('create')))
    .description(
      'Mint the Seal token of a user or admin stake that has none, such as after `token revoke`: other permissions, or another key.',
    )
    .option(
      '--permission <resource:verb>',
      'what it is to grant (repeatable; default: all that the stake grants)',
      (value: string, earlier: string[] | undefined) => [...(earlier ?? []), value],
    )
    .option(
      '--login <file>',
      'the login file, with its key beside it (default: ~/.config/k3s-daas/login.json)',
    )
    .option(
      '--holder-key-file <file>',
      'the public key of a login that was made elsewhere, instead of --login',
    )
    .action((options: CreateOptions) => create(io, options));
}

async function create(io: Io, options: CreateOptions): Promise<void> {
  refuseOtherFlags(options);
  const loginFile = loginFileOf(options);
  await using life = new Lifetime();
  const { actor, chain, record } = await openStakeSession(io, options, life);
  const { deployment } = actor.client;
  if (record.stakeType === 'node')
    throw new ConfigurationError(
      'DAAS_FLAGS_CONFLICT',
      `the stake record ${record.id} is of node ${record.nodeId}: \`k3s-daas stake --node-id ${record.nodeId} --holder-key-file\` mints its Seal token`,
    );
  if (record.token !== undefined)
    throw new ConfigurationError(
      'DAAS_TOKEN_EXISTS',
      `the stake record ${record.id} has the Seal token ${record.token}: \`k3s-daas token revoke --record ${record.id}\` first, or \`token rotate\` for another key with the same permissions`,
      { details: { recordId: record.id, tokenId: record.token } },
    );
  if (loginFile !== undefined) assertLoginFree(loginFile, deployment, chain.wallet);
  const { state, nowMs } = await actor.client.clusterState();
  const permissions = judgePermissions(options.permission, parametersAt(state, nowMs), record.stakeMist);
  const { publicKey: holderKey, key } = await keyOf(options, loginFile, chain.wallet);
  const request = { recordId: record.id, permissions, holderKey };
  const facts = [
    ['mints', `a Seal token for ${permissions.join(' ')}`] as const,
    ['stake', `${formatSui(record.stakeMist)} (record ${record.id})`] as const,
  ];
  if (options.unsigned !== undefined) {
    const act = { kind: 'mint-person', ...request } as const;
    await writeUnsigned(io, { chain, deployment, act, facts }, options);
    if (!options.dryRun && loginFile !== undefined)
      io.note(
        `When it has been sent, \`k3s-daas stake --for ${record.stakeType}\` with the same --login, --sender and --unsigned writes the login file.`,
      );
    return;
  }
  const cost = await chain.person.preview(request);
  const rows = [...facts, ...costLines(cost)];
  if (options.dryRun) {
    io.result(
      { dryRun: true, recordId: record.id, permissions, ...costJson(cost) },
      `${table(rows)}\nNothing was sent: this was a dry run.`,
    );
    return;
  }
  for (const line of table(rows).split('\n')) io.note(line);
  await confirm(io, 'Mint this Seal token?', options);
  const { digest, objectId } = await chain.person.mint(request);
  io.step('Seal token minted', digest);
  const token = (await chain.tokens([objectId])).get(objectId);
  if (loginFile !== undefined && token && key) {
    await writeLogin(loginFile, deployment, token, key);
    io.step('login file', loginFile);
  }
  const { epoch } = await chain.point();
  const after = (await chain.records([record.id])).get(record.id) ?? record;
  printStanding(io, { record: after, token, epoch }, { mintDigest: digest });
}

function refuseOtherFlags({ nodeId, record }: CreateOptions): void {
  if (nodeId !== undefined)
    throw new ConfigurationError(
      'DAAS_FLAGS_CONFLICT',
      '--node-id does not go with token create: leave it out',
    );
  if (record === undefined)
    throw new ConfigurationError(
      'DAAS_FLAG_MISSING',
      '--record is missing: `k3s-daas stake list` shows the stakes of a wallet',
      { details: { flag: '--record' } },
    );
}
