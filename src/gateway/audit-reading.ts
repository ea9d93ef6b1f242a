import { open, readdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { ConfigurationError } from '#base';
import { HEAD_FILE } from './audit-seal.ts';

/** A line of an audit file, as text. */
export interface AuditText {
  readonly file: string;
  /** From 1. */
  readonly number: number;
  readonly text: string;
}

/** The members that every line has; `facts` are the others. */
export interface ParsedLine {
  readonly seq: number;
  readonly at: string;
  readonly event: string;
  readonly prev: string;
  readonly hash: string;
  readonly mac: string | undefined;
  readonly facts: Readonly<Record<string, unknown>>;
  /** What the hash is over. */
  readonly body: Readonly<Record<string, unknown>>;
}

export interface AuditPlace {
  /** In the order of their lines. */
  readonly files: readonly string[];
  /** The newest checkpoint that the gateway keeps beside them. */
  readonly headFile: string | undefined;
}

/**
 * The audit files at a path: a directory holds `audit.jsonl` and earlier ones, a file stands alone.
 * @throws `DAAS_AUDIT_UNREADABLE`.
 */
export async function auditPlace(path: string): Promise<AuditPlace> {
  const status = await stat(path).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  if (!status.isDirectory()) return { files: [path], headFile: undefined };
  const names = await readdir(path).catch((cause: unknown) => {
    throw unreadable(path, cause);
  });
  const earlier = names.filter((name) => /^audit-until-\d+\.jsonl$/.test(name)).sort();
  const all = [...earlier, ...names.filter((name) => name === 'audit.jsonl')];
  if (all.length === 0)
    throw new ConfigurationError(
      'DAAS_AUDIT_UNREADABLE',
      `${path} holds no audit file (audit.jsonl, audit-until-*.jsonl): name the gateway.stateDir of a gateway, or a file`,
    );
  const headFile = names.includes(HEAD_FILE) ? join(path, HEAD_FILE) : undefined;
  return { files: all.map((name) => join(path, name)), headFile };
}

/** @throws `DAAS_AUDIT_UNREADABLE`. */
export async function* auditLines(files: readonly string[]): AsyncGenerator<AuditText> {
  for (const path of files) {
    const file = await open(path).catch((cause: unknown) => {
      throw unreadable(path, cause);
    });
    let number = 0;
    // The stream closes the file.
    for await (const text of file.readLines({ encoding: 'utf8' })) {
      number += 1;
      yield { file: path, number, text };
    }
  }
}

/** `undefined`: it is no line of an audit file. */
export function parseAuditLine(text: string): ParsedLine | undefined {
  try {
    const { hash, mac, ...body } = JSON.parse(text) as Record<string, unknown>;
    const { seq, at, event, prev, ...facts } = body;
    const isLine =
      Number.isSafeInteger(seq) && [at, event, prev, hash].every((part) => typeof part === 'string');
    if (!isLine || !(mac === undefined || typeof mac === 'string')) return undefined;
    return { seq, at, event, prev, hash, mac, facts, body } as ParsedLine;
  } catch {
    return undefined;
  }
}

function unreadable(path: string, cause: unknown): ConfigurationError {
  return new ConfigurationError(
    'DAAS_AUDIT_UNREADABLE',
    `the audit file ${path} cannot be read: check the path; the files of a gateway belong to its user, so run this as that user or as root`,
    { cause },
  );
}
