import type { MachineFacts } from './facts.ts';
import type { Step } from './steps.ts';

/** Where manuals and shells look for what belongs to no package. */
const SHARE = '/usr/local/share';

/** The manual page of a Debian package of this program. */
const PACKAGED_MANUAL = '/usr/share/man/man1/k3s-daas.1.gz';

const PATHS = {
  manual: `${SHARE}/man/man1/k3s-daas.1`,
  bash: `${SHARE}/bash-completion/completions/k3s-daas`,
  zsh: `${SHARE}/zsh/site-functions/_k3s-daas`,
  fish: `${SHARE}/fish/vendor_completions.d/k3s-daas.fish`,
} as const;

/** The manual page and the completion of each shell, as text. */
export type HelpTexts = Readonly<Record<keyof typeof PATHS, string>>;

/** What a plan looks at to know which of them are there. */
export const HELP_PATHS: readonly string[] = [...Object.values(PATHS), PACKAGED_MANUAL];

/** The last of an installation: a service runs without them, and a read-only /usr/local is no reason to undo one. */
export function helpSteps({ files }: Pick<MachineFacts, 'files'>, texts: HelpTexts): readonly Step[] {
  return (Object.keys(PATHS) as Array<keyof typeof PATHS>).flatMap((what): Step[] => {
    const [path, content] = [PATHS[what], texts[what]];
    const before = files.get(path)?.text;
    if (before === content || (what === 'manual' && files.has(PACKAGED_MANUAL))) return [];
    const why = what === 'manual' ? 'the manual page' : `completion in ${what}`;
    return [{ kind: 'write', path, content, mode: 0o644, why, before, isHelp: true }];
  });
}

export function removeHelp({ files }: Pick<MachineFacts, 'files'>): readonly Step[] {
  const present = Object.values(PATHS).filter((path) => files.has(path));
  return present.map((path) => ({ kind: 'remove', path, why: 'ours' }));
}
