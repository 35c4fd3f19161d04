/** A gRPC service in the test's own process, and its clients as visitors. */
import { connect, createServer, type Server as TcpServer } from "node:net";
import {
  type ChannelOptions,
  Client,
  credentials,
  type handleBidiStreamingCall,
  type handleClientStreamingCall,
  type handleServerStreamingCall,
  type handleUnaryCall,
  Metadata,
  type MethodDefinition,
  Server,
  ServerCredentials,
  type ServerUnaryCall,
  type ServiceDefinition,
  type StatusObject,
  status,
} from "@grpc/grpc-js";
import { proxyV2 } from "./client.ts";
import { originCertificate, originKey } from "./origin.ts";

const asIs = (message: Buffer): Buffer => message;

const method = (
  name: string,
  { requestStream = false, responseStream = false } = {},
): MethodDefinition<Buffer, Buffer> => ({
  path: `/test.Echo/${name}`,
  requestStream,
  responseStream,
  requestSerialize: asIs,
  requestDeserialize: asIs,
  responseSerialize: asIs,
  responseDeserialize: asIs,
});

const methods = {
  unary: method("Unary"),
  collect: method("Collect", { requestStream: true }),
  count: method("Count", { responseStream: true }),
  talk: method("Talk", { requestStream: true, responseStream: true }),
  never: method("Never", { responseStream: true }),
} satisfies ServiceDefinition;

export interface EchoService {
  port: number;
  /** The metadata of calls, oldest first. */
  seen: { host: string; path: string; metadata: Metadata }[];
  /** Number of calls that ended because the client cancelled. */
  cancelled(): number;
  /** Closes all connections at once. */
  kill(): void;
  close(): void;
}

export interface EchoOptions {
  port: number;
  /** With the origins' certificate. */
  tls?: boolean;
  /** CA certificate for client certificates. Absent: clients need none. */
  clients?: string;
}

/**
 * Unary: returns the message; metadata `x-fail` is a status to fail with. Collect: returns the number of messages and their bytes. Count: returns as many
 * messages as the request says. Talk: returns each message as it arrives. Never: does not respond.
 */
export async function startEcho({ port, tls = false, clients }: EchoOptions): Promise<EchoService> {
  const server = new Server({ "grpc.max_receive_message_length": -1 });
  const seen: EchoService["seen"] = [];
  let cancelled = 0;
  const note = (call: Pick<ServerUnaryCall<Buffer, Buffer>, "getHost" | "getPath" | "metadata">): Metadata => {
    seen.push({ host: call.getHost(), path: call.getPath(), metadata: call.metadata });
    const trailer = new Metadata();
    trailer.set("x-trailer", "at the end");
    trailer.set("x-trailer-bin", Buffer.from([0, 1, 255]));
    return trailer;
  };
  const begin = (call: { sendMetadata(metadata: Metadata): void }): void => {
    const initial = new Metadata();
    initial.set("x-initial", "at the beginning");
    call.sendMetadata(initial);
  };
  const unary: handleUnaryCall<Buffer, Buffer> = (call, done) => {
    const trailer = note(call);
    const [fail] = call.metadata.get("x-fail");
    if (fail !== undefined) return done({ code: Number(fail), details: "sorry: 100% wrong, é", metadata: trailer });
    begin(call);
    done(null, call.request, trailer);
  };
  const collect: handleClientStreamingCall<Buffer, Buffer> = (call, done) => {
    const trailer = note(call);
    let [messages, bytes] = [0, 0];
    call.on("data", (message: Buffer) => {
      messages++;
      bytes += message.length;
    });
    call.on("end", () => done(null, Buffer.from(`${messages} ${bytes}`), trailer));
  };
  const count: handleServerStreamingCall<Buffer, Buffer> = (call) => {
    const trailer = note(call);
    for (let at = 1; at <= Number(call.request.toString()); at++) call.write(Buffer.from(String(at)));
    call.end(trailer);
  };
  const talk: handleBidiStreamingCall<Buffer, Buffer> = (call) => {
    const trailer = note(call);
    begin(call);
    call.on("data", (message: Buffer) => call.write(message));
    call.on("end", () => call.end(trailer));
    call.on("cancelled", () => cancelled++);
  };
  const never: handleServerStreamingCall<Buffer, Buffer> = (call) => {
    note(call);
    call.on("cancelled", () => cancelled++);
  };
  server.addService(methods, { unary, collect, count, talk, never });
  const how = tls
    ? ServerCredentials.createSsl(
        clients === undefined ? null : Buffer.from(clients),
        [{ private_key: Buffer.from(originKey), cert_chain: Buffer.from(originCertificate) }],
        clients !== undefined,
      )
    : ServerCredentials.createInsecure();
  await new Promise<void>((listening, failed) =>
    server.bindAsync(`0.0.0.0:${port}`, how, (error) => (error ? failed(error) : listening())),
  );
  return {
    port,
    seen,
    cancelled: () => cancelled,
    kill: () => server.forceShutdown(),
    close: () => server.forceShutdown(),
  };
}

