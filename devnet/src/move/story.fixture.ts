import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type CompiledModule, readModule } from './compiled-module.ts';
import { frameworkDatatype, frameworkFunction } from './framework.ts';
import type { MoveHost } from './host.ts';
import { type Code, Machine } from './machine.ts';
import { isTxContextParameter, txContext } from './sui-transaction.ts';
import { formatType, type Type } from './types.ts';
import { type MoveValue, place } from './values.ts';

/** Small Move programs: `language` needs nothing but the language, `library` the framework. */
export const STORY_MODULES = ['language', 'library'] as const;
export type StoryModule = (typeof STORY_MODULES)[number];

const fileOf = (name: string) => join(import.meta.dirname, 'stories', name);
export const sourceOf = (name: StoryModule): string => readFileSync(fileOf(`${name}.move`), 'utf8');
/** The compiled module in base64, committed because compiling it needs a compiler and the framework's sources. */
export const buildFileOf = (name: StoryModule): string => fileOf(`${name}.base64`);
export const moduleOf = (name: StoryModule): CompiledModule =>
  readModule(Buffer.from(readFileSync(buildFileOf(name), 'utf8'), 'base64'));

export const storiesOf = (text: string): string[] =>
  [...text.matchAll(/^public fun (\w+)\(/gm)].map(([, name]) => name as string);

/** Runs one story on the machine; throws what the story ends with. */
export function runStory(module: CompiledModule, story: string, budget = 1_000_000): MoveValue[] {
  const definition = module.functions.find(({ signature }) => signature.name === story);
  const args = (definition?.signature.parameters ?? []).map((type) => {
    if (!isTxContextParameter(type)) throw new Error(`${story} wants a ${formatType(type)}`);
    return place([txContext()], 0);
  });
  return new Machine(codeOf(module), memoryHost(), budget).call(module.address, module.name, story, [], args);
}

const codeOf = (module: CompiledModule): Code => ({
  module: (address, name) => (address === module.address && name === module.name ? module : undefined),
  native: frameworkFunction,
  datatype: (address, name, datatype) =>
    frameworkDatatype(address, name, datatype) ??
    module.datatypes.find((definition) => definition.name === datatype && name === module.name),
});

/** A transaction's surroundings with dynamic fields kept in a map. */
function memoryHost(): MoveHost {
  const children = new Map<string, { type: Type; cell: MoveValue[] }>();
  let next = 1;
  const unexpected = () => {
    throw new Error('no story asks for this');
  };
  return {
    sender: `0x${'1'.repeat(64)}`,
    sponsor: undefined,
    epoch: 3n,
    epochTimestampMs: 5n,
    gasPrice: 1000n,
    referenceGasPrice: 1000n,
    digestBytes: new Uint8Array(32),
    freshId: () => `0x${(next++).toString(16).padStart(64, '0')}`,
    created: () => undefined,
    deleted: () => undefined,
    mayShare: () => true,
    transfer: unexpected,
    emit: unexpected,
    addChild: (_parent, id, type, value) => {
      children.set(id, { type, cell: [value] });
    },
    hasChild: (_parent, id) => children.has(id),
    borrowChild: (_parent, id) => {
      const child = children.get(id);
      return child && { type: child.type, place: place(child.cell, 0) };
    },
    removeChild: (_parent, id) => {
      const [value] = children.get(id)?.cell ?? [];
      children.delete(id);
      if (value === undefined) throw new Error(`there is no ${id}`);
      return value;
    },
  };
}
