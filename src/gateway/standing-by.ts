import type { FastifyInstance, FastifyRequest } from 'fastify';
import { PATHS } from '#api';
import type { Acting } from './acting.ts';
import { ApiProblem } from './api-problem.ts';

/** A host asks the next gateway at once; the one that leads may be gone by the time it comes back. */
const retryAfterMs = 5_000;

/** While another gateway leads, these requests are refused: what they change, or rest on, is that one's. */
export function standBy(
  app: FastifyInstance,
  acting: Pick<Acting, 'isActing' | 'leader'>,
  isRefused: (request: FastifyRequest) => boolean,
): void {
  app.addHook('onRequest', async (request) => {
    if (acting.isActing() || !isRefused(request)) return;
    const leader = acting.leader();
    throw new ApiProblem(
      'standing_by',
      leader === undefined
        ? 'no gateway leads yet: ask again'
        : `another gateway leads (${leader}): ask that one`,
      { retryAfterMs },
    );
  });
}

const workersPaths: ReadonlySet<string> = new Set([
  PATHS.challenge,
  PATHS.register,
  PATHS.heartbeat,
  PATHS.certificates,
  PATHS.leave,
  PATHS.events,
]);

/** By the route: the router takes a path with percent signs for the same one. */
export const isWorkersPath = ({ routeOptions }: FastifyRequest): boolean =>
  workersPaths.has(routeOptions.url ?? '');

export const isOperatorsWrite = ({ method }: FastifyRequest): boolean => method !== 'GET';
