// JSON of case files: numbers that JSON lacks become strings, and a negative zero keeps its sign.

// What a test does that no case file can say; the test is then left out and named.
export class NotConvertible extends Error {}

// A value of a test as a plain value: typed arrays become lists, what is undefined disappears.
export function plain(value) {
  if (value === undefined || value === null || typeof value === 'boolean' || typeof value === 'string') return value;
  if (typeof value === 'number') return Number.isFinite(value) ? value : String(value);
  if (typeof value === 'bigint') return `${value}n`;
  if (typeof value === 'object') {
    if (ArrayBuffer.isView(value) || Array.isArray(value)) return Array.from(value, (item) => plain(item) ?? null);
    const kind = Object.prototype.toString.call(value);
    if (kind === '[object Date]') return String(value);
    if (kind === '[object Object]') {
      const entries = Object.entries(value).map(([key, item]) => [key, plain(item)]);
      return Object.fromEntries(entries.filter(([, item]) => item !== undefined));
    }
  }
  throw new NotConvertible(`a value of type ${typeof value}`);
}

// A descriptor of a test; older tests call the shape `dimensions`.
export function descriptor(given, {exact}) {
  const shape = given?.shape ?? given?.dimensions;
  if (!Array.isArray(shape)) {
    if (exact) throw new NotConvertible('a descriptor without a shape');
    return {dataType: plain(given?.dataType), shape: plain(shape)};
  }
  if (shape.some((dim) => dim === null || ['object', 'string'].includes(typeof dim))) {
    throw new NotConvertible('a dimension that is not a number');
  }
  // A browser drops the fraction of what is to be an integer.
  return {dataType: plain(given.dataType), shape: exact ? shape.map(Math.trunc) : plain(shape)};
}

export function json(value) {
  if (Array.isArray(value)) return `[${value.map(json).join(',')}]`;
  if (value !== null && typeof value === 'object') {
    return `{${Object.entries(value).map(([key, item]) => `${JSON.stringify(key)}:${json(item)}`).join(',')}}`;
  }
  return Object.is(value, -0) ? '-0.0' : JSON.stringify(value);
}

// A case file: one test a line.
export function caseFile(head, tests) {
  const lines = Object.entries(head).map(([key, value]) => `  ${JSON.stringify(key)}: ${json(value)},\n`).join('');
  return `{\n${lines}  "tests": [\n${tests.map((test) => `    ${json(test)}`).join(',\n')}\n  ]\n}\n`;
}
