import { expect, test } from 'vitest';
import { type Token, token } from '#plugin';
import { Composition } from './composition.ts';

const Name: Token<string> = token('test/name');
const Greeting: Token<string> = token('test/greeting');

function program(): Composition {
  return new Composition()
    .register(Name, () => 'world')
    .register(Greeting, async (parts) => `hello ${parts.get(Name)}`);
}

test('a part is made of other parts, once, when it is first needed', async () => {
  let made = 0;
  const parts = program().register(Name, () => {
    made += 1;
    return `world ${made}`;
  });
  expect(made).toBe(0);
  expect(await parts.open(Greeting)).toBe('hello world 1');
  expect(await parts.open(Greeting)).toBe('hello world 1');
  expect(parts.get(Name)).toBe('world 1');
});

test('a part that is registered again replaces the first one for every part that is made of it', async () => {
  const parts = program().register(Name, () => 'test');
  expect(await parts.open(Greeting)).toBe('hello test');
});

test('two programs share no parts', () => {
  const one = program().register(Name, () => 'one');
  const two = program().register(Name, () => 'two');
  expect([one.get(Name), two.get(Name)]).toEqual(['one', 'two']);
});

test('a missing part, and an asynchronous one that is taken at once, are errors that name the token', async () => {
  expect(() => new Composition().get(Name)).toThrow("no part is registered under the token 'test/name'");
  expect(() => program().get(Greeting)).toThrow("'test/greeting' is made asynchronously");
});

test('a part that cannot be made is an error for everything that needs it', async () => {
  const parts = program().register(Greeting, async () => {
    throw new Error('no wallet');
  });
  await expect(parts.open(Greeting)).rejects.toThrow('no wallet');
  await expect(parts.open(Greeting)).rejects.toThrow('no wallet');
});
