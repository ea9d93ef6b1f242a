import { basename } from 'node:path';
import type { Artefact } from './artefact.ts';
import type { Smoke } from './smoke.ts';

/**
 * Why what was made may not be released, one line each. A dry run lets pass what could not be tested on this machine; a release does
 * not, but for what is made for another architecture or has a test of its own.
 */
export function problemsOf(
  artefacts: readonly Artefact[],
  smokes: readonly Smoke[],
  { isDryRun }: { readonly isDryRun: boolean },
): readonly string[] {
  return artefacts.flatMap((artefact, index) => {
    const { result, reason } = smokes[index] ?? { result: 'not run', reason: 'nothing tested it' };
    const mayPass = isDryRun || artefact.testedBy !== undefined || artefact.install === undefined;
    if (result === 'passed' || (result === 'not run' && mayPass)) return [];
    return [`${basename(artefact.file)}: ${result}: ${reason}`];
  });
}
