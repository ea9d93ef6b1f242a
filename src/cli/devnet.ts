import { Command, InvalidArgumentError } from 'commander';
import { startDevnet } from '#devnet';
import type { Io } from './io.ts';

const DEFAULT_PORT = 9000;

/** `k3s-daas devnet`: runs the development chain in the foreground until it is told to stop. */
export function devnetCommand(io: Io): Command {
  return new Command('devnet')
    .description(
      'Runs the embedded development chain in the foreground. For development only: its state is in memory, its SUI is worth nothing, and it has no consensus and no bytecode verifier.',
    )
    .option('--host <address>', 'address to listen on', '127.0.0.1')
    .option('--port <port>', 'port to listen on, 0 for a free one', parsePort, DEFAULT_PORT)
    .option('--json', 'print one JSON object a line')
    .action(async (options: { host: string; port: number }) => {
      await using devnet = await startDevnet({ listen: { host: options.host, port: options.port } });
      io.warn('this is a development chain: its SUI is worth nothing, and all state is lost when it stops');
      io.result(
        {
          event: 'devnet.ready',
          url: devnet.url,
          faucet: `${devnet.url}/v2/gas`,
          control: `${devnet.url}/devnet/status`,
          chainId: devnet.chainId,
        },
        [
          `chain URL  ${devnet.url}`,
          `faucet     POST ${devnet.url}/v2/gas`,
          `control    ${devnet.url}/devnet/{status,clock,epoch,faucet}`,
          `chain id   ${devnet.chainId}`,
        ].join('\n'),
      );
      io.note('Press Ctrl-C to stop.');
      await untilStopped();
    });
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
