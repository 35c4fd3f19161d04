/**
 * Why tests of the suite are not met: every required and every optimal one that failed, could not begin, or had its origin asked twice. The soak test compares
 * this with what it finds, so that a test that begins to fail shows, and one that no longer does as well.
 */
const because: [why: string, ids: string[]][] = [
  [
    "nginx does not count how old an answer is: it adds no Age, and heeds neither the origin's Age nor its Date.",
    [
      "freshness-max-age-age",
      "freshness-expires-old-date",
      "freshness-expires-age-slow-date",
      "freshness-expires-age-fast-date",
      "other-age-gen",
      "other-age-update-expires",
      "other-age-update-max-age",
    ],
  ],
  ["nginx keeps an answer to the end of the second in which it expires.", ["freshness-expires-present"]],
  ["nginx dates every answer itself.", ["other-date-update"]],
  [
    "While one visitor's request refreshes a page, and for that visitor too, the stale one is served.",
    [
      "freshness-max-age-s-maxage-shared-longer",
      "freshness-max-age-s-maxage-shared-longer-reversed",
      "freshness-max-age-s-maxage-shared-longer-multiple",
      "freshness-max-age-ignore-quoted-rev",
    ],
  ],
  [
    "These cannot be met by a cache that serves stale pages while the origin fails: whatever is not the origin's own answer counts as stale, a 502 as well.",
    ["stale-close-must-revalidate", "stale-close-proxy-revalidate", "stale-close-no-cache", "stale-close-s-maxage=2"],
  ],
  ["nginx does not know `must-understand`.", ["status-599-must-understand"]],
  [
    "nginx knows `Vary: *` only where the star stands alone.",
    ["vary-syntax-star-star", "vary-syntax-empty-star", "vary-syntax-star-foo", "vary-syntax-foo-star"],
  ],
  [
    "nginx says 304 to If-Modified-Since only for the very time of the stored page.",
    ["conditional-etag-precedence", "conditional-lm-fresh-earlier"],
  ],
  ["A page without Last-Modified has no time to compare with.", ["conditional-lm-fresh-no-lm"]],
  ["nginx stores headers that the origin names in `Connection`.", ["headers-omit-headers-listed-in-Connection"]],
  [
    "nginx takes nothing from a 304 but that the stored page is still good.",
    [
      "304-etag-update-response-Test-Header",
      "304-etag-update-response-X-Test-Header",
      "304-etag-update-response-Content-Foo",
      "304-etag-update-response-X-Content-Foo",
      "304-etag-update-response-Cache-Control",
      "304-etag-update-response-Content-Location",
      "304-etag-update-response-Content-Security-Policy",
      "304-etag-update-response-Content-Type",
      "304-etag-update-response-Clear-Site-Data",
      "304-etag-update-response-Expires",
      "304-etag-update-response-Public-Key-Pins",
      "304-etag-update-response-Set-Cookie2",
      "304-etag-update-response-X-Frame-Options",
      "304-etag-update-response-X-XSS-Protection",
    ],
  ],
  [
    "In nginx no request makes a stored page invalid.",
    ["POST", "PUT", "DELETE", "M-SEARCH"].flatMap((method) =>
      ["", "-location", "-cl"].map((of) => `invalidate-${method}${of}`),
    ),
  ],
  [
    "An answer that sets a cookie was made for one visitor. It is never stored.",
    ["headers-store-Set-Cookie", "304-etag-update-response-Set-Cookie", "other-set-cookie"],
  ],
  ["An unknown transfer coding cannot be passed on: the visitor gets a 502.", ["headers-store-Transfer-Encoding"]],
  [
    "`Surrogate-Control` is no part of RFC 9111, and a PoP does not say that it heeds it.",
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
    "nginx does not store what it would have to ask about each time.",
    ["cc-resp-no-cache-revalidate", "cc-resp-no-cache-revalidate-fresh"],
  ],
  [
    "How long a page is fresh is the origin's word, or the site's `maxAge`. It is never guessed from Last-Modified.",
    ["200", "203", "204", "404", "405", "410", "414", "501", "599"].map((status) => `heuristic-${status}-cached`),
  ],
  ["An answer to POST is not stored.", ["method-POST"]],
  [
    "Headers that `Vary` names are compared as they came, but for spaces.",
    [
      "vary-normalise-combine",
      "vary-normalise-lang-order",
      "vary-normalise-lang-case",
      "vary-normalise-lang-select",
      "vary-normalise-space",
    ],
  ],
  [
    "nginx cuts ranges out of a stored page only where the origin said Accept-Ranges.",
    [
      "partial-store-complete-reuse-partial",
      "partial-store-complete-reuse-partial-no-last",
      "partial-store-complete-reuse-partial-suffix",
    ],
  ],
  [
    "Only whole pages are stored. A range of what is not stored is asked of the origin.",
    [
      "partial-store-partial-reuse-partial",
      "partial-store-partial-reuse-partial-byterange",
      "partial-store-partial-reuse-partial-absent",
      "partial-store-partial-reuse-partial-suffix",
      "partial-store-partial-complete",
    ],
  ],
  [
    "The answer to a request with Authorization is not stored, even where the origin would allow it.",
    ["other-authorization-public", "other-authorization-must-revalidate", "other-authorization-smaxage"],
  ],
];

/** Reasons by the test's id. */
export const unmet: Readonly<Record<string, string>> = Object.fromEntries(
  because.flatMap(([why, ids]) => ids.map((id) => [id, why])),
);
