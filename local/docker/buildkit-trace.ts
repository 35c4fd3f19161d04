/**
 * What BuildKit tells while it builds: protobuf in base64 inside the engine's JSON stream. dockerode 5 decodes it too, but garbles the output
 * of commands. Field numbers: https://github.com/moby/buildkit/blob/v0.11.6/api/services/control/control.proto
 */
import protobuf from "google-protobuf";

export interface Trace {
  /** Names of steps that began, e.g. "[build 2/5] RUN apt-get update". */
  steps: string[];
  /** What commands wrote. */
  output: string;
}

/** `id` of the JSON messages that carry a trace in `aux`. */
export const traceId = "moby.buildkit.trace";

const inResponse = { vertexes: 1, logs: 3 };
const inVertex = { name: 3, started: 5, completed: 6 };
const inLog = { message: 4 };

export function readTrace(aux: string): Trace {
  const steps: string[] = [];
  const output: Uint8Array[] = [];
  for (const [field, bytes] of fields(Buffer.from(aux, "base64"))) {
    if (field === inResponse.vertexes) {
      const vertex = new Map(fields(bytes));
      const begins = vertex.has(inVertex.started) && !vertex.has(inVertex.completed);
      if (begins) steps.push(text(vertex.get(inVertex.name) ?? new Uint8Array()));
    } else if (field === inResponse.logs) {
      output.push(new Map(fields(bytes)).get(inLog.message) ?? new Uint8Array());
    }
  }
  return { steps, output: text(Buffer.concat(output)) };
}

/** Wire type: https://protobuf.dev/programming-guides/encoding/#structure */
const lengthDelimited = 2;

/** Fields of a message that are messages, strings or bytes; numbers are passed over. */
function* fields(message: Uint8Array): Generator<[field: number, bytes: Uint8Array]> {
  const reader = new protobuf.BinaryReader(message);
  while (reader.nextField()) {
    if (reader.getWireType() === lengthDelimited) {
      yield [reader.getFieldNumber(), reader.readBytes()];
    } else reader.skipField();
  }
}

const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes);
