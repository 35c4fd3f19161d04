import { existsSync, mkdtempSync, readFileSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { mendCheckpoint } from "../../local/checkpoint.ts";

const files = (state: string | undefined, backup: string | undefined) => {
  const file = join(mkdtempSync(join(tmpdir(), "fly-pops-checkpoint-")), "local.json");
  if (state !== undefined) writeFileSync(file, state);
  if (backup !== undefined) writeFileSync(`${file}.bak`, backup);
  return file;
};

test.each([
  ["whole", '{"a":1}', '{"a":0}', false, '{"a":1}'],
  ["empty, with a backup", "", '{"a":0}', true, '{"a":0}'],
  ["cut off, with a backup", '{"a":', '{"a":0}', true, '{"a":0}'],
  ["empty, its backup too", "", "", true, undefined],
  ["empty, without a backup", "", undefined, true, undefined],
  ["not there", undefined, undefined, false, undefined],
])("a state that is %s", (_, state, backup, mended, after) => {
  const file = files(state, backup);
  expect(mendCheckpoint(file)).toBe(mended);
  expect(existsSync(file) ? readFileSync(file, "utf8") : undefined).toBe(after);
});

test("attributes cut off are removed: without any the backend reads the state as it is", () => {
  const file = files('{"a":1}', '{"a":0}');
  writeFileSync(`${file}.attrs`, "");
  writeFileSync(`${file}.bak.attrs`, "{}");
  expect(mendCheckpoint(file)).toBe(true);
  expect([existsSync(`${file}.attrs`), existsSync(`${file}.bak.attrs`), readFileSync(file, "utf8")]).toEqual([
    false,
    true,
    '{"a":1}',
  ]);
});
