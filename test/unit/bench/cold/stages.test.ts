import { expect, test } from "vitest";
import { firstPage, lastPage, type Sample, seconds, stagesOf } from "../../../../bench/cold/stages.ts";

test.each([
  ["ok   sops 3.13.2                        made         34 s", 34],
  ["ok   Pulumi CLI 3.259.0                 made         3 min 53 s", 233],
  ["ok   npm packages                       there        0.1 s", 0.1],
  ["✔ Start local Fly: http://127.0.0.1:4280 [2.31s]", 2.31],
  ["✔ Deploy the stack local (pulumi up): 12 create [1m6s]", 66],
  ["› [home  3/10] RUN update-package-lists", undefined],
  ["setup: not complete, see above", undefined],
])("seconds of %j", (line, expected) => expect(seconds(line)).toBe(expected));

const samples: Sample[] = [
  { wall: 1, cpu: 0.5, bytes: 10, line: "...  npm packages: npm ci, 15 s" },
  { wall: 60, cpu: 40, bytes: 1000, line: "ok   npm packages                       made         60 s" },
  { wall: 90, cpu: 100, bytes: 1500, line: "FAIL sops 3.13.2                                     34 s" },
  { wall: 120, cpu: 130, bytes: 2500, line: "✔ Start local Fly: http://127.0.0.1:4280 [2.31s]" },
  { wall: 130, cpu: 131, bytes: 2600, line: "  HTTP 200  MISS  from cdg-1 in 30 ms" },
  { wall: 131, cpu: 132, bytes: 2700, line: "  HTTP 200  HIT   from cdg-1 in 3 ms" },
];

test("a stage has everything that was used since the one before it was done", () => {
  expect(stagesOf(samples)).toEqual([
    { title: "npm packages", took: 60, until: 60, cpu: 40, bytes: 1000 },
    { title: "sops 3.13.2", took: 34, until: 90, cpu: 60, bytes: 500 },
    { title: "Start local Fly", took: 2.31, until: 120, cpu: 30, bytes: 1000 },
  ]);
  expect(stagesOf([])).toEqual([]);
});

test("the first page is the stage of that name, or where there is none the first page that is shown", () => {
  const stage = { wall: 125, cpu: 130, bytes: 2550, line: "✔ First page, over HTTPS, twice [3s]" };
  expect(firstPage([...samples, stage])).toBe(stage);
  expect(firstPage(samples)?.wall).toBe(130);
  expect(firstPage(samples.slice(0, 4))).toBeUndefined();
});

test("a start has reached its end with the last page, and one that fails has none", () => {
  expect(lastPage(samples)?.wall).toBe(131);
  expect(lastPage(samples.slice(0, 4))).toBeUndefined();
});
