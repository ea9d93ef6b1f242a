import { expect, onTestFinished } from 'vitest';
import type { EtcdState, KubernetesState } from '#state';
import type { Wire } from './wire.ts';

/** Two gateways on one state, the first of which leads, behind a wire that can be cut. */
export interface Candidates<State extends EtcdState | KubernetesState> {
  readonly wire: Wire;
  readonly first: State;
  readonly second: State;
}

export const put = (text: string) => [{ key: '/workers/a', text }];
export const leads = ({ leadership }: EtcdState | KubernetesState): Promise<void> =>
  leadership.untilLeading(AbortSignal.timeout(30_000));

/** Opens the two one after the other; the end of the test closes them. */
export async function candidatesBehind<State extends EtcdState | KubernetesState>(
  wire: Wire,
  open: (name: string, url?: string) => Promise<State>,
): Promise<Candidates<State>> {
  const first = await open('first', wire.url);
  await first.leadership.untilLeading(AbortSignal.timeout(20_000));
  const second = await open('second');
  onTestFinished(async () => {
    wire.mend();
    await second.engine[Symbol.asyncDispose]();
    await first.engine[Symbol.asyncDispose]();
    await wire[Symbol.asyncDispose]();
  });
  return { wire, first, second };
}

/** The first one is not heard any more: it ceases by itself before the second one leads, and never leads again. */
export async function expectSilentLeaderToCease(
  candidates: Candidates<EtcdState | KubernetesState>,
): Promise<void> {
  const { wire, first, second } = candidates;
  await first.engine.write(put('1'));
  wire.freeze();
  let wereBoth = false;
  const watch = setInterval(() => {
    wereBoth ||= first.leadership.isLeading() && second.leadership.isLeading();
  }, 5);
  await leads(second);
  clearInterval(watch);
  expect([first.leadership.isLeading(), wereBoth]).toEqual([false, false]);
  wire.mend();
  await expect(first.engine.write(put('stale'))).rejects.toMatchObject({ code: 'DAAS_GATEWAY_NOT_LEADING' });
  await second.engine[Symbol.asyncDispose]();
  expect(first.leadership.isLeading()).toBe(false);
}
