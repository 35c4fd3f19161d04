/** Rules of what sites say to whoever is behind them. */
import { isHeaderName, isOwnRequestHeader } from "../../image/render/names.ts";
import { type Mistake, mistake } from "../mistakes.ts";
import type { Sketch } from "../sketch.ts";
import type { Path } from "../walk.ts";
import { holders } from "./sites.ts";

function problem(name: string): string | undefined {
  if (!isHeaderName(name)) return "a header takes letters, digits and dashes, 64 at most, a letter first";
  if (name.toLowerCase() === "host")
    return "the PoP sets this one itself. The name asked for behind the site is hostHeader";
  return isOwnRequestHeader(name) ? "the PoP sets this one itself, or it belongs to one connection" : undefined;
}

/** A header is one a site may set, each once. */
export function requestHeadersFit({ file }: Sketch): Mistake[] {
  return holders(file).flatMap(({ keys, at: holder }) => {
    const names = Object.keys(keys.requestHeaders ?? {});
    return names.flatMap((name, at) => {
      const path = [...holder, "requestHeaders", name];
      const reason = problem(name);
      if (reason !== undefined) return [mistake(path, `${reason}.`, ":")];
      const twin = names.slice(0, at).find((other) => other.toLowerCase() === name.toLowerCase());
      return twin === undefined ? [] : [mistake(path, `${twin} is the same header.`, ":")];
    });
  });
}

/** Keys of the secrets file that request headers name, by who names them. */
export const headerSecrets = ({ file }: Pick<Sketch, "file">): { at: Path; keys: string[] }[] =>
  holders(file).flatMap(({ keys, at }) => {
    const named = Object.values(keys.requestHeaders ?? {}).flatMap((value) =>
      typeof value === "object" && value.secret !== undefined ? [value.secret] : [],
    );
    return named.length === 0 ? [] : [{ at, keys: [...new Set(named)].toSorted() }];
  });

/** Keys of the secrets file that hold a certificate for an origin, and where they are named. */
export const clientCertificates = ({ file }: Pick<Sketch, "file">): { at: Path; key: string }[] =>
  holders(file).flatMap(({ keys: { tls }, at }) =>
    tls?.certificate === undefined ? [] : [{ at: [...at, "tls", "certificate"], key: tls.certificate }],
  );
