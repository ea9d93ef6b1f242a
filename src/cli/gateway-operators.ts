import { Command, Option } from 'commander';
import type { AddFlags, OperatorsFlags } from './gateway-operators-actions.ts';
import type { Io } from './io.ts';

/** `k3s-daas gateway operator init | add | list | revoke`. */
export function operatorsCommand(io: Io): Command {
  const operator = new Command('operator').description(
    'Operators on other machines: who has a certificate for gateway.operators.listen, and what it permits.',
  );
  withCommon(operator.command('init'))
    .description(
      'Make the authority that signs certificates of operators, and an empty list of them. Changes nothing that is there.',
    )
    .action(async (flags: OperatorsFlags) => (await actions()).initOperators(io, flags));
  withCommon(operator.command('add'))
    .description(
      'Issue a certificate and write the file by which its holder reaches the gateway (`gateway nodes --operator FILE`).',
    )
    .argument('<name>', 'who it is for: lower-case letters, digits, dots, hyphens; audit lines name it')
    .addOption(
      new Option('--role <role>', 'view: only look; operate: every command')
        .choices(['view', 'operate'])
        .makeOptionMandatory(),
    )
    .option('--days <number>', 'how long it counts, 1 to 90', '30')
    .option('--url <url>', 'where its holder reaches gateway.operators.listen')
    .requiredOption('--out <file>', 'the file, which must not exist: it has the private key')
    .action(async (name: string, flags: AddFlags) => (await actions()).addOperator(io, name, flags));
  withCommon(operator.command('list'))
    .description('List the certificates that were issued.')
    .action(async (flags: OperatorsFlags) => (await actions()).listOperators(io, flags));
  withCommon(operator.command('revoke'))
    .description('Let no certificate of this operator count from now on. Running gateways see it at once.')
    .argument('<name>', 'the operator')
    .action(async (name: string, flags: OperatorsFlags) => (await actions()).revokeOperator(io, name, flags));
  return operator;
}

const withCommon = (command: Command): Command =>
  command
    .option('-c, --config <file>', 'the gateway’s configuration')
    .option('--json', 'print one JSON object');

/** Loaded when one of them runs. */
const actions = () => import('./gateway-operators-actions.ts');
