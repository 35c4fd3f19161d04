/** What is built for one image is there for the other, as long as both take the same steps: BuildKit goes by the steps alone. */
import { existsSync, globSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(import.meta.dirname, "../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

/** The instructions of a stage, a line each, with sources as the sidecar image's context has them. */
function stage(dockerfile: string, name: string): string[] {
  const lines = dockerfile.replaceAll("\\\n", "").split("\n");
  const from = lines.findIndex((line) => new RegExp(`^FROM .* AS ${name}$`).test(line));
  if (from < 0) return [];
  const to = lines.findIndex((line, at) => at > from && line.startsWith("FROM "));
  return lines
    .slice(from, to)
    .filter((line) => /^[A-Z]/.test(line))
    .map((line) => line.replace(/^COPY image\//, "COPY ").replace(/\s+/g, " "));
}

test.each(["go", "tailscale", "process-compose"])(
  "the homelab's stage %s is the sidecar image's, step by step",
  (name) => {
    const steps = stage(read("image/Dockerfile"), name);
    expect(steps.length).toBeGreaterThan(2);
    expect(stage(read("local/homelab/Dockerfile"), name)).toEqual(steps);
  },
);

test("all images of local Fly, and those of tests' programs, fetch Debian's lists by the sidecar image's steps, so that it is done once", () => {
  const image = read("image/Dockerfile");
  const steps = [...stage(image, "base"), ...stage(image, "packages")].filter((line) => !line.startsWith("FROM "));
  expect(steps).toContain("RUN update-package-lists");
  const fetching = globSync("{local,test}/**/Dockerfile", { cwd: root }).filter((file) =>
    read(file).includes("RUN update-package-lists"),
  );
  expect(fetching.length).toBeGreaterThan(5);
  for (const file of fetching) {
    const dockerfile = read(file);
    const first = dockerfile.includes(" AS packages") ? "packages" : "go";
    expect([file, ...stage(dockerfile, first).slice(1, 1 + steps.length)]).toEqual([file, ...steps]);
    expect([file, dockerfile.match(/apt-get update/g)]).toEqual([file, null]);
  }
});

test("the homelab's headscale has the PoPs' version of Tailscale and its compiler flags, so that what both import is compiled once", () => {
  const version = (program: string) => / *tailscale\.com (v\S+)/.exec(read(`${program}/go.mod`))?.[1];
  expect(version("local/homelab/programs/headscale")).toMatch(/^v1\.\d+/);
  expect(version("local/homelab/programs/headscale")).toBe(version("image/programs/tailscale"));
  expect(read("local/homelab/programs/headscale/gcflags")).toBe(read("image/programs/tailscale/gcflags"));
});

/** The programs that a Dockerfile has write to /out, as in `normalize-tree /out`: but for mkdir they are scripts of image/build. */
const scriptsIn = (dockerfile: string): string[] =>
  [...dockerfile.matchAll(/^(?:RUN | && | {4})(?!mkdir )([a-z-]+) \/out\b/gm)].map(([, name = ""]) => name);

test("the scripts that Dockerfiles call exist, also those of parts that only a benchmark builds", () => {
  const files = globSync("{bench,image,local,test}/**/Dockerfile*", { cwd: root });
  const called = files.flatMap((file) => scriptsIn(read(file)).map((name) => ({ file, name })));
  expect(called.map(({ file }) => file)).toEqual(
    expect.arrayContaining(["image/Dockerfile", "bench/edge/Dockerfile.part"]),
  );
  expect(called.filter(({ name }) => !existsSync(join(root, "image/build", name)))).toEqual([]);
});

test("all images have Debian's packages of one day", () => {
  const days = globSync("{image,local,test}/**/Dockerfile", { cwd: root }).flatMap((file) => {
    const day = /^ARG DEBIAN_AS_OF=(\S+)$/m.exec(read(file))?.[1];
    return day === undefined ? [] : [[file, day]];
  });
  expect(days.length).toBeGreaterThan(5);
  expect(days).toEqual(days.map(([file]) => [file, days[0]?.[1]]));
  expect(days[0]?.[1]).toMatch(/^\d{4}-\d\d-\d\d$/);
});

test("all images that compile Go have one set of flags, so that what they have in common is compiled once", () => {
  const compiling = globSync("{image,local,test}/**/Dockerfile", { cwd: root }).filter((file) =>
    read(file).includes("golang-"),
  );
  expect(compiling.length).toBeGreaterThan(5);
  const settings = compiling.map((file) => [file, ...(read(file).match(/^ENV PATH=.*go-1.*$/gm) ?? [])]);
  expect(settings).toEqual(
    compiling.map((file) => [file, expect.stringMatching(/ GOENV=\/usr\/local\/bin\/go\.env$/)]),
  );
  expect(compiling.filter((file) => /\b(GOFLAGS|CGO_ENABLED)=/.test(read(file)))).toEqual([]);
});
