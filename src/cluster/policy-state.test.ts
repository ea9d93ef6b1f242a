import { expect, test } from 'vitest';
import { systemClock } from '#base';
import { type KubeApi, KubeStatusError } from './kube-api.ts';
import { nodePolicies } from './node-policies.ts';
import { readPolicyState } from './policy-state.ts';

const objects = nodePolicies().flatMap(({ policy, binding }) => [policy, binding]);

/** An API server in whose eyes nobody has a right before it has been asked `blindFor` times. */
function serverThatIsBlind(blindFor: number): KubeApi & { asked(): number } {
  let asked = 0;
  const call = async (what: string) => {
    asked += 1;
    if (asked <= blindFor) throw new KubeStatusError(what, 403, 'Forbidden', 'no role found', undefined);
    const kind = what.startsWith('read the binding')
      ? 'ValidatingAdmissionPolicyBinding'
      : 'ValidatingAdmissionPolicy';
    if (what === 'list the admitted names') return { items: [] };
    return objects.find((object) => object.kind === kind && what.endsWith(object.metadata?.name ?? '')) ?? {};
  };
  return { call, asked: () => asked } as unknown as KubeApi & { asked(): number };
}
const hasty = { ...systemClock, sleep: async () => undefined };

test('an API server that is just starting and refuses everybody is asked again', async () => {
  expect(await readPolicyState(serverThatIsBlind(9), hasty)).toEqual({ kind: 'in-place' });
});

test('what may not be seen for good is not in place', async () => {
  const server = serverThatIsBlind(Number.POSITIVE_INFINITY);
  expect(await readPolicyState(server, hasty)).toMatchObject({ kind: 'not-in-place' });
  // Five policies, five bindings, and the first namespace of the names.
  expect(server.asked()).toBe(7 * 11);
});
