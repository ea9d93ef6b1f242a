import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { haveFlapped } from './fleet/node-watch.ts';
import { SimulatedHosts } from './fleet/simulated-hosts.ts';
import { TwoGateways } from './fleet/two-gateways.ts';
import { etcdProblem } from './state/etcd-server.ts';

/** Hosts with the product's own registrar, heartbeats and client; `bench/failover.ts` is the long form, with many more. */
const problem = etcdProblem();
const workers = 20;
const withinMs = 60_000;
let both: TwoGateways;
beforeAll(async () => {
  if (problem !== undefined) return;
  both = await TwoGateways.start({
    workers,
    leaseSeconds: 4,
    heartbeatIntervalMs: 500,
    haveAddresses: true,
    // On a busy machine the event loop is late although the gateway has little to do.
    options: { loopDelay: { p99Ms: () => 0, [Symbol.asyncDispose]: async () => undefined } },
  });
});
afterAll(() => both?.[Symbol.asyncDispose]());

describe.skipIf(problem !== undefined)(
  `two gateways on a real etcd${problem === undefined ? '' : ` (${problem})`}`,
  () => {
    test(`${workers} workers turn from the one that is cut off to the other, and no Node feels it`, async () => {
      const poll = <T>(look: () => T) => expect.poll(look, { timeout: withinMs, interval: 50 });
      await poll(() => both.leader()).toBeDefined();
      const leader = await both.leader();
      if (!leader) throw new Error('no gateway leads');
      using hosts = new SimulatedHosts(await both.stakeAll(), (nodeId, token) => both.join(nodeId, token));
      await hosts.start(10);
      await poll(() => hosts.report().servedBy).toEqual({ [leader.id]: workers });
      await poll(() => both.nodes.names()).toHaveLength(workers);

      both.nodes.begin();
      hosts.reset();
      await both.strike(leader);
      const [next] = both.gateways.filter((one) => one !== leader);
      if (!next) throw new Error('no other gateway is running');
      await poll(() => hosts.report().servedBy).toEqual({ [next.id]: workers });
      // Once more each, and what the new leader does to its cluster.
      hosts.reset();
      await poll(() => hosts.report().acknowledged).toBe(workers);
      await poll(() => both.nodes.report().writes).toMatchObject({ renewNames: 1 });

      expect(hosts.report()).toMatchObject({ joins: 0, ended: [] });
      expect(haveFlapped(both.nodes.report()), JSON.stringify(both.nodes.report())).toBe(false);
      const audited = await both.audited(next);
      expect(audited).toMatchObject({ 'leadership.taken': 1 });
      expect(audited['worker.registered']).toBeGreaterThanOrEqual(workers);
      expect(Object.keys(audited).filter((event) => event.includes('eviction'))).toEqual([]);
    }, 180_000);
  },
);
