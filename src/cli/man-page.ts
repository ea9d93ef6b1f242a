import type { Command } from 'commander';

/** The manual page of the program in man(7), from its tree of commands. */
export function manPage(version: string, commands: readonly Command[]): string {
  return [
    `.TH K3S\\-DAAS 1 "" "k3s\\-daas ${escaped(version)}"`,
    '.SH NAME',
    'k3s\\-daas \\- admits workers to a k3s cluster by a stake on the Sui blockchain',
    '.SH SYNOPSIS',
    '.B k3s\\-daas',
    '.RI [ \\-\\-json ]\\~ command\\~ [ option ]\\|.\\|.\\|.',
    '.SH DESCRIPTION',
    'A worker stakes on chain, proves that it holds the stake, and gets a short\\-lived credential instead of the join token of the cluster.',
    'Every command has',
    '.BR \\-\\-help .',
    '.SH COMMANDS',
    ...commands.flatMap((command) => describe(command, '')),
    '.SH EXIT STATUS',
    ...exitCodes.flatMap(([code, meaning]) => ['.TP', `.B ${code}`, meaning]),
    '.SH FILES',
    '.TP',
    '.I /etc/k3s\\-daas/k3s\\-daas.json',
    'the configuration',
    '.TP',
    '.I /var/lib/k3s\\-daas',
    'journal, node key, lock and latch of a worker',
    '',
  ].join('\n');
}

const exitCodes = [
  ['0', 'done, or asked to stop'],
  ['1', 'an unexpected error, or something needs action'],
  ['75', 'could not join in time; try again'],
  ['77', 'slashed, evicted or locked out; do not restart'],
  ['78', 'wrong configuration or command line'],
] as const;

function describe(command: Command, above: string): string[] {
  const path = above === '' ? command.name() : `${above} ${command.name()}`;
  const inner = command.commands.filter((one) => one.name() !== 'help');
  const words = command.registeredArguments.map((argument) =>
    argument.required ? `<${argument.name()}>` : `[${argument.name()}]`,
  );
  return [
    `.SS ${escaped(['k3s-daas', path, ...words].join(' '))}`,
    escaped(command.description()),
    ...command.options.flatMap(({ flags, description }) => [
      '.TP',
      `.B ${escaped(flags)}`,
      escaped(description),
    ]),
    ...inner.flatMap((one) => describe(one, path)),
  ];
}

/** Backslashes, hyphens and a dot or quote at the beginning of a line have a meaning in roff, which reads Latin-1. */
function escaped(text: string): string {
  return text
    .replaceAll('\\', '\\e')
    .replaceAll('-', '\\-')
    .replaceAll('\n', ' ')
    .replaceAll(
      /[^ -~]/gu,
      (letter) => `\\[u${letter.codePointAt(0)?.toString(16).toUpperCase().padStart(4, '0')}]`,
    )
    .replace(/^(?=[.'])/, '\\&');
}
