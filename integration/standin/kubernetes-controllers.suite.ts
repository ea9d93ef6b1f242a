import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { describe, expect, test } from 'vitest';
import { suiteWorld } from '../suite-world.ts';
import {
  type Answer,
  eventually,
  merge,
  nodeBody,
  podBody,
  readyStatus,
  strategic,
  systemSecrets,
  uniqueName,
  useKubernetes,
} from './kubernetes-calls.ts';
import { at } from './server/objects.ts';

/**
 * The behaviour of the Kubernetes API that the gateway and the agents rely on. It runs on the stand-in and on a real
 * kube-apiserver with kube-controller-manager: where they differ, the stand-in is wrong.
 */
describe.skipIf(suiteWorld.isMissing)(`pods and controllers of ${suiteWorld.name}`, () => {
  const { world, admin } = useKubernetes();

  describe('pods', () => {
    const pods = '/api/v1/namespaces/default/pods';

    test('a deleted pod waits for its kubelet, unless it is deleted without grace', async () => {
      const [node, pod] = [uniqueName('node'), uniqueName('pod')];
      await admin('POST', '/api/v1/nodes', nodeBody(node));
      await admin('POST', pods, podBody(pod, node));
      expect((await admin('DELETE', `${pods}/${pod}`)).status).toBe(200);
      const waiting = await admin('GET', `${pods}/${pod}`);
      expect(waiting.object.metadata.deletionTimestamp).toBeDefined();
      const other = {
        gracePeriodSeconds: 0,
        preconditions: { uid: '00000000-0000-0000-0000-000000000000' },
      };
      expect((await admin('DELETE', `${pods}/${pod}`, other)).status).toBe(409);
      expect((await admin('DELETE', `${pods}/${pod}`, { gracePeriodSeconds: 0 })).status).toBe(200);
      expect((await admin('GET', `${pods}/${pod}`)).status).toBe(404);
    });

    test('an eviction deletes a pod, but not one that a disruption budget guards', async () => {
      const [node, free, guarded] = [uniqueName('node'), uniqueName('free'), uniqueName('guarded')];
      await admin('POST', '/api/v1/nodes', nodeBody(node));
      await admin('POST', pods, podBody(free, node));
      await admin('POST', pods, podBody(guarded, node, { app: guarded }));
      for (const pod of [free, guarded])
        await admin(
          'PATCH',
          `${pods}/${pod}/status`,
          { status: { phase: 'Running', ...readyStatus('True').status } },
          strategic,
        );
      await admin('POST', '/apis/policy/v1/namespaces/default/poddisruptionbudgets', {
        metadata: { name: guarded },
        spec: { minAvailable: 1, selector: { matchLabels: { app: guarded } } },
      });
      const evict = (pod: string, more: object = {}) =>
        admin('POST', `${pods}/${pod}/eviction`, {
          apiVersion: 'policy/v1',
          kind: 'Eviction',
          metadata: { name: pod, namespace: 'default' },
          ...more,
        });
      const wrong = { deleteOptions: { preconditions: { uid: '00000000-0000-0000-0000-000000000000' } } };
      expect((await evict(free, wrong)).status).toBe(409);
      expect((await evict(free)).status).toBe(201);
      expect((await admin('GET', `${pods}/${free}`)).object.metadata.deletionTimestamp).toBeDefined();
      const refused = await evict(guarded);
      expect(refused).toMatchObject({
        status: 429,
        object: { reason: 'TooManyRequests', details: { causes: [{ reason: 'DisruptionBudget' }] } },
      });
      expect((await admin('GET', `${pods}/${guarded}`)).object.metadata.deletionTimestamp).toBeUndefined();
      expect((await evict(uniqueName('gone'))).status).toBe(404);
      for (const pod of [free, guarded]) await admin('DELETE', `${pods}/${pod}`, { gracePeriodSeconds: 0 });
    });
  });

  describe('controllers', { concurrent: true }, () => {
    const pods = '/api/v1/namespaces/default/pods';

    test('a token past its time is deleted', async () => {
      const id = randomBytes(3).toString('hex');
      const name = `bootstrap-token-${id}`;
      await admin('POST', systemSecrets, {
        metadata: { name },
        type: 'bootstrap.kubernetes.io/token',
        stringData: {
          'token-id': id,
          'token-secret': randomBytes(8).toString('hex'),
          expiration: '2026-01-01T00:00:00Z',
        },
      });
      await eventually(
        'the token is cleaned',
        20_000,
        () => admin('GET', `${systemSecrets}/${name}`),
        ({ status }) => status === 404,
      );
    });

    test('a Node that reports ready loses its taint, and a cordoned one gets one', async () => {
      const node = uniqueName('tainted');
      const keysOf = ({ object }: Answer) =>
        ((at(object, 'spec.taints') ?? []) as Array<{ key: string }>).map(({ key }) => key);
      // In the reply: the controller, which takes a Node without a condition for one without trouble, may be quick.
      const made = await admin('POST', '/api/v1/nodes', nodeBody(node));
      expect(keysOf(made)).toContain('node.kubernetes.io/not-ready');
      const taints = async () => keysOf(await admin('GET', `/api/v1/nodes/${node}`));
      await admin('PATCH', `/api/v1/nodes/${node}/status`, readyStatus('True'), strategic);
      await eventually('the taint goes', 20_000, taints, (keys) => keys.length === 0);
      await admin('PATCH', `/api/v1/nodes/${node}`, { spec: { unschedulable: true } }, merge);
      await eventually('the cordon is a taint', 20_000, taints, (keys) =>
        keys.includes('node.kubernetes.io/unschedulable'),
      );
    });

    test('a taint with NoExecute deletes the pods that do not tolerate it', async () => {
      const [node, pod] = [uniqueName('noexecute'), uniqueName('pod')];
      await admin('POST', '/api/v1/nodes', nodeBody(node));
      await admin('PATCH', `/api/v1/nodes/${node}/status`, readyStatus('True'), strategic);
      await admin('POST', pods, podBody(pod, node));
      const taints = [{ key: 'k3s-daas.io/evicted', value: 'slashed', effect: 'NoExecute' }];
      await admin('PATCH', `/api/v1/nodes/${node}`, { spec: { taints } }, merge);
      await eventually(
        'the pod is deleted',
        20_000,
        () => admin('GET', `${pods}/${pod}`),
        ({ status, object }) => status === 404 || object.metadata.deletionTimestamp !== undefined,
      );
      await admin('DELETE', `${pods}/${pod}`, { gracePeriodSeconds: 0 });
    });

    test('what a Node owns goes with it, and its pods a while later', async () => {
      const [node, pod, secret] = [uniqueName('owner'), uniqueName('pod'), uniqueName('owned')];
      const { object } = await admin('POST', '/api/v1/nodes', nodeBody(node));
      await admin('PATCH', `/api/v1/nodes/${node}/status`, readyStatus('True'), strategic);
      const ownerReferences = [{ apiVersion: 'v1', kind: 'Node', name: node, uid: object.metadata.uid }];
      await admin('POST', systemSecrets, { metadata: { name: secret, ownerReferences } });
      await admin('POST', pods, podBody(pod, node));
      // The collector of garbage must have seen the owner before it goes.
      await sleep(Math.min(1_000, world().patienceMs));
      await admin('DELETE', `/api/v1/nodes/${node}`);
      const gone = ({ status }: Answer) => status === 404;
      expect((await admin('GET', `${pods}/${pod}`)).status).toBe(200);
      await eventually('the Secret goes', 20_000, () => admin('GET', `${systemSecrets}/${secret}`), gone);
      await eventually('the pod goes', world().patienceMs, () => admin('GET', `${pods}/${pod}`), gone);
    });

    test('a Node that falls silent becomes Unknown and is tainted', async () => {
      const node = uniqueName('silent');
      await admin('POST', '/api/v1/nodes', nodeBody(node));
      await admin('PATCH', `/api/v1/nodes/${node}/status`, readyStatus('True'), strategic);
      const readyOf = async () => {
        const { object: now } = await admin('GET', `/api/v1/nodes/${node}`);
        const conditions = at(now, 'status.conditions') as Array<{ type: string; status: string }>;
        return {
          ready: conditions.find(({ type }) => type === 'Ready')?.status,
          taints: ((at(now, 'spec.taints') ?? []) as Array<{ key: string }>).map(({ key }) => key),
        };
      };
      await eventually(
        'the Node is Unknown',
        world().patienceMs,
        readyOf,
        ({ ready, taints }) => ready === 'Unknown' && taints.includes('node.kubernetes.io/unreachable'),
      );
    });
  });
});
