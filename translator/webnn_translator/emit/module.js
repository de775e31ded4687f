
// What follows is the same in every module.

const ARRAYS = {
  float32: Float32Array,
  // Where JavaScript has no float16 yet, values go in and out as their bits.
  float16: globalThis.Float16Array ?? Uint16Array,
  int32: Int32Array,
  uint32: Uint32Array,
  int64: BigInt64Array,
  uint64: BigUint64Array,
  int8: Int8Array,
  uint8: Uint8Array,
  // One value a byte outside of the browser, which packs two.
  int4: Int8Array,
  uint4: Uint8Array,
};
const WIDER = { int4: "int8", uint4: "uint8" };
// Weights whose SHA-256 was right.
const PROVEN = new WeakSet();

/** This browser, or this context, cannot run the graph; `reasons` says everything that is missing. */
export class UnsupportedError extends Error {
  constructor(reasons) {
    super(reasons.join("\n"));
    this.name = "UnsupportedError";
    this.reasons = reasons;
  }
}

/**
 * What is missing to run this graph here: in the browser, and, with a context, in that context.
 * @param {MLContext} [context]
 * @returns {string[]} one sentence each; empty if nothing is known to be missing
 */
export function unsupported(context) {
  const reasons = [];
  const Builder = globalThis.MLGraphBuilder;
  if (context === undefined && typeof globalThis.navigator?.ml?.createContext !== "function") {
    reasons.push(
      globalThis.isSecureContext === false
        ? "this page is not in a secure context; WebNN needs https or localhost"
        : "this browser has no WebNN (navigator.ml); it may have to be enabled in its settings",
    );
  } else if (typeof Builder !== "function") {
    reasons.push("this browser has no MLGraphBuilder");
  }
  if (typeof Builder === "function") {
    for (const [op, count] of METHODS) {
      const method = Builder.prototype[op];
      if (typeof method !== "function") reasons.push(`this browser's MLGraphBuilder has no ${op}()`);
      else if (method.length < count) reasons.push(`${op}() of this browser is that of an older draft: it takes fewer arguments`);
    }
  }
  if (context === undefined) return reasons;
  for (const name of ["createTensor", "writeTensor", "dispatch", "readTensor"]) {
    if (typeof context[name] !== "function") reasons.push(`this browser's MLContext has no ${name}(), as in an older draft`);
  }
  // Without it nothing can be known in advance; the builder itself still refuses what it cannot do.
  if (typeof context.opSupportLimits !== "function") return reasons;
  const limits = context.opSupportLimits();
  const stored = storage(limits);
  for (const [op, operand, declared, rank, count, label] of REQUIREMENTS) {
    const dataType = stored(declared);
    const known = operand === "" ? limits[op] : limits[op]?.[operand];
    const where = operand === "" ? `${op} '${label}'` : `${op} operand '${operand}' (${count === 1 ? "in" : `${count} times, first in`} '${label}')`;
    if (limits[op] === undefined) reasons.push(`${where}: the context has no ${op}`);
    if (known?.dataTypes !== undefined && ![...known.dataTypes].includes(dataType)) {
      reasons.push(`${where} is ${dataType}; the context takes ${[...known.dataTypes].join(", ") || "no type"}${hint(dataType)}`);
    }
    const { min = 0, max = Infinity } = known?.rankRange ?? {};
    if (rank < min || rank > max) reasons.push(`${where} has rank ${rank}; the context takes ${min} to ${max}`);
  }
  return reasons;
}

/**
 * A context, or an UnsupportedError that says what the browser lacks.
 * @param {MLContextOptions} [options] `powerPreference`, `accelerated`
 * @returns {Promise<MLContext>}
 */
export async function createContext(options = {}) {
  refuse(unsupported());
  return globalThis.navigator.ml.createContext(options);
}

/**
 * The weights, of the right length and with the right SHA-256.
 * @param {string | URL} [url] by default the file of the bundle, beside this module
 * @param {{signal?: AbortSignal, onProgress?: (loaded: number, total: number) => void}} [options]
 * @returns {Promise<ArrayBuffer>}
 */
