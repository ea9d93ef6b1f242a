import type { BenchRow } from './rows.ts';

export interface Measured {
  readonly row: BenchRow;
  /** In the order of the turns; empty: it could not be measured. */
  readonly samples: readonly number[];
}

export interface Spread {
  readonly median: number;
  readonly least: number;
  readonly most: number;
}

export function spreadOf(samples: readonly number[]): Spread {
  const sorted = [...samples].sort((a, b) => a - b);
  const middle = Math.floor(sorted.length / 2);
  const upper = sorted[middle] ?? Number.NaN;
  const median = sorted.length % 2 === 1 ? upper : ((sorted[middle - 1] ?? upper) + upper) / 2;
  return { median, least: sorted[0] ?? Number.NaN, most: sorted.at(-1) ?? Number.NaN };
}

/** Whether a target is reached; `undefined`: there is none, or nothing was measured. */
export function isReached({ row: { target, better }, samples }: Measured): boolean | undefined {
  if (target === undefined || samples.length === 0) return undefined;
  const { median } = spreadOf(samples);
  return better === 'higher' ? median >= target : median <= target;
}

/** Why a run fails: a figure is worse than its budget by more than a third. */
export function overBudget(measured: readonly Measured[]): readonly string[] {
  return measured.flatMap(({ row: { name, budget, better, unit }, samples }) => {
    if (budget === undefined || samples.length === 0) return [];
    const { median } = spreadOf(samples);
    const isLost = better === 'higher' ? median < (budget * 2) / 3 : median > (budget * 3) / 2;
    return isLost ? [`${name}: ${figure(median)} ${unit}, and the budget is ${budget} less a third`] : [];
  });
}

export function figure(value: number): string {
  return Math.abs(value) >= 100 ? String(Math.round(value)) : String(Math.round(value * 100) / 100);
}

/** The rows of the page, as Markdown. */
export function markdownTable(measured: readonly Measured[]): string {
  const rows = measured.map(({ row, samples }) => {
    const reached = isReached({ row, samples });
    const target =
      row.target === undefined ? '–' : `${row.better === 'higher' ? '≥' : '≤'} ${row.target} ${row.unit}`;
    if (samples.length === 0) return `| ${row.name} | ${row.what} | not measured | – | ${target} | – |`;
    const { median, least, most } = spreadOf(samples);
    const mark = reached === undefined ? '–' : reached ? 'yes' : 'no';
    const spread = `${figure(least)} – ${figure(most)} (${samples.length})`;
    return `| ${row.name} | ${row.what} | ${figure(median)} ${row.unit} | ${spread} | ${target} | ${mark} |`;
  });
  const head = [
    '| figure | what | median | spread (turns) | target | reached |',
    '|---|---|---|---|---|---|',
  ];
  return [...head, ...rows].join('\n');
}

const [width, lineHeight, left, right] = [860, 34, 310, 130];

/** One line a row: each turn a dot, the median a bar, the target a line; the scale of each begins at 0. */
export function plot(measured: readonly Measured[]): string {
  const shown = measured.filter(({ samples }) => samples.length > 0);
  const height = shown.length * lineHeight + 20;
  const lines = shown.map((one, index) => plotLine(one, 10 + index * lineHeight));
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="12">`,
    '<title>Ratios of the benchmarks beside their targets</title>',
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    ...lines,
    '</svg>',
    '',
  ].join('\n');
}

function plotLine({ row, samples }: Measured, top: number): string {
  const { median, most } = spreadOf(samples);
  const scale = (width - left - right) / ((Math.max(most, row.target ?? 0) || 1) * 1.1);
  const x = (value: number) => Math.round((left + value * scale) * 10) / 10;
  const middle = top + lineHeight / 2;
  const colour = isReached({ row, samples }) === false ? '#c2571a' : '#2a7f62';
  const target =
    row.target === undefined
      ? ''
      : `<line x1="${x(row.target)}" x2="${x(row.target)}" y1="${top + 3}" y2="${top + lineHeight - 3}" stroke="#222" stroke-dasharray="3 2"/>`;
  return [
    `<text x="${left - 8}" y="${middle + 4}" text-anchor="end">${escaped(row.name)}</text>`,
    `<rect x="${left}" y="${top + 8}" width="${x(median) - left}" height="${lineHeight - 16}" fill="${colour}" fill-opacity="0.35"/>`,
    ...samples.map((value) => `<circle cx="${x(value)}" cy="${middle}" r="3" fill="${colour}"/>`),
    target,
    `<text x="${width - right + 6}" y="${middle + 4}">${figure(median)} ${escaped(row.unit)}</text>`,
  ].join('');
}

function escaped(text: string): string {
  return text.replaceAll('`', '').replaceAll('&', '&amp;').replaceAll('<', '&lt;');
}
