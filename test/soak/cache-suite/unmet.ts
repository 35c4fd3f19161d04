/**
 * Why tests of the suite are not met: every required and every optimal one that failed, could not begin, or had its origin asked twice. The soak test compares
 * this with what it finds, so that a test that begins to fail shows, and one that no longer does as well.
 */
const because: [why: string, ids: string[]][] = [
  [
    "A cache that serves stale responses while the origin fails cannot pass these: the suite counts any response that is not the origin's own as stale, including a PoP's 502.",
    ["stale-close-must-revalidate", "stale-close-proxy-revalidate", "stale-close-no-cache", "stale-close-s-maxage=2"],
  ],
  ["An Age that is a list is invalid. The response counts as stale.", ["age-parse-prefix"]],
  [
    "A response that sets a cookie was made for one visitor. It is never stored.",
    ["headers-store-Set-Cookie", "304-etag-update-response-Set-Cookie", "other-set-cookie"],
  ],
  ["An unknown transfer coding cannot be passed on. The visitor gets a 502.", ["headers-store-Transfer-Encoding"]],
  [
    "`Surrogate-Control` is not part of RFC 9111, and a PoP does not claim to support it.",
    [
      "surrogate-no-store-cc-fresh",
      "surrogate-fresh-cc-nostore",
      "surrogate-max-age",
      "surrogate-max-age-max",
      "surrogate-max-age-max-plus",
      "surrogate-max-age-me-target",
    ],
  ],
  [
    "Freshness comes from the origin or from the site's `maxAge`. It is never estimated from Last-Modified.",
    ["200", "203", "204", "404", "405", "410", "414", "501", "599"].map((status) => `heuristic-${status}-cached`),
  ],
  [
    "A request with `Authorization` is answered by the origin, which alone knows what those credentials may see.",
    ["other-authorization-public", "other-authorization-must-revalidate", "other-authorization-smaxage"],
  ],
  ["Responses to POST are not stored.", ["method-POST"]],
  [
    "The headers that `Vary` names are compared as the visitor sent them, apart from runs of spaces.",
    [
      "vary-normalise-combine",
      "vary-normalise-lang-order",
      "vary-normalise-lang-case",
      "vary-normalise-lang-select",
      "vary-normalise-space",
    ],
  ],
  ["Without Last-Modified there is no time to compare with.", ["conditional-lm-fresh-no-lm"]],
  [
    "Only complete responses are stored. Other range requests go to the origin.",
    [
      "partial-store-partial-reuse-partial",
      "partial-store-partial-reuse-partial-byterange",
      "partial-store-partial-reuse-partial-absent",
      "partial-store-partial-reuse-partial-suffix",
      "partial-store-partial-complete",
    ],
  ],
];

/** Reasons by the test's id. */
export const unmet: Readonly<Record<string, string>> = Object.fromEntries(
  because.flatMap(([why, ids]) => ids.map((id) => [id, why])),
);