export async function fetchWeights(url, { signal, onProgress } = {}) {
  const { file, byteLength } = model.weights;
  if (file === null) return new ArrayBuffer(0);
  const source = url ?? besideModule();
  // What a Blob or a Response becomes as an address.
  if (String(source).startsWith("[object ")) throw new TypeError(`the weights are ${source}; give an address, an ArrayBuffer or a Uint8Array`);
  // Before the download.
  if (globalThis.crypto?.subtle === undefined) refuse(["this page is not in a secure context; the SHA-256 of the weights needs https or localhost"]);
  // A browser's own message does not say what it could not fetch.
  const told = (error) => {
    if (signal?.aborted) throw error;
    throw new Error(`${source}: cannot be fetched (${error.message}); serve it beside the module, or give load() its address`, { cause: error });
  };
  const response = await fetch(source, { signal }).catch(told);
  if (!response.ok) throw new Error(`${source}: the server answers ${response.status}`);
  const weights = new Uint8Array(byteLength);
  let loaded = 0;
  for (const reader = response.body.getReader(); ; ) {
    const { done, value } = await reader.read().catch(told);
    if (done) break;
    if (loaded + value.length > byteLength) {
      await reader.cancel();
      throw new Error(`${source}: more than ${byteLength} bytes; it is not the file of this model`);
    }
    weights.set(value, loaded);
    loaded += value.length;
    onProgress?.(loaded, byteLength);
  }
  await prove(weights.buffer, weights.subarray(0, loaded), source);
  return weights.buffer;
}

/**
 * The graph, compiled, with tensors for its inputs and outputs.
 * @param {MLContext} context
 * @param {ArrayBuffer | Uint8Array} weights the whole file, as `fetchWeights` gives it; its SHA-256 is compared
 * @param {Record<string, number>} [dimensions] a value for each of `model.dimensions`
 * @returns {Promise<Graph>} what `run` takes
 */
export async function build(context, weights, dimensions = {}) {
  refuse(unsupported(context));
  const bytes = ArrayBuffer.isView(weights)
    ? new Uint8Array(weights.buffer, weights.byteOffset, weights.byteLength)
    : new Uint8Array(weights ?? new ArrayBuffer(0));
  await prove(weights, bytes, "the weights given");
  const builder = new MLGraphBuilder(context);
  const stored = storage(context.opSupportLimits?.());
  const inputs = [];
  const constant = (name, declared, shape, bytes, isPacked) => {
    const dataType = stored(declared);
    const data = nibbles(bytes, declared, shape, isPacked, dataType !== declared);
    return exactly(builder.constant({ dataType, shape }, data), name, dataType, shape);
  };
  const make = {
    input(name, dataType, shape) {
      inputs.push([name, { dataType, shape }]);
      return exactly(builder.input(name, { dataType, shape }), name, dataType, shape);
    },
    // A view, not a copy. Uint8Array is a buffer for every type, and offsets in the file are not aligned.
    weight: (name, dataType, shape, offset, length, isPacked = false) =>
      constant(name, dataType, shape, bytes.subarray(offset, offset + length), isPacked),
    literal: (name, dataType, shape, values) =>
      constant(name, dataType, shape, new Uint8Array(values.buffer, values.byteOffset, values.byteLength), false),
  };
  const sizes = bind(dimensions);
  const made = assemble(careful(builder), make, sizes);
  const outputs = made.map(([name, operand, dataType, shape]) => {
    exactly(operand, name, dataType, shape);
    return [name, { dataType, shape }];
  });
  const compiled = await builder.build(Object.fromEntries(made.map(([name, operand]) => [name, operand])));
  const tensors = async (entries, access) =>
    Object.fromEntries(
      await Promise.all(entries.map(async ([name, type]) => [name, await context.createTensor({ ...type, ...access })])),
    );
  const inputTensors = await tensors(inputs, { writable: true });
  const outputTensors = await tensors(outputs, { readable: true });
  return Object.freeze({
    context,
    graph: compiled,
    dimensions: Object.freeze({ ...sizes }),
    inputs: Object.fromEntries(inputs),
    outputs: Object.fromEntries(outputs),
    inputTensors,
    outputTensors,
    /** Give back what the graph holds in the context. */
    destroy() {
      for (const item of [...Object.values(inputTensors), ...Object.values(outputTensors), compiled]) item.destroy?.();
    },
  });
}

/**
 * Run a graph once. Calls may overlap: each one is queued whole.
 * @param {Graph} graph what `build` made
 * @param {Record<string, TypedArray | number[] | bigint[]>} inputs values in row-major order, by name
 * @returns {Promise<Record<string, {dataType: string, shape: number[], data: TypedArray}>>}
 */
export async function run(graph, inputs) {
  // One input's original name may be another's own, which wins.
  const names = new Map(model.inputs.map(({ name, original }) => [original ?? name, name]));
  for (const { name } of model.inputs) names.set(name, name);
  const given = new Map();
  for (const [spelling, values] of Object.entries(inputs)) {
    const name = names.get(spelling);
    if (name === undefined) throw new TypeError(`there is no input '${spelling}'; the inputs are ${[...names.keys()].join(", ")}`);
    if (given.has(name)) throw new TypeError(`input '${name}' is given twice, once under its original name`);
    given.set(name, values);
  }
  const values = model.inputs
    // An input that no output depends on is none of the compiled graph.
    .filter(({ name }) => Object.hasOwn(graph.inputs, name))
    .map(({ name }) => [name, bytesOf(name, given.get(name), graph.inputs[name])]);
  // Nothing is awaited before the reads are queued, so no other call can come in between.
  for (const [name, bytes] of values) graph.context.writeTensor(graph.inputTensors[name], bytes);
  graph.context.dispatch(graph.graph, graph.inputTensors, graph.outputTensors);
  const results = Object.entries(graph.outputs).map(async ([name, { dataType, shape }]) => {
    const bytes = new Uint8Array(await graph.context.readTensor(graph.outputTensors[name]));
    const data = new ARRAYS[dataType](nibbles(bytes, dataType, shape, true, true).buffer);
    return [name, { dataType, shape: [...shape], data }];
  });
  return Object.fromEntries(await Promise.all(results));
}

