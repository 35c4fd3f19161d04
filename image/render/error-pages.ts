/** Default pages for errors that a PoP itself reports. They are self-contained, so they can be shown while everything else is down. */
import { createHash } from "node:crypto";

/** Where the pages are in the image: for each status one for browsers and one for other clients. */
export const defaultErrorPages = "usr/share/pop/error-pages";

interface PageText {
  title: string;
  text: string;
}

const unreachable: PageText = {
  title: "This site is unavailable",
  text: "The server behind it cannot be reached at the moment. Nothing is wrong with your device or your connection. Please try again in a few minutes.",
};

/** By status: what visitors read. No knowledge of servers needed. */
const pageTexts = {
  401: { title: "Please log in", text: "You need to log in to see this page." },
  403: { title: "No access", text: "You do not have access to this page." },
  404: { title: "Not found", text: "There is nothing at this address." },
  405: { title: "Not possible", text: "This page does not support this kind of request." },
  410: { title: "Gone", text: "What was at this address has been removed." },
  413: { title: "Too large", text: "What you sent is larger than this site accepts." },
  429: {
    title: "Too many requests",
    text: "Your network has sent more requests than this site allows. Please wait a moment, then try again.",
  },
  500: { title: "Something went wrong", text: "This site cannot answer at the moment. Please try again in a minute." },
  502: unreachable,
  503: {
    title: "This site is busy",
    text: "It cannot serve all visitors at the moment. Please try again in a minute.",
  },
  504: {
    ...unreachable,
    text: "The server behind it takes too long to answer. Nothing is wrong with your device or your connection. Please try again in a few minutes.",
  },
} satisfies Record<number, PageText>;

/** Statuses that have a page. */
export const pageStatuses: readonly number[] = Object.keys(pageTexts).map(Number);

/** `light dark` alone keeps the page readable in both modes in browsers that reject the style. */
const style =
  ":root{color-scheme:light dark}body{font:1.1rem/1.6 system-ui,sans-serif;max-width:32rem;margin:22vh auto 0;padding:0 1.5rem;color:#222;background:#fff}h1{font-size:1.7rem;line-height:1.25;margin:0 0 .6rem}small{color:#666}@media(prefers-color-scheme:dark){body{color:#ddd;background:#161616}small{color:#999}}";

/** Content-Security-Policy of the page: its own style and nothing else. */
export const errorPageCsp = `default-src 'none'; style-src 'sha256-${createHash("sha256").update(style).digest("base64")}'; base-uri 'none'; form-action 'none'; frame-ancestors 'self'`;

const html = (status: number, { title, text }: PageText): string => `<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width,initial-scale=1">
<meta name="robots" content="noindex">
<meta name="color-scheme" content="light dark">
<title>${title}</title>
<style>${style}</style>
</head>
<body>
<main>
<h1>${title}</h1>
<p>${text}</p>
<p><small>Error ${status}</small></p>
</main>
</body>
</html>
`;

/** Files by their path in the image. */
export const errorPageFiles: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries(pageTexts).flatMap(([status, said]) => [
    [`${defaultErrorPages}/${status}.html`, html(Number(status), said)],
    [`${defaultErrorPages}/${status}.txt`, `${status} ${said.title}. ${said.text}\n`],
  ]),
);
