import { ConfigurationError, messageOf, systemClock } from '#base';
import { type AnchorsShown, type ChainClient, createChainClient, readAnchors } from '#chain';
import { newestAnchor } from '#domain';
import { type AuditReport, auditLines, auditPlace, parseAuditLine } from '#gateway';
import { chainAccessOf } from './chain-access.ts';
import { type DeploymentOptions, type NetworkOptions, openClusterReader } from './chain-options.ts';
import { probeOf } from './chain-probe.ts';
import { deploymentOf } from './chain-settings.ts';
import { gatewaySection, withGatewayId } from './gateway-config.ts';
import type { Io } from './io.ts';
import { loadGatewaySettings } from './settings.ts';
import { addressOf } from './sui-address.ts';

export interface AnchorOptions extends NetworkOptions, DeploymentOptions {
  readonly config?: string;
  /** `false`: --no-anchor. */
  readonly anchor?: string | false;
  readonly gateway?: string;
}

/** What the chain says of an audit file, or why it says nothing. */
export type AnchorsAsked =
  | {
      readonly kind: 'shown';
      readonly wallet: string;
      readonly gateway: string;
      readonly shown: AnchorsShown;
    }
  | { readonly kind: 'failed'; readonly failure: string };

type Loaded = Awaited<ReturnType<typeof loadGatewaySettings>>;

interface Source {
  readonly client: Pick<ChainClient, 'endpoints' | 'deployment'>;
  readonly wallet: string;
  readonly gateway: string;
}

/** More than the newest: a thief of the wallet's key too has to leave those of before as they are. */
const mostPerCoin = 10;

/** `undefined`: it is not asked for. `path` is `undefined` for the file of this machine's gateway. */
export async function askForAnchors(
  io: Io,
  path: string | undefined,
  options: AnchorOptions,
): Promise<AnchorsAsked | undefined> {
  if (options.anchor === false) return undefined;
  try {
    const source =
      options.anchor === undefined
        ? await configured(path, options)
        : await named(io, path, { ...options, anchor: options.anchor });
    if (!source) return undefined;
    const { client, wallet, gateway } = source;
    const shown = await readAnchors(client, { wallet, gatewayId: gateway, mostPerCoin, clock: systemClock });
    return { kind: 'shown', wallet, gateway, shown };
  } catch (error) {
    // What is given on the command line can be put right there; the file is verified whatever else is wrong.
    if (options.anchor !== undefined && error instanceof ConfigurationError) throw error;
    return { kind: 'failed', failure: messageOf(error) };
  }
}

/** On the machine of a gateway that anchors. */
async function configured(path: string | undefined, { config }: AnchorOptions): Promise<Source | undefined> {
  if (path !== undefined && config === undefined) return undefined;
  const settings = await loadGatewaySettings({ file: config }).catch((error: unknown) => {
    // The path and the key are given: nothing else needs it, and it names no wallet.
    if (path === undefined || !(error instanceof ConfigurationError)) throw error;
  });
  if (!settings || settings.value.gateway.audit.anchor === 'off') return undefined;
  const probe = await probeOf(settings);
  if (!probe) return undefined;
  return { client: await clientOf(settings), wallet: probe.wallet.address, gateway: idOf(settings) };
}

async function clientOf(settings: Loaded): Promise<Source['client']> {
  const access = await chainAccessOf(settings);
  return createChainClient({ ...access, deployment: await deploymentOf(settings), clock: systemClock });
}

async function named(
  io: Io,
  path: string | undefined,
  options: AnchorOptions & { readonly anchor: string },
): Promise<Source> {
  const { config, network, endpoint, anchor } = options;
  const isElsewhere = network !== undefined || endpoint !== undefined;
  let loaded: Promise<Loaded> | undefined;
  const settings = () => (loaded ??= loadGatewaySettings({ file: config }));
  const client = isElsewhere ? await openClusterReader(io, options) : await clientOf(await settings());
  const gateway = options.gateway ?? (path === undefined ? idOf(await settings()) : await idIn(path));
  return { client, wallet: addressOf(anchor, '--anchor'), gateway };
}

const idOf = (settings: Loaded) => withGatewayId(gatewaySection(settings)).gatewayId;

/** Of the newest line that names the gateway whose file it is. */
async function idIn(path: string): Promise<string> {
  let found: string | undefined;
  for await (const { text } of auditLines((await auditPlace(path)).files)) {
    if (!text.includes('"gateway"')) continue;
    const line = parseAuditLine(text);
    const isNaming = line?.event === 'audit.checkpoint' || line?.event === 'gateway.started';
    if (isNaming && typeof line.facts.gateway === 'string') found = line.facts.gateway;
  }
  if (found !== undefined) return found;
  throw new ConfigurationError(
    'DAAS_FLAG_MISSING',
    `${path} names no gateway, so its anchors cannot be told from those of others: give its id with --gateway`,
    { details: { flag: '--gateway' } },
  );
}

/** As JSON; `null`: the chain was not asked. */
export function anchorsJson(asked: AnchorsAsked | undefined, anchored: AuditReport['anchored']) {
  if (!asked) return null;
  if (asked.kind === 'failed') return { checked: false, failure: asked.failure };
  const { wallet, gateway, shown } = asked;
  const { anchors, answered, asked: nodes } = shown;
  return {
    checked: true,
    wallet,
    gateway,
    endpoints: nodes,
    answered,
    found: anchors.length,
    newest: newestAnchor(anchors) ?? null,
    ...anchored,
  };
}
