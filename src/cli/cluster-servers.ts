import type { Command } from 'commander';
import { ConfigurationError, httpsOriginProblem, maskUserInfo } from '#base';
import type { ClusterServers } from '#chain';
import { parseHex } from './chain-options.ts';

const collect = (value: string, earlier: string[] = []) => [...earlier, value];
/** Empties a list. */
const NONE = 'none';

export interface ServerOptions {
  readonly server?: string[];
  readonly caHash?: string[];
}

/** How the machines of the cluster know its Kubernetes server. */
export function withServers(command: Command): Command {
  return command
    .option(
      '--server <url>',
      'URL of the Kubernetes server that workers may join (https://host:6443), at most 4; none: any',
      collect,
    )
    .option(
      '--ca-hash <hex>',
      'CA hash of the server, as its join tokens name it (K10<hash>::…), at most 2; none: unchecked',
      collect,
    );
}

/** Both lists as they will stand on chain; a list that is not given stays. `undefined`: neither is given. */
export function serversOf(
  { server, caHash }: ServerOptions,
  standing: ClusterServers = { servers: [], caHashes: [] },
): ClusterServers | undefined {
  if (server === undefined && caHash === undefined) return undefined;
  return {
    servers: server === undefined ? standing.servers : server.filter((url) => url !== NONE).map(serverUrl),
    caHashes:
      caHash === undefined
        ? standing.caHashes
        : caHash.filter((hash) => hash !== NONE).map((hash) => parseHex(hash, '--ca-hash')),
  };
}

function serverUrl(url: string): string {
  const problem = httpsOriginProblem(url);
  if (problem === undefined) return url;
  throw new ConfigurationError(
    'DAAS_SERVER_URL_INVALID',
    `${maskUserInfo(url)} (--server) is not the URL of a Kubernetes server: ${problem}`,
  );
}

export function serverRows({ servers, caHashes }: ClusterServers): string[][] {
  return [
    [
      'servers',
      servers.length === 0 ? 'any (workers do not check the server they join)' : servers.join(', '),
    ],
    ...(caHashes.length === 0
      ? [['CA hash', 'unchecked']]
      : caHashes.map((hash) => ['CA hash', Buffer.from(hash).toString('hex')])),
  ];
}

export function serversJson({ servers, caHashes }: ClusterServers) {
  return { servers, caHashes: caHashes.map((hash) => Buffer.from(hash).toString('hex')) };
}
