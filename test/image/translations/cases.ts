/** What three nginx.conf files do, as requests and their responses: describes the behaviour, not the server. */
import type { IncomingMessage, ServerResponse } from "node:http";

export interface Case {
  /** Completes "the nginx.conf ..." and "the stack file ...". */
  does: string;
  host: string;
  path: string;
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  /** The visitor's address. Absent: one that no case uses. */
  client?: string;
  /** Requested over plain HTTP. */
  plain?: true;
  /** The application's response. Absent: 200 with method and URL. */
  application?: (request: IncomingMessage, response: ServerResponse) => void;
  /** Status, or those of as many consecutive requests. */
  status: number | number[];
  location?: string;
  responseBody?: string;
  /** Headers of the response. */
  responseHeaders?: Record<string, unknown>;
  /** How many requests the application gets. */
  originRequests?: number;
  /** Headers that the application gets. */
  originHeaders?: Record<string, string>;
}

const times = (count: number, status: number): number[] => Array(count).fill(status);

/** Length of a body that is announced but not sent. */
const tooLarge = (mb: number) => ({
  method: "POST",
  headers: { "content-length": String(mb * 1024 * 1024 + 1), expect: "100-continue" },
});

const fails: Case["application"] = (request) => void request.socket.destroy();
const stylesheet: Case["application"] = (_, response) =>
  void response.writeHead(200, { "content-type": "text/css" }).end("a { color: red }\n".repeat(100));

const shop = "shop.example.org";
const shopCases: Case[] = [
  {
    does: "passes what is dynamic on, and says who asks",
    host: shop,
    path: "/basket?item=1",
    status: 200,
    responseBody: "GET /basket?item=1",
    responseHeaders: { "strict-transport-security": "max-age=31536000", "x-content-type-options": "nosniff" },
    originRequests: 1,
    originHeaders: {
      host: shop,
      "x-real-ip": "203.0.113.9",
      "x-forwarded-for": "203.0.113.9",
      "x-forwarded-proto": "https",
    },
  },
  {
    does: "passes a form on",
    host: shop,
    path: "/basket",
    method: "POST",
    body: "a=b",
    status: 200,
    responseBody: "POST /basket",
    originRequests: 1,
  },
  { does: "refuses bodies above 20 MB", host: shop, path: "/upload", ...tooLarge(20), status: 413, originRequests: 0 },
  {
    does: "serves the manual from files",
    host: shop,
    path: "/manual/index.html",
    status: 200,
    responseBody: "<h1>packed</h1>\n",
    originRequests: 0,
  },
  {
    does: "serves the manual's front page",
    host: shop,
    path: "/manual/",
    status: 200,
    responseBody: "<h1>packed</h1>\n",
    originRequests: 0,
  },
  {
    does: "has no page of the manual that is not there",
    host: shop,
    path: "/manual/never.html",
    status: 404,
    originRequests: 0,
  },
  {
    does: "stores assets",
    host: shop,
    path: "/assets/shop.1.css",
    application: stylesheet,
    status: times(5, 200),
    originRequests: 1,
  },
  {
    does: "compresses styles",
    host: shop,
    path: "/assets/shop.2.css",
    headers: { "accept-encoding": "gzip" },
    application: stylesheet,
    status: 200,
    responseHeaders: { "content-encoding": "gzip" },
  },
  { does: "stores nothing else", host: shop, path: "/product/7", status: times(3, 200), originRequests: 3 },
  {
    does: "has a limit of its own for log-ins",
    host: shop,
    path: "/login",
    method: "POST",
    client: "198.51.100.40",
    status: [...times(6, 200), 429, 429],
    originRequests: 6,
  },
  {
    does: "has none for the rest",
    host: shop,
    path: "/search",
    client: "198.51.100.40",
    status: times(20, 200),
    originRequests: 20,
  },
  {
    does: "shows a page of its own when the application fails",
    host: shop,
    path: "/checkout",
    headers: { accept: "text/html" },
    application: fails,
    status: 502,
    responseBody: "<h1>our own: away</h1>\n",
  },
  {
    does: "leads from old paths to new ones",
    host: shop,
    path: "/catalogue/a/b?c=d",
    status: 301,
    location: `https://${shop}/products/a/b?c=d`,
    originRequests: 0,
  },
  ...["/.git/config", "/.env", "/a/.env.local", "/.svn/entries", "/dump.sql", "/old/index.bak", "/%2egit/HEAD"].map(
    (path): Case => ({ does: `hides ${path}`, host: shop, path, status: 404, originRequests: 0 }),
  ),
  ...["/internal/", "/internal/metrics", "/a/../internal/metrics", "//internal/x"].map(
    (path): Case => ({ does: `refuses ${path}`, host: shop, path, status: 403, originRequests: 0 }),
  ),
  {
    does: "leads www to the name without",
    host: `www.${shop}`,
    path: "/a?b=c",
    status: 301,
    location: `https://${shop}/a?b=c`,
    originRequests: 0,
  },
  {
    does: "leads http to https",
    host: shop,
    path: "/a?b=c",
    plain: true,
    status: 301,
    location: `https://${shop}/a?b=c`,
    originRequests: 0,
  },
];

