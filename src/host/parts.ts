import { type Clock, type Journal, type Lifetime, type Log, systemClock } from '#base';
import { Composition } from '#composition';
import { type AgentSupervisor, HostClock, type Token, token } from '#plugin';
import type { HostEventBus } from './events.ts';

// The parts of a host, and the tokens to register others under. `HostClock` and what plugins ask for have their tokens in
// the published contract.

export const HostLog: Token<Log> = token('host/log');
/** 0 ≤ x < 1; for the jitter of delays, nothing secret. */
export const HostRandom: Token<() => number> = token('host/random');
/** The supervisor of the k3s agent. Plugins see a part of it as `Agent`. */
export const HostAgent: Token<AgentSupervisor> = token('host/agent');

// Registered by the host once its state directory is locked; for the factories of other parts.
export const HostEventsPart: Token<HostEventBus> = token('host/events');
export const HostJournal: Token<Journal> = token('host/journal');
/** Released after the plugins, in reverse order. */
export const HostLife: Token<Lifetime> = token('host/life');
/** Aborts when the host is to end. */
export const HostSignal: Token<AbortSignal> = token('host/signal');

/** The parts that every host has in common. The program adds a log, an agent, a chain, and what plugins ask for. */
export function hostParts(): Composition {
  const clock: Clock = systemClock;
  return new Composition().register(HostClock, () => clock).register(HostRandom, () => Math.random);
}
