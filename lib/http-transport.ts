/** Sends one HTTP request, for all clients of HTTP APIs. Which calls are repeated is decided elsewhere (retry.ts). */

import { Agent } from "node:https";
import { createRequire } from "node:module";
import type { AxiosStatic } from "axios";
import { isLoopback } from "./loopback.ts";

/** By require, which loads axios as one bundled file. Importing it loads 66 files and makes every command 0.1 s slower. */
const axios = createRequire(import.meta.url)("axios") as AxiosStatic;

export interface HttpRequest {
  method: "GET" | "POST" | "PUT" | "DELETE";
  url: string;
  headers: Record<string, string>;
  body?: string | undefined;
  timeoutMs: number;
}

export interface HttpResponse {
  status: number;
  /** Header names are in lower case. */
  headers: Record<string, unknown>;
  /** The text as received. */
  body: string;
}

/** Resolves for every status. Rejects with NoResponseError when there is no response. */
export type Transport = (exchange: HttpRequest) => Promise<HttpResponse>;

/** There was no response. Contains no part of the request, which holds a credential. */
export class NoResponseError extends Error {
  /** Error code of Node or axios, e.g. ECONNREFUSED. */
  readonly code: string | undefined;
  constructor(message: string, code?: string) {
    super(message);
    this.code = code;
  }
}

/** Bytes. A list of thousands of machines fits. */
const maxResponseBytes = 64 << 20;

/** @param ca PEM of the CA certificates to trust instead of the public ones. */
export function httpTransport({ ca }: { ca?: string | undefined } = {}): Transport {
  const http = axios.create({
    validateStatus: () => true,
    // A redirected POST would be repeated as a GET.
    maxRedirects: 0,
    maxContentLength: maxResponseBytes,
    responseType: "text",
    transitional: { forcedJSONParsing: false },
    transformRequest: (text: unknown) => text,
    transformResponse: (text: unknown) => text,
    ...(ca === undefined ? {} : { httpsAgent: new Agent({ ca }) }),
  });
  return async ({ method, url, headers, body, timeoutMs }) => {
    try {
      const response = await http.request<string>({
        method,
        url,
        headers: { "User-Agent": "fly-pops", ...headers },
        data: body,
        timeout: timeoutMs,
        ...(isLoopbackUrl(url) ? { proxy: false as const } : {}),
      });
      return { status: response.status, headers: response.headers, body: response.data };
    } catch (error) {
      // Never expose the axios error, not even as a cause: it holds the request and its token.
      throw new NoResponseError(
        error instanceof Error ? error.message : String(error),
        axios.isAxiosError(error) ? error.code : undefined,
      );
    }
  };
}

/** A corporate HTTP proxy cannot reach the loopback address of this machine. */
const isLoopbackUrl = (url: string): boolean => URL.canParse(url) && isLoopback(new URL(url).hostname);

/** The parsed body if it is JSON, its text if not; undefined for an empty body. */
export function parseJson(text: string): unknown {
  if (text === "") return undefined;
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}
