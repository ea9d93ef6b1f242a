import { execFile } from 'node:child_process';
import { isIPv6 } from 'node:net';
import { z } from 'zod';
import { DaasError, messageOf } from '#base';
import type { Fence, FenceCounter } from './fence.ts';

const FENCE_TABLE = 'k3s_daas_fence';

/**
 * A fence in the kernel: a table of its own in nftables, so that no other rule is touched, with both directions dropped before
 * anything else decides (a drop is final, an accept elsewhere is not). New packets and the answers of open watches stop at
 * once; then the kernel is told to end the sockets (SOCK_DESTROY by `ss -K`), so that the server keeps nothing for them.
 */
export function nftablesFence(ports: readonly number[]): Fence {
  return {
    async apply({ addresses }) {
      await nft(tableScript(ports));
      const current = new Set((await readCounters()).map(({ address }) => address));
      const wanted = new Set(addresses);
      const added = addresses.filter((address) => !current.has(address));
      const removed = [...current].filter((address) => !wanted.has(address));
      if (added.length + removed.length > 0) await nft(changeScript(added, removed));
      for (const address of added) await endSockets(address, ports);
    },
    counters: readCounters,
    async remove() {
      await nft(`table inet ${FENCE_TABLE} {}\ndelete table inet ${FENCE_TABLE}\n`);
    },
  };
}

/** Makes the table, or leaves it with its elements and their counters; the chains are written anew. Pure. */
export function tableScript(ports: readonly number[]): string {
  const list = `{ ${ports.join(', ')} }`;
  const rules = (direction: 'in' | 'out') =>
    (['4', '6'] as const).map((family) => {
      const [port, address] = direction === 'in' ? ['dport', 'saddr'] : ['sport', 'daddr'];
      const ip = family === '4' ? 'ip' : 'ip6';
      return `add rule inet ${FENCE_TABLE} ${direction} tcp ${port} ${list} ${ip} ${address} @peers${family} drop`;
    });
  return [
    `add table inet ${FENCE_TABLE}`,
    `add set inet ${FENCE_TABLE} peers4 { type ipv4_addr; counter; }`,
    `add set inet ${FENCE_TABLE} peers6 { type ipv6_addr; counter; }`,
    ...(['in', 'out'] as const).flatMap((direction) => [
      `add chain inet ${FENCE_TABLE} ${direction} { type filter hook ${direction}put priority -300; policy accept; }`,
      `flush chain inet ${FENCE_TABLE} ${direction}`,
      ...rules(direction),
    ]),
    '',
  ].join('\n');
}

/** Pure. */
function changeScript(added: readonly string[], removed: readonly string[]): string {
  const lines = (verb: 'add' | 'delete', addresses: readonly string[]) =>
    addresses.map((one) => `${verb} element inet ${FENCE_TABLE} ${setOf(one)} { ${one} }`);
  return [...lines('delete', removed), ...lines('add', added), ''].join('\n');
}

const setOf = (address: string) => (isIPv6(address) ? 'peers6' : 'peers4');

const Ruleset = z.object({
  nftables: z.array(
    z.object({
      set: z
        .object({
          elem: z
            .array(
              z.object({
                elem: z.object({
                  val: z.string(),
                  counter: z.object({ packets: z.number(), bytes: z.number() }),
                }),
              }),
            )
            .default([]),
        })
        .optional(),
    }),
  ),
});

async function readCounters(): Promise<readonly FenceCounter[]> {
  const text = await run('nft', ['-j', 'list', 'table', 'inet', FENCE_TABLE]).catch((error: unknown) => {
    // No table: nothing was fenced here yet.
    if (messageOf(error).includes('No such file or directory')) return '{"nftables":[]}';
    throw error;
  });
  return Ruleset.parse(JSON.parse(text)).nftables.flatMap(({ set }) =>
    (set?.elem ?? []).map(({ elem: { val, counter } }) => ({ address: val, ...counter })),
  );
}

/** The fence holds without it: what is left of a connection just gets no packets any more. */
async function endSockets(address: string, ports: readonly number[]): Promise<void> {
  // ss takes what follows the last colon for a port.
  const peer = isIPv6(address) ? `[${address}]` : address;
  for (const port of ports)
    await run('ss', ['-K', 'dst', peer, 'sport', '=', `:${port}`]).catch(() => undefined);
}

const nft = (script: string) => run('nft', ['-f', '-'], script);

function run(file: string, args: readonly string[], input?: string): Promise<string> {
  const { promise, resolve, reject } = Promise.withResolvers<string>();
  const env = { PATH: '/usr/sbin:/usr/bin:/sbin:/bin', LC_ALL: 'C' };
  const child = execFile(
    file,
    args,
    { env, timeout: 20_000, maxBuffer: 16 * 1024 * 1024 },
    (cause, stdout, stderr) => {
      if (!cause) return resolve(stdout);
      const why = stderr.trim() || messageOf(cause);
      reject(
        new DaasError(
          'DAAS_FENCE_FAILED',
          `${file} ${args[0]} failed: ${why}. Run it as root with nftables and iproute2 installed`,
          { cause, isRetryable: true },
        ),
      );
    },
  );
  child.stdin?.on('error', () => undefined);
  child.stdin?.end(input ?? '');
  return promise;
}
