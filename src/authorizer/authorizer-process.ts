import { createAccessTable } from './access-table.ts';
import type { Denial } from './judge-access.ts';
import type { CountedDenial, FromAuthorizer, ToAuthorizer } from './messages.ts';
import { createWebhook } from './webhook.ts';

const reportEveryMs = 1_000;
/** Kinds of refusals told at once: their subjects are names that callers choose. */
const mostKinds = 200;

/**
 * The authorizer's own process: it goes on answering from its table when the gateway's thread is busy or its process is
 * stopped. It ends with the gateway, so that the API server does not wait for it.
 */
export function runAuthorizerProcess(): void {
  const table = createAccessTable();
  const tally = createDenialTally();
  process.on('disconnect', () => process.exit(0));
  // The service manager signals the whole group; the gateway ends this process when it is done.
  process.on('SIGTERM', () => undefined);
  process.on('SIGINT', () => undefined);
  process.on('message', (message: ToAuthorizer) => {
    switch (message.kind) {
      case 'start': {
        table.setRules(message.rules);
        for (const node of message.nodes) table.setNode(node);
        listen(message, { table, ...tally });
        return;
      }
      case 'rules':
        table.setRules(message.rules);
        return;
      case 'nodes':
        for (const node of message.nodes) table.setNode(node);
        for (const nodeId of message.forgotten) table.forget(nodeId);
        return;
      case 'ping':
        tell({ kind: 'pong', id: message.id });
        return;
      default:
        message satisfies never;
    }
  });
  setInterval(() => {
    const report = tally.take();
    if (report) tell(report);
  }, reportEveryMs);
}

type Webhook = Omit<Parameters<typeof createWebhook>[0], 'tls'>;

function listen({ tls, host, port }: Extract<ToAuthorizer, { kind: 'start' }>, webhook: Webhook): void {
  const server = createWebhook({ tls, ...webhook });
  server.on('error', (error) => tell({ kind: 'failed', detail: error.message }));
  server.listen({ host, port }, () => {
    const address = server.address();
    tell({ kind: 'listening', port: typeof address === 'object' && address ? address.port : port });
  });
}

function tell(message: FromAuthorizer): void {
  if (process.connected) process.send?.(message);
}

/** Counts refusals, each kind once, until they are told. */
function createDenialTally() {
  let kinds = new Map<string, CountedDenial>();
  let unreadable = 0;
  return {
    onDenial({ code, subject }: Denial): void {
      const key = `${code} ${subject}`;
      const known = kinds.get(key);
      if (known) kinds.set(key, { ...known, count: known.count + 1 });
      else if (kinds.size < mostKinds) kinds.set(key, { code, subject, count: 1 });
    },
    onUnreadable(): void {
      unreadable += 1;
    },
    take(): Extract<FromAuthorizer, { kind: 'denials' }> | undefined {
      if (kinds.size === 0 && unreadable === 0) return undefined;
      const report = { kind: 'denials', denials: [...kinds.values()], unreadable } as const;
      kinds = new Map();
      unreadable = 0;
      return report;
    },
  };
}
