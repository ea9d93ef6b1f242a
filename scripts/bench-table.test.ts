import { expect, test } from 'vitest';
import { type BenchRow, ROWS } from '../bench/rows.ts';
import { isReached, markdownTable, overBudget, plot, spreadOf } from '../bench/table.ts';

const row: BenchRow = {
  name: 'verdict',
  what: 'a part of bare',
  unit: 'of bare',
  better: 'higher',
  target: 0.85,
  argv: [],
  sample: () => undefined,
  budget: 0.6,
};

test('a figure is the median of its turns, with its spread', () => {
  expect(spreadOf([3, 1, 2])).toEqual({ median: 2, least: 1, most: 3 });
  expect(spreadOf([4, 1, 2, 3]).median).toBe(2.5);
});

test('a run that has lost more than a third of a budget fails, and says which figure', () => {
  expect(overBudget([{ row, samples: [0.41] }])).toEqual([]);
  expect(overBudget([{ row, samples: [0.39] }])).toEqual([expect.stringContaining('verdict: 0.39 of bare')]);
  const lower: BenchRow = { ...row, better: 'lower', budget: 100 };
  expect(overBudget([{ row: lower, samples: [149] }])).toEqual([]);
  expect(overBudget([{ row: lower, samples: [151] }])).toHaveLength(1);
  expect(overBudget([{ row, samples: [] }])).toEqual([]);
});

test('the table says of each target whether it was reached, and the plot draws every turn', () => {
  const measured = [
    { row, samples: [0.9, 0.8, 0.86] },
    { row: { ...row, name: 'other' }, samples: [] },
  ];
  expect(isReached({ row, samples: [0.8] })).toBe(false);
  expect(markdownTable(measured).split('\n').slice(2)).toEqual([
    '| verdict | a part of bare | 0.86 of bare | 0.8 – 0.9 (3) | ≥ 0.85 of bare | yes |',
    '| other | a part of bare | not measured | – | ≥ 0.85 of bare | – |',
  ]);
  expect(plot(measured).match(/<circle/g)).toHaveLength(3);
});

test('every row names a script that is there, and has a name of its own', () => {
  expect(new Set(ROWS.map(({ name }) => name)).size).toBe(ROWS.length);
  for (const { argv } of ROWS) expect(argv[0]).toMatch(/^[a-z-]+\.ts$/);
});

test('a figure of 0 without a target is drawn at 0', () => {
  const zero: BenchRow = { ...row, target: undefined };
  expect(plot([{ row: zero, samples: [0] }])).not.toContain('NaN');
});
