import {
  Agent,
  type ChainReader,
  DaasError,
  type Directive,
  definePlugin,
  EXIT,
  errorFacts,
  type GatewayConnection,
  GatewayConnector,
  HostClock,
  HostControl,
  messageOf,
  StakeChain,
  type StakeRecord,
  type WorkerRegistered,
} from 'k3s-daas/plugin';
import { z } from 'zod';
import { afterFailure, type OwnFact, reactTo, spreadMs } from './decide.ts';

/** A single lost heartbeat is weather; from here on the host calls itself degraded. */
const toleratedFailures = 2;

const shortestIntervalMs = 100;
const longestIntervalMs = 600_000;
/** What a gateway asks for neither keeps this machine busy nor, as a delay that no timer takes, becomes no delay at all. */
const bounded = (intervalMs: number) => Math.min(longestIntervalMs, Math.max(shortestIntervalMs, intervalMs));

/**
 * Tells the gateway at its interval that this node is alive, and does what it answers. Whatever goes wrong here never stops
 * the agent: pods run on while the gateway is away.
 */
export default definePlugin({
  name: 'heartbeat',
  api: 1,
  after: ['registration'],
  config: z.strictObject({
    /** Instead of the interval that the gateway asks for. */
    intervalMs: z.int().min(shortestIntervalMs).max(longestIntervalMs).optional(),
  }),
  needs: {
    chain: StakeChain,
    gateways: GatewayConnector,
    agent: Agent,
    control: HostControl,
    clock: HostClock,
  },
  setup(scope, { chain, gateways, agent, control, clock }) {
    const { config, log } = scope;
    let latest: WorkerRegistered | undefined;
    const first = Promise.withResolvers<void>();
    let pause: AbortController | undefined;
    let failures = 0;
    let lastProblem = '';
    const stake = followStake(chain);

    scope.on('worker.registered', (fact) => {
      latest = fact;
      stake.follow(fact.recordId);
      first.resolve();
      // The incarnation before this one is over: its next heartbeat would be refused.
      pause?.abort();
    });

    scope.run('beat', async (signal) => {
      await Promise.race([first.promise, abortOf(signal)]);
      while (!signal.aborted && latest) await serve(latest, signal);
    });

    /** Heartbeats of one registration, until there is another. Only what no retry would mend is thrown. */
    async function serve(registered: WorkerRegistered, signal: AbortSignal): Promise<void> {
      await using connection = lazyConnection(async () => {
        const opened = gateways.connect(await gatewayOf(registered, signal));
        try {
          // Tells the gateway's time, in which proofs are dated: without it a clock that is off costs the first heartbeat.
          await opened.challenge({ nodeId: registered.nodeId, staker: chain.wallet }, signal);
          await stake.refresh(signal);
          return opened;
        } catch (error) {
          await opened[Symbol.asyncDispose]();
          throw error;
        }
      });
      let sequence = 0;
      const next = async () => beat(await connection.open(), registered, ++sequence, signal);
      while (latest === registered) {
        const beganAtMs = clock.monotonicMs();
        let isSilent = false;
        try {
          await next().catch((error: unknown) => {
            if (!isConnectionLost(error)) throw error;
            // At once, on a new connection, as the next in the sequence: the gateway may have taken the first.
            return next();
          });
        } catch (error) {
          signal.throwIfAborted();
          isSilent = failed(error);
        }
        const intervalMs = config.intervalMs ?? bounded(registered.heartbeatIntervalMs);
        const restMs = Math.max(intervalMs / 10, intervalMs - (clock.monotonicMs() - beganAtMs));
        await untilNext(isSilent ? spreadMs(restMs, registered.nodeId, failures) : restMs, signal);
      }
    }

    /** Ends early when there is a new registration. */
    async function untilNext(pauseMs: number, signal: AbortSignal): Promise<void> {
      pause = new AbortController();
      await clock.sleep(pauseMs, AbortSignal.any([signal, pause.signal])).catch(() => undefined);
      signal.throwIfAborted();
    }

    async function gatewayOf({ gatewayId, gatewayUrl }: WorkerRegistered, signal: AbortSignal) {
      const { gateways: entries } = await chain.cluster(signal);
      const entry = entries.find((gateway) => gateway.id === gatewayId);
      if (!entry)
        throw new DaasError(
          'DAAS_GATEWAY_NOT_ON_CHAIN',
          `the chain names the gateway ${gatewayUrl} no longer`,
          { exitCode: EXIT.unexpected, details: { gatewayId, gatewayUrl } },
        );
      return entry;
    }

    async function beat(
      connection: GatewayConnection,
      registered: WorkerRegistered,
      sequence: number,
      signal: AbortSignal,
    ): Promise<void> {
      void stake.refresh(signal);
      const [runningPods, resourceUsage] = await Promise.all([
        agent.runningPods(signal),
        agent.resourceUsage(),
      ]);
      const { directives } = await connection.heartbeat(
        {
          sealTokenId: registered.sealTokenId,
          incarnation: registered.incarnation,
          sequence,
          ...stake.seen(),
          agentState: agent.state().kind,
          runningPods,
          resourceUsage,
        },
        signal,
      );
      acknowledged(sequence, directives);
      for (const directive of directives) await handleDirective(directive, registered.recordId, signal);
    }

    function acknowledged(sequence: number, directives: readonly Directive[]): void {
      if (failures >= toleratedFailures) log.info('Heartbeats are acknowledged again', { failures });
      failures = 0;
      scope.emit('heartbeat.acknowledged', { sequence, directives: directives.map(({ kind }) => kind) });
    }

    /** Whether the gateway did not answer. */
    function failed(error: unknown): boolean {
      failures += 1;
      lastProblem = messageOf(error);
      const { code = 'DAAS_UNEXPECTED', isRetryable: isSilent } = errorFacts(error);
      scope.emit('heartbeat.failed', { error: { code, message: lastProblem } });
      if (afterFailure(isSilent ? 'silent' : 'refused', failures) === 'register-again')
        control.reregister(`${failures} heartbeats in a row failed: ${code}`);
      return isSilent;
    }

    async function handleDirective(
      directive: Directive,
      recordId: string,
      signal: AbortSignal,
    ): Promise<void> {
      const reaction = reactTo(directive, await ownFact(recordId, signal));
      switch (reaction.kind) {
        case 'stop':
          log.warn('The gateway asks this node to stop', {
            directive: directive.kind,
            reason: directive.reason,
            status: reaction.status,
          });
          control.stop(reaction);
          return;
        case 'register-again':
          control.reregister(`the gateway asks for it: ${directive.reason}`);
          return;
        case 'doubt':
          log.warn('A directive is not followed', {
            directive: directive.kind,
            reason: directive.reason,
            detail: reaction.detail,
          });
          return;
        default:
          return reaction satisfies never;
      }
    }

    async function ownFact(recordId: string, signal: AbortSignal): Promise<OwnFact> {
      try {
        const record = (await chain.records([recordId], signal)).get(recordId);
        if (record) return { kind: 'read', record };
        return { kind: 'unread', recordId, detail: 'the record cannot be found' };
      } catch (error) {
        signal.throwIfAborted();
        return { kind: 'unread', recordId, detail: messageOf(error) };
      }
    }

    scope.health(() => ({
      live: true,
      ready: latest !== undefined && failures < toleratedFailures,
      detail:
        latest === undefined
          ? 'not registered yet'
          : failures === 0
            ? `heartbeats to ${latest.gatewayUrl} are acknowledged`
            : `${failures} heartbeats in a row failed: ${lastProblem}`,
    }));
  },
});