/**
 * Everything at once: context, weights, graph.
 * @param {object} [options]
 * @param {Record<string, number>} [options.dimensions] a value for each of `model.dimensions`
 * @param {MLContext} [options.context] a new one by default
 * @param {MLContextOptions} [options.contextOptions]
 * @param {string | URL | ArrayBuffer | Uint8Array} [options.weights] where they are, or the weights themselves
 * @param {AbortSignal} [options.signal]
 * @param {(loaded: number, total: number) => void} [options.onProgress]
 * @returns {Promise<Graph>}
 */
export async function load({ dimensions, context, contextOptions, weights, signal, onProgress } = {}) {
  const place = context ?? (await createContext(contextOptions));
  // Before the download: it may be large.
  refuse(unsupported(place));
  bind(dimensions ?? {});
  const given = weights instanceof ArrayBuffer || ArrayBuffer.isView(weights);
  return build(place, given ? weights : await fetchWeights(weights, { signal, onProgress }), dimensions);
}

function refuse(reasons) {
  if (reasons.length > 0) throw new UnsupportedError(reasons);
}

/** Refuse what is not the file of this model; one of the same shapes has as many bytes. */
async function prove(weights, bytes, source) {
  const { file, byteLength, sha256 } = model.weights;
  if (bytes.length !== byteLength) throw new RangeError(`${source}: ${bytes.length} bytes; ${byteLength} are needed`);
  if (file === null || PROVEN.has(weights)) return;
  // What threads share cannot be hashed in place.
  const digest = await crypto.subtle.digest("SHA-256", bytes.buffer instanceof ArrayBuffer ? bytes : bytes.slice());
  const found = Array.from(new Uint8Array(digest), (byte) => byte.toString(16).padStart(2, "0")).join("");
  if (found !== sha256) throw new Error(`${source}: SHA-256 ${found}; this model's is ${sha256}`);
  PROVEN.add(weights);
}

function hint(dataType) {
  return dataType === "int64" ? "; `webnn-convert --int64 int32` makes a model without int64" : "";
}

/** The types in which constants are given: 4-bit ones may have to become 8-bit, which every browser has. */
function storage(limits) {
  const takes = (known, dataType) => known?.dataTypes === undefined || [...known.dataTypes].includes(dataType);
  const missing = (dataType) =>
    REQUIREMENTS.some(([op, operand, type]) => type === dataType && !takes(operand === "" ? limits[op] : limits[op]?.[operand], type));
  const small = Object.keys(WIDER).filter((dataType) => WIDENS && limits !== undefined && missing(dataType));
  return (dataType) => (small.includes(dataType) ? WIDER[dataType] : dataType);
}

/** The values of all named dimensions. */
function bind(dimensions) {
  const sizes = Object.create(null);
  for (const [name, { min, max }] of Object.entries(model.dimensions)) {
    const value = Object.hasOwn(dimensions, name) ? dimensions[name] : undefined;
    if (!Number.isInteger(value) || value < min || value > max) {
      // What a text field gives looks like a number.
      const shown = typeof value === "string" ? `the text "${value}"` : String(value);
      throw new RangeError(`dimension '${name}' is ${shown}; give an integer from ${min} to ${max}`);
    }
    sizes[name] = value;
  }
  for (const name of Object.keys(dimensions)) {
    if (!Object.hasOwn(model.dimensions, name)) {
      const known = Object.keys(model.dimensions).join(", ") || "none: all are fixed";
      throw new RangeError(`there is no dimension '${name}'; the dimensions are ${known}`);
    }
  }
  return sizes;
}

/** A builder that never ignores an option: an older draft's would, silently, and compute something else. */
function careful(builder) {
  const call = (op, args) => {
    const options = args.at(-1);
    const read = new Set();
    const watched = {};
    for (const [name, value] of Object.entries(options)) {
      for (const spelling of [name, ...(OLDER[op]?.[name] ?? [])]) {
        Object.defineProperty(watched, spelling, { enumerable: true, get: () => (read.add(name), value) });
      }
    }
    let made;
    try {
      made = builder[op](...args.slice(0, -1), watched);
    } catch (error) {
      throw new Error(`${op} '${options.label}': ${error.message}`, { cause: error });
    }
    const ignored = Object.keys(options).filter((name) => name !== "label" && !read.has(name));
    if (ignored.length > 0) throw new UnsupportedError([`${op} '${options.label}': this browser does not know option ${ignored.join(", ")}`]);
    return made;
  };
  return Object.fromEntries(METHODS.map(([op]) => [op, (...args) => call(op, args)]));
}