/** Outcome of a call. */
export interface Called {
  messages: string[];
  initial: Metadata;
  status: StatusObject;
}

/** Clients of one site behind an edge proxy: a port of this machine that prepends a PROXY header. */
export class EchoClients {
  readonly #edge: TcpServer;
  readonly #all: Client[] = [];

  private constructor(edge: TcpServer) {
    this.#edge = edge;
  }

  /** @param pop port of 127.0.0.1 on which the PoP's port is published */
  static async open(pop: number): Promise<EchoClients> {
    const edge = createServer((visitor) => {
      const inward = connect(pop, "127.0.0.1");
      inward.write(proxyV2("203.0.113.9"));
      visitor.pipe(inward).pipe(visitor);
      visitor.on("error", () => inward.destroy());
      inward.on("error", () => visitor.destroy());
    });
    await new Promise<void>((listening) => edge.listen(0, "127.0.0.1", listening));
    return new EchoClients(edge);
  }

  /** @param certificate the certificate that clients trust for the site */
  to(host: string, certificate: string, more: ChannelOptions = {}): Client {
    const address = this.#edge.address();
    if (address === null || typeof address === "string") throw new Error("the edge does not listen");
    const client = new Client(`127.0.0.1:${address.port}`, credentials.createSsl(Buffer.from(certificate)), {
      "grpc.ssl_target_name_override": host,
      "grpc.default_authority": host,
      "grpc.max_receive_message_length": -1,
      "grpc.enable_retries": 0,
      ...more,
    });
    this.#all.push(client);
    return client;
  }

  close(): void {
    for (const client of this.#all) client.close();
    this.#edge.close();
  }
}

export const metadata = (fields: Record<string, string | Buffer>): Metadata => {
  const all = new Metadata();
  for (const [name, value] of Object.entries(fields)) all.set(name, value);
  return all;
};

/** One message in each direction. */
export function unary(
  client: Client,
  message: string | Buffer,
  fields = new Metadata(),
  deadline?: Date,
): Promise<Called> {
  return new Promise((done) => {
    const called: Called = { messages: [], initial: new Metadata(), status: nothing };
    const call = client.makeUnaryRequest(
      methods.unary.path,
      asIs,
      asIs,
      Buffer.from(message),
      fields,
      deadline === undefined ? {} : { deadline },
      (_, answer) => {
        if (answer !== undefined) called.messages.push(answer.toString("latin1"));
      },
    );
    call.on("metadata", (initial: Metadata) => {
      called.initial = initial;
    });
    call.on("status", (status: StatusObject) => queueMicrotask(() => done({ ...called, status })));
  });
}

const nothing: StatusObject = { code: status.UNKNOWN, details: "", metadata: new Metadata() };

/** Many messages to the service, one back. */
export function collect(client: Client, messages: Iterable<Buffer>): Promise<Called> {
  return new Promise((done) => {
    const called: Called = { messages: [], initial: new Metadata(), status: nothing };
    const call = client.makeClientStreamRequest(methods.collect.path, asIs, asIs, new Metadata(), {}, (_, answer) => {
      if (answer !== undefined) called.messages.push(answer.toString());
    });
    call.on("status", (status: StatusObject) => queueMicrotask(() => done({ ...called, status })));
    for (const message of messages) call.write(message);
    call.end();
  });
}

/** One message to the service, many back. */
export function serverStream(
  client: Client,
  which: "count" | "never",
  message: string,
  deadline?: Date,
): Promise<Called> {
  return new Promise((done) => {
    const called: Called = { messages: [], initial: new Metadata(), status: nothing };
    const options = deadline === undefined ? {} : { deadline };
    const call = client.makeServerStreamRequest(
      methods[which].path,
      asIs,
      asIs,
      Buffer.from(message),
      new Metadata(),
      options,
    );
    call.on("data", (answer: Buffer) => called.messages.push(answer.toString()));
    call.on("error", () => {});
    call.on("status", (status: StatusObject) => done({ ...called, status }));
  });
}

/** A bidirectional stream that continues until it is ended. */
export function converse(client: Client) {
  const call = client.makeBidiStreamRequest(methods.talk.path, asIs, asIs, new Metadata());
  const waiting: ((answer: string) => void)[] = [];
  call.on("data", (answer: Buffer) => waiting.shift()?.(answer.toString()));
  call.on("error", () => {});
  const status = new Promise<StatusObject>((done) => call.on("status", done));
  return {
    call,
    status,
    /** Sends one message and waits for the response to it. */
    say: (message: string): Promise<string> =>
      new Promise((answered) => {
        waiting.push(answered);
        call.write(Buffer.from(message));
      }),
    end: () => call.end(),
  };
}
