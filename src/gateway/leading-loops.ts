import type { Acting } from './acting.ts';
import type { ClaimWatch } from './claim-watch.ts';

type Loop = { run(signal: AbortSignal): Promise<void> };

/** Follows or leads until the signal aborts; `begin` is called when this gateway begins to act. */
export async function takeTheLead(acting: Acting, begin: () => void, signal: AbortSignal): Promise<void> {
  const begun = acting.untilActing(signal).then(begin, () => undefined);
  await acting.run(signal);
  await begun;
}

/** Runs a loop that acts once this gateway does; it never ceases to in the same life. */
export async function whileActing(
  acting: Acting,
  loop: Loop | undefined,
  signal: AbortSignal,
): Promise<void> {
  if (!loop) return;
  await acting.untilActing(signal).catch(() => undefined);
  if (!signal.aborted) await loop.run(signal);
}

/** Made when this gateway acts: what it finds then is what counts. */
export function whenActing(acting: Acting, make: () => ClaimWatch): ClaimWatch {
  let watch: ClaimWatch | undefined;
  const run = (signal: AbortSignal) => {
    watch = make();
    return watch.run(signal);
  };
  return {
    run: (signal) => whileActing(acting, { run }, signal),
    failure: () => watch?.failure(),
  };
}