/** The operand, if it is what the specification says it is. */
function exactly(operand, name, dataType, shape) {
  const found = operand.shape;
  if (operand.dataType !== dataType || !Array.isArray(found) || found.length !== shape.length || found.some((dim, axis) => dim !== shape[axis])) {
    throw new Error(`'${name}' is ${operand.dataType} [${found}] in this browser; it must be ${dataType} [${shape}]`);
  }
  return operand;
}

/** 4-bit values as they are wanted: two a byte, the first in the low half, or one a byte where `wide`; others as they are. */
function nibbles(bytes, dataType, shape, isPacked, wide) {
  if (WIDER[dataType] === undefined || isPacked !== wide) return bytes;
  const count = elements(shape);
  if (!wide) {
    const packed = new Uint8Array((count + 1) >> 1);
    for (let i = 0; i < count; i++) packed[i >> 1] |= (bytes[i] & 15) << (4 * (i & 1));
    return packed;
  }
  const sign = dataType === "int4" ? 8 : 0;
  return Uint8Array.from({ length: count }, (_, i) => (((bytes[i >> 1] >> (4 * (i & 1))) & 15) ^ sign) - sign);
}

/** The bytes of one input's values, checked. */
function bytesOf(name, values, { dataType, shape }) {
  const Wanted = ARRAYS[dataType];
  const count = elements(shape);
  let array = values;
  if (Array.isArray(values)) {
    if (dataType === "float16" && Wanted === Uint16Array) {
      throw new TypeError(`input '${name}': this browser has no Float16Array; give the bits as a Uint16Array`);
    }
    array = numbersOf(name, values, dataType, Wanted);
  }
  const bits = dataType === "float16" && array instanceof Uint16Array;
  if (!(array instanceof Wanted) && !bits) {
    const found = values === undefined ? "missing" : (values?.constructor?.name ?? typeof values);
    throw new TypeError(`input '${name}' is ${found}; give ${Wanted.name} or an array of numbers`);
  }
  if (array.length !== count) {
    throw new RangeError(`input '${name}' has ${array.length} values; [${shape}] needs ${count}`);
  }
  const least = dataType === "int4" ? -8 : 0;
  const lost = WIDER[dataType] === undefined ? -1 : array.findIndex((value) => value < least || value > least + 15);
  if (lost !== -1) throw new RangeError(`input '${name}': ${array[lost]} is no ${dataType}`);
  return nibbles(new Uint8Array(array.buffer, array.byteOffset, array.byteLength), dataType, shape, false, false);
}

/** Plain numbers as an array of a type. JavaScript itself would make NaN of what is none, and infinity or another integer of what is too large. */
function numbersOf(name, values, dataType, Wanted) {
  const isFloat = dataType.startsWith("float");
  const isWide = dataType.endsWith("64");
  const kinds = ["number", ...(isFloat ? [] : ["boolean"]), ...(isWide ? ["bigint"] : [])];
  const other = values.findIndex((value) => !kinds.includes(typeof value));
  if (other !== -1) {
    const value = values[other];
    const found = Array.isArray(value) ? "an array; give all values in one, row after row" : `${value === null ? null : typeof value}; give numbers`;
    throw new TypeError(`input '${name}': value ${other} is ${found}`);
  }
  // Of a fraction BigInt makes nothing; the 0 in its place is another number, and found below.
  const wide = (value) => (typeof value !== "number" || Number.isInteger(value) ? BigInt(value) : 0n);
  const array = Wanted.from(values, isWide ? wide : undefined);
  const isLost = (value, place) => (isFloat ? Number.isFinite(value) && !Number.isFinite(array[place]) : array[place] != value);
  const lost = values.findIndex(isLost);
  if (lost !== -1) throw new RangeError(`input '${name}': ${values[lost]} is no ${dataType}`);
  return array;
}

function elements(shape) {
  return shape.reduce((count, dim) => count * dim, 1);
}

function floorDiv(numerator, divisor) {
  if (divisor === 0) throw new RangeError("a dimension is divided by 0");
  return Math.floor(numerator / divisor);
}

/** A condition on the dimensions that only their values decide. */
function need(left, relation, right, text) {
  if (relation === "==" ? left !== right : left < right) {
    throw new RangeError(`${text}; here they are ${left} and ${right}`);
  }
}
