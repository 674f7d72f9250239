// Rows as people read them: columns, durations, bars. Pure text.

/** Rows as columns two blanks apart; alignment has a letter for each column, l or r. */
export function table(rows: readonly (readonly string[])[], alignment: string): string[] {
  const widths = rows[0]!.map((_, column) => Math.max(...rows.map((row) => row[column]!.length)));
  return rows.map((row) =>
    row.map((cell, column) => (alignment[column] === "r" ? cell.padStart(widths[column]!) : cell.padEnd(widths[column]!)))
      .join("  ").trimEnd());
}

/** "8 s", "12 min 05 s", "3 h 20 min", "2 d 04 h". */
export function durationText(seconds: number): string {
  const whole = Math.max(0, Math.floor(seconds));
  const two = (big: number, bigUnit: string, small: number, smallUnit: string): string =>
    `${big} ${bigUnit} ${String(small).padStart(2, "0")} ${smallUnit}`;
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return two(Math.floor(whole / 60), "min", whole % 60, "s");
  if (whole < 86_400) return two(Math.floor(whole / 3600), "h", Math.floor((whole % 3600) / 60), "min");
  return two(Math.floor(whole / 86_400), "d", Math.floor((whole % 86_400) / 3600), "h");
}

/** "[#####---------------]  25 %" */
export function barText(done: number, total: number, width = 20): string {
  const part = total <= 0 ? 1 : Math.max(0, Math.min(1, done / total));
  const full = Math.floor(part * width);
  return `[${"#".repeat(full)}${"-".repeat(width - full)}] ${String(Math.floor(part * 100)).padStart(3)} %`;
}

export function percentText(part: number, whole: number): string {
  return `${(whole === 0 ? 0 : (part / whole) * 100).toFixed(1)} %`;
}
