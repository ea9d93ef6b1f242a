import { runAuthorizerProcess } from './authorizer-process.ts';

/** The authorizer's process, as tests start it. */
runAuthorizerProcess();
// For the watchdog: a thread that does nothing else any more.
process.on('message', (message: { kind: string; rules?: { impersonators: string[] } }) => {
  if (message.rules?.impersonators.includes('test:hang')) for (;;);
});
