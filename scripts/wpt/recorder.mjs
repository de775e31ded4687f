// A WebNN that computes nothing and writes down what is asked of it.
//
// Every call on a builder becomes a case. Whether it must succeed shows in what the test does with it: a call that
// an assertion wants to throw is one that must be refused, and what a test asserts about the type and the shape of
// a result is what the result must have.

import {NotConvertible, descriptor, plain} from './values.mjs';

// Tests of the ranks that an operator takes go through all of them, with two elements along each dimension.
const MAX_RANK = 8;

// The answer to "what is its type?" of a result that nobody computed; assertions fill in what it should be.
class Probe {
  constructor(operand, key) {
    // A function, for older tests call what newer ones read.
    return new Proxy(() => undefined, {
      get: (_, name) => {
        if (name === PROBE) return {output: operand.output, key};
        return operand.stop(`the ${key} of a result is used to compute something`);
      },
      apply: () => new Probe(operand, key),
    });
  }
}
const PROBE = Symbol('probe');

export function probed(value) {
  return typeof value === 'function' ? value[PROBE] : undefined;
}

export class Operand {
  constructor(builder, fields) {
    Object.assign(this, {builder, ...fields});
  }

  get dataType() {
    return this.descriptor ? this.descriptor.dataType : new Probe(this, 'dataType');
  }

  get shape() {
    return this.descriptor ? this.descriptor.shape : new Probe(this, 'shape');
  }
}

// The recorded calls of one test; `refused` has the numbers of those that are to throw.
export class Recording {
  constructor(table, realm, refused) {
    this.table = table;
    this.realm = realm;
    this.refused = refused;
    this.calls = [];
    this.reason = null;
  }

  // From here on the test cannot be converted, even if it catches the exception itself.
  stop(reason) {
    this.reason ??= reason;
    throw new NotConvertible(reason);
  }

  call(builder, operator, given, make) {
    const record = {builder, operator, refused: this.refused.has(this.calls.length), output: null, ...given};
    this.calls.push(record);
    if (record.refused) {
      throw new this.realm.TypeError(`${record.options?.label ? `[${record.options.label}] ` : ''}refused`);
    }
    return make(record);
  }

  // Cases for all operators called, and for inputs and constants where they are refused or all there is.
  cases(name) {
    const isSource = (call) => call.operator === 'input' || call.operator === 'constant';
    const onlySources = this.calls.every(isSource);
    const chosen = this.calls.filter((call) => onlySources || call.refused || !isSource(call));
    return chosen.map((call) => written(name, call));
  }
}

// A context: limits, and builders made for it. All else is about the life of contexts, tensors and graphs.
export function fakeContext(recording) {
  const limited = (limits) => {
    const {min, max} = limits.rankRange;
    return {dataTypes: [...limits.dataTypes], rankRange: {min, max: Math.min(max, MAX_RANK)}};
  };
  const all = (limits) => Object.fromEntries(Object.entries(limits).map(([name, each]) => [name, limited(each)]));
  const opSupportLimits = () => {
    const {preferredInputLayout, maxTensorByteLength, ...operands} = recording().table.context;
    const operators = Object.entries(recording().table.operators).map(([name, row]) => [name, all(row.limits)]);
    return {preferredInputLayout, maxTensorByteLength, ...all(operands), ...Object.fromEntries(operators)};
  };
  return guarded('MLContext', {opSupportLimits}, recording);
}

