/** Every answer that any test here gets over HTTP is held against Fly's OpenAPI document: these tests show that this can fail. */
import { expect, test } from "vitest";
import { localFly } from "../../support/local-fly.ts";
import { wrongAnswers } from "../../support/openapi/check.ts";

const machine = { id: "d8d9c8f0c2d108", name: "cdg-1", state: "started", region: "cdg", config: { image: "a" } };
const wrong = (answer: object) =>
  wrongAnswers("GET", "/v1/apps/edge/machines/d8d9c8f0c2d108", 200, JSON.stringify(answer));

test("an answer as the document has it passes", () => {
  expect(wrong(machine)).toEqual([]);
});

test.each([
  [{ ...machine, id: 7 }, "/id: must be string"],
  [{ ...machine, size: "big" }, "/size: must NOT have additional properties"],
  [{ ...machine, config: { guest: { cpus: "2" } } }, "/config/guest/cpus: must be integer"],
  [{ ...machine, host_status: "asleep" }, "/host_status: must be equal to one of the allowed values"],
])("%j does not", (answer, finding) => {
  expect(wrong(answer)).toEqual([`GET /apps/{app_name}/machines/{machine_id} 200 ${finding}`]);
});

test("a test that met such an answer fails when it closes its local Fly", async () => {
  const made = await localFly();
  await made.machine();
  const handle = made.fly.handle;
  made.fly.handle = async (request) => {
    const reply = await handle(request);
    return { ...reply, body: reply.body.replace('"region":"', '"reg":"') };
  };
  await made.call("GET", "/apps/edge/machines");
  await expect(made.close()).rejects.toThrow(
    "GET /apps/{app_name}/machines 200 /*/reg: must NOT have additional properties",
  );
});
