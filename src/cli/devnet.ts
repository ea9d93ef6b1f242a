import { Command, InvalidArgumentError } from 'commander';
import { DaasError, EXIT } from '#base';
import { loadDevnet } from './devnet-package.ts';
import type { Io } from './io.ts';

const DEFAULT_PORT = 9000;

/** `k3s-daas devnet`: runs the dev chain in the foreground until Ctrl-C or SIGTERM. */
export function devnetCommand(io: Io): Command {
  return new Command('devnet')
    .description(
      'Runs a dev chain in the foreground. For development only: its state is in memory, its SUI is worth nothing, and it has no consensus and no bytecode verifier. It is the package @k3s-daas/devnet.',
    )
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port to listen on, 0 for a free one', parsePort, DEFAULT_PORT)
    .option('--json', 'print one JSON object a line')
    .action(async (options: { host: string; port: number }) => {
      await using devnet = await start(options);
      io.warn('this is a dev chain: its SUI is worth nothing, and all state is lost when it stops');
      io.result(
        {
          event: 'devnet.ready',
          url: devnet.url,
          faucet: devnet.faucetUrl,
          control: `${devnet.controlUrl}/status`,
          chainId: devnet.chainId,
        },
        [
          `chain URL  ${devnet.url}`,
          `faucet     POST ${devnet.faucetUrl}`,
          `control    ${devnet.controlUrl}/{status,clock,epoch,faucet}`,
          `chain id   ${devnet.chainId}`,
        ].join('\n'),
      );
      io.note('Press Ctrl-C to stop.');
      await untilStopped();
    });
}

async function start(listen: { host: string; port: number }) {
  const { DevnetError, startDevnet } = await loadDevnet();
  try {
    return await startDevnet({ listen });
  } catch (error) {
    if (!(error instanceof DevnetError)) throw error;
    const { code, message, cause, details } = error;
    throw new DaasError(code, message, { cause, details, exitCode: EXIT.configuration });
  }
}

function parsePort(value: string): number {
  const port = Number(value);
  if (!Number.isInteger(port) || port < 0 || port > 65_535)
    throw new InvalidArgumentError('a port is a whole number from 0 to 65535');
  return port;
}

const untilStopped = (): Promise<void> =>
  new Promise((resolve) => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve());
  });