const cloud = "cloud.example.org";
const films = "films.example.org";
const vault = "vault.example.org";
const homeCases: Case[] = [
  {
    does: "passes the cloud's requests on",
    host: cloud,
    path: "/remote.php/dav/files/",
    method: "PROPFIND",
    headers: { depth: "1" },
    status: 200,
    responseBody: "PROPFIND /remote.php/dav/files/",
    responseHeaders: { "strict-transport-security": "max-age=31536000" },
    originRequests: 1,
    originHeaders: { host: cloud, depth: "1", "x-forwarded-proto": "https", "x-real-ip": "203.0.113.9" },
  },
  {
    does: "takes no body above 10 GB",
    host: cloud,
    path: "/upload",
    ...tooLarge(10_240),
    status: 413,
    originRequests: 0,
  },
  ...["caldav", "carddav"].map(
    (name): Case => ({
      does: `tells phones where ${name} is`,
      host: cloud,
      path: `/.well-known/${name}`,
      status: 301,
      location: `https://${cloud}/remote.php/dav/`,
      originRequests: 0,
    }),
  ),
  {
    does: "keeps robots out of the cloud",
    host: cloud,
    path: "/robots.txt",
    status: 200,
    responseBody: "User-agent: *\nDisallow: /\n",
    originRequests: 0,
  },
  {
    does: "passes ranges of films on",
    host: films,
    path: "/Videos/1/stream",
    headers: { range: "bytes=0-3" },
    application: ({ headers }, response) =>
      void response
        .writeHead(206, { "content-range": "bytes 0-3/9", "content-length": 4 })
        .end(headers.range === "bytes=0-3" ? "film" : "all?"),
    status: 206,
    responseBody: "film",
    responseHeaders: { "content-range": "bytes 0-3/9" },
  },
  { does: "shows no visitor the metrics", host: films, path: "/metrics", status: 403, originRequests: 0 },
  {
    does: "has a limit for tokens",
    host: vault,
    path: "/identity/connect/token",
    method: "POST",
    client: "198.51.100.41",
    status: [...times(6, 200), 429],
    originRequests: 6,
  },
  {
    does: "has none for the vault's other requests",
    host: vault,
    path: "/api/sync",
    client: "198.51.100.41",
    status: times(10, 200),
    originRequests: 10,
  },
  {
    does: "shows strangers no administration",
    host: vault,
    path: "/admin",
    client: "198.51.100.42",
    status: 403,
    originRequests: 0,
  },
  {
    does: "shows strangers nothing below it",
    host: vault,
    path: "/x/../admin/users",
    client: "198.51.100.42",
    status: 403,
    originRequests: 0,
  },
  {
    does: "shows it to one network",
    host: vault,
    path: "/admin/users",
    client: "203.0.113.50",
    status: 200,
    originRequests: 1,
    originHeaders: { host: vault },
  },
  {
    does: "takes no attachment above 525 MB",
    host: vault,
    path: "/api/attachment",
    ...tooLarge(525),
    status: 413,
    originRequests: 0,
  },
  {
    does: "leads http to https",
    host: films,
    path: "/web/",
    plain: true,
    status: 301,
    location: `https://${films}/web/`,
    originRequests: 0,
  },
];

