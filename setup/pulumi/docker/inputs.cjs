"use strict";

/** An Image's inputs as the engine sends them: secrets wrapped, unknowns a marker string. What counts as a change. */

/** The engine's wrapping of a secret (pulumi/sdk/go/common/resource, SigKey and SecretSig). */
const SIGNATURE = "4dabf18193072939515e22adb298388d";
const SECRET = "1b47061264138c4ac30d75fd1eb44270";
/** The engine's marker of a value not known before the update. */
const UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9";

const secret = (value) => ({ [SIGNATURE]: SECRET, value });
const isSecret = (value) => value?.[SIGNATURE] === SECRET;

/** The same value with every secret in clear. For use, never for outputs. */
function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  if (value === null || typeof value !== "object") return value;
  if (isSecret(value)) return plain(value.value);
  return Object.fromEntries(Object.entries(value).map(([key, it]) => [key, plain(it)]));
}

/** What a rebuild follows from: everything but credentials, which change without changing the image. */
function comparable({ imageName, registry, skipPush, build }) {
  return { imageName, registryServer: registry?.server ?? null, skipPush: skipPush ?? false, build: build ?? {} };
}

/** The same JSON for the same content, in whatever order the keys came. */
function canonical(value) {
  if (Array.isArray(value)) return value.map(canonical);
  if (value === null || typeof value !== "object") return value;
  return Object.fromEntries(
    Object.keys(value)
      .sort()
      .map((key) => [key, canonical(value[key])]),
  );
}

/** Whether new inputs ask for another image than the one these outputs tell of. */
function changed(outputs, news) {
  const text = (it) => JSON.stringify(canonical(it));
  return text(plain(outputs).__inputs ?? null) !== text(comparable(plain(news)));
}

module.exports = { UNKNOWN, changed, comparable, isSecret, plain, secret };
