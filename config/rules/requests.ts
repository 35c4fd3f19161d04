/** What sites send to their origins, as far as it comes from the secrets file. */

import type { Path } from "../schema-path.ts";
import type { ValidPart } from "../valid-part.ts";
import { sitesAndRules } from "./sites.ts";

/** Keys of the secrets file that request headers use, with the site or rule that uses them. */
export const headerSecrets = ({ file }: Pick<ValidPart, "file">): { at: Path; keys: string[] }[] =>
  sitesAndRules(file).flatMap(({ keys, at }) => {
    const named = Object.values(keys.requestHeaders ?? {}).flatMap((value) =>
      typeof value === "object" && value.secret !== undefined ? [value.secret] : [],
    );
    return named.length === 0 ? [] : [{ at, keys: [...new Set(named)].toSorted() }];
  });

/** Keys of the secrets file that hold a client certificate, with the path that names them. */
export const clientCertificates = ({ file }: Pick<ValidPart, "file">): { at: Path; key: string }[] =>
  sitesAndRules(file).flatMap(({ keys: { tls }, at }) =>
    tls?.certificate === undefined ? [] : [{ at: [...at, "tls", "certificate"], key: tls.certificate }],
  );
