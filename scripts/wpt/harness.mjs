// One test file of web-platform-tests, evaluated with stand-ins for the test harness and for WebNN.

import fs from 'node:fs';
import path from 'node:path';
import vm from 'node:vm';

import {NotConvertible, descriptor, plain} from './values.mjs';
import {Operand, Recording, fakeBuilder, fakeContext, probed} from './recorder.mjs';

const PATIENCE = 10_000;  // milliseconds for one test
const MOST_ROUNDS = 64;

class AssertionFailure extends Error {}

// The cases of a file, and the tests that cannot be cases, each with a reason.
export async function convert(file, root, table) {
  // Which calls are to be refused shows only when a test goes wrong because they were not. The file is then
  // evaluated again from the beginning, for tests change their own data.
  const refused = new Map();
  for (let round = 0; round < MOST_ROUNDS; round++) {
    const found = await evaluate(file, root, table, refused);
    if (!found.again) return found;
  }
  throw new NotConvertible(`its tests still change after ${MOST_ROUNDS} rounds`);
}

async function evaluate(file, root, table, refused) {
  const graphs = [];
  const skipped = [];
  const queue = [];
  const setups = [];
  let recording = null;
  const current = () => recording ?? new Recording(table, realm, new Set());

  const sandbox = {
    ...assertions(current),
    navigator: {ml: {createContext: async () => fakeContext(current)}},
    location: {search: '', href: 'https://localhost/', pathname: '/'},
    MLGraphBuilder: function() { return fakeBuilder(current); },
    MLOperand: Operand,
    URL, URLSearchParams, TextEncoder, TextDecoder, structuredClone, setTimeout, clearTimeout, performance, console,
    setup: () => undefined,
    done: () => undefined,
    promise_setup: (run) => void setups.push(run),
    promise_test: (run, name) => void queue.push({run, name: String(name ?? 'unnamed')}),
    test: (run, name) => void queue.push({run, name: String(name ?? 'unnamed')}),
    async_test: (_, name) => void skipped.push({name: String(name ?? 'unnamed'), reason: 'async_test'}),
  };
  const context = vm.createContext(sandbox);
  const realm = vm.runInContext('({TypeError})', context);
  vm.runInContext(POLYFILLS, context);

  const source = fs.readFileSync(file, 'utf8');
  for (const [, script] of source.matchAll(/^\/\/ META: *script=(.+?)\s*$/gm)) {
    const place = script.startsWith('/') ? path.join(root, script) : path.resolve(path.dirname(file), script);
    // As `var`, so that what is replaced below can be replaced.
    const text = fs.readFileSync(place, 'utf8').replace(/^(const|let)(?=\s)/gm, 'var');
    vm.runInContext(text, context, {filename: place});
  }
  if (typeof context.assert_throws_with_label === 'function') {
    context.assert_throws_with_label = (run) => context.assert_throws_js({name: 'TypeError'}, run);
  }
  context.webnn_conformance_test = (...given) => {
    const [tests, , tolerance] = Array.isArray(given[0]) ? given : [[given[2]], given[0], given[1]];
    for (const test of tests) {
      try {
        graphs.push(graphCase(test, tolerance));
      } catch (error) {
        skipped.push({name: test?.name ?? 'unnamed', reason: reasonOf(error)});
      }
    }
  };
  vm.runInContext(source, context, {filename: file});

  for (const run of setups) await run();
  const validations = [];
  let again = false;
  for (let place = 0; place < queue.length; place++) {
    const {run, name} = queue[place];
    const known = refused.get(place) ?? new Set();
    recording = new Recording(table, realm, known);
    let failure = null;
    try {
      await inTime(run(STAND_IN));
    } catch (error) {
      failure = error;
    }
    const last = recording.calls.length - 1;
    if (failure instanceof AssertionFailure && recording.reason === null && last >= 0 && !known.has(last)) {
      refused.set(place, known.add(last));
      again = true;
      continue;
    }
    try {
      if (recording.reason !== null) throw new NotConvertible(recording.reason);
      if (failure !== null) throw failure;
      if (recording.calls.length === 0) throw new NotConvertible('it asks nothing of a builder');
      validations.push(...recording.cases(name));
    } catch (error) {
      skipped.push({name, reason: reasonOf(error)});
    }
    recording = null;
  }
  return {graphs, validations, skipped, again};
}

