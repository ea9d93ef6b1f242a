import { RESERVED } from '#domain';
import type { DueListing } from './operator-names.ts';
import type { ReconcilerContext } from './reconciler-context.ts';

/** Changes the listing of one of the operator's names, unless it is listed otherwise by now. */
export async function relist(
  { kubernetes, audit, log }: ReconcilerContext,
  { name, from, to }: DueListing,
  signal: AbortSignal,
): Promise<void> {
  if (!(await kubernetes.relistName({ name, from, to }, signal))) return;
  audit.record('name.relisted', { node_id: name, from, to });
  log.warn('A name of the operator has another listing now', {
    event: 'name.relisted',
    nodeId: name,
    from,
    to,
  });
}

/** The watch may be behind a list that was written with the newest Node in view: the API server decides. */
export async function relistDue(
  context: ReconcilerContext,
  due: DueListing,
  signal: AbortSignal,
): Promise<void> {
  if (due.to === RESERVED && (await context.kubernetes.node(due.name, signal))) return;
  await relist(context, due, signal);
}
