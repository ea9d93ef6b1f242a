#!/usr/bin/env node
// Finds a Node that is new enough and the program: built (dist/, as published) or source (a clone). Plain JavaScript,
// because a machine's own Node may be too old for anything else.
import { existsSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { fileURLToPath, pathToFileURL } from 'node:url';
import { runChild } from './run-child.mjs';

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const isClone = existsSync(join(root, 'src', 'main.ts'));
const entry = isClone ? join(root, 'src', 'main.ts') : join(root, 'dist', 'src', 'main.js');
const isNew = Number(process.versions.node.split('.')[0]) >= 24;
const hasConditions = !isClone || process.execArgv.includes('--conditions=source');

if (isNew && hasConditions) {
  await import(pathToFileURL(entry).href);
} else {
  const packaged = join(root, 'node_modules', `node-${process.platform}-${process.arch}`, 'bin', 'node');
  if (!isNew && !existsSync(packaged)) {
    console.error(
      `k3s-daas needs Node 24 or newer; this is ${process.versions.node}. Install it, or run 'npm ci' here`,
    );
    process.exit(78);
  }
  const node = isNew ? process.execPath : packaged;
  const flags = isClone ? ['--conditions=source'] : [];
  try {
    process.exitCode = await runChild(node, [...flags, entry, ...process.argv.slice(2)]);
  } catch (error) {
    console.error(`k3s-daas could not start ${node}: ${error.message}`);
    process.exitCode = 1;
  }
}
