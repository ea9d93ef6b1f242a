/** The panels of a dashboard as one SVG. */
export interface DrawnPanel {
  readonly title: string;
  /** As Grafana names it. */
  readonly unit: string;
  readonly series: readonly Series[];
}

interface Series {
  readonly name: string;
  readonly points: ReadonlyArray<readonly [atMs: number, value: number]>;
}

export interface Happening {
  readonly minute: number;
  readonly what: string;
}

export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
  readonly happenings: readonly Happening[];
}

const panelWidth = 560;
const panelHeight = 250;
const plot = { left: 66, right: 12, top: 28, height: 130 };
const legendTop = plot.top + plot.height + 34;
const mostNamed = 12;
const mebibyte = 1_048_576;
const storyHeight = 60;
const colours = [
  '#2a7f62',
  '#c2571a',
  '#3b5b92',
  '#b8860b',
  '#7a3b8f',
  '#1b8a9a',
  '#a33',
  '#667',
  '#5a9e2f',
  '#d17',
  '#084',
  '#940',
];

export function drawDashboard(panels: readonly DrawnPanel[], span: Span): string {
  const rows = Math.ceil(panels.length / 2);
  const [width, height] = [panelWidth * 2, storyHeight + rows * panelHeight];
  const drawn = panels.map((panel, index) => {
    const [x, y] = [(index % 2) * panelWidth, storyHeight + Math.floor(index / 2) * panelHeight];
    return `<g transform="translate(${x} ${y})">${drawPanel(panel, span)}</g>`;
  });
  const words = span.happenings.map(({ minute, what }) => `${minute} min: ${what}`).join(' · ');
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="sans-serif" font-size="11">`,
    '<title>The dashboard of a gateway over twenty minutes of trouble</title>',
    `<rect width="${width}" height="${height}" fill="#fff"/>`,
    '<text x="12" y="24" font-size="15" font-weight="bold">K3s-DaaS gateway</text>',
    `<text x="12" y="44" fill="#555">${escaped(words)}</text>`,
    ...drawn,
    '</svg>',
    '',
  ].join('\n');
}

function drawPanel({ title, unit, series }: DrawnPanel, span: Span): string {
  const most = Math.max(
    0,
    ...series.flatMap(({ points }) => points.map(([, value]) => value)).filter(Number.isFinite),
  );
  const top = unit === 'bytes' ? niceTop(most / mebibyte) * mebibyte : niceTop(most);
  const innerWidth = panelWidth - plot.left - plot.right;
  const x = (atMs: number) =>
    tenth(plot.left + ((atMs - span.fromMs) / (span.toMs - span.fromMs)) * innerWidth);
  const y = (value: number) => tenth(plot.top + plot.height - (value / top) * plot.height);
  return [
    `<rect x="4" y="4" width="${panelWidth - 8}" height="${panelHeight - 8}" fill="none" stroke="#ddd" rx="3"/>`,
    `<text x="12" y="20" font-size="12" font-weight="bold">${escaped(title)}</text>`,
    ...axes({ top, unit, span, x, y, innerWidth }),
    ...series.map((one, index) => line(one, colourOf(index), x, y)),
    ...legend(series),
  ].join('\n');
}

interface Axes {
  readonly top: number;
  readonly unit: string;
  readonly span: Span;
  readonly x: (atMs: number) => number;
  readonly y: (value: number) => number;
  readonly innerWidth: number;
}

function axes({ top, unit, span, x, y, innerWidth }: Axes): string[] {
  const levels = [0, 0.5, 1].map((share) => {
    const at = y(top * share);
    return `<line x1="${plot.left}" x2="${plot.left + innerWidth}" y1="${at}" y2="${at}" stroke="#eee"/><text x="${plot.left - 5}" y="${at + 4}" text-anchor="end" fill="#555">${figure(top * share, unit)}</text>`;
  });
  const bottom = plot.top + plot.height;
  const marks = span.happenings.map(({ minute }) => {
    const at = x(span.fromMs + minute * 60_000);
    return `<line x1="${at}" x2="${at}" y1="${plot.top}" y2="${bottom}" stroke="#bbb" stroke-dasharray="2 3"/><text x="${at}" y="${bottom + 14}" text-anchor="middle" fill="#777">${minute}</text>`;
  });
  return [...levels, ...marks];
}

/** A gap in the samples is a gap in the line. */
function line(
  { points }: Series,
  colour: string,
  x: (atMs: number) => number,
  y: (value: number) => number,
): string {
  let path = '';
  let lastMs = Number.NEGATIVE_INFINITY;
  for (const [atMs, value] of points) {
    if (!Number.isFinite(value)) continue;
    path += `${atMs - lastMs > 60_000 ? 'M' : 'L'}${x(atMs)} ${y(value)}`;
    lastMs = atMs;
  }
  return path === '' ? '' : `<path d="${path}" fill="none" stroke="${colour}" stroke-width="1.5"/>`;
}

function legend(series: readonly Series[]): string[] {
  const columns = 4;
  const width = (panelWidth - 24) / columns;
  return series.slice(0, mostNamed).map(({ name }, index) => {
    const [x, y] = [12 + (index % columns) * width, legendTop + Math.floor(index / columns) * 15];
    const text = name.length > 19 ? `…${name.slice(-18)}` : name;
    return `<rect x="${x}" y="${y - 8}" width="9" height="9" fill="${colourOf(index)}"/><text x="${x + 13}" y="${y}">${escaped(text)}</text>`;
  });
}

const colourOf = (index: number): string => colours[index % colours.length] ?? '#000';
const tenth = (value: number): number => Math.round(value * 10) / 10;

/** 1, 2 or 5 times a power of ten, and not below the value. */
function niceTop(value: number): number {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return (([1, 2, 5, 10] as const).find((step) => step * power >= value) ?? 10) * power;
}

function figure(value: number, unit: string): string {
  if (unit === 'bytes') return `${Math.round(value / mebibyte)} MiB`;
  const text = value === 0 ? '0' : String(Number(value.toPrecision(2)));
  return unit === 's' ? `${text} s` : unit === 'reqps' ? `${text}/s` : text;
}

const escaped = (text: string): string => text.replaceAll('&', '&amp;').replaceAll('<', '&lt;');
