import type { Directive, Scope } from 'k3s-daas/plugin';
import { noticeText } from './decide.ts';

/** What a heartbeat means to the operator, and what of it has been said: each once, and once more when it is over. */
export class Notices {
  readonly #scope: Pick<Scope<unknown>, 'emit' | 'log'>;
  /** The notices of the last reply. */
  #said: ReadonlySet<string> = new Set();
  #isUnreachable = false;
  /** This host, or the gateway, has said that another uses its key. */
  #isCloned = false;

  constructor(scope: Pick<Scope<unknown>, 'emit' | 'log'>) {
    this.#scope = scope;
  }

  /** The gateway has acknowledged a heartbeat: what its reply does not repeat is over. */
  answered(directives: readonly Directive[]): void {
    const { emit, log } = this.#scope;
    if (this.#isUnreachable) emit('attention.ended', { kind: 'gateway_unreachable' });
    this.#isUnreachable = false;
    const now = new Set(directives.flatMap(({ kind, reason }) => (kind === 'notice' ? [reason] : [])));
    for (const reason of without(now, this.#said))
      log.warn('The gateway gives notice', { reason, detail: noticeText(reason) });
    for (const reason of without(this.#said, now)) log.info('A notice of the gateway is over', { reason });
    this.#tellClone(now.has('node_cloned'));
    this.#said = now;
  }

  /** The gateway has acknowledged nothing for that long. */
  unreachable(gatewayUrl: string, sinceMs: number, problem: string): void {
    this.#isUnreachable = true;
    this.#scope.emit('attention.needed', {
      kind: 'gateway_unreachable',
      severity: 'warning',
      summary: `${gatewayUrl} has acknowledged no heartbeat for ${Math.round(sinceMs / 1_000)} s: ${problem}`,
      remedy: 'pods run on; check the network to the gateway, and ask its operator',
    });
  }

  /** A heartbeat or a registration was refused because of a clone: the host says so, and the next acknowledgement ends it. */
  refusedAsClone(): void {
    this.#isCloned = true;
  }

  /** This node is the one that is served: it lives on, and the operator has to end the other. */
  #tellClone(isCloned: boolean): void {
    const { emit } = this.#scope;
    if (this.#isCloned && !isCloned) emit('attention.ended', { kind: 'clone_suspected' });
    if (!this.#isCloned && isCloned)
      emit('attention.needed', {
        kind: 'clone_suspected',
        severity: 'critical',
        summary:
          'another machine or process uses the key of this node; the gateway serves this one, and registrations are frozen',
        remedy:
          'end the other, or rotate the Seal token if the key may be stolen (docs/operations.md, "Two machines with one node key")',
      });
    this.#isCloned = isCloned;
  }
}

function without(reasons: ReadonlySet<string>, others: ReadonlySet<string>): string[] {
  return [...reasons].filter((reason) => !others.has(reason));
}
