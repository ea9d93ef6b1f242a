/** What changes from one text to another, line by line: `- ` gone, `+ ` new; `= ` stays, shown beside a change alone. */
export function lineDiff(before: string, after: string, context = 1): string[] {
  const rows = align(before.trimEnd().split('\n'), after.trimEnd().split('\n'));
  const isNear = (at: number) =>
    rows.slice(Math.max(0, at - context), at + context + 1).some(({ sign }) => sign !== '=');
  return rows.filter((_, at) => isNear(at)).map(({ sign, line }) => `${sign} ${line}`);
}

interface Row {
  readonly sign: '-' | '+' | '=';
  readonly line: string;
}

/** By the longest common subsequence: the files are a few dozen lines. */
function align(before: readonly string[], after: readonly string[]): Row[] {
  const lengths = before.map(() => Array.from({ length: after.length + 1 }, () => 0));
  const at = (row: number, column: number) => lengths[row]?.[column] ?? 0;
  for (let row = before.length - 1; row >= 0; row -= 1)
    for (let column = after.length - 1; column >= 0; column -= 1) {
      const cells = lengths[row];
      if (!cells) continue;
      cells[column] =
        before[row] === after[column]
          ? at(row + 1, column + 1) + 1
          : Math.max(at(row + 1, column), at(row, column + 1));
    }
  const rows: Row[] = [];
  let [row, column] = [0, 0];
  while (row < before.length || column < after.length) {
    const [old, next] = [before[row], after[column]];
    if (old !== undefined && old === next) {
      rows.push({ sign: '=', line: old });
      row += 1;
      column += 1;
    } else if (next === undefined || (old !== undefined && at(row + 1, column) >= at(row, column + 1))) {
      rows.push({ sign: '-', line: old ?? '' });
      row += 1;
    } else {
      rows.push({ sign: '+', line: next });
      column += 1;
    }
  }
  return rows;
}