export function fakeBuilder(recording) {
  const stop = (reason) => recording().stop(reason);

  // The descriptor, or the end of the test: what is thrown here the test might catch itself.
  const described = (given, exactness) => {
    try {
      return descriptor(given, exactness);
    } catch (error) {
      return stop(error.message);
    }
  };

  const builder = guarded('MLGraphBuilder', {input, constant}, recording, (name) => {
    const row = recording().table.operators[name];
    return row && ((...given) => operation(name, row, given));
  });

  function input(name, given) {
    const arguments_ = [{name: plain(name)}, ...members(described(given, {exact: false}))];
    return recording().call(builder, 'input', {arguments: arguments_}, (record) => {
      record.output = described(given, {exact: true});
      return new Operand(builder, {name, descriptor: record.output, constant: false});
    });
  }

  function constant(first, second) {
    const isScalar = typeof first === 'string';
    const what = isScalar ? {dataType: first, shape: []} : described(first, {exact: false});
    if (isScalar && typeof second === 'bigint' && what.dataType.startsWith('float')) {
      stop('a BigInt for a type of fractions, which only JavaScript tells from a number');
    }
    const last = isScalar ? [{value: plain(second)}] : [{shape: what.shape}, {buffer: buffer(second)}];
    return recording().call(builder, 'constant', {arguments: [{dataType: what.dataType}, ...last]}, (record) => {
      record.output = isScalar ? what : described(first, {exact: true});
      return new Operand(builder, {name: 'constant', descriptor: record.output, constant: true});
    });
  }

  function buffer(given) {
    const kind = Object.prototype.toString.call(given).slice(8, -1);
    const type = ArrayBuffer.isView(given) ? given.constructor.name : 'ArrayBuffer';
    if (typeof given?.byteLength !== 'number') stop(`a constant made of a ${kind}`);
    if (type === 'Uint16Array') stop('a Uint16Array, which stands for float16 only in JavaScript');
    return {type, byteLength: given.byteLength};
  }

  function operation(operator, row, given) {
    const names = row.arguments;
    const extra = given.length > names.length ? given[names.length] ?? {} : {};
    const call = {
      operands: new Map(),
      values: names.slice(0, given.length).map((name, place) => [name, given[place]]),
      options: {...extra},
      limits: row.limits,
    };
    return recording().call(builder, operator, call, (record) => {
      const count = results(row, call, record);
      if (count === null) {
        record.output = {};
        return new Operand(builder, {producer: record, output: record.output, stop});
      }
      record.output = Array.from({length: count}, () => ({}));
      return record.output.map((output, place) => new Operand(builder, {producer: record, place, output, stop}));
    });
  }

  // How many results a list has; null for a single operand that is no list.
  function results(row, call, record) {
    if (row.results[0] === 'any number') {
      const splits = Object.fromEntries(call.values).splits;
      return typeof splits === 'number' ? splits : splits.length;
    }
    if (row.results.length === 1) return null;
    return row.results.filter((each) => each === 'always' || record.options.returnSequence).length;
  }

  return builder;
}

// An object that has these members; asking for any other ends the conversion of the test.
function guarded(what, members_, recording, more = () => undefined) {
  return new Proxy(members_, {
    get: (target, name) => {
      if (typeof name === 'symbol' || name === 'then') return undefined;
      return target[name] ?? more(name) ?? recording().stop(`${what}.${name}`);
    },
  });
}

const members = (object) => Object.entries(object).map(([key, value]) => ({[key]: value}));

// One call as a case, with the inputs it needs and the calls before it that make its operands.
function written(name, call) {
  const inputs = {};
  const before = [];
  const made = new Map();

  const nameOf = (wanted) => {
    let free = wanted;
    for (let number = 2; free in inputs; number++) free = `${wanted}_${number}`;
    return free;
  };

  const reference = (operand) => {
    if (operand.producer) {
      if (!made.has(operand.producer)) made.set(operand.producer, step(operand.producer));
      const names = made.get(operand.producer);
      return Array.isArray(names) ? names[operand.place] : names;
    }
    if (!made.has(operand)) {
      const free = nameOf(operand.name);
      const {dataType, shape} = operand.descriptor;
      inputs[free] = {dataType, shape};
      if (operand.constant) inputs[free].constant = true;
      if (operand.builder !== call.builder) inputs[free].builder = 'other';
      made.set(operand, free);
    }
    return made.get(operand);
  };

  const value = (given) => {
    if (given instanceof Operand) return reference(given);
    if (Array.isArray(given) && given.some((item) => item instanceof Operand)) return given.map(value);
    return plain(given);
  };

  // A string where an operand belongs must not be taken for the name of one.
  const named = (entries, isOperand) => {
    const literal = (key, given) => typeof given === 'string' && isOperand(key);
    const pairs = entries.map(([key, given]) => [key, literal(key, given) ? {literal: given} : value(given)]);
    return pairs.filter(([, each]) => each !== undefined);
  };

  const step = (producer) => {
    if (producer.builder !== call.builder) throw new NotConvertible('a result of another builder');
    const list = argumentsOf(producer);
    const base = `result${before.length + 1}`;
    const outputs = Array.isArray(producer.output) ? producer.output.map((_, place) => `${base}_${place}`) : base;
    before.push({name: producer.operator, arguments: list, outputs});
    return outputs;
  };

  const argumentsOf = (made_) => {
    const isOperand = (key) => key in made_.limits;
    const options = Object.fromEntries(named(Object.entries(made_.options), isOperand));
    const list = named(made_.values, isOperand).map(([key, each]) => ({[key]: each}));
    return Object.keys(options).length ? [...list, {options}] : list;
  };

  const found = {kind: 'validation', name, inputs};
  const list = call.values ? argumentsOf(call) : call.arguments;
  const last = list.at(-1);
  const options = call.values && last && 'options' in last ? list.pop().options : undefined;
  if (before.length) found.before = before;
  Object.assign(found, {operator: call.operator, arguments: list});
  if (options) found.options = options;
  if (!call.refused) found.output = call.output;
  return found;
}