// What older engines lack and tests use.
const POLYFILLS = `
  var self = globalThis, window = globalThis;
  globalThis.Float16Array ??= class Float16Array extends Uint16Array {};
  Set.prototype.difference ??= function(other) { return new Set([...this].filter((item) => !other.has(item))); };
`;

// The first argument of a test, of which only the clean-up is used.
const STAND_IN = {add_cleanup: () => undefined, step: (run) => run(), step_func: (run) => run, done: () => undefined};

// The harness' assertions: those about a result fill in what is expected of it.
function assertions(recording) {
  const hold = (condition, message) => {
    if (!condition) throw new AssertionFailure(message);
  };
  const equal = (actual, expected, same) => {
    const probe = probed(actual) ?? probed(expected);
    if (!probe) return hold(same(actual, expected), 'values differ');
    const value = plain(probed(actual) ? expected : actual);
    hold(probe.output[probe.key] === undefined || same(probe.output[probe.key], value), 'two values are expected');
    probe.output[probe.key] = value;
  };
  const sameItems = (left, right) => left.length === right.length && left.every((item, place) => item === right[place]);
  const throws = (kind, run) => {
    const {calls} = recording();
    const before = calls.length;
    try {
      run();
    } catch (error) {
      if (error instanceof NotConvertible || error instanceof AssertionFailure) throw error;
      if (calls.length > before && calls.at(-1).refused) return;
      recording().stop(`a ${error?.name} of its own`);
    }
    if (kind.name !== 'TypeError') recording().stop(`a ${kind.name} is expected`);
    hold(calls.length > before, 'nothing is called that could throw');
    calls.at(-1).refused = true;
  };
  const never = (what) => () => recording().stop(what);
  return {
    assert_true: (value, message) => hold(value === true, message),
    assert_false: (value, message) => hold(value === false, message),
    assert_equals: (actual, expected) => equal(actual, expected, Object.is),
    assert_not_equals: (actual, expected) => hold(!Object.is(actual, expected), 'values are equal'),
    assert_array_equals: (actual, expected) => equal(actual, expected, sameItems),
    assert_unreached: (message) => hold(false, message),
    assert_implements: (value, message) => hold(Boolean(value), message),
    assert_throws_js: throws,
    assert_throws_dom: never('a DOMException is expected'),
    promise_rejects_js: never('a rejected promise is expected'),
    promise_rejects_dom: never('a rejected promise is expected'),
    promise_rejects_exactly: never('a rejected promise is expected'),
    AssertionError: AssertionFailure,
  };
}

// A test that computes, with the tolerance that its file gives.
function graphCase(test, tolerance) {
  const {inputs, operators, expectedOutputs} = test.graph;
  const tensors = (given) => Object.fromEntries(Object.entries(given).map(([name, each]) => [name, tensor(each)]));
  const found = {name: test.name, graph: {inputs: tensors(inputs), operators: plain(operators), expectedOutputs: {}}};
  found.graph.expectedOutputs = tensors(expectedOutputs);
  const allowed = toleranceOf(test.graph, tolerance);
  if (allowed) found.tolerance = allowed;
  return found;
}

function tensor(given) {
  const what = descriptor(given.descriptor, {exact: true});
  const data = plain(given.data);
  const size = what.shape.reduce((product, dim) => product * dim, 1);
  if (Array.isArray(data) && data.length !== size) {
    throw new NotConvertible(`${data.length} numbers for the shape [${what.shape}]`);
  }
  return {data, descriptor: what, ...(given.constant ? {constant: true} : {})};
}

// Of a graph with several operators it may depend on shapes that only a WebNN knows: then the default is used.
function toleranceOf(graph, tolerance) {
  let found;
  try {
    found = tolerance(structuredClone(graph), {});
  } catch {
    return null;
  }
  const known = ['ULP', 'ATOL'].includes(found?.metricType) && Number.isFinite(found.value);
  return known ? {type: found.metricType, value: found.value} : null;
}

function inTime(promise) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new NotConvertible('it does not end')), PATIENCE);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

function reasonOf(error) {
  return error instanceof NotConvertible ? error.message : `${error?.name}: ${error?.message}`;
}
