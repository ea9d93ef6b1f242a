import { createRequire } from 'node:module';
import { basename, dirname } from 'node:path';
import { getAsset, getRawAsset } from 'node:sea';
import { Script } from 'node:vm';
import { runCredential } from './credential.ts';

/**
 * Where the single executable starts (scripts/release/executable.ts). It signs for kubectl by itself: the rest of the program has
 * megabytes, and only to take them in costs twice the CPU time of a login.
 */
// The launcher of the other builds does the same.
if (basename(process.argv0) === 'kubectl-daas') process.argv.splice(2, 0, 'kubectl');
void runCredential(process.argv.slice(2)).then((isDone) => {
  if (!isDone) runProgram();
});

/** Runs the program that the executable carries: a function of what a CommonJS module is given, compiled when it was built. */
function runProgram(): void {
  const filename = process.execPath;
  const script = new Script(getAsset('program.js', 'utf8'), { filename, ...compiled() });
  const program = script.runInThisContext() as (...parts: unknown[]) => void;
  const module = { exports: {} };
  program(module.exports, createRequire(filename), module, filename, dirname(filename));
}

/** What V8 made of it, for this architecture alone. */
function compiled(): { readonly cachedData?: Buffer } {
  const bytes = Buffer.from(getRawAsset('program.cache') as ArrayBuffer);
  return bytes.length === 0 ? {} : { cachedData: bytes };
}
