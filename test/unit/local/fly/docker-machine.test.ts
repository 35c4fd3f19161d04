/** The pure parts of the docker runner: what a machine becomes, and what its end means. */
import { Readable } from "node:stream";
import fc from "fast-check";
import { expect, test } from "vitest";
import type { MachineConfig } from "../../../../fly/wire.ts";
import { engineReason } from "../../../../local/docker/engine.ts";
import { lines } from "../../../../local/docker/output.ts";
import { followProgress } from "../../../../local/docker/progress.ts";
import { exitOf } from "../../../../local/fly/runners/docker/exit.ts";
import { parentsOf } from "../../../../local/fly/runners/docker/files.ts";
import { commandOf, publishedPorts } from "../../../../local/fly/runners/docker/spec.ts";

const image = { entrypoint: ["/image"], cmd: ["image-cmd"] };
test.each<[string, MachineConfig["init"], string[], string[]]>([
  ["nothing", undefined, ["/image"], ["image-cmd"]],
  ["an empty init", {}, ["/image"], ["image-cmd"]],
  ["cmd", { cmd: ["c"] }, ["/image"], ["c"]],
  ["entrypoint", { entrypoint: ["e"] }, ["e"], ["image-cmd"]],
  ["both", { entrypoint: ["e"], cmd: ["c"] }, ["e"], ["c"]],
  ["exec", { exec: ["x", "y"] }, ["x", "y"], []],
  ["exec and both", { exec: ["x"], entrypoint: ["e"], cmd: ["c"] }, ["x"], []],
  ["an empty exec", { exec: [], cmd: ["c"] }, ["/image"], ["c"]],
  ["nulls", { exec: null, entrypoint: null, cmd: null }, ["/image"], ["image-cmd"]],
])("init with %s", (_, init, entrypoint, cmd) => {
  expect(commandOf(init, image)).toEqual({ Entrypoint: entrypoint, Cmd: cmd });
});

test.each<[string, MachineConfig, number[]]>([
  ["nothing", {}, []],
  ["nulls", { services: null, checks: null }, []],
  [
    "services, sorted, each once",
    { services: [{ internal_port: 8443 }, { internal_port: 80 }, { internal_port: 8443 }] },
    [80, 8443],
  ],
  [
    "a check of a service on another port",
    { services: [{ internal_port: 80, checks: [{ port: 9 }, { type: "tcp" }] }] },
    [9, 80],
  ],
  ["a named check", { checks: { health: { type: "http", port: 1105 } } }, [1105]],
  ["no UDP", { services: [{ protocol: "udp", internal_port: 53 }] }, []],
])("published ports of %s", (_, config, ports) => {
  expect(publishedPorts(config)).toEqual(ports);
});

test("directories above files: outer ones first, each once, never the root", () => {
  expect(parentsOf(["/a/b/c", "/a/b/d", "/e", "/a//x/../y/z"])).toEqual(["/a", "/a/b", "/a/y"]);
});

const state = (over: object) =>
  ({ ExitCode: 0, OOMKilled: false, FinishedAt: "2026-11-24T06:52:07.198Z", ...over }) as Parameters<typeof exitOf>[0];
const at = Date.parse("2026-11-24T06:52:07.198Z");
test.each([
  ["a good end", state({}), false, { exitCode: 0, signal: 0, oomKilled: false, at }],
  ["a program's own code", state({ ExitCode: 128 }), false, { exitCode: 128, signal: 0, oomKilled: false, at }],
  ["SIGINT", state({ ExitCode: 130 }), false, { exitCode: 130, signal: 2, oomKilled: false, at }],
  ["a code no signal has", state({ ExitCode: 255 }), false, { exitCode: 255, signal: 0, oomKilled: false, at }],
  ["OOM", state({ ExitCode: 137, OOMKilled: true }), false, { exitCode: 137, signal: 9, oomKilled: true, at }],
  ["OOM reported by event only", state({ ExitCode: 1 }), true, { exitCode: 1, signal: 0, oomKilled: true, at }],
  ["an OOM kill it outlived", state({ OOMKilled: true }), true, { exitCode: 0, signal: 0, oomKilled: false, at }],
  ["a container that is gone", undefined, false, { exitCode: 137, signal: 9, oomKilled: false, at: 5 }],
  ["an end without a time", state({ FinishedAt: "" }), false, { exitCode: 0, signal: 0, oomKilled: false, at: 5 }],
])("the exit of %s", (_, ended, oomTold, exit) => {
  expect(exitOf(ended, oomTold, 5)).toEqual(exit);
});

test("output is read the same however the engine's stream is cut", async () => {
  const texts = fc.array(
    fc.tuple(fc.constantFrom(1, 2), fc.string({ unit: fc.constantFrom("a", "é", "💡", "\n", "\r\n") })),
    {
      maxLength: 8,
    },
  );
  await fc.assert(
    fc.asyncProperty(texts, fc.array(fc.nat({ max: 30 }), { minLength: 1 }), async (written, cuts) => {
      const bytes = Buffer.concat(written.map(([stream, text]) => frame(stream, Buffer.from(text))));
      const read = await Array.fromAsync(lines(Readable.from(chopped(bytes, cuts))));
      for (const stream of [1, 2]) {
        const all = written.flatMap(([number, text]) => (number === stream ? text : [])).join("");
        const expected = all.split(/\r?\n/);
        if (expected.at(-1) === "") expected.pop();
        if (written.every(([number]) => number === stream)) expect(read).toEqual(expected);
      }
    }),
  );
});

function frame(stream: number, bytes: Buffer): Buffer {
  const head = Buffer.alloc(8);
  head[0] = stream;
  head.writeUInt32BE(bytes.length, 4);
  return Buffer.concat([head, bytes]);
}

function* chopped(bytes: Buffer, cuts: number[]): Generator<Buffer> {
  for (let at = 0, turn = 0; at < bytes.length; turn++) {
    const next = at + 1 + (cuts[turn % cuts.length] ?? 0);
    yield bytes.subarray(at, next);
    at = next;
  }
}

test("a failure in the middle of a stream of progress is a failure, with the engine's words", async () => {
  const events: object[] = [];
  const full = Readable.from([
    Buffer.from('{"status":"Extracting"}\r\n{"errorDetail":{},"error":"write /x: no sp'),
    Buffer.from('ace left on device"}\r\n'),
  ]);
  const failure = await followProgress(full, (event) => events.push(event)).catch((error: Error) => error);
  expect(events).toEqual([{ status: "Extracting" }]);
  expect(engineReason(failure)).toBe(
    'the disk of the Docker engine is full (write /x: no space left on device). Make room, for instance with "docker system prune", then run again.',
  );
});

test("a stream of progress that breaks off is not a success", async () => {
  const cut = new Readable({ read() {} });
  cut.push('{"status":"Extracting"}\n');
  const following = followProgress(cut, () => cut.destroy());
  await expect(following).rejects.toMatchObject({ code: "ERR_STREAM_PREMATURE_CLOSE" });
});

test.each([
  [{ code: "ENOENT" }, "the Docker engine does not answer (ENOENT). Start Docker, then run again."],
  [
    { code: "EACCES" },
    "this user may not talk to the Docker engine. Add the user to the group docker, or run as root.",
  ],
  [{ statusCode: 404, json: { message: "No such image: x." }, message: "(HTTP code 404) ..." }, "No such image: x."],
  [
    { statusCode: 500, message: '(HTTP code 500) server error - Get "https://r/v2/": no such host ' },
    'Get "https://r/v2/": no such host.',
  ],
])("the reason of %j is %s", (error, reason) => {
  expect(engineReason(error)).toBe(reason);
});
