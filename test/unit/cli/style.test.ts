import { expect, test } from "vitest";
import { isColoured } from "../../../cli/style.ts";

test.each([
  [{}, true, true],
  [{}, false, false],
  [{ NO_COLOR: "1" }, true, false],
  [{ NO_COLOR: "0" }, true, false],
  [{ NO_COLOR: "" }, true, true],
  [{ FORCE_COLOR: "1" }, false, true],
  [{ FORCE_COLOR: "3" }, false, true],
  [{ FORCE_COLOR: "true" }, false, true],
  [{ FORCE_COLOR: "0" }, true, false],
  [{ FORCE_COLOR: "0" }, false, false],
  [{ FORCE_COLOR: "false" }, true, false],
  [{ FORCE_COLOR: "" }, false, false],
  [{ NO_COLOR: "1", FORCE_COLOR: "1" }, false, false],
  [{ CLICOLOR: "0" }, true, false],
  [{ CLICOLOR: "1" }, true, true],
  [{ CLICOLOR: "1" }, false, false],
  [{ CLICOLOR_FORCE: "1" }, false, true],
  [{ CLICOLOR_FORCE: "0" }, false, false],
  [{ CLICOLOR_FORCE: "0" }, true, true],
  [{ CLICOLOR: "0", CLICOLOR_FORCE: "1" }, false, true],
  [{ TERM: "dumb" }, true, false],
])("with %j, terminal %j: %j", (env, isTerminal, coloured) => {
  expect(isColoured({ env, isTerminal })).toBe(coloured);
});
