import { expect, test } from "vitest";
import { describeExit, unexpectedExit } from "../../../fly/machine-health.ts";
import type { MachineEvent } from "../../../fly/wire.ts";

const event = (id: string, type: string): MachineEvent => ({ id, type });
const exit = (id: string, of: object = {}): MachineEvent => ({
  id,
  type: "exit",
  request: { exit_event: { exit_code: 1, ...of } },
});

// Newest first, as Fly sends them.
test.each<[string, MachineEvent[], string[], boolean]>([
  ["nothing happened yet", [], [], false],
  ["started and runs", [event("3", "start"), event("2", "launch")], [], false],
  ["ended after its start", [exit("4"), event("3", "start"), event("2", "launch")], [], true],
  ["ended and restarted", [event("5", "start"), exit("4"), event("3", "start"), event("2", "launch")], [], true],
  [
    "the old version's end comes before the launch",
    [event("4", "start"), event("3", "launch"), exit("2"), event("1", "update")],
    [],
    false,
  ],
  [
    "an end that was asked for",
    [exit("4", { requested_stop: true }), event("3", "start"), event("2", "launch")],
    [],
    false,
  ],
  ["an end before our time", [event("5", "start"), event("4", "launch"), exit("1")], ["1"], false],
  ["without a launch the first start counts", [exit("4"), event("3", "start"), exit("2")], [], true],
  ["without a launch an end before the start is the old version's", [event("3", "start"), exit("2")], [], false],
])("%s", (_, events, known, unexpected) => {
  expect(unexpectedExit(events, new Set(known)) !== undefined).toBe(unexpected);
});

test.each([
  [{ oom_killed: true, exit_code: 137 }, "it ran out of memory and was killed"],
  [{ signal: 11 }, "it was ended by signal 11"],
  [{ guest_exit_code: 3, exit_code: 0 }, "it exited with 3"],
  [{ exit_code: 0 }, "it exited with 0"],
])("exit %o reads: %s", (of, sentence) => {
  expect(describeExit(of)).toBe(sentence);
});
