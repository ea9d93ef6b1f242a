import { MINUTE_MS, outputOf } from './child.ts';

export interface SameTarOptions {
  /** Where the packed directory lies, and its name there. */
  readonly from: string;
  readonly name: string;
  /** Its name in the archive; the same unless given. */
  readonly as?: string;
  /** Of gzip. */
  readonly level: number;
}

/** Writes a `.tar.gz` that is the same bytes for the same files: sorted, of one owner and time, without the name of this machine's files. */
export function packSameTar(file: string, { from, name, as = name, level }: SameTarOptions): void {
  const same = [
    '--sort=name',
    '--owner=0',
    '--group=0',
    '--numeric-owner',
    '--mtime=@0',
    '--mode=u=rwX,go=rX',
  ];
  const named = ['--transform', `s,^${name},${as},`];
  const compressed = [`--use-compress-program=gzip -n -${level}`, '-cf', file, name];
  outputOf('tar', ['-C', from, ...same, ...named, ...compressed], { withinMs: 10 * MINUTE_MS });
}
