import { admit } from './admission.ts';
import type { ApiCall } from './api-call.ts';
import { checkPreconditions } from './object-deletion.ts';
import { existing } from './object-reads.ts';
import { isRecord, type KubeObject } from './objects.ts';
import { allowsDisruption, budgetsOf, deletePod } from './pod-removal.ts';
import type { DeleteOptions } from './request-target.ts';
import { methodNotAllowed, Refusal } from './status.ts';
import type { Store } from './store.ts';

/** Deletes a pod unless its disruption budget needs it (429); returns the answer, throws a `Refusal`. */
export function evict(call: ApiCall, body: unknown): Record<string, unknown> {
  const { store, identity, target } = call;
  if (target.resource.plural !== 'pods') throw methodNotAllowed();
  const pod = existing(call);
  const options = isRecord(body) && isRecord(body.deleteOptions) ? (body.deleteOptions as DeleteOptions) : {};
  admit(store, {
    identity,
    operation: 'CREATE',
    resource: 'pods/eviction',
    name: target.name,
    object: undefined,
    oldObject: pod,
  });
  checkPreconditions(target.resource, pod, options);
  refuseDisruption(store, pod);
  deletePod(call, pod, options.gracePeriodSeconds);
  return { kind: 'Status', apiVersion: 'v1', metadata: {}, status: 'Success', code: 201 };
}

function refuseDisruption(store: Store, pod: KubeObject): void {
  const [budget, ...others] = budgetsOf(store, pod);
  if (others.length > 0)
    throw new Refusal(
      500,
      'InternalError',
      'This pod has more than one PodDisruptionBudget, which the eviction subresource does not support.',
    );
  if (!budget || allowsDisruption(store, budget)) return;
  const message = `The disruption budget ${budget.metadata.name} needs the pod`;
  throw new Refusal(
    429,
    'TooManyRequests',
    "Cannot evict pod as it would violate the pod's disruption budget.",
    { causes: [{ reason: 'DisruptionBudget', message }] },
  );
}
