import { expect, test } from "vitest";
import { flySettings, tokenFrom } from "../../../fly/settings.ts";

const from = (values: Record<string, string>) => (key: string) => values[key];
const none = from({});

test("stack config outranks the environment", () => {
  const config = from({ "fly:token": "t1", "fly:endpoint": "http://127.0.0.1:1" });
  const env = from({ FLY_API_TOKEN: "t2", FLY_API_HOSTNAME: "https://other.example" });
  expect(flySettings(config, env)).toEqual({ token: "t1", endpoint: "http://127.0.0.1:1" });
});

test("without an endpoint it is Fly's own", () => {
  expect(flySettings(none, from({ FLY_ACCESS_TOKEN: "t" }))).toEqual({
    token: "t",
    endpoint: "https://api.machines.dev",
  });
});

test("an empty FLY_API_TOKEN hides no other, neither from the API nor from the registry", () => {
  const env = { FLY_API_TOKEN: "", FLY_ACCESS_TOKEN: "t" };
  expect(flySettings(none, from(env)).token).toBe("t");
  expect(tokenFrom(from(env))).toBe("t");
  expect(tokenFrom(from({ FLY_API_TOKEN: "", FLY_ACCESS_TOKEN: "" }))).toBeFalsy();
});

test.each(["", "Bearer ", "FlyV1"])("the token %j is rejected", (token) => {
  expect(() => flySettings(none, from({ FLY_API_TOKEN: token }))).toThrow(
    /^No Fly token for https:\/\/api\.machines\.dev: set FLY_API_TOKEN, .* Nothing was changed\.$/,
  );
});

test.each(["api.machines.dev", "ftp://x", "http//x"])("the endpoint %s is refused", (endpoint) => {
  expect(() => flySettings(none, from({ FLY_API_TOKEN: "t", FLY_API_HOSTNAME: endpoint }))).toThrow(
    `fly:endpoint (or FLY_API_HOSTNAME) is "${endpoint}": it must be a URL such as https://api.machines.dev. Nothing was changed.`,
  );
});
