import { createAuthorizer, type NodeAccess } from '#authorizer';
import { type Clock, silentLog, systemClock } from '#base';

/**
 * A gateway that does nothing but feed its authorizer, as a process that a test can stop and kill: told by messages, it
 * tells the port when the authorizer listens.
 */
type Start = Omit<Parameters<typeof createAuthorizer>[0], 'clock' | 'log' | 'onDenials'>;
export type ToGateway =
  | { readonly kind: 'start'; readonly options: Start }
  | { readonly kind: 'nodes'; readonly nodes: readonly NodeAccess[] }
  | {
      readonly kind: 'rules';
      readonly rules: Parameters<ReturnType<typeof createAuthorizer>['setRules']>[0];
    };

let authorizer: ReturnType<typeof createAuthorizer> | undefined;
const clock: Clock = systemClock;
process.on('disconnect', () => process.exit(0));
process.on('message', (message: ToGateway) => {
  switch (message.kind) {
    case 'start':
      authorizer = createAuthorizer({
        ...message.options,
        clock,
        log: silentLog,
        onDenials: (denials) => process.send?.({ kind: 'denials', denials }),
      });
      void authorizer.run(new AbortController().signal);
      return;
    case 'nodes':
      authorizer?.setNodes(message.nodes);
      return;
    case 'rules':
      authorizer?.setRules(message.rules);
      return;
    default:
      message satisfies never;
  }
});
let told: number | undefined;
setInterval(() => {
  const port = authorizer?.port();
  if (port === told) return;
  told = port;
  process.send?.({ kind: 'port', port });
}, 20);
