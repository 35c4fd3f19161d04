/** The rollouts as curves, in SVG: time to the right, PoPs done upwards. Pure; the same steps give the same text. */
import type { Step } from "./simulation.ts";

const size = { width: 800, height: 420 };
const plot = { left: 60, right: 590, top: 30, bottom: 370 };
const colours = ["#6b7280", "#b91c1c", "#c2710c", "#15803d", "#1d4ed8"];
const ticks: [seconds: number, label: string][] = [
  [10, "10 s"],
  [60, "1 min"],
  [600, "10 min"],
  [3_600, "1 h"],
  [6 * 3_600, "6 h"],
];

export const nameOf = ({ name, width }: Step): string => (width === undefined ? name : `${name}, ${width} at once`);

export function picture(steps: readonly Step[]): string {
  const most = Math.max(...steps.map(({ done }) => done.length));
  const longest = Math.max(...steps.map(({ seconds }) => seconds), 60);
  const shortest = 10;
  // Logarithmic: half a minute and half a day on one page.
  const x = (seconds: number) =>
    round(
      plot.left +
        ((plot.right - plot.left) * Math.log(Math.max(seconds, shortest) / shortest)) / Math.log(longest / shortest),
    );
  const y = (count: number) => round(plot.bottom - ((plot.bottom - plot.top) * count) / most);
  const grid = [
    ...ticks
      .filter(([seconds]) => seconds <= longest)
      .flatMap(([seconds, label]) => [
        line(x(seconds), plot.top, x(seconds), plot.bottom),
        text(x(seconds), plot.bottom + 18, label, "middle"),
      ]),
    ...[0, 0.25, 0.5, 0.75, 1].flatMap((share) => [
      line(plot.left, y(share * most), plot.right, y(share * most)),
      text(plot.left - 8, y(share * most) + 4, String(Math.round(share * most)), "end"),
    ]),
  ];
  const curves = steps.flatMap((step, index) => {
    const colour = colours[index % colours.length] ?? "#000";
    const points = sample(step.done).map(([seconds, count]) => `${x(seconds)},${y(count)}`);
    return [
      `<polyline fill="none" stroke="${colour}" stroke-width="2" points="${points.join(" ")}"/>`,
      `<rect x="${plot.right + 16}" y="${plot.top + 24 * index}" width="14" height="4" fill="${colour}"/>`,
      text(plot.right + 36, plot.top + 6 + 24 * index, nameOf(step), "start"),
    ];
  });
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${size.width} ${size.height}" role="img" font-family="sans-serif" font-size="12">
<title>PoPs done over time, by how many go at once</title>
<rect width="${size.width}" height="${size.height}" fill="#ffffff"/>
${[...grid, ...curves].join("\n")}
${text((plot.left + plot.right) / 2, size.height - 10, "time, logarithmic", "middle")}
${text(plot.left - 8, plot.top - 12, "PoPs", "end")}
</svg>
`;
}

/** Some two hundred points do for a curve. */
function sample(done: readonly number[]): [seconds: number, count: number][] {
  const every = Math.max(1, Math.floor(done.length / 200));
  return done
    .map((seconds, index): [number, number] => [seconds, index + 1])
    .filter(([, count]) => count % every === 0 || count === 1 || count === done.length);
}

const line = (x1: number, y1: number, x2: number, y2: number): string =>
  `<line x1="${x1}" y1="${y1}" x2="${x2}" y2="${y2}" stroke="#d1d5db"/>`;
const text = (x: number, y: number, words: string, anchor: "start" | "middle" | "end"): string =>
  `<text x="${round(x)}" y="${round(y)}" text-anchor="${anchor}" fill="#374151">${words}</text>`;
const round = (value: number): number => Math.round(value * 10) / 10;
