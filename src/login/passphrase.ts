import { openSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { Writable } from 'node:stream';
import { ReadStream } from 'node:tty';
import { ConfigurationError, Secret } from '#base';

/**
 * Asks on the terminal that this process belongs to, without showing what is typed. Not on standard input: kubectl may be reading a
 * manifest from there.
 * @throws `DAAS_LOGIN_PASSPHRASE_NEEDED` where there is no terminal, or nothing was typed.
 */
export async function askPassphrase(question: string): Promise<Secret> {
  const terminal = openTerminal(question);
  const silent = new Writable({ write: (_chunk, _encoding, done) => done() });
  const prompt = createInterface({ input: terminal, output: silent, terminal: true });
  try {
    process.stderr.write(question);
    const typed = await new Promise<string>((resolve) => {
      prompt.once('line', resolve);
      prompt.once('close', () => resolve(''));
    });
    if (typed !== '') return new Secret(typed);
    throw needed(`${question.trim()} Nothing was typed`);
  } finally {
    process.stderr.write('\n');
    prompt.close();
    terminal.destroy();
  }
}

function openTerminal(question: string): ReadStream {
  try {
    return new ReadStream(openSync('/dev/tty', 'r'));
  } catch (cause) {
    throw needed(`${question.trim()} There is no terminal to ask on`, cause);
  }
}

/** The error of a key that cannot be opened here. */
export const needed = (why: string, cause?: unknown): ConfigurationError =>
  new ConfigurationError(
    'DAAS_LOGIN_PASSPHRASE_NEEDED',
    `${why}: run it in a terminal, or keep the key in an ssh-agent or a keyring (\`k3s-daas token rotate --login FILE --login-key ssh-agent\`)`,
    { cause },
  );
