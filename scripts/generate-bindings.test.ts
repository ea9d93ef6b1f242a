import { readdir, readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, test } from 'vitest';
import { readBuild, readParameterNames, renderBindings } from './generate-bindings.ts';

const root = join(import.meta.dirname, '..');
const sources = join(root, 'contracts', 'sources');
const modules = await readBuild(join(root, 'contracts', 'build', 'k3s_daas.json'), sources);

test('the committed bindings are those of the compiled contracts', async () => {
  const committed = join(root, 'src', 'chain', 'generated');
  const rendered = renderBindings(modules);
  expect((await readdir(committed)).sort()).toEqual([...rendered.keys()].sort());
  for (const [name, content] of rendered)
    expect(await readFile(join(committed, name), 'utf8'), name).toBe(content);
});

test('every #[error] constant of the sources is in the table, with its sentence', async () => {
  for (const module of modules) {
    const source = await readFile(join(sources, `${module.name}.move`), 'utf8');
    const declared = [
      ...source.matchAll(/#\[error\]\s*const (E\w+): vector<u8> =\s*b"((?:[^"\\]|\\.)*)";/g),
    ].map(([, constant, sentence]) => ({ constant, sentence }));
    const byName = (a: { constant?: string | undefined }, b: { constant?: string | undefined }) =>
      (a.constant ?? '') < (b.constant ?? '') ? -1 : 1;
    expect([...module.aborts].sort(byName)).toEqual(declared.sort(byName));
  }
});

test('every struct that the sources emit is an event, and no other', async () => {
  for (const module of modules) {
    const source = await readFile(join(sources, `${module.name}.move`), 'utf8');
    const emitted = new Set([...source.matchAll(/event::emit\((\w+)/g)].map((match) => match[1]));
    expect(new Set(module.structs.filter(({ isEvent }) => isEvent).map(({ name }) => name))).toEqual(emitted);
  }
});

describe('the names of parameters', () => {
  test('are found through generics, comments, tuples, mut and a trailing comma', () => {
    const source = `
      /// fun not_this(a: u8)
      public fun one<T: drop + store>(first: Coin<T>, /* fun no(x: u8) */ second: VecMap<u8, vector<T>>,): (u8, u8) { 0 }
      fun two(mut list: vector<u8>) {}
      public(package) fun none() {}`;
    expect(readParameterNames(source)).toEqual(
      new Map([
        ['one', ['first', 'second']],
        ['two', ['list']],
        ['none', []],
      ]),
    );
  });
});
