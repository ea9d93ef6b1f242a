import type { Command } from 'commander';

export const SHELLS = ['bash', 'zsh', 'fish'] as const;
export type Shell = (typeof SHELLS)[number];

/** What can be typed after a command: the path of the command, and each word with what it does. */
interface Place {
  readonly path: string;
  readonly words: ReadonlyArray<{ readonly word: string; readonly about: string }>;
}

/** A script for a shell that completes the commands and flags of a program. It starts nothing: a completion has to be quick. */
export function completionScript(program: Command, shell: Shell): string {
  const places = placesOf(program, '');
  switch (shell) {
    case 'bash':
      return bashScript(program.name(), places);
    case 'zsh':
      return zshScript(program.name(), places);
    case 'fish':
      return fishScript(program.name(), places);
    default:
      return shell satisfies never;
  }
}

function placesOf(command: Command, path: string): readonly Place[] {
  const inner = visibleCommands(command);
  const words = [
    ...inner.map((one) => ({ word: one.name(), about: one.summary() || firstSentence(one.description()) })),
    ...command.options
      .filter(({ hidden }) => !hidden)
      .flatMap(({ long, description }) => (long ? [{ word: long, about: firstSentence(description) }] : [])),
    { word: '--help', about: 'show its help' },
  ];
  const below = inner.flatMap((one) => placesOf(one, path === '' ? one.name() : `${path} ${one.name()}`));
  return [{ path, words }, ...below];
}

function visibleCommands(command: Command): readonly Command[] {
  return command.commands.filter((one) => one.name() !== 'help');
}

function firstSentence(text: string): string {
  return (/^.*?[.:;](?= |$)/.exec(text)?.[0] ?? text).replace(/[.:;]$/, '').replaceAll('\n', ' ');
}

function bashScript(name: string, places: readonly Place[]): string {
  const paths = places.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`);
  return `# bash completion for ${name}
_${identifier(name)}() {
  local path='' next word words
  for word in "\${COMP_WORDS[@]:1:COMP_CWORD-1}"; do
    next="\${path:+$path }$word"
    case "$next" in
      ${paths.join(' | ')}) path="$next" ;;
    esac
  done
  case "$path" in
${places.map(({ path, words }) => `    '${path}') words='${words.map(({ word }) => word).join(' ')}' ;;`).join('\n')}
  esac
  COMPREPLY=($(compgen -W "$words" -- "\${COMP_WORDS[COMP_CWORD]}"))
}
complete -o default -o bashdefault -F _${identifier(name)} ${name}
`;
}

function zshScript(name: string, places: readonly Place[]): string {
  const paths = places.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`);
  const described = (words: Place['words']) =>
    words.map(({ word, about }) => quoted(`${word}:${about.replaceAll(':', '\\:')}`)).join(' ');
  return `#compdef ${name}
_${identifier(name)}() {
  local seen='' next word
  local -a found
  for word in "\${(@)words[2,CURRENT-1]}"; do
    next="\${seen:+$seen }$word"
    case "$next" in
      (${paths.join('|')}) seen="$next" ;;
    esac
  done
  case "$seen" in
${places.map(({ path, words }) => `    ('${path}') found=(${described(words)}) ;;`).join('\n')}
  esac
  _describe 'command or flag' found || _files
}
# A file of $fpath is called for the first completion, a sourced one is not.
if [ "$funcstack[1]" = '_${name}' ]; then _${identifier(name)}; else compdef _${identifier(name)} ${name}; fi
`;
}

function fishScript(name: string, places: readonly Place[]): string {
  const paths = places.filter(({ path }) => path !== '').map(({ path }) => `'${path}'`);
  const lines = places.flatMap(({ path, words }) =>
    words.map(({ word, about }) => {
      const what = word.startsWith('--') ? `-l ${word.slice(2)}` : `-f -a ${word}`;
      return `complete -c ${name} -n "test (__${identifier(name)}_path) = '${path}'" ${what} -d ${quoted(about)}`;
    }),
  );
  return `# fish completion for ${name}
function __${identifier(name)}_path
  set -l path ''
  for word in (commandline -opc)[2..-1]
    set -l next (string trim "$path $word")
    if contains -- "$next" ${paths.join(' ')}
      set path $next
    end
  end
  echo "$path"
end
${lines.join('\n')}
`;
}

function identifier(name: string): string {
  return name.replaceAll(/\W/g, '_');
}

/** For a shell: one word, whatever is in it. */
function quoted(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
