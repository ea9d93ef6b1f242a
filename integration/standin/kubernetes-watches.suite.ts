import type { IncomingMessage } from 'node:http';
import { request as httpsRequest } from 'node:https';
import { createInterface } from 'node:readline';
import { describe, expect, test } from 'vitest';
import { suiteWorld } from '../suite-world.ts';
import { merge, nodeBody, uniqueName, useKubernetes } from './kubernetes-calls.ts';
import type { KubeObject } from './server/objects.ts';

/**
 * The behaviour of the Kubernetes API that the gateway and the agents rely on. It runs on the stand-in and on a real
 * kube-apiserver with kube-controller-manager: where they differ, the stand-in is wrong.
 */
describe.skipIf(suiteWorld.isMissing)(`watches in the Kubernetes API of ${suiteWorld.name}`, () => {
  const { world, admin } = useKubernetes();

  describe('watches', () => {
    test('a watch from the version of a list tells every later change in order', async () => {
      const [before, node] = [uniqueName('before'), uniqueName('watched')];
      await admin('POST', '/api/v1/nodes', nodeBody(before));
      const { object: list } = await admin('GET', '/api/v1/nodes');
      await using watch = await openWatch(
        `/api/v1/nodes?watch=true&resourceVersion=${list.metadata.resourceVersion}`,
      );
      await admin('POST', '/api/v1/nodes', nodeBody(node));
      await admin('PATCH', `/api/v1/nodes/${node}`, { metadata: { labels: { seen: 'yes' } } }, merge);
      await admin('DELETE', `/api/v1/nodes/${node}`);
      const seen = await watch.until(
        (event) => event.object.metadata.name === node && event.type === 'DELETED',
      );
      const own = seen.filter((event) => event.object.metadata.name === node).map(({ type }) => type);
      expect(own[0]).toBe('ADDED');
      expect(own).toContain('MODIFIED');
      expect(own.at(-1)).toBe('DELETED');
      expect(seen.some((event) => event.type === 'ADDED' && event.object.metadata.name === before)).toBe(
        false,
      );
    });

    test('a watch without a version begins with what is there; a selector hides the rest', async () => {
      const [seen, hidden] = [uniqueName('seen'), uniqueName('hidden')];
      for (const node of [seen, hidden]) await admin('POST', '/api/v1/nodes', nodeBody(node));
      await using watch = await openWatch(`/api/v1/nodes?watch=true&fieldSelector=metadata.name%3D${seen}`);
      await admin('PATCH', `/api/v1/nodes/${hidden}`, { metadata: { labels: { a: '1' } } }, merge);
      await admin('DELETE', `/api/v1/nodes/${seen}`);
      const events = await watch.until(({ type }) => type === 'DELETED');
      expect(events[0]).toMatchObject({ type: 'ADDED', object: { metadata: { name: seen } } });
      expect(events.some((event) => event.object.metadata.name === hidden)).toBe(false);
    });

    test('the server ends a watch after the time it was given', async () => {
      await using watch = await openWatch('/api/v1/nodes?watch=true&timeoutSeconds=1');
      await watch.ended;
    });

    test('what happens after the end of a watch does the server no harm, also when its reader lags behind', async () => {
      const maps = '/api/v1/namespaces/default/configmaps';
      const [label, busy] = [uniqueName('lagging'), uniqueName('busy')];
      const make = (name: string, data: object) =>
        admin('POST', maps, { metadata: { name, labels: { [label]: '' } }, data });
      const large = Array.from({ length: 8 }, (_, index) => `${label}-${index}`);
      // More than the buffers between server and reader hold: the watch is still being sent when it ends.
      for (const name of large) expect((await make(name, { rest: 'x'.repeat(900_000) })).status).toBe(201);
      await make(busy, {});
      let round = 0;
      const change = async () => {
        round += 1;
        const answer = await admin('PATCH', `${maps}/${busy}`, { data: { round: String(round) } }, merge);
        expect(answer.status).toBe(200);
      };
      const opened = (selected: string, isRead: boolean) =>
        openWatch(`${maps}?watch=true&labelSelector=${selected}&timeoutSeconds=1&allowWatchBookmarks=true`, {
          isRead,
        });
      await using lagging = await opened(label, false);
      await using quiet = await opened(uniqueName('quiet'), true);
      await quiet.ended;
      // Both had the same time: these come after the end of the one that is not read.
      for (let more = 0; more < 5; more += 1) await change();
      lagging.read();
      await lagging.ended;
      expect((await admin('GET', `${maps}/${busy}`)).object.data).toEqual({ round: String(round) });
      for (const name of [...large, busy]) await admin('DELETE', `${maps}/${name}`);
    });
  });

  interface WatchEvent {
    readonly type: string;
    readonly object: KubeObject;
  }

  async function openWatch(path: string, { isRead = true } = {}) {
    const client = await world().clientCertificate('tester', ['system:masters']);
    const events: WatchEvent[] = [];
    let wake = Promise.withResolvers<void>();
    const ended = Promise.withResolvers<void>();
    const request = httpsRequest(world().url + path, {
      ca: world().ca,
      cert: client.certificate,
      key: client.key,
      agent: false,
    });
    const response = await new Promise<IncomingMessage>((resolve, reject) => {
      request.once('error', reject);
      request.once('response', resolve);
      request.end();
    });
    response.once('close', () => ended.resolve());
    response.on('error', () => ended.resolve());
    function read(): void {
      const lines = createInterface(response);
      // Closing a watch is an error to the reader of its lines.
      lines.on('error', () => ended.resolve());
      lines.on('line', (line) => {
        events.push(JSON.parse(line) as WatchEvent);
        wake.resolve();
        wake = Promise.withResolvers<void>();
      });
    }
    if (isRead) read();
    return {
      read,
      ended: ended.promise,
      /** Every event so far, once one is as wanted. */
      async until(isWanted: (event: WatchEvent) => boolean): Promise<readonly WatchEvent[]> {
        const deadline = AbortSignal.timeout(20_000);
        const tooLate = new Promise<never>((_, reject) =>
          deadline.addEventListener('abort', () =>
            reject(new Error(`not seen in ${JSON.stringify(events)}`)),
          ),
        );
        tooLate.catch(() => undefined);
        while (!events.some(isWanted)) await Promise.race([wake.promise, tooLate]);
        return events;
      },
      [Symbol.asyncDispose]: async () => {
        request.destroy();
      },
    };
  }
});