const magazine = "magazine.example.org";
const magazineCases: Case[] = [
  {
    does: "shares a page among readers",
    host: magazine,
    path: "/an-article/",
    status: times(4, 200),
    responseHeaders: { "x-frame-options": "SAMEORIGIN" },
    originRequests: 1,
  },
  {
    does: "shares it whatever other cookies they have",
    host: magazine,
    path: "/another/",
    headers: { cookie: "_ga=1" },
    status: times(3, 200),
    originRequests: 1,
  },
  {
    does: "keeps pages of different queries apart",
    host: magazine,
    path: "/an-article/?page=2",
    status: times(2, 200),
    responseBody: "GET /an-article/?page=2",
    originRequests: 1,
  },
  ...["wordpress_logged_in_1=ada", "wp-postpass_1=x", "comment_author_1=ada"].map(
    (cookie): Case => ({
      does: `asks the origin again for visitors with ${cookie}`,
      host: magazine,
      path: "/an-article/",
      headers: { cookie },
      status: times(2, 200),
      originRequests: 2,
    }),
  ),
  {
    does: "stores no missing page as one that is there",
    host: magazine,
    path: "/never/",
    application: (_, response) => void response.writeHead(404, { "cache-control": "no-store" }).end(),
    status: times(2, 404),
    originRequests: 2,
  },
  {
    does: "stores no answer to a form",
    host: magazine,
    path: "/wp-comments-post.php",
    method: "POST",
    body: "a=b",
    status: times(2, 200),
    originRequests: 2,
  },
  {
    does: "has a limit for log-ins",
    host: magazine,
    path: "/wp-login.php",
    method: "POST",
    client: "198.51.100.43",
    status: [...times(6, 200), 429],
    originRequests: 6,
  },
  {
    does: "does not store what authors see",
    host: magazine,
    path: "/wp-admin/index.php",
    status: times(2, 200),
    originRequests: 2,
  },
  {
    does: "has no XML-RPC",
    host: magazine,
    path: "/xmlrpc.php",
    method: "POST",
    body: "<a/>",
    status: 403,
    originRequests: 0,
  },
  ...["/wp-content/uploads/2026/11/shell.php", "/wp-content/uploads/%73hell.php", "/wp-content//uploads/shell.php"].map(
    (path): Case => ({ does: `runs no ${path}`, host: magazine, path, status: 404, originRequests: 0 }),
  ),
  {
    does: "leads to the shop",
    host: magazine,
    path: "/shop/7?x=1",
    status: 302,
    location: "https://shop.example.net/shop/7?x=1",
    originRequests: 0,
  },
  ...["Mozilla/5.0 (compatible; GPTBot/1.2)", "bytespider", "Mozilla/5.0 ClaudeBot"].map(
    (agent): Case => ({
      does: `turns ${agent} away`,
      host: magazine,
      path: "/an-article/",
      headers: { "user-agent": agent },
      status: 403,
      originRequests: 0,
    }),
  ),
  {
    does: "takes no picture above 64 MB",
    host: magazine,
    path: "/wp-admin/async-upload.php",
    ...tooLarge(64),
    status: 413,
    originRequests: 0,
  },
  {
    does: "leads www to the name without, forms too",
    host: `www.${magazine}`,
    path: "/a?b=c",
    method: "POST",
    status: 308,
    location: `https://${magazine}/a?b=c`,
    originRequests: 0,
  },
  {
    does: "leads http to https",
    host: magazine,
    path: "/a?b=c",
    plain: true,
    status: 301,
    location: `https://${magazine}/a?b=c`,
    originRequests: 0,
  },
];

/** By the name of the files. */
export const translations: Record<string, Case[]> = { shop: shopCases, home: homeCases, magazine: magazineCases };
