// Runs emitted modules against a WebNN that only records: node play.mjs PLAN, which is a list of
// {module, table, types, ...}; what came of each goes to stdout as JSON. Operands know the types that the plan says, node
// after node. A plan may take things away from the browser: `limits`, `without` (methods), `arity` (method -> number of
// arguments), `given` (load is given the weights, as one of GIVEN), `knows` (op -> members of its options that are read; all by default), `environment`.
import { webcrypto } from "node:crypto";
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const plan = JSON.parse(readFileSync(process.argv[2], "utf8"));
const base64 = (view) => Buffer.from(view.buffer, view.byteOffset, view.byteLength).toString("base64");
const bytes = (text) => new Uint8Array(Buffer.from(text, "base64"));
const ARRAYS = { float32: Float32Array, float16: Uint16Array, int32: Int32Array, uint32: Uint32Array,
  int64: BigInt64Array, uint64: BigUint64Array, int8: Int8Array, uint8: Uint8Array, numbers: Array };

const GIVEN = {
  buffer: (buffer) => buffer,
  blob: (buffer) => new Blob([buffer]),
  shared(buffer) {
    const view = new Uint8Array(new SharedArrayBuffer(buffer.byteLength + 3), 3);
    view.set(new Uint8Array(buffer));
    return view;
  },
};

/** Values that JSON has no form for, as objects. */
function plain(value) {
  if (value instanceof Operand) return { operand: value.id };
  if (typeof value === "bigint") return { bigint: String(value) };
  if (typeof value === "number" && (!Number.isFinite(value) || Object.is(value, -0))) return { special: Object.is(value, -0) ? "-0" : String(value) };
  if (Array.isArray(value)) return value.map(plain);
  return value;
}

class Operand {
  constructor(id, { dataType, shape }) {
    Object.assign(this, { id, dataType, shape: Object.freeze([...shape]) });
  }
}

function browser(item) {
  const record = { inputs: [], constants: [], calls: [], written: {}, views: 0 };
  const types = (item.types ?? []).values();
  let count = 0;
  const operand = (type) => new Operand(count++, type);
  class MLGraphBuilder {
    input(name, { dataType, shape }) {
      const made = operand({ dataType, shape });
      record.inputs.push({ id: made.id, name, dataType, shape });
      return made;
    }
    constant({ dataType, shape }, data) {
      const made = operand({ dataType, shape });
      record.constants.push({ id: made.id, dataType, shape, data: base64(data) });
      record.views += data.buffer === item.buffer;
      return made;
    }
    async build(outputs) {
      record.outputs = Object.entries(outputs).map(([name, { id }]) => [name, id]);
      return { destroy() {} };
    }
  }
  for (const [op, { required, members, many }] of Object.entries(item.table ?? {})) {
    if (item.without?.includes(op)) continue;
    const method = function (...args) {
      const read = {};
      // As Web IDL does: the members it knows, and no others, are read.
      for (const name of item.knows?.[op] ?? members) {
        if (args[required]?.[name] !== undefined) read[name] = plain(args[required][name]);
      }
      const made = types.next().value.map(operand);
      record.calls.push({ op, args: args.slice(0, required).map(plain), more: args.length - required, read, made: made.map(({ id }) => id) });
      return many ? made : made[0];
    };
    Object.defineProperty(method, "length", { value: item.arity?.[op] ?? required });
    MLGraphBuilder.prototype[op] = method;
  }
  const context = {
    opSupportLimits: item.limits === undefined ? undefined : () => item.limits,
    createTensor: async (type) => ({ ...type, destroy() {} }),
    writeTensor(tensor, data) {
      tensor.data = base64(data);
    },
    dispatch(graph, inputs, outputs) {
      record.written = Object.fromEntries(Object.entries(inputs).map(([name, { data }]) => [name, data]));
      for (const [name, tensor] of Object.entries(outputs)) tensor.answer = bytes(item.answers[name]).buffer;
    },
    readTensor: async ({ answer }) => answer,
  };
  for (const name of item.without ?? []) delete context[name];
  globalThis.MLGraphBuilder = item.environment === "no builder" ? undefined : MLGraphBuilder;
  const ml = { createContext: async () => context };
  Object.defineProperty(globalThis, "navigator", { configurable: true, value: item.environment === "no webnn" ? {} : { ml } });
  globalThis.isSecureContext = item.environment !== "insecure";
  if (item.environment === "insecure") delete globalThis.navigator.ml;
  Object.defineProperty(globalThis, "crypto", { configurable: true, value: item.environment === "no hashes" ? {} : webcrypto });
  globalThis.fetch = async (url) => {
    record.fetched = String(url).split("/").at(-1);
    if (item.environment === "offline") throw new TypeError("Failed to fetch");
    if (item.environment === "broken off") return new Response(new ReadableStream({ pull: (stream) => stream.error(new TypeError("network error")) }));
    return new Response(bytes(item.served ?? ""), { status: item.status ?? 200 });
  };
  return { context, record };
}

const results = [];
for (const item of plan) {
  const weights = bytes(item.weights ?? "");
  item.buffer = weights.buffer.slice(weights.byteOffset, weights.byteOffset + weights.byteLength);
  const { context, record } = browser(item);
  const answer = { record };
  try {
    const module = await import(pathToFileURL(item.module));
    if (item.evaluate !== undefined) answer.value = plain(module[item.evaluate]);
    answer.unsupported = module.unsupported(context);
    const graph = item.load ? await module.load({ dimensions: item.dimensions, weights: GIVEN[item.given]?.(item.buffer) }) : await module.build(context, item.buffer, item.dimensions);
    answer.shapes = [graph.inputs, graph.outputs];
    if (item.feeds !== undefined) {
      const feeds = Object.entries(item.feeds).map(([name, [type, values]]) => [name, type === "numbers" ? values : ARRAYS[type].from(values, type.endsWith("64") ? BigInt : undefined)]);
      const found = await module.run(graph, Object.fromEntries(feeds));
      answer.results = Object.entries(found).map(([name, { dataType, shape, data }]) => [name, dataType, shape, data.constructor.name, base64(data)]);
    }
  } catch (error) {
    answer.error = `${error.name}: ${error.message}`;
  }
  results.push(answer);
}
process.stdout.write(JSON.stringify(results));
