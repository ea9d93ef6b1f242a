/** One change of the machine. A plan is a list of these: `--dry-run` prints it, `carryOut` makes it true. */
export type Step =
  | { readonly kind: 'directory'; readonly path: string; readonly mode: number; readonly why: string }
  | { readonly kind: 'keep'; readonly path: string; readonly copy: string; readonly why: string }
  | WriteStep
  | { readonly kind: 'remove'; readonly path: string; readonly why: string }
  | { readonly kind: 'link'; readonly path: string; readonly target: string; readonly why: string }
  | RunStep
  | DownloadStep;

export interface WriteStep {
  readonly kind: 'write';
  readonly path: string;
  readonly content: string;
  readonly mode: number;
  /** Default: this user and its group. */
  readonly owner?: { readonly uid: number; readonly gid: number };
  readonly why: string;
  /** What is there now. */
  readonly before?: string | undefined;
  /** Manual page or completion: its text is not shown, and a failure changes nothing that matters. */
  readonly isHelp?: true;
}

export interface RunStep {
  readonly kind: 'run';
  readonly argv: readonly [string, ...string[]];
  readonly why: string;
  /** Instead of that of this process. */
  readonly env?: Readonly<Record<string, string>>;
  readonly deadlineMs: number;
  /** A failure changes nothing that matters. */
  readonly mayFail?: boolean;
  /** Taken when it fails. */
  readonly orElse?: readonly Step[];
}

export interface DownloadStep {
  readonly kind: 'download';
  readonly url: string;
  readonly path: string;
  readonly mode: number;
  readonly why: string;
  /** Hexadecimal, or where the release lists it: a file of `<sha256>  <name>` lines. */
  readonly sha256: string | { readonly listUrl: string; readonly name: string };
}

export interface UndoStep {
  readonly step: Step;
  /** The step of the plan that this one undoes: it is left out when the plan did not come to that. */
  readonly undoes?: Step | undefined;
  /** It takes the way back away: left out when a step before it failed. */
  readonly needsAll?: boolean;
}

export interface Plan {
  readonly steps: readonly Step[];
  /** What makes the machine as it was, when a step fails; empty: what was done may stay. */
  readonly undo: readonly UndoStep[];
  /** What the reader should know before they say yes. */
  readonly notes: readonly string[];
}
