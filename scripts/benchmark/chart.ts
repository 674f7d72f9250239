// The chart of the README: CPU per operation of tandem to nutcracker, a bar a profile, with the goal as a mark.

import { goals } from "./goals.ts";
import { type Report, rowsOf } from "./rows.ts";

const NAME = 120, BAR = 420, LINE = 26, TOP = 56, RIGHT = 60;
/** The right end of the scale, as a ratio. */
const MOST = 1.6;

/** An SVG of its own colours, readable on light and dark pages. */
export function chart(report: Report): string {
  const rows = rowsOf(report.results).filter((row) => row.target === "tandem" && row.cpuRatio !== null && !Number.isNaN(row.cpuRatio));
  const at = (ratio: number): number => NAME + (Math.min(MOST, ratio) / MOST) * BAR;
  const height = TOP + rows.length * LINE + 34;
  const width = NAME + BAR + RIGHT;
  const lines = rows.flatMap((row, i) => {
    const y = TOP + i * LINE;
    const ratio = row.cpuRatio!;
    const goal = goals.find((one) => one.of === row.profile && one.says.startsWith("CPU per operation"))?.most;
    const good = goal === undefined || ratio <= goal;
    return [
      `<text x="${NAME - 8}" y="${y + 13}" text-anchor="end">${row.profile}</text>`,
      `<rect x="${NAME}" y="${y}" width="${(at(ratio) - NAME).toFixed(1)}" height="17" fill="${good ? "#2f855a" : "#c05621"}"/>`,
      ...(goal === undefined ? [] : [`<path d="M${at(goal).toFixed(1)} ${y - 3}v23" stroke="#1a202c" stroke-width="2"/>`]),
      `<text x="${(at(Math.max(ratio, goal ?? 0)) + 6).toFixed(1)}" y="${y + 13}">${ratio.toFixed(2)}</text>`,
    ];
  });
  const even = at(1).toFixed(1);
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="sans-serif" font-size="12" fill="#1a202c">`,
    `<rect width="${width}" height="${height}" fill="#ffffff"/>`,
    `<text x="12" y="20" font-size="14" font-weight="bold">CPU per operation, tandem to nutcracker (less is better)</text>`,
    `<text x="12" y="38">dashed: nutcracker; mark: goal; ${report.date.slice(0, 10)}, ${report.machine.processor}, ${report.machine.cores} cores</text>`,
    `<path d="M${even} ${TOP - 8}V${TOP + rows.length * LINE}" stroke="#718096" stroke-dasharray="4 3"/>`,
    ...lines,
    `<text x="12" y="${height - 12}">${report.versions.tandem ?? ""} · ${report.versions.nutcracker ?? ""}</text>`,
    "</svg>",
    "",
  ].join("\n");
}
