#!/usr/bin/env node
// Finds a Node that is new enough and the program: built (dist/, as published) or source (a clone). Plain JavaScript,
// because a machine's own Node may be too old for anything else.
import { spawn } from 'node:child_process';
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const isClone = existsSync(join(root, 'src', 'main.ts'));
const entry = isClone ? join(root, 'src', 'main.ts') : join(root, 'dist', 'src', 'main.js');
const isNew = Number(process.versions.node.split('.')[0]) >= 24;
const hasConditions = !isClone || process.execArgv.includes('--conditions=source');

if (isNew && hasConditions) {
  await import(pathToFileURL(entry).href);
} else {
  // Started anew as a child under the right Node; signals and the exit code pass through.
  const packaged = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node');
  if (!isNew && !existsSync(packaged)) {
    console.error(
      `k3s-daas needs Node 24 or newer; this is ${process.versions.node}. Install it, or run 'npm ci' here`,
    );
    process.exit(78);
  }
  const node = isNew ? process.execPath : packaged;
  const flags = isClone ? ['--conditions=source'] : [];
  const child = spawn(node, [...flags, entry, ...process.argv.slice(2)], { stdio: 'inherit' });
  for (const signal of ['SIGTERM', 'SIGINT', 'SIGHUP']) process.on(signal, () => child.kill(signal));
  child.on('error', (error) => {
    console.error(`k3s-daas could not start ${node}: ${error.message}`);
    process.exit(1);
  });
  child.on('exit', (code, signal) => process.exit(code ?? 128 + (signal === 'SIGKILL' ? 9 : 15)));
}
