import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Lifetime } from '#base';
import { FakeClock, settled } from '#testing';
import { virtualHost } from '../integration/world/virtual-host.ts';
import { createChangeFollower } from '../src/chain/follower.ts';
import { startGateway } from '../src/gateway/gateway.ts';
import { testTls } from '../src/gateway/tls.fixture.ts';
import { benchGateway, storeMembers } from './bench-gateway.ts';
import { round } from './cpu.ts';

/**
 * How often a fleet at rest asks the chain: a gateway with few and with many workers registered, and one host that hears of changes from
 * its gateway, each over minutes of a clock that is turned. Counted are the calls of the chain layer, of which each is one request to a
 * full node, for at most 50 objects.
 *
 * usage: node --conditions=source bench/fleet-reads.ts [few] [many] [minutes]
 */
const [few = 100, many = 1_000, minutes = 5] = process.argv.slice(2).map(Number);
const minuteMs = 60_000;
const counted = ['cluster', 'records', 'tokens', 'point', 'liveRecordOf'] as const;

/** Counts in place: whatever has the chain is counted. */
function countCalls(chain: { readonly [Name in (typeof counted)[number]]: (...given: never[]) => unknown }) {
  const calls = new Map<string, number>();
  for (const name of counted) {
    const ask = chain[name].bind(chain) as (...given: unknown[]) => unknown;
    Object.assign(chain, {
      [name]: (...given: unknown[]) => {
        calls.set(name, (calls.get(name) ?? 0) + 1);
        return ask(...given);
      },
    });
  }
  return calls;
}

/** By kind, and in all, a second. */
function perSecond(calls: ReadonlyMap<string, number>) {
  const seconds = (minutes * minuteMs) / 1_000;
  const byKind = Object.fromEntries([...calls].map(([name, count]) => [name, round(count / seconds, 3)]));
  return { byKind, all: [...calls.values()].reduce((sum, count) => sum + count, 0) / seconds };
}

async function readsOfGateway(members: number) {
  const directory = await mkdtemp(join(tmpdir(), 'bench-fleet-'));
  const clock = new FakeClock();
  const parts = await benchGateway(directory, await testTls(), { admit: { maxNodes: 100_000 } }, clock);
  await storeMembers(parts, members);
  const { chain } = parts;
  const gateway = await startGateway({ ...parts.options, follower: createChangeFollower(chain, clock) });
  const pass = async (ms: number) => {
    for (let left = ms; left > 0; left -= 1_000) {
      await clock.advance(1_000);
      await settled();
    }
  };
  // The first reading of all, and the one that follows it, are those of a start.
  await pass(2 * minuteMs);
  const calls = countCalls(chain);
  await pass(minutes * minuteMs);
  const reads = perSecond(calls);
  await gateway[Symbol.asyncDispose]();
  await rm(directory, { recursive: true });
  return reads;
}

async function readsOfHost() {
  const life = new Lifetime();
  const world = await virtualHost(life, { config: { staking: { stakeMist: '5000', acceptTerms: 'any' } } });
  const { clock, chain, gateways } = world;
  gateways.tellsChanges = true;
  await world.start();
  await clock.advance(2 * minuteMs);
  const calls = countCalls(chain);
  await clock.advance(minutes * minuteMs);
  const reads = perSecond(calls);
  if (gateways.streams.size === 0) throw new Error('the host hears of no changes');
  const stopped = life.close();
  let isStopped = false;
  void stopped.finally(() => {
    isStopped = true;
  });
  while (!isStopped) await clock.advance(1_000);
  return reads;
}

const [ofFew, ofMany, host] = [await readsOfGateway(few), await readsOfGateway(many), await readsOfHost()];
const inAll = (workers: number, gateway: number) => gateway + workers * host.all;
console.log(
  JSON.stringify({
    few,
    many,
    gatewayOfFew: round(ofFew.all, 2),
    gatewayOfMany: round(ofMany.all, 2),
    ratioOfGateways: round(ofMany.all / ofFew.all, 2),
    aHostAMinute: round(60 * host.all, 1),
    fleetOfFew: round(inAll(few, ofFew.all), 2),
    fleetOfMany: round(inAll(many, ofMany.all), 2),
    kindsOfMany: ofMany.byKind,
    kindsOfFew: ofFew.byKind,
    kindsOfHost: host.byKind,
  }),
);