function isConnectionLost(error: unknown): boolean {
  return errorFacts(error).code === 'DAAS_GATEWAY_CONNECTION_LOST';
}

/** One connection, made when it is first needed, and again after it could not be made. */
function lazyConnection(connect: () => Promise<GatewayConnection>) {
  let opened: GatewayConnection | undefined;
  return {
    async open(): Promise<GatewayConnection> {
      opened ??= await connect();
      return opened;
    },
    async [Symbol.asyncDispose](): Promise<void> {
      await opened?.[Symbol.asyncDispose]();
    },
  };
}

function abortOf(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve();
    else signal.addEventListener('abort', () => resolve(), { once: true });
  });
}

/** The own stake as it was last read, for the operator's eyes; read beside the heartbeat, which does not wait for it. */
function followStake(chain: ChainReader) {
  let recordId: string | undefined;
  let last: StakeRecord | undefined;
  let isReading = false;
  return {
    follow(id: string): void {
      if (id !== recordId) last = undefined;
      recordId = id;
    },
    async refresh(signal: AbortSignal): Promise<void> {
      if (recordId === undefined || isReading) return;
      const id = recordId;
      isReading = true;
      try {
        last = (await chain.records([id], signal)).get(id) ?? last;
      } catch {
        last = undefined;
      } finally {
        isReading = false;
      }
    },
    seen: () => ({ stakeStatus: last?.status ?? 'unknown', stakeMist: last?.stakeMist ?? 0n }),
  };
}
