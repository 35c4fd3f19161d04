/** Rules of what sites say to whoever is behind them. */
import type { Sketch } from "../sketch.ts";
import type { Path } from "../walk.ts";
import { holders } from "./sites.ts";

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
