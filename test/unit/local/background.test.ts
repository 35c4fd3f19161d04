import { expect, test } from "vitest";
import { inBackground } from "../../../local/progress/background.ts";

test("those who wait hear what it said last, and all it says from then on", async () => {
  const done = Promise.withResolvers<string>();
  let tell = (_: string): void => undefined;
  const work = inBackground((log) => {
    tell = log;
    return done.promise;
  });
  tell("one");
  tell("two");
  const heard: string[] = [];
  const result = work.wait((line) => heard.push(line));
  tell("three");
  done.resolve("ready");
  expect(await result).toBe("ready");
  expect(heard).toEqual(["two", "three"]);
});

test("a failure is reported to those who wait, and not before", async () => {
  const work = inBackground(() => Promise.reject(new Error("not built")));
  await new Promise(setImmediate); // an unhandled rejection would end the process here
  await expect(work.wait(() => undefined)).rejects.toThrow("not built");
});
